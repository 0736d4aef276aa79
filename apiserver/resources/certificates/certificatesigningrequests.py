"""CertificateSigningRequests (upstream: pkg/registry/certificates, pkg/apis/certificates/validation).

Who asks is written by the server. Approving and signing are subresources; who may is admission's and RBAC's.
"""

import base64
import binascii
from typing import Any, Final

from cryptography import x509

from apiserver.registry.resource import Column, Resource
from apiserver.registry.strategy import Context
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, human_duration, spec_of, status_of
from apiserver.validation import fields, metadata, signers
from machinery.api import errors, kinds, times
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_CONDITIONS: Final = ("Approved", "Denied", "Failed")
_LEAST_SECONDS: Final = 600
_USAGES: Final = frozenset(
    (
        *("any", "cert sign", "client auth", "code signing", "content commitment", "crl sign", "data encipherment"),
        *("decipher only", "digital signature", "email protection", "encipher only", "ipsec end system"),
        *("ipsec tunnel", "ipsec user", "key agreement", "key encipherment", "microsoft sgc", "netscape sgc"),
        *("ocsp signing", "s/mime", "server auth", "signing", "timestamping"),
    )
)


class CertificateSigningRequestStrategy(KindStrategy):
    """The spec is the client's once, then nobody's; conditions and certificate come by the subresources."""

    namespaced = False

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """Who asks, as the server knows them."""
        spec, user = obj.setdefault("spec", {}), context.user
        for name in ("username", "uid", "groups", "extra"):
            spec.pop(name, None)
        spec |= {"username": user.name, "groups": list(user.groups)}
        if user.uid:
            spec["uid"] = user.uid
        if user.extra:
            spec["extra"] = {key: list(values) for key, values in user.extra.items()}
        obj["status"] = {}

    def prepare_for_update(self, obj: Json, old: Json, context: Context) -> None:
        """Metadata only."""
        obj["spec"], obj["status"] = old["spec"], old.get("status") or {}

    def prepare_for_approval_update(self, obj: Json, old: Json, context: Context) -> None:
        """Conditions Approved and Denied only; the rest of the status stays."""
        new = status_of(obj).get("conditions") or []
        obj["spec"] = old["spec"]
        obj["status"] = {**(old.get("status") or {}), "conditions": new}
        _stamp(obj)

    def prepare_for_status_update(self, obj: Json, old: Json, context: Context) -> None:
        """The certificate and other conditions; what was decided stays decided."""
        super().prepare_for_status_update(obj, old, context)
        decided = [item for item in status_of(old).get("conditions") or () if item.get("type") in _CONDITIONS[:2]]
        others = [item for item in status_of(obj).get("conditions") or () if item.get("type") not in _CONDITIONS[:2]]
        if decided or others:
            obj.setdefault("status", {})["conditions"] = decided + others
        _stamp(obj)

    def check(self, obj: Json) -> list[FieldError]:
        """A readable request, usages, a signer."""
        spec = spec_of(obj)
        found = _request(spec.get("request") or "")
        usages = spec.get("usages") or []
        if not usages:
            found.append(errors.required("spec.usages", "usages must not be empty"))
        for usage, path in fields.each(usages, "spec.usages"):
            if usage not in _USAGES:
                found.append(errors.invalid_value(path, usage, "unknown usage"))
        found += fields.unique(fields.each(usages, "spec.usages"))
        seconds = spec.get("expirationSeconds")
        if seconds is not None and seconds < _LEAST_SECONDS:
            text = f"may not specify a duration less than {_LEAST_SECONDS} seconds (10 minutes)"
            found.append(errors.invalid_value("spec.expirationSeconds", seconds, text))
        return found + signers.name(spec.get("signerName") or "", "spec.signerName")

    def validate_approval_update(self, obj: Json, old: Json, context: Context) -> list[FieldError]:
        """Not both, and what was decided is not taken back."""
        return metadata.check_update(obj, old) + _conditions(obj, old)

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """A certificate in PEM that does not change."""
        found = _conditions(obj, old)
        certificate, before = status_of(obj).get("certificate"), status_of(old).get("certificate")
        if before and certificate != before:
            return [*found, errors.forbidden_field("status.certificate", "updates may not set certificate content")]
        return found + (_certificate(certificate) if certificate and not before else [])


def _stamp(obj: Json) -> None:
    """Times of conditions that came without."""
    now = times.rfc3339(times.now())
    for condition in status_of(obj).get("conditions") or ():
        condition.setdefault("lastUpdateTime", now)
        condition.setdefault("lastTransitionTime", now)


def _request(encoded: str) -> list[FieldError]:
    try:
        x509.load_pem_x509_csr(base64.b64decode(encoded))
    except (ValueError, binascii.Error) as problem:
        text = "PEM block type must be CERTIFICATE REQUEST" if encoded else f"{problem}"
        return [errors.invalid_value("spec.request", encoded, text)]
    return []


def _certificate(encoded: str) -> list[FieldError]:
    try:
        x509.load_pem_x509_certificates(base64.b64decode(encoded))
    except (ValueError, binascii.Error):
        text = "must contain at least one PEM block type 'CERTIFICATE'"
        return [errors.invalid_value("status.certificate", "<certificate data>", text)]
    return []


def _conditions(obj: Json, old: Json) -> list[FieldError]:
    found: list[FieldError] = []
    items = fields.each(status_of(obj).get("conditions"), "status.conditions")
    present = {item.get("type") for item, _ in items}
    for item, path in items:
        kind = item.get("type")
        if not kind:
            found.append(errors.required(f"{path}.type", ""))
        status = item.get("status")
        if not status:
            found.append(errors.required(f"{path}.status", ""))
        elif kind in _CONDITIONS and status != "True":
            found.append(errors.not_supported(f"{path}.status", status, ("True",)))
    found += fields.unique((item.get("type"), f"{path}.type") for item, path in items)
    if {"Approved", "Denied"} <= present:
        text = "Approved and Denied conditions are mutually exclusive"
        found.append(errors.invalid_value("status.conditions", "Denied", text))
    for item in status_of(old).get("conditions") or ():
        if item.get("type") in _CONDITIONS and item["type"] not in present:
            text = f'updates may not remove a condition of type "{item["type"]}"'
            found.append(errors.forbidden_field("status.conditions", text))
    return found


def _condition(request: Json) -> str:
    present = {item.get("type") for item in status_of(request).get("conditions") or ()}
    decided = [name for name in _CONDITIONS[:2] if name in present][:1] or ["Pending"]
    decided += ["Failed"] if "Failed" in present else []
    return ",".join([*decided, *(["Issued"] if status_of(request).get("certificate") else [])])


def _duration(request: Json) -> str:
    seconds: Any = spec_of(request).get("expirationSeconds")
    return human_duration(seconds) if seconds else "<none>"


CERTIFICATE_SIGNING_REQUESTS: Final = Resource(
    kind=kinds.CERTIFICATE_SIGNING_REQUESTS,
    key="certificatesigningrequests",
    strategy=CertificateSigningRequestStrategy(),
    short_names=("csr",),
    columns=(
        AGE,
        Column("SignerName", lambda obj: spec_of(obj).get("signerName") or "<none>"),
        Column("Requestor", lambda obj: spec_of(obj).get("username") or ""),
        Column("RequestedDuration", _duration),
        Column("Condition", _condition),
    ),
    fields={"spec.signerName": lambda obj: spec_of(obj).get("signerName") or ""},
    subresources=("approval", "status"),
)
