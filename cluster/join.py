"""Makes this machine a node of a cluster that runs somewhere else, by a bootstrap token. Making tokens is `tokens`'.

As `kubeadm join` does it: what the API server says of itself to everybody is believed if the token has signed it and
its CA is the one whose hash was given. The kubelet then asks for its certificate by itself; the proxy and the network
agent speak as the node, too.
"""

import base64
import ipaddress
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import yaml

from cluster import api, containerd, control, machine, up
from cluster.addons import JOIN_CONFIG
from cluster.config import ClusterConfig, Layout, Node, Ports, cluster_id, load, save
from cluster.errors import ClusterError
from cluster.plan import LOOPBACK, Planner, Programs
from cluster.progress import Progress, wait_for
from cluster.tokens import ca_hash
from machinery.api import bootstrap_tokens as tokens
from machinery.component.tls import write_private

SHORT: Final = "self"  # what the one node of this home is called after
_INFO: Final = f"/api/v1/namespaces/{tokens.CLUSTER_INFO_NAMESPACE}/configmaps/{tokens.CLUSTER_INFO}"


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for."""

    server: str
    token: str
    ca_hashes: tuple[str, ...] = ()
    skip_ca_check: bool = False
    node_name: str = ""
    node_ip: str = ""
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Discovered:
    """A cluster that may be believed."""

    server: str
    ca: bytes


def join(layout: Layout, wish: Wish, progress: Progress) -> ClusterConfig:
    """Join and wait until the node is ready; raises ClusterError with what to do about it."""
    config = load(layout)
    if config is not None and not config.joined:
        raise ClusterError(f"there is a cluster in {layout.home} already: give another --home, or `skiff down --purge`")
    if config is None:
        config = _prepare(layout, wish, progress)
    planner = Planner(config, layout, programs(config))
    if not config.simulated:
        with progress.step("Images from the distribution's packages") as step:
            step.changed(up.build_images(layout))
        containerd.write(config, layout, config.nodes[0], containerd.Abilities.of_this_machine())
    specs = planner.processes()
    with progress.step("Supervisor") as step:
        step.changed(control.hand_over(layout, specs), yes="started")
    for title, wanted in up.groups(specs):
        with progress.step(title) as step:
            up.wait_until_ready(layout, specs, wanted, step)
            if title == "containerd":
                up.load_images(config, layout)
    _wait_for_node(config, layout, progress)
    return config


def _prepare(layout: Layout, wish: Wish, progress: Progress) -> ClusterConfig:
    if not wish.simulated and (lacking := machine.missing_for_nodes()):
        raise ClusterError("\n".join(lacking))
    if tokens.TOKEN.fullmatch(wish.token) is None:
        raise ClusterError(f'the bootstrap token "{wish.token}" is not of the form ID.SECRET')
    with progress.step("Discovery") as step:
        found = discover(wish)
        shared = _shared_configuration(found, wish.token)
        step.outcome = found.server
    with progress.step("Configuration") as step:
        config = decide(layout, wish, found, shared)
        save(config, layout)
        layout.pki.mkdir(exist_ok=True, mode=0o700)
        (layout.pki / "ca.crt").write_bytes(found.ca)
        layout.kubeconfig("bootstrap").parent.mkdir(exist_ok=True, mode=0o700)
        write_private(layout.kubeconfig("bootstrap"), yaml.safe_dump(_bootstrap(found, wish.token)).encode())
        step.outcome = f"{config.nodes[0].name}, {config.nodes[0].address}"
    return config


def discover(wish: Wish) -> Discovered:
    """What cluster that is; raises ClusterError where it cannot be believed."""
    if not wish.ca_hashes and not wish.skip_ca_check:
        raise ClusterError(
            "say which CA to trust by --discovery-token-ca-cert-hash, or that any will do by "
            "--discovery-token-unsafe-skip-ca-verification"
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nothing is believed of what comes this way but what is signed
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server = wish.server if "://" in wish.server else f"https://{wish.server}"
    data = _get(httpx.Client(base_url=server, verify=context, timeout=10, trust_env=False), _INFO).get("data") or {}
    content = data.get(tokens.KUBECONFIG_KEY, "")
    id_, _, secret = wish.token.partition(".")
    signature = data.get(f"{tokens.SIGNATURE_PREFIX}{id_}")
    if signature is None:
        raise ClusterError(f'could not find a JWS signature in the cluster-info ConfigMap for token ID "{id_}"')
    if not tokens.is_signed(content, signature, id_, secret):
        raise ClusterError("the signature of the cluster-info ConfigMap is not this token's: it cannot be trusted")
    ca = base64.b64decode(yaml.safe_load(content)["clusters"][0]["cluster"]["certificate-authority-data"])
    if not wish.skip_ca_check and ca_hash(ca) not in wish.ca_hashes:
        raise ClusterError(
            f"cluster CA found in cluster-info ConfigMap is invalid: none of the hashes is {ca_hash(ca)}"
        )
    return Discovered(server.rstrip("/"), ca)


def _shared_configuration(found: Discovered, token: str) -> dict[str, str]:
    """Networks and the like, which all nodes have to agree on."""
    context = ssl.create_default_context(cadata=found.ca.decode())
    headers = {"authorization": f"Bearer {token}"}
    http = httpx.Client(base_url=found.server, verify=context, headers=headers, timeout=10, trust_env=False)
    data = _get(http, f"/api/v1/namespaces/kube-system/configmaps/{JOIN_CONFIG}").get("data")
    return dict(data or {})


def _get(http: httpx.Client, path: str) -> dict[str, Any]:
    try:
        with http:
            answer = http.get(path)
            body: dict[str, Any] = answer.json()
    except (httpx.HTTPError, ValueError) as problem:
        raise ClusterError(f"{http.base_url}: {problem}") from problem
    if answer.status_code != 200:
        raise ClusterError(f"{http.base_url}: {body.get('message') or answer.status_code}")
    return body


def decide(layout: Layout, wish: Wish, found: Discovered, shared: dict[str, str]) -> ClusterConfig:
    """The configuration of a home that has one node and no control plane."""
    url = urlsplit(found.server)
    host, port = url.hostname or "", url.port or 443
    address = wish.node_ip or (LOOPBACK if wish.simulated else own_address(host, port))
    name = (wish.node_name or socket.gethostname()).lower()
    ports = (10250, 10248, 10256)
    if wish.simulated:
        first, second = machine.free_ports(LOOPBACK, [up.SIMULATED_PORTS, up.SIMULATED_PORTS + 1], up.SIMULATED_PORTS)
        ports = (first, second, 0)
    return ClusterConfig(
        id=cluster_id(layout.home),
        joined=True,
        simulated=wish.simulated,
        nodes=(Node(name=name, short=SHORT, address=address, kubelet_port=ports[0], health_ports=ports[1:]),),
        ports=Ports(api=port),
        api_address=host,
        bind_address="",
        node_subnet=f"{ipaddress.ip_address(address)}/32",
        pod_cidr=shared.get("podCIDR", ""),
        service_cidr=shared.get("serviceCIDR", ""),
        registry_mirror=shared.get("registryMirror", ""),
    )


def own_address(host: str, port: int) -> str:
    """The address by which this machine reaches another."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))  # nothing is sent
        return str(probe.getsockname()[0])


def programs(config: ClusterConfig) -> Programs:
    """Where the programs of this machine are; there is no namespace to enter: the machine is the node."""
    if config.simulated:
        return Programs(nsenter="", python_env=control.python_env())
    return Programs(
        containerd=machine.program("containerd"),
        nsenter="",
        cni_bin=machine.cni_directory() or Path("/opt/cni/bin"),
        python_env=control.python_env(),
    )


def _bootstrap(found: Discovered, token: str) -> dict[str, Any]:
    cluster = {"server": found.server, "certificate-authority-data": base64.b64encode(found.ca).decode()}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "bootstrap", "cluster": cluster}],
        "users": [{"name": "token", "user": {"token": token}}],
        "contexts": [{"name": "bootstrap", "context": {"cluster": "bootstrap", "user": "token"}}],
        "current-context": "bootstrap",
    }


def _wait_for_node(config: ClusterConfig, layout: Layout, progress: Progress) -> None:
    node = config.nodes[0]

    def look() -> dict[str, Any] | None:
        found = [one for one in api.nodes(config, layout) or () if api.name_of(one) == node.name]
        return next((one for one in found if api.is_ready(one)), None)

    with progress.step("Node ready") as step:
        try:
            wait_for(look, "the node to be ready", up.READY_WITHIN)
        except TimeoutError as late:
            raise ClusterError(f"{late}:\n{up.tail(layout.log(f'kubelet-{SHORT}'))}") from late
        step.outcome = node.name
