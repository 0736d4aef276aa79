"""PodCertificateRequests: what a kubelet may ask for, and what a signer may answer, once."""

import base64
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from apiserver.resources.certificates.podcertificaterequests import PodCertificateRequestStrategy
from machinery.api import times
from machinery.api.codec import Json

KEY = ec.generate_private_key(ec.SECP256R1())
STRATEGY = PodCertificateRequestStrategy()
NOW = times.now().replace(microsecond=0)


def encoded(key: Any = KEY) -> str:
    """An empty request, signed."""
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return base64.b64encode(request.public_bytes(serialization.Encoding.DER)).decode()


def asked(**changes: Any) -> Json:
    """A request that is in order, with changes to its spec."""
    spec = {
        "signerName": "example.com/mesh",
        "podName": "web-1",
        "podUID": "1",
        "serviceAccountName": "web",
        "serviceAccountUID": "2",
        "nodeName": "n1",
        "nodeUID": "3",
        "maxExpirationSeconds": 86400,
        "stubPKCS10Request": encoded(),
        **changes,
    }
    return {"metadata": {"name": "r", "namespace": "default"}, "spec": spec}


def answered(condition: str, **status: Any) -> Json:
    """It, with a verdict."""
    return {**asked(), "status": {"conditions": [{"type": condition, "status": "True", "reason": "x"}], **status}}


def certificate(key: Any = KEY, begin: datetime = NOW, hours: float = 24) -> str:
    """A leaf of an authority of its own."""
    name = x509.Name([])
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(begin).not_valid_after(begin + timedelta(hours=hours))
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def issued(key: Any = KEY, begin: datetime = NOW, hours: float = 24, **changes: Any) -> Json:
    """It, with a certificate and its times."""
    status = {
        "certificateChain": certificate(key, begin, hours),
        "notBefore": times.rfc3339(begin),
        "notAfter": times.rfc3339(begin + timedelta(hours=hours)),
        "beginRefreshAt": times.rfc3339(begin + timedelta(minutes=30)),
        **changes,
    }
    return answered("Issued", **{name: value for name, value in status.items() if value})


@pytest.mark.parametrize(
    ("obj", "field", "text"),
    [
        pytest.param(asked(), "", "", id="in-order"),
        pytest.param(asked(signerName="mesh"), "spec.signerName", "fully qualified domain and path", id="signer"),
        pytest.param(asked(podName="Web"), "spec.podName", "lowercase RFC 1123 subdomain", id="pod"),
        pytest.param(asked(nodeUID=""), "spec.nodeUID", "must not be empty", id="no-uid"),
        pytest.param(asked(podUID="1" * 129), "spec.podUID", "may not be more than 128 bytes", id="long-uid"),
        pytest.param(asked(maxExpirationSeconds=60), "spec.maxExpirationSeconds", "[3600, 7862400]", id="short"),
        pytest.param(
            asked(signerName="kubernetes.io/x", maxExpirationSeconds=90000),
            "spec.maxExpirationSeconds",
            "[3600, 86400]",
            id="long-of-kubernetes",
        ),
        pytest.param(asked(stubPKCS10Request="eA=="), "spec.stubPKCS10Request", "valid PKCS#10", id="no-request"),
        pytest.param(
            asked(stubPKCS10Request=encoded(ec.generate_private_key(ec.SECP224R1()))),
            "spec.stubPKCS10Request",
            "must use curve P256, P384 or P521",
            id="curve",
        ),
        pytest.param(
            asked(stubPKCS10Request=encoded(rsa.generate_private_key(65537, 2048))),
            "spec.stubPKCS10Request",
            "modulus size 3072 or 4096",
            id="short-rsa",
        ),
        pytest.param(
            asked(unverifiedUserAnnotations={"plain": "x"}),
            "spec.unverifiedUserAnnotations",
            "must be a domain-prefixed key",
            id="annotation-without-a-domain",
        ),
    ],
)
def test_what_may_be_asked_for(obj: Json, field: str, text: str) -> None:
    found = STRATEGY.check(obj)
    assert [one.field for one in found] == ([field] if field else [])
    assert all(text in one.message() for one in found)


def test_a_tampered_request_is_refused() -> None:
    raw = bytearray(base64.b64decode(encoded()))
    raw[-1] ^= 1
    (found,) = STRATEGY.check(asked(stubPKCS10Request=base64.b64encode(bytes(raw)).decode()))
    assert "signature must be valid" in found.message()


ISSUED = issued()


@pytest.mark.parametrize(
    ("new", "old", "text"),
    [
        pytest.param(issued(), asked(), "", id="issued"),
        pytest.param(answered("Denied"), asked(), "", id="denied"),
        pytest.param(answered("Failed", certificateChain="x"), asked(), "must be empty when denying", id="both"),
        pytest.param(answered("Approved"), asked(), "supported values", id="another-condition"),
        pytest.param(issued(), answered("Denied"), "immutable after", id="twice"),
        pytest.param(ISSUED, ISSUED, "", id="the-same-again"),
        pytest.param({**asked(), "status": {"notAfter": "x"}}, asked(), "immutable unless", id="no-verdict"),
        pytest.param(issued(ec.generate_private_key(ec.SECP256R1())), asked(), "requested public key", id="other-key"),
        pytest.param(issued(certificateChain="x"), asked(), "at least one certificate", id="no-certificate"),
        pytest.param(issued(notAfter=""), asked(), "must be present and consistent", id="no-time"),
        pytest.param(issued(hours=0.5), asked(), "lifetime must be >= 1 hour", id="short"),
        pytest.param(issued(hours=25), asked(), "<= spec.maxExpirationSeconds (86400)", id="long"),
        pytest.param(issued(begin=NOW - timedelta(hours=1)), asked(), "within 5 minutes", id="old"),
        pytest.param(issued(beginRefreshAt=times.rfc3339(NOW)), asked(), "10 minutes after", id="refresh-at-once"),
    ],
)
def test_what_may_be_answered(new: Json, old: Json, text: str) -> None:
    found = STRATEGY.check_status(new, old)
    assert [text in one.message() for one in found] == ([True] if text else [])
