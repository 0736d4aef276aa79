"""Keys and certificates: a CA, what it signs, and the self-signed pair of a server that was given none."""

import ipaddress
import os
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_YEAR: Final = timedelta(days=365)
_BACKDATED: Final = timedelta(minutes=5)  # clocks of two machines differ


_VERSIONS: Final = {
    "": ssl.TLSVersion.TLSv1_2,
    "VersionTLS12": ssl.TLSVersion.TLSv1_2,
    "VersionTLS13": ssl.TLSVersion.TLSv1_3,
}
#: Go's names of the suites of TLS 1.2 that are safe, and OpenSSL's; those of TLS 1.3 are always on, as in Go
_CIPHERS: Final = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
}
_OF_TLS13: Final = ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256")


def version_named(name: str) -> ssl.TLSVersion:
    """What --tls-min-version names; raises ValueError. TLS 1.0 and 1.1, which upstream still names, are not offered."""
    if name not in _VERSIONS:
        raise ValueError(f'unknown tls version "{name}"; --tls-min-version knows VersionTLS12, VersionTLS13')
    return _VERSIONS[name]


def ciphers_named(names: Iterable[str]) -> str:
    """What --tls-cipher-suites names, as OpenSSL lists it; raises ValueError for a suite that is unknown or unsafe."""
    suites = []
    for name in names:
        if name not in _CIPHERS and name not in _OF_TLS13:
            raise ValueError(f"Cipher suite {name} not supported or doesn't exist")
        suites += [_CIPHERS[name]] if name in _CIPHERS else []
    return ":".join(dict.fromkeys(suites))


@dataclass(frozen=True, slots=True)
class TLSFiles:
    """A certificate and its key on disk, PEM."""

    cert: Path
    key: Path

    def server_context(self, client_ca: Path | None = None) -> ssl.SSLContext:
        """A server's settings; with a client CA, clients may (not must) show a certificate it signed."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.cert, self.key)
        if client_ca is not None:
            context.load_verify_locations(client_ca)
            context.verify_mode = ssl.CERT_OPTIONAL
        return context


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its key in memory."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def cert_pem(self) -> bytes:
        """The certificate, PEM."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        """The key, PEM (SEC1, which every Go program reads)."""
        return private_pem(self.key)

    def write(self, folder: Path, name: str) -> TLSFiles:
        """As `name.crt` and `name.key` (0600) in a folder that is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        files = TLSFiles(folder / f"{name}.crt", folder / f"{name}.key")
        write_private(files.key, self.key_pem())
        files.cert.write_bytes(self.cert_pem())
        return files


@dataclass(frozen=True, slots=True)
class CertRequest:
    """What a certificate is for: CN, O, host names and addresses, and its uses."""

    common_name: str
    organizations: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    server: bool = False
    client: bool = False
    years: int = 1


def create_ca(common_name: str) -> KeyPair:
    """A CA of its own, good for ten years."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = _builder(name, name, key, 10 * _YEAR)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs=True), critical=True)
    return KeyPair(builder.sign(key, hashes.SHA256()), key)


def issue(ca: KeyPair, request: CertRequest) -> KeyPair:
    """A certificate signed by the CA, good for the years it asks for."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in request.organizations]
    subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, request.common_name)])
    builder = _builder(subject, ca.certificate.subject, key, request.years * _YEAR)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_usage(signs=False), critical=True)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    uses = [ExtendedKeyUsageOID.SERVER_AUTH] * request.server + [ExtendedKeyUsageOID.CLIENT_AUTH] * request.client
    if uses:
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
    if request.hosts:
        builder = builder.add_extension(x509.SubjectAlternativeName(_alternatives(request.hosts)), critical=False)
    return KeyPair(builder.sign(ca.key, hashes.SHA256()), key)


def self_signed(folder: Path, name: str, hosts: Iterable[str]) -> TLSFiles:
    """The pair `name` in the folder, made (with a CA nobody keeps) unless it is there already."""
    files = TLSFiles(folder / f"{name}.crt", folder / f"{name}.key")
    if files.cert.exists() and files.key.exists():
        return files
    hosts = tuple(dict.fromkeys(hosts))
    ca = create_ca(f"{hosts[0]}-ca@{int(datetime.now(UTC).timestamp())}")
    pair = issue(ca, CertRequest(hosts[0], hosts=hosts, server=True))
    files = pair.write(folder, name)
    files.cert.write_bytes(pair.cert_pem() + ca.cert_pem())
    return files


@contextmanager
def serving_files(name: str, cert: str, key: str, cert_dir: str) -> Iterator[TLSFiles]:
    """What a component serves with: the files its flags name, else a self-signed pair in cert_dir, else one for now."""
    if cert:
        yield TLSFiles(Path(cert), Path(key))
        return
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as temporary:
        yield self_signed(Path(cert_dir or temporary), name, ["localhost", "127.0.0.1"])


def load_pair(folder: Path, name: str) -> KeyPair:
    """A pair written by `KeyPair.write`; raises OSError or ValueError."""
    key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{folder / name}.key is not an EC key")
    return KeyPair(x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes()), key)


def write_private(path: Path, data: bytes) -> None:
    """Write a file that nobody else may read, not even for a moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """An EC key, PEM."""
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)


def public_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The public half, PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=not signs,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs,
        crl_sign=signs,
        encipher_only=False,
        decipher_only=False,
    )


def _alternatives(hosts: Iterable[str]) -> list[x509.GeneralName]:
    return [_alternative(host) for host in dict.fromkeys(hosts)]


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
