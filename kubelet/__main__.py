"""`python -m kubelet`: flags to a running node, or to many simulated ones. What a node does is `kubelet.kubelet`'s."""

import asyncio
import ipaddress
import logging
import os
import socket
import ssl
import sys
from collections.abc import Sequence
from pathlib import Path

from kubelet import certificates, node_status, simulation
from kubelet.certificates import CertificateFile, CertificateManager
from kubelet.cgroups import LinuxCgroups
from kubelet.config import NO_EFFECT, KubeletConfig, with_file
from kubelet.cri.client import CriClient, Runtime
from kubelet.kubelet import Kubelet, Surroundings
from kubelet.node_status import NodeIdentity
from kubelet.runtime_fake import FakeRuntime
from kubelet.sandbox_config import ClusterDns, Resolver, parse_resolv_conf
from kubelet.server.app import KubeletServer, PodDirectory, ServedPod, ServerParts
from kubelet.server.auth import Auth, AuthConfig
from kubelet.server.http import serve
from kubelet.volumes.manager import VolumeManager
from machinery.api import quantity
from machinery.api.codec import Json
from machinery.api.kinds import SERVICES
from machinery.client.config import load
from machinery.client.informer import Informers
from machinery.client.rest import Client
from machinery.component import logs
from machinery.component.flags import FlagError, parse
from machinery.component.run import Stop, run
from machinery.component.tls import TLSFiles, self_signed

logger = logging.getLogger(__name__)


async def main(config: KubeletConfig) -> None:
    """Run until cancelled; containers outlive the process."""
    await certificates.bootstrap(config)
    async with Client(load(config.kubeconfig), user_agent=f"kubelet/{node_status.KUBELET_VERSION}") as client:
        informers = Informers(client)
        if config.fake_runtime:
            await _run_simulated(config, client, informers)
        else:
            await _run_real(config, client, informers)


async def _run_real(config: KubeletConfig, client: Client, informers: Informers) -> None:
    Path(config.root_dir).mkdir(parents=True, exist_ok=True)
    runtime = CriClient(config.container_runtime_endpoint)
    capacity = node_status.machine_capacity(Path(config.root_dir), config.max_pods)
    identity = _identity(config, config.node_name, capacity)
    around = Surroundings(
        client=client,
        informers=informers,
        runtime=runtime,
        cgroups=LinuxCgroups(config.cgroup_root, config.pod_max_pids),
        volumes=lambda folders, objects: VolumeManager(folders.volumes, objects),
        services=informers.watch(SERVICES),
        dns=_dns(config),
    )
    node = Kubelet(config, identity, around)
    try:
        await _run([node], config, informers, node, runtime, client)
    finally:
        await runtime.close()


async def _run_simulated(config: KubeletConfig, client: Client, informers: Informers) -> None:
    # One node watches what is its own, which is all that a node's credentials allow.
    watches = simulation.SharedWatches(informers) if config.simulated_nodes else informers
    capacity = simulation.simulated_capacity(config, os.cpu_count() or 1)
    nodes = [
        simulation.simulated_kubelet(config, _identity(config, name, capacity), client, watches)
        for name in simulation.simulated_names(config)
    ]
    await _run(nodes, config, informers, _Together(nodes), FakeRuntime(), client)


class _Together:
    """The pods of several nodes, for one server."""

    def __init__(self, nodes: Sequence[Kubelet]) -> None:
        self._nodes = nodes

    def find(self, namespace: str, name: str, uid: str = "") -> ServedPod | None:
        """A pod on any of them."""
        return next((found for node in self._nodes if (found := node.find(namespace, name, uid))), None)

    def all(self) -> list[ServedPod]:
        """All pods on all of them."""
        return [served for node in self._nodes for served in node.all()]


async def _run(  # noqa: PLR0913
    nodes: Sequence[Kubelet],
    config: KubeletConfig,
    informers: Informers,
    directory: PodDirectory,
    runtime: Runtime,
    client: Client,
) -> None:
    first = nodes[0]
    auth_config = AuthConfig(
        config.anonymous_auth, config.authentication_token_webhook, config.authorization_mode == "Webhook"
    )
    parts = ServerParts(
        runtime=runtime,
        pods=directory,
        auth=Auth(auth_config, client, first.identity.name),
        node_name=first.identity.name,
        configz=_configz(config),
        health=first.unhealthy,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(informers.run(), name="informers")
        for node in nodes:
            group.create_task(node.run(), name=f"node {node.identity.name}")
        if config.rotate_certificates:
            group.create_task(_renew_certificate(config, client), name="certificate")
        if config.port:
            group.create_task(_serve_https(config, first.identity, parts, client), name="server")
        if config.healthz_port:
            group.create_task(_serve_healthz(config, parts), name="healthz")


async def _renew_certificate(config: KubeletConfig, client: Client) -> None:
    file = CertificateFile(Path(config.certificates), "kubelet-client")
    if file.certificate() is not None:  # else it is not ours to renew: another file, or the kubeconfig itself, has it
        manager = CertificateManager(file, certificates.client_certificate(config.node_name))
        await manager.keep(client, lambda: None)  # clients see by themselves that the file is another one


async def _serve_https(config: KubeletConfig, identity: NodeIdentity, parts: ServerParts, client: Client) -> None:
    files = TLSFiles(Path(config.tls_cert_file), Path(config.tls_private_key_file))
    if not config.tls_cert_file:
        files = self_signed(Path(config.root_dir) / "pki", "kubelet", [identity.name, *identity.addresses])
    context = files.server_context(Path(config.client_ca_file) if config.client_ca_file else None)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(serve(KubeletServer(parts).handle, config.address, config.port, context))
            if config.rotate_server_certificates:
                group.create_task(_renew_serving(config, identity, client, context))
    except* OSError as problems:
        problem = problems.exceptions[0]
        raise Stop(f"failed to listen on {config.address}:{config.port}: {problem}") from problem


async def _renew_serving(
    config: KubeletConfig, identity: NodeIdentity, client: Client, context: ssl.SSLContext
) -> None:
    """Serve with the certificate that the cluster gives; until somebody approves it, with our own."""
    file = CertificateFile(Path(config.certificates), "kubelet-server")
    wanted = certificates.serving_certificate(identity.name, identity.addresses)

    def use() -> None:
        context.load_cert_chain(file.path)

    if file.certificate() is not None:
        use()
    await CertificateManager(file, wanted).keep(client, use)


async def _serve_healthz(config: KubeletConfig, parts: ServerParts) -> None:
    # On loopback, for whoever watches over the process: no pods, no runtime behind it, so no questions asked.
    server = KubeletServer(
        ServerParts(parts.runtime, _Together(()), None, parts.node_name, parts.configz, parts.health)
    )
    try:
        await serve(server.handle, config.healthz_bind_address, config.healthz_port, None)
    except OSError as problem:
        raise Stop(f"failed to listen on {config.healthz_bind_address}:{config.healthz_port}: {problem}") from problem


def _identity(config: KubeletConfig, name: str, capacity: node_status.Capacity) -> NodeIdentity:
    reserved: dict[str, str] = dict(config.system_reserved)
    for resource, amount in config.kube_reserved.items():
        reserved[resource] = amount if resource not in reserved else _sum(reserved[resource], amount)
    return NodeIdentity(
        name=name,
        addresses=_addresses(config),
        port=config.port,
        capacity=capacity,
        reserved=reserved,
        labels=config.node_labels,
        taints=config.taints(),
        provider_id=config.provider_id,
    )


def _sum(left: str, right: str) -> str:
    milli = quantity.to_milli(left) + quantity.to_milli(right)
    return str(milli // 1000) if milli % 1000 == 0 else f"{milli}m"


def _addresses(config: KubeletConfig) -> tuple[str, ...]:
    if config.node_ip:
        return tuple(part.strip() for part in config.node_ip.split(","))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent; the kernel names the address it would send from
            found = str(probe.getsockname()[0])
        except OSError:
            found = "127.0.0.1"
    return (str(ipaddress.ip_address(found)),)


def _dns(config: KubeletConfig) -> ClusterDns:
    host = Resolver()
    if config.resolv_conf:
        try:
            host = parse_resolv_conf(Path(config.resolv_conf).read_text())
        except OSError as problem:
            logger.warning("%s: %s", config.resolv_conf, problem)
    return ClusterDns(tuple(config.cluster_dns), config.cluster_domain, host)


def _configz(config: KubeletConfig) -> Json:
    fields = {_camel(name): value for name, value in config.model_dump().items()}
    return {"apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration", **fields}


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def start(argv: list[str]) -> None:
    """The process: parse, set up logging, run."""
    config = parse(KubeletConfig, argv, prog="kubelet", no_effect=NO_EFFECT)
    try:
        config = with_file(config)
        config.taints()
    except FlagError as problem:
        print(f"Error: {problem}", file=sys.stderr)
        raise SystemExit(2) from None
    logs.setup("kubelet", config.v)
    run(lambda: main(config))


if __name__ == "__main__":
    start(sys.argv[1:])
