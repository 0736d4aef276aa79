"""The kubelet's certificate files, and when they are renewed."""

import base64
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from kubelet.certificates import CertificateFile, client_certificate, seconds_until_renewal, serving_certificate
from machinery.aio.clock import FakeClock
from machinery.component import tls
from machinery.component.tls import CertRequest, KeyPair

START = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    """A certificate for a year."""
    return tls.issue(tls.create_ca("ca"), CertRequest("system:node:a", ("system:nodes",), client=True))


@pytest.mark.parametrize(
    ("age", "share", "expected"),
    [
        pytest.param(0.0, 0.0, 0.7, id="new-and-early"),
        pytest.param(0.0, 1.0, 0.9, id="new-and-late"),
        pytest.param(0.5, 0.5, 0.3, id="half-its-life"),
        pytest.param(0.95, 0.5, 0.0, id="overdue"),
    ],
)
def test_a_certificate_is_renewed_late_in_its_life(pair: KeyPair, age: float, share: float, expected: float) -> None:
    certificate = pair.certificate
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    now = certificate.not_valid_before_utc + life * age
    wait = seconds_until_renewal(certificate, now, share)
    assert wait == pytest.approx(life.total_seconds() * expected, abs=1)


async def test_a_new_pair_takes_the_old_ones_place_and_the_old_one_goes(pair: KeyPair, tmp_path: Path) -> None:
    clock = FakeClock(START)
    file = CertificateFile(tmp_path / "pki", "kubelet-client", clock)
    assert file.certificate() is None
    file.write(pair.cert_pem(), pair.key)
    first = file.path.resolve()
    assert file.path.is_symlink() and first.stat().st_mode & 0o777 == 0o600
    await clock.advance(timedelta(days=1).total_seconds())
    file.write(pair.cert_pem(), pair.key)
    assert file.path.resolve() != first and not first.exists()
    assert {path.name for path in file.path.parent.iterdir()} == {file.path.resolve().name, file.path.name}
    assert file.certificate() == pair.certificate


def test_a_certificate_that_is_over_is_none(pair: KeyPair, tmp_path: Path) -> None:
    file = CertificateFile(tmp_path, "kubelet-client", FakeClock(datetime.now(UTC) + timedelta(days=800)))
    file.write(pair.cert_pem(), pair.key)
    assert file.certificate() is None


def test_what_is_asked_for() -> None:
    key = tls.create_ca("any").key
    client = client_certificate("a").request(key)["spec"]
    assert (client["signerName"], client["usages"]) == (
        "kubernetes.io/kube-apiserver-client-kubelet",
        ["digital signature", "client auth"],
    )
    serving = serving_certificate("a", ("10.0.0.1",)).request(key)["spec"]
    request = x509.load_pem_x509_csr(base64.b64decode(serving["request"]))
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    assert request.subject.rfc4514_string() == "CN=system:node:a,O=system:nodes"
