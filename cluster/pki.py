"""The cluster's keys: two authorities, a certificate for each who speaks, the key pair of service account tokens.

Names and groups are upstream's (kubeadm's), for the bootstrap RBAC is written against them. Files that exist are kept:
a second `skiff up` changes nothing. Kubeconfigs are written elsewhere.
"""

import datetime
import ipaddress
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.addons import CNI_USER
from cluster.config import ClusterConfig, Node

VALID: Final = datetime.timedelta(days=3650)
BACKDATED: Final = datetime.timedelta(minutes=5)  # clocks of containers and hosts differ a little
MASTERS: Final = "system:masters"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What to issue: a file name, the user and groups it speaks as, the names it may serve."""

    file: str
    user: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    authority: str = "ca"


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority: its certificate and its key."""

    certificate: x509.Certificate
    key: CertificateIssuerPrivateKeyTypes


def certificates(config: ClusterConfig) -> list[Certificate]:
    """Every certificate of the cluster."""
    here = ("localhost", "127.0.0.1", "::1")
    return [
        Certificate("apiserver", "kube-apiserver", hosts=api_server_hosts(config)),
        Certificate("apiserver-kubelet-client", "kube-apiserver-kubelet-client", (MASTERS,)),
        Certificate("admin", "kubernetes-admin", (MASTERS,)),
        Certificate("controller-manager", "system:kube-controller-manager", hosts=here),
        Certificate("scheduler", "system:kube-scheduler", hosts=here),
        Certificate("proxy", "system:kube-proxy", ("system:node-proxier",)),
        Certificate("cni", CNI_USER),
        Certificate("etcd", "etcd", hosts=(*here, "etcd"), authority="etcd-ca"),
        Certificate("apiserver-etcd-client", "kube-apiserver-etcd-client", authority="etcd-ca"),
        *_nodes_certificates(config),
    ]


def _nodes_certificates(config: ClusterConfig) -> list[Certificate]:
    if config.simulated:
        # One process may be thousands of nodes and watches the pods of all: no single node's user may do that.
        return [
            Certificate("kubelet-sim", "skiff:simulated-nodes", (MASTERS,)),
            Certificate("kubelet-server-sim", "skiff:simulated-nodes", hosts=("localhost", "127.0.0.1")),
        ]
    return [certificate for node in config.nodes for certificate in node_certificates(node)]


def node_certificates(node: Node) -> list[Certificate]:
    """A node's two: as the node towards the API server, and as the server on its port 10250."""
    user = f"system:node:{node.name}"
    return [
        Certificate(f"kubelet-{node.short}", user, ("system:nodes",)),
        Certificate(f"kubelet-server-{node.short}", user, ("system:nodes",), (node.name, node.address, "127.0.0.1")),
    ]


def api_server_hosts(config: ClusterConfig) -> tuple[str, ...]:
    """The names and addresses by which clients and pods call the API server."""
    first_service = str(next(ipaddress.ip_network(config.service_cidr).hosts()))
    names = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    addresses = [config.api_address, config.bind_address, first_service, "127.0.0.1"]
    chosen = [address for address in addresses if address not in ("0.0.0.0", "::")]
    return tuple(dict.fromkeys([*names, "localhost", "apiserver", *chosen]))


def ensure(directory: Path, wanted: Iterable[Certificate]) -> bool:
    """Make what is missing of the authorities, the certificates and the token keys; True when anything was made."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = not (directory / "sa.key").exists()
    if made:
        _write_token_keys(directory)
    authorities = {name: ensure_authority(directory, name, cn) for name, cn in AUTHORITIES.items()}
    for certificate in wanted:
        if not (directory / f"{certificate.file}.crt").exists():
            issue(directory, certificate, authorities[certificate.authority])
            made = True
    return made


AUTHORITIES: Final = {"ca": "kubernetes", "etcd-ca": "etcd-ca"}


def ensure_authority(directory: Path, file: str, common_name: str) -> Authority:
    """The authority kept under that file name, made now if there is none."""
    certificate_file, key_file = directory / f"{file}.crt", directory / f"{file}.key"
    if certificate_file.exists():
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return Authority(x509.load_pem_x509_certificate(certificate_file.read_bytes()), key)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common_name, ())
    usage = _key_usage(signs_certificates=True)
    certificate = (
        _builder(name, name, key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write_pair(directory, file, certificate, key)
    return Authority(certificate, key)


def issue(directory: Path, wanted: Certificate, authority: Authority) -> None:
    """Make a key and a certificate for it, as FILE.key and FILE.crt."""
    key = ec.generate_private_key(ec.SECP256R1())
    issuer_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.certificate.public_key())  # type: ignore[arg-type]
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
    if wanted.hosts:
        purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)
    builder = (
        _builder(_name(wanted.user, wanted.groups), authority.certificate.subject, key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(issuer_key_id, critical=False)
    )
    if wanted.hosts:
        names = x509.SubjectAlternativeName([_general_name(host) for host in wanted.hosts])
        builder = builder.add_extension(names, critical=False)
    _write_pair(directory, wanted.file, builder.sign(authority.key, hashes.SHA256()), key)


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + VALID)
    )


def _name(user: str, groups: Sequence[str]) -> x509.Name:
    organisations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    return x509.Name([*organisations, x509.NameAttribute(NameOID.COMMON_NAME, user)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write_pair(directory: Path, file: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    write_private(directory / f"{file}.key", _pem(key))
    (directory / f"{file}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


def _write_token_keys(directory: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)  # RS256: what upstream's clusters use
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (directory / "sa.pub").write_bytes(public)
    write_private(directory / "sa.key", _pem(key))


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def write_private(path: Path, data: bytes) -> None:
    """Write a file that nobody else may read, not even for a moment."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
