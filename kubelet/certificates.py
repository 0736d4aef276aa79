"""The kubelet's own certificates: got with a bootstrap token, renewed before they end. Signing is the cluster's.

Upstream: k8s.io/client-go/util/certificate, pkg/kubelet/certificate/bootstrap (KEP-266, KEP-267). A certificate and its
key lie in one file, NAME-DATE.pem, that NAME-current.pem leads to: there is always a pair, whenever the machine stops.
"""

import base64
import ipaddress
import logging
import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kubelet.config import KubeletConfig
from machinery.aio.backoff import Backoff
from machinery.aio.clock import REAL, Clock
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.client.config import ClientConfig, load_kubeconfig
from machinery.client.rest import Client, ConnectionProblem
from machinery.component.tls import private_pem, write_private

logger = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
_GIVE_UP_SECONDS: Final = 15 * 60.0  # then another request is made (upstream: 15 minutes)


class Refused(Exception):
    """The request was denied, or cannot be signed."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a certificate is asked for."""

    signer: str
    usage: str
    common_name: str
    hosts: Sequence[str] = ()

    def request(self, key: ec.EllipticCurvePrivateKey) -> Json:
        """The CertificateSigningRequest."""
        names = [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:nodes"),
            x509.NameAttribute(NameOID.COMMON_NAME, self.common_name),
        ]
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
        if self.hosts:
            found = x509.SubjectAlternativeName([_alternative(host) for host in self.hosts])
            builder = builder.add_extension(found, critical=False)
        pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        spec = {
            "request": base64.b64encode(pem).decode(),
            "signerName": self.signer,
            "usages": ["digital signature", self.usage],
        }
        kind = kinds.CERTIFICATE_SIGNING_REQUESTS
        head = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"generateName": "csr-"}}
        return {**head, "spec": spec}


def client_certificate(node: str) -> Wanted:
    """What a kubelet is known by to the API server."""
    return Wanted("kubernetes.io/kube-apiserver-client-kubelet", "client auth", f"system:node:{node}")


def serving_certificate(node: str, addresses: Sequence[str]) -> Wanted:
    """What the kubelet's own server shows; people approve it, nothing does by itself."""
    return Wanted("kubernetes.io/kubelet-serving", "server auth", f"system:node:{node}", (node, *addresses))


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


class CertificateFile:
    """NAME-current.pem in a directory."""

    def __init__(self, directory: Path, name: str, clock: Clock = REAL) -> None:
        self.path = directory / f"{name}-current.pem"
        self._name = name
        self._clock = clock

    def certificate(self) -> x509.Certificate | None:
        """The certificate that is there; None where there is none, or none that is good any more."""
        try:
            found = x509.load_pem_x509_certificate(self.path.read_bytes())
        except (OSError, ValueError):
            return None
        return found if found.not_valid_after_utc > self._clock.now() else None

    def write(self, certificate: bytes, key: ec.EllipticCurvePrivateKey) -> None:
        """Put a new pair in place of the old one, at once."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        stamp = self._clock.now().strftime("%Y-%m-%d-%H-%M-%S")
        target = self.path.with_name(f"{self._name}-{stamp}.pem")
        write_private(target, certificate + private_pem(key))
        link = self.path.with_name(f"{self._name}-next.pem")
        link.unlink(missing_ok=True)
        link.symlink_to(target.name)
        previous = self.path.resolve() if self.path.exists() else None
        os.replace(link, self.path)
        if previous is not None and previous != target.resolve():
            previous.unlink(missing_ok=True)


class CertificateManager:
    """Gets one certificate and renews it."""

    def __init__(self, file: CertificateFile, wanted: Wanted, clock: Clock = REAL) -> None:
        self.file = file
        self._wanted = wanted
        self._clock = clock

    async def obtain(self, client: Client) -> None:
        """Ask, wait until somebody has approved it and it is signed, and write it; raises Refused, StatusError …"""
        key = ec.generate_private_key(ec.SECP256R1())
        created = await client.create(kinds.CERTIFICATE_SIGNING_REQUESTS, self._wanted.request(key))
        name = meta.name_of(created)
        logger.info("waiting for certificate signing request %s to be approved and signed", name)
        self.file.write(await self._signed(client, name), key)
        logger.info("%s has a new certificate", self.file.path)

    async def _signed(self, client: Client, name: str) -> bytes:
        give_up = self._clock.monotonic() + _GIVE_UP_SECONDS
        while self._clock.monotonic() < give_up:
            csr = await client.get(kinds.CERTIFICATE_SIGNING_REQUESTS, name)
            status = csr.get("status") or {}
            for type_ in ("Denied", "Failed"):
                condition = meta.find_condition(status.get("conditions"), type_)
                if condition is not None:
                    raise Refused(f"request {name} was {type_.lower()}: {condition.get('message') or ''}")
            if status.get("certificate"):
                return base64.b64decode(status["certificate"])
            await self._clock.sleep(_LOOK_SECONDS)
        raise Refused(f"request {name} was not answered")

    async def ensure(self, client: Client) -> None:
        """Obtain it, again and again until there is one."""
        backoff = Backoff(2.0, 2.0, 60.0)
        while True:
            try:
                await self.obtain(client)
            except (Refused, errors.StatusError, ConnectionProblem) as problem:
                logger.warning("%s: no certificate yet: %s", self.file.path.name, problem)
                await self._clock.sleep(backoff.next())
            else:
                return

    async def keep(self, client: Client, renewed: Callable[[], None]) -> None:
        """Renew it when most of its life is over, for ever; `renewed` makes use of the new one."""
        while True:
            certificate = self.file.certificate()
            if certificate is not None:
                wait = seconds_until_renewal(certificate, self._clock.now(), random.random())
                await self._clock.sleep(max(wait, _LOOK_SECONDS))
            await self.ensure(client)
            renewed()


def seconds_until_renewal(certificate: x509.Certificate, now: datetime, share: float) -> float:
    """Until 70 to 90 percent of its life are over; `share` from 0 to 1 says how many (upstream: jitteryDuration)."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    life = (end - start).total_seconds()
    return max(0.0, (start - now).total_seconds() + life * (0.7 + 0.2 * share))


async def bootstrap(config: KubeletConfig) -> None:
    """Become the node by a token: get a client certificate and write the kubeconfig that uses it.

    Does nothing where --bootstrap-kubeconfig is not given, or the kubeconfig is there and its certificate still good.
    Upstream: bootstrap.LoadClientCert.
    """
    if not config.bootstrap_kubeconfig:
        return
    file = CertificateFile(Path(config.certificates), "kubelet-client")
    if Path(config.kubeconfig).exists() and file.certificate() is not None:
        return
    how = load_kubeconfig(config.bootstrap_kubeconfig)
    async with Client(how, user_agent="kubelet-bootstrap") as client:
        await CertificateManager(file, client_certificate(config.node_name)).ensure(client)
    write_private(Path(config.kubeconfig), yaml.safe_dump(kubeconfig(how, file.path), sort_keys=False).encode())


def kubeconfig(how: ClientConfig, certificate: Path) -> Json:
    """The server of a bootstrap kubeconfig, and the certificate that was got."""
    cluster = {"server": how.server, "certificate-authority-data": base64.b64encode(how.ca).decode()}
    user = {"client-certificate": str(certificate), "client-key": str(certificate)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "default-cluster", "cluster": cluster}],
        "users": [{"name": "default-auth", "user": user}],
        "contexts": [{"name": "default-context", "context": {"cluster": "default-cluster", "user": "default-auth"}}],
        "current-context": "default-context",
    }
