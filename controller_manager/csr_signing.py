"""Signs approved CertificateSigningRequests of upstream's four signers with the cluster's CA.

Upstream: pkg/controller/certificates/signer/signer.go, authority/policies.go.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from controller_manager import csr_rules
from machinery.aio.clock import REAL, Clock
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, times
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself
from machinery.client.informer import Informers
from machinery.client.rest import Client

_BACKDATE: Final = timedelta(minutes=5)  # for nodes whose clocks are behind
_EXTENDED: Final = {
    "client auth": ExtendedKeyUsageOID.CLIENT_AUTH,
    "server auth": ExtendedKeyUsageOID.SERVER_AUTH,
    "code signing": ExtendedKeyUsageOID.CODE_SIGNING,
    "email protection": ExtendedKeyUsageOID.EMAIL_PROTECTION,
    "timestamping": ExtendedKeyUsageOID.TIME_STAMPING,
    "ocsp signing": ExtendedKeyUsageOID.OCSP_SIGNING,
    "any": ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
}


@dataclass(frozen=True, slots=True)
class Authority:
    """A CA and the longest that its certificates live."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    longest: timedelta


def authority(certificate: bytes, key: bytes, longest_seconds: float) -> Authority:
    """From PEM; raises ValueError for what cannot be read or signed with."""
    loaded = serialization.load_pem_private_key(key, None)
    if not isinstance(loaded, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError("the CA's key must be RSA or ECDSA")
    return Authority(x509.load_pem_x509_certificate(certificate), loaded, timedelta(seconds=longest_seconds))


def sign(ca: Authority, csr: Json, clock: Clock) -> bytes:
    """The certificate in PEM: the request's subject and names, its usages, and a life that ends with the CA's."""
    request, now = csr_rules.request_of(csr), clock.now()
    asked = (csr.get("spec") or {}).get("expirationSeconds")
    life = min(ca.longest, timedelta(seconds=asked)) if asked else ca.longest
    builder = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(ca.certificate.subject)
        .public_key(request.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(min(now + life, ca.certificate.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    usages = csr_rules.usages_of(csr)
    if usages - _EXTENDED.keys():  # a usage that allows nothing would be worse than none: TLS refuses it
        builder = builder.add_extension(_key_usage(usages), critical=True)
    if extended := [oid for name, oid in _EXTENDED.items() if name in usages]:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    for extension in request.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            builder = builder.add_extension(extension.value, critical=extension.critical)
    return builder.sign(ca.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def _key_usage(usages: set[str]) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=bool(usages & {"signing", "digital signature"}),
        content_commitment="content commitment" in usages,
        key_encipherment="key encipherment" in usages,
        data_encipherment="data encipherment" in usages,
        key_agreement="key agreement" in usages,
        key_cert_sign="cert sign" in usages,
        crl_sign="crl sign" in usages,
        encipher_only=False,
        decipher_only=False,
    )


class CSRSigningController:
    """Keys are requests."""

    name = "certificatesigningrequest-signing-controller"

    def __init__(
        self, client: Client, informers: Informers, authorities: Mapping[str, Authority], clock: Clock = REAL
    ) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._authorities = authorities  # by signer
        self._clock = clock
        self._requests = informers.watch(kinds.CERTIFICATE_SIGNING_REQUESTS, on_change=enqueue_itself(self.queue))

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one request."""
        csr = self._requests.get(key)
        if csr is None or not is_to_be_signed(csr) or csr_rules.signer_of(csr) not in self._authorities:
            return None
        try:
            await self._client.update_status(kinds.CERTIFICATE_SIGNING_REQUESTS, {**csr, "status": self._answer(csr)})
        except (errors.Conflict, errors.NotFound):
            return None  # the cache was behind; what is new comes as an event
        return None

    def _answer(self, csr: Json) -> Json:
        """The status with a certificate, or with why there will be none."""
        status: Json = csr.get("status") or {}
        problem = csr_rules.problem_of(csr_rules.signer_of(csr), csr_rules.request_of(csr), csr_rules.usages_of(csr))
        if not problem:
            return {
                **status,
                "certificate": base64.b64encode(
                    sign(self._authorities[csr_rules.signer_of(csr)], csr, self._clock)
                ).decode(),
            }
        condition = {
            "type": "Failed",
            "status": "True",
            "reason": "SignerValidationFailure",
            "message": problem,
            "lastUpdateTime": times.rfc3339(self._clock.now()),
        }
        return {**status, "conditions": [*(status.get("conditions") or ()), condition]}


def is_to_be_signed(csr: Json) -> bool:
    """Approved, for one of our signers, and neither issued nor failed."""
    return (
        csr_rules.signer_of(csr) in csr_rules.SIGNERS
        and csr_rules.has(csr, "Approved")
        and not csr_rules.has(csr, "Failed")
        and not csr_rules.certificate_of(csr)
    )
