"""Certificates: what signers refuse, what they sign, who is approved without being asked, and what is thrown away."""

import base64
import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller_manager import csr_rules, csr_signing
from controller_manager.csr_approving import permissions_for
from controller_manager.csr_cleaner import is_over
from controller_manager.csr_signing import is_to_be_signed, sign
from machinery.aio.clock import RealClock
from machinery.api.codec import Json
from machinery.component import tls

KEY = ec.generate_private_key(ec.SECP256R1())
CLIENT = ("digital signature", "client auth")
SERVING = ("digital signature", "key encipherment", "server auth")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Noon(RealClock):
    """Always now."""

    def now(self) -> datetime:
        return NOW


def csr(
    *usages: str,
    cn: str = "system:node:a",
    org: str = "system:nodes",
    names: tuple[x509.GeneralName, ...] = (),
    signer: str = csr_rules.KUBELET_CLIENT,
    **spec: Any,
) -> Json:
    """A request with its PEM."""
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, org), x509.NameAttribute(NameOID.COMMON_NAME, cn)]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(parts))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    pem = builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    encoded = base64.b64encode(pem).decode()
    return {"metadata": {"name": "r"}, "spec": {"request": encoded, "usages": [*usages], "signerName": signer, **spec}}


HOST = (x509.DNSName("a"), x509.IPAddress(ipaddress.IPv4Address("10.0.0.1")))
MAIL = (x509.RFC822Name("a@example.com"),)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        pytest.param(csr(*CLIENT), "", id="a-kubelets-client"),
        pytest.param(csr(*CLIENT, "key encipherment"), "", id="with-rsa"),
        pytest.param(csr(*CLIENT, org="admins"), "subject organization is not system:nodes", id="another-group"),
        pytest.param(csr(*CLIENT, cn="a"), "subject common name does not begin with system:node:", id="another-name"),
        pytest.param(csr(*CLIENT, names=HOST), "DNS subjectAltNames are not allowed", id="with-names"),
        pytest.param(
            csr(*SERVING), "usages did not match client auth, digital signature, key encipherment", id="other-usages"
        ),
        pytest.param(csr(*SERVING, names=HOST, signer=csr_rules.KUBELET_SERVING), "", id="a-kubelets-server"),
        pytest.param(
            csr(*SERVING, signer=csr_rules.KUBELET_SERVING), "DNS or IP subjectAltName is required", id="no-names"
        ),
        pytest.param(
            csr(*SERVING, names=(*HOST, *MAIL), signer=csr_rules.KUBELET_SERVING),
            "email and URI subjectAltNames are not allowed",
            id="mail",
        ),
        pytest.param(csr("client auth", cn="ann", org="dev", signer=csr_rules.CLIENT), "", id="a-client"),
        pytest.param(
            csr("server auth", signer=csr_rules.CLIENT),
            "invalid usages for client certificate: server auth",
            id="a-client-that-serves",
        ),
        pytest.param(csr("server auth", "cert sign", signer=csr_rules.LEGACY), "", id="legacy"),
    ],
)
def test_what_a_signer_refuses(asked: Json, problem: str) -> None:
    found = csr_rules.problem_of(csr_rules.signer_of(asked), csr_rules.request_of(asked), csr_rules.usages_of(asked))
    assert found == problem


def _authority(longest: timedelta = timedelta(days=365)) -> csr_signing.Authority:
    ca = tls.create_ca("test")
    return csr_signing.authority(ca.cert_pem(), ca.key_pem(), longest.total_seconds())


def test_a_certificate_is_what_was_asked_for() -> None:
    ca = _authority()
    pem = sign(ca, csr(*SERVING, names=HOST, signer=csr_rules.KUBELET_SERVING, expirationSeconds=600), Noon())
    made = x509.load_pem_x509_certificate(pem)
    made.verify_directly_issued_by(ca.certificate)
    assert made.subject.rfc4514_string() == "CN=system:node:a,O=system:nodes"
    assert made.not_valid_before_utc == NOW - timedelta(minutes=5)
    assert made.not_valid_after_utc == NOW + timedelta(minutes=10)
    assert [*made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value] == [*HOST]
    assert [*made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value] == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    usage = made.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.digital_signature, usage.key_encipherment, usage.key_cert_sign) == (True, True, False)


def test_a_certificate_for_clients_alone_says_nothing_of_its_key() -> None:
    made = x509.load_pem_x509_certificate(sign(_authority(), csr("client auth", signer=csr_rules.CLIENT), Noon()))
    assert {type(extension.value) for extension in made.extensions} == {x509.BasicConstraints, x509.ExtendedKeyUsage}


def test_no_certificate_outlives_its_authority_or_the_flag() -> None:
    short = x509.load_pem_x509_certificate(
        sign(_authority(timedelta(hours=1)), csr(*CLIENT, expirationSeconds=7200), Noon())
    )
    assert short.not_valid_after_utc == NOW + timedelta(hours=1)
    ca = _authority(timedelta(days=36500))
    long = x509.load_pem_x509_certificate(sign(ca, csr(*CLIENT), Noon()))
    assert long.not_valid_after_utc == ca.certificate.not_valid_after_utc


def _with(asked: Json, *conditions: str, at: datetime = NOW, **status: Any) -> Json:
    written = [{"type": one, "status": "True", "lastUpdateTime": at.isoformat()} for one in conditions]
    metadata = {"name": "r", "creationTimestamp": at.isoformat()}
    return {**asked, "metadata": metadata, "status": {"conditions": written, **status}}


@pytest.mark.parametrize(
    ("asked", "signed"),
    [
        pytest.param(_with(csr(*CLIENT), "Approved"), True, id="approved"),
        pytest.param(_with(csr(*CLIENT)), False, id="pending"),
        pytest.param(_with(csr(*CLIENT), "Denied"), False, id="denied"),
        pytest.param(_with(csr(*CLIENT), "Approved", "Failed"), False, id="failed"),
        pytest.param(_with(csr(*CLIENT), "Approved", certificate="eA=="), False, id="issued"),
        pytest.param(_with(csr(*CLIENT, signer="example.com/own"), "Approved"), False, id="somebody-elses"),
    ],
)
def test_what_is_signed(asked: Json, *, signed: bool) -> None:
    assert is_to_be_signed(asked) == signed


@pytest.mark.parametrize(
    ("asked", "permissions"),
    [
        pytest.param(csr(*CLIENT, username="system:node:a"), ["selfnodeclient", "nodeclient"], id="its-own"),
        pytest.param(csr(*CLIENT, username="system:bootstrap:x"), ["nodeclient"], id="a-bootstrapper"),
        pytest.param(csr(*CLIENT, org="system:masters", username="x"), [], id="not-a-node"),
        pytest.param(csr(*SERVING, names=HOST, signer=csr_rules.KUBELET_SERVING), [], id="serving"),
        pytest.param(csr("client auth", signer=csr_rules.CLIENT), [], id="a-user"),
    ],
)
def test_what_may_be_approved_without_asking(asked: Json, permissions: list[str]) -> None:
    assert permissions_for(asked) == permissions


@pytest.mark.parametrize(
    ("asked", "over"),
    [
        pytest.param(_with(csr(*CLIENT), "Approved", at=NOW - timedelta(minutes=59)), False, id="just-approved"),
        pytest.param(_with(csr(*CLIENT), "Approved", at=NOW - timedelta(minutes=61)), True, id="approved-long-ago"),
        pytest.param(_with(csr(*CLIENT), "Denied", at=NOW - timedelta(minutes=61)), True, id="denied-long-ago"),
        pytest.param(_with(csr(*CLIENT), at=NOW - timedelta(hours=23)), False, id="pending"),
        pytest.param(_with(csr(*CLIENT), at=NOW - timedelta(hours=25)), True, id="pending-for-a-day"),
    ],
)
def test_what_is_thrown_away(asked: Json, *, over: bool) -> None:
    assert is_over(asked, NOW) == over
