"""PodCertificateRequests: a kubelet asks for a pod's certificate (KEP-4317).

Upstream: pkg/registry/certificates/podcertificaterequest, pkg/apis/certificates/validation. Who signs is admission's.
"""

import base64
import binascii
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from apiserver.registry.resource import Column, Resource
from apiserver.registry.strategy import Context
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of, status_of
from apiserver.validation import fields, signers
from machinery.api import errors, kinds, names, times
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_KNOWN: Final = ("Issued", "Denied", "Failed")
_USUAL_SECONDS: Final = 86_400
_LONGEST_UID: Final = 128
_LONGEST_REQUEST: Final = 10 * 1024  # bytes
_RSA_BITS: Final = (3072, 4096)
_CURVES: Final = ("secp256r1", "secp384r1", "secp521r1")
_SHORTEST: Final = timedelta(hours=1)
_NEAR: Final = timedelta(minutes=5)
_MARGIN: Final = timedelta(minutes=10)
_REQUEST: Final = "spec.stubPKCS10Request"
_CHAIN: Final = "status.certificateChain"


class PodCertificateRequestStrategy(KindStrategy):
    """The spec is the kubelet's once, then nobody's; the status is the signer's once."""

    drops_status = True

    def defaults(self, obj: Json) -> None:
        """A day."""
        spec = spec_of(obj)
        if spec and spec.get("maxExpirationSeconds") is None:
            spec["maxExpirationSeconds"] = _USUAL_SECONDS

    def check(self, obj: Json) -> list[FieldError]:
        """Who asks for whom, by name and uid; a request that is signed with its own key."""
        spec = spec_of(obj)
        found = signers.name(spec.get("signerName") or "", "spec.signerName")
        for who in ("pod", "serviceAccount", "node"):
            found += fields.satisfies(spec.get(f"{who}Name") or "", f"spec.{who}Name", names.is_dns_subdomain)
            uid, path = spec.get(f"{who}UID") or "", f"spec.{who}UID"
            if not uid:
                found.append(errors.invalid_value(path, uid, "must not be empty"))
            if len(uid) > _LONGEST_UID:
                found.append(errors.too_long(path, _LONGEST_UID))
        found += signers.user_annotations(spec.get("unverifiedUserAnnotations"), "spec.unverifiedUserAnnotations")
        return found + _seconds(spec) + _request(spec.get("stubPKCS10Request") or "")

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """Nothing of the spec changes."""
        return fields.immutable(spec_of(obj), spec_of(old), "spec")

    def prepare_for_status_update(self, obj: Json, old: Json, context: Context) -> None:
        """Times of conditions that came without."""
        super().prepare_for_status_update(obj, old, context)
        for condition in status_of(obj).get("conditions") or ():
            condition.setdefault("lastTransitionTime", times.rfc3339(times.now()))

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """One verdict, once; a certificate for the key that was asked for."""
        found = _conditions(obj)
        if found:
            return found
        if _verdict(old):
            return _unchanged(obj, old, "immutable after PodCertificateRequest is issued, denied, or failed")
        if _verdict(obj) == "Issued":
            return _issued(obj, old)
        if not _verdict(obj):
            text = 'status is immutable unless transitioning to "Issued", "Denied", or "Failed"'
            return _unchanged(obj, old, text)
        if status_of(obj).keys() - {"conditions"}:
            text = "non-condition status fields must be empty when denying or failing the PodCertificateRequest"
            return [errors.invalid_value("status", status_of(obj), text)]
        return []


def _seconds(spec: Json) -> list[FieldError]:
    seconds = spec.get("maxExpirationSeconds") or 0
    most = signers.most_seconds(spec.get("signerName") or "")
    if signers.LEAST_SECONDS <= seconds <= most:
        return []
    text = f"must be in the range [{signers.LEAST_SECONDS}, {most}]"
    return [errors.invalid_value("spec.maxExpirationSeconds", seconds, text)]


def _request(encoded: str) -> list[FieldError]:
    if len(encoded) * 3 // 4 > _LONGEST_REQUEST:
        return [errors.too_long(_REQUEST, _LONGEST_REQUEST)]
    request = _csr(encoded)
    if request is None:
        return [errors.invalid_value(_REQUEST, encoded, "must be a valid PKCS#10 certificate signing request")]
    try:
        is_signed = request.is_signature_valid
    except (InvalidSignature, ValueError):
        is_signed = False
    if not is_signed:
        return [errors.invalid_value(_REQUEST, "<value omitted>", "signature must be valid")]
    return _key(request.public_key())


def _csr(encoded: str) -> x509.CertificateSigningRequest | None:
    try:
        return x509.load_der_x509_csr(base64.b64decode(encoded))
    except (ValueError, binascii.Error):
        return None


def _key(key: CertificatePublicKeyTypes) -> list[FieldError]:
    match key:
        case rsa.RSAPublicKey() if key.key_size not in _RSA_BITS:
            text = "RSA keys must have modulus size 3072 or 4096"
            return [errors.invalid_value(_REQUEST, f"{key.key_size}-bit modulus", text)]
        case ec.EllipticCurvePublicKey() if key.curve.name not in _CURVES:
            text = "elliptic public keys must use curve P256, P384 or P521"
            return [errors.invalid_value(_REQUEST, f"curve {key.curve.name}", text)]
        case rsa.RSAPublicKey() | ec.EllipticCurvePublicKey() | ed25519.Ed25519PublicKey():
            return []
        case _:
            text = "unknown public key type; supported types are Ed25519, ECDSA, and RSA"
            return [errors.invalid_value(_REQUEST, "<value omitted>", text)]


def _conditions(obj: Json) -> list[FieldError]:
    found: list[FieldError] = []
    items = fields.each(status_of(obj).get("conditions"), "status.conditions")
    for number, (item, path) in enumerate(items):
        if item.get("type") not in _KNOWN:
            found.append(errors.not_supported(f"{path}.type", item.get("type") or "", _KNOWN))
        elif number:
            text = 'There may be at most one condition with type "Issued", "Denied", or "Failed"'
            found.append(errors.invalid_value(f"{path}.type", item["type"], text))
        if item.get("status") != "True":
            found.append(errors.not_supported(f"{path}.status", item.get("status") or "", ("True",)))
    return found


def _verdict(obj: Json) -> str:
    kinds_ = [item.get("type") or "" for item in status_of(obj).get("conditions") or ()]
    return next((kind for kind in kinds_ if kind in _KNOWN), "")


def _unchanged(obj: Json, old: Json, text: str) -> list[FieldError]:
    return [] if status_of(obj) == status_of(old) else [errors.invalid_value("status", status_of(obj), text)]


def _issued(obj: Json, old: Json) -> list[FieldError]:
    """The leaf is for the key and the time that was asked for (upstream: ValidatePodCertificateRequestStatusUpdate)."""
    status = status_of(obj)
    chain = status.get("certificateChain") or ""
    try:
        leaf = x509.load_pem_x509_certificates(chain.encode())[0]
    except ValueError:
        return [errors.invalid_value(_CHAIN, chain, "issued certificate chain must contain at least one certificate")]
    request = _csr(spec_of(old).get("stubPKCS10Request") or "")
    if request is None or _bits(leaf.public_key()) != _bits(request.public_key()):
        return [errors.invalid_value(_CHAIN, chain, "leaf certificate was not issued to the requested public key")]
    texts = {
        "notBefore": "must be present and consistent with the issued certificate",
        "notAfter": "must be present and consistent with the issued certificate",
        "beginRefreshAt": "must be present and in the range [notbefore+10min, notafter-10min]",
    }
    missing = [errors.required(f"status.{name}", text) for name, text in texts.items() if not status.get(name)]
    return missing or _times(leaf, status, spec_of(old).get("maxExpirationSeconds") or 0)


def _bits(key: CertificatePublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _times(leaf: x509.Certificate, status: Json, most_seconds: int) -> list[FieldError]:
    begin, end, refresh = (times.parse(status[name]) for name in ("notBefore", "notAfter", "beginRefreshAt"))
    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    longest = f"leaf certificate lifetime must be <= spec.maxExpirationSeconds ({most_seconds})"
    checks = {
        ("notBefore", "must be set to the NotBefore time encoded in the leaf certificate"): (
            begin == leaf.not_valid_before_utc
        ),
        ("notBefore", "must be set to within 5 minutes of kube-apiserver's current time"): (
            abs(begin - times.now()) <= _NEAR
        ),
        ("notAfter", "must be set to the NotAfter time encoded in the leaf certificate"): (
            end == leaf.not_valid_after_utc
        ),
        ("certificateChain", "leaf certificate lifetime must be >= 1 hour"): lifetime >= _SHORTEST,
        ("certificateChain", longest): lifetime <= timedelta(seconds=most_seconds),
        ("beginRefreshAt", "must be at least 10 minutes after status.notBefore"): refresh >= begin + _MARGIN,
        ("beginRefreshAt", "must be at least 10 minutes before status.notAfter"): refresh <= end - _MARGIN,
    }
    wrong = (place for place, holds in checks.items() if not holds)
    return [errors.invalid_value(f"status.{name}", status[name], text) for name, text in wrong][:1]


POD_CERTIFICATE_REQUESTS: Final = Resource(
    kind=kinds.POD_CERTIFICATE_REQUESTS,
    key="podcertificaterequests",
    strategy=PodCertificateRequestStrategy(),
    columns=(
        Column("PodName", lambda obj: spec_of(obj).get("podName") or ""),
        Column("ServiceAccountName", lambda obj: spec_of(obj).get("serviceAccountName") or ""),
        Column("NodeName", lambda obj: spec_of(obj).get("nodeName") or ""),
        Column("SignerName", lambda obj: spec_of(obj).get("signerName") or ""),
        Column("State", lambda obj: _verdict(obj) or "Pending"),
        AGE,
    ),
    subresources=("status",),
    fields={
        "spec.signerName": lambda obj: spec_of(obj).get("signerName") or "",
        "spec.podName": lambda obj: spec_of(obj).get("podName") or "",
        "spec.nodeName": lambda obj: spec_of(obj).get("nodeName") or "",
    },
)
