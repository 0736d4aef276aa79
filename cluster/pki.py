"""The cluster's keys: two authorities, a certificate for each who speaks, the key pair of service account tokens.

Names and groups are upstream's (kubeadm's), for the bootstrap RBAC is written against them. Files that exist are kept:
a second `skiff up` changes nothing. Kubeconfigs are written elsewhere.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from cluster.addons import CNI_USER
from cluster.config import ClusterConfig, Node
from machinery.component import tls
from machinery.component.tls import CertRequest, KeyPair, write_private

YEARS: Final = 10  # nothing renews the certificates of a local cluster
MASTERS: Final = "system:masters"


@dataclass(frozen=True, slots=True)
class Certificate:
    """What to issue: a file name, the user and groups it speaks as, the names it may serve."""

    file: str
    user: str
    groups: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    authority: str = "ca"


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


def ensure_authority(directory: Path, file: str, common_name: str) -> KeyPair:
    """The authority kept under that file name, made now if there is none."""
    if (directory / f"{file}.crt").exists():
        return tls.load_pair(directory, file)
    authority = tls.create_ca(common_name)
    authority.write(directory, file)
    return authority


def issue(directory: Path, wanted: Certificate, authority: KeyPair) -> None:
    """Make a key and a certificate for it, as FILE.key and FILE.crt."""
    request = CertRequest(wanted.user, wanted.groups, wanted.hosts, server=bool(wanted.hosts), client=True, years=YEARS)
    tls.issue(authority, request).write(directory, wanted.file)


def _write_token_keys(directory: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)  # RS256: what upstream's clusters use
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    (directory / "sa.pub").write_bytes(public)
    plain = serialization.NoEncryption()
    write_private(
        directory / "sa.key", key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
