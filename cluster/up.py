"""Brings a cluster up; every step looks first, so that a second run changes nothing. Taking down is elsewhere."""

import concurrent.futures
import ipaddress
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Final

from cluster import addons, api, containerd, control, images, kubeconfigs, machine, network, pki
from cluster.config import ClusterConfig, Layout, Node, Ports, cluster_id, load, save, short_names
from cluster.errors import ClusterError
from cluster.plan import LOOPBACK, SEPARATE_SIMULATED_NODES, Planner, Programs
from cluster.processes import ProcessSpec, ProcessState
from cluster.progress import Progress, Step, wait_for

READY_WITHIN: Final = 90.0  # seconds; a slow machine is no reason to give up
GIVE_UP_AFTER_RESTARTS: Final = 5
FALLBACK_PORTS: Final = 16443
SIMULATED_PORTS: Final = 20250
DEFAULT_NODES: Final = 2


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person asked for; it counts when the cluster is made. Numbers of nodes are compared afterwards; 0: any."""

    nodes: int = 0
    simulated: int = 0
    registry_mirror: str = ""
    bind_address: str = ""
    base_port: int = 0


def up(layout: Layout, wish: Wish, progress: Progress) -> ClusterConfig:
    """Bring the cluster up and wait for its nodes to be ready; raises ClusterError with what to do about it."""
    config = configure(layout, wish, progress)
    with progress.step("Keys and kubeconfigs") as step:
        made = pki.ensure(layout.pki, pki.certificates(config))
        step.changed(kubeconfigs.ensure(config, layout) or made)
    if not config.simulated:
        prepare_nodes(config, layout, progress)
    specs = Planner(config, layout, programs(config)).processes()
    with progress.step("Supervisor") as step:
        step.changed(control.hand_over(layout, specs), yes="started")
        for state in control.states(layout):
            if not state.wanted:
                control.ask(layout, "start", state.name)
    for title, wanted in groups(specs):
        with progress.step(title) as step:
            wait_until_ready(layout, specs, wanted, step)
            if title == "containerd":
                load_images(config, layout)
            if title == "API server":
                with api.client(config, layout) as http:
                    addons.ensure(http, config, (layout.pki / "ca.crt").read_bytes())
    wait_for_nodes(config, layout, progress)
    return config


def configure(layout: Layout, wish: Wish, progress: Progress) -> ClusterConfig:
    """The saved configuration, or a new one decided now."""
    if not machine.is_root() and not wish.simulated:
        progress.say("Without root there are no containers: the nodes are simulated.")
        wish = replace(wish, nodes=0, simulated=wish.nodes)
    with progress.step("Configuration") as step:
        config = load(layout)
        if config is not None:
            step.outcome = f"{layout.config}, as it was"
            _refuse_other_shape(config, wish)
            return config
        config = decide(layout, _with_defaults(wish))
        save(config, layout)
        step.outcome = f"{len(config.nodes)} nodes, {config.api_url}"
        return config


def _with_defaults(wish: Wish) -> Wish:
    if wish.nodes or wish.simulated:
        return wish
    return replace(wish, nodes=DEFAULT_NODES) if machine.is_root() else replace(wish, simulated=DEFAULT_NODES)


def _refuse_other_shape(config: ClusterConfig, wish: Wish) -> None:
    wanted = (wish.simulated or wish.nodes, bool(wish.simulated))
    if wanted[0] and (len(config.nodes), config.simulated) != wanted:
        kind = "simulated" if config.simulated else "real"
        number = len(config.nodes)
        raise ClusterError(f"there is a cluster of {number} {kind} nodes already: `skiff down --purge` forgets it")


def decide(layout: Layout, wish: Wish) -> ClusterConfig:
    """Names, networks and ports for a new cluster, so that it does not get in the way of what is here."""
    if wish.simulated:
        return _decide_simulated(layout, wish)
    if lacking := machine.missing_for_nodes():
        raise ClusterError("\n".join(lacking))
    routed = network.routed_networks()
    subnet = network.pick_free(network.PREFERRED_SUBNETS, routed)
    shorts = list(islice(short_names(), wish.nodes))
    address = str(next(ipaddress.ip_network(subnet).hosts()))
    return ClusterConfig(
        id=cluster_id(layout.home),
        nodes=tuple(
            Node(name=f"node-{short}", short=short, address=network.node_address(subnet, index))
            for index, short in enumerate(shorts)
        ),
        ports=_pick_ports(wish),
        api_address=address,
        bind_address=wish.bind_address or address,
        node_subnet=subnet,
        pod_cidr=network.pick_free(network.PREFERRED_POD_CIDRS, routed),
        service_cidr=network.pick_free(network.PREFERRED_SERVICE_CIDRS, routed),
        registry_mirror=wish.registry_mirror,
    )


def _decide_simulated(layout: Layout, wish: Wish) -> ClusterConfig:
    first = wish.base_port + 10 if wish.base_port else SIMULATED_PORTS
    servers = wish.simulated if wish.simulated <= SEPARATE_SIMULATED_NODES else 1
    ports = machine.free_ports(LOOPBACK, [first + offset for offset in range(2 * servers)], first)
    return ClusterConfig(
        id=cluster_id(layout.home),
        simulated=True,
        nodes=tuple(
            Node(
                name=f"sim-{index}",
                short=f"sim-{index}",
                address=LOOPBACK,
                kubelet_port=ports[2 * (index % servers)],
                health_ports=(ports[2 * (index % servers) + 1], 0),
            )
            for index in range(wish.simulated)
        ),
        ports=_pick_ports(wish),
        api_address=LOOPBACK,
        bind_address=wish.bind_address or LOOPBACK,
        node_subnet="127.0.0.0/8",
        pod_cidr=network.PREFERRED_POD_CIDRS[0],
        service_cidr=network.PREFERRED_SERVICE_CIDRS[0],
    )


def _pick_ports(wish: Wish) -> Ports:
    wanted = list(Ports().model_dump().values())
    if wish.base_port:
        wanted = [wish.base_port + offset for offset in range(len(wanted))]
    chosen = machine.free_ports(LOOPBACK, wanted, wish.base_port or FALLBACK_PORTS)
    return Ports(**dict(zip(Ports.model_fields, chosen, strict=True)))


def programs(config: ClusterConfig) -> Programs:
    """Where the programs of this machine are; raises ClusterError for one that is missing."""
    env = control.python_env() | {"PATH": f"{os.environ.get('PATH', '')}:{machine.SYSTEM_PATH}"}
    if config.simulated:
        return Programs(etcd=machine.program("etcd"), python_env=env)
    return Programs(
        etcd=machine.program("etcd"),
        containerd=machine.program("containerd"),
        nsenter=machine.program("nsenter"),
        cni_bin=machine.cni_directory() or Path("/opt/cni/bin"),
        python_env=env,
    )


def prepare_nodes(config: ClusterConfig, layout: Layout, progress: Progress) -> None:
    """Namespaces, containerd configurations and the built-in images: what is there before any process."""
    with progress.step("Network namespaces") as step:
        step.changed(network.ensure(config))
        step.outcome += f", {config.node_subnet}"
    with progress.step("Images from the distribution's packages") as step:
        step.changed(build_images(layout))
    abilities = containerd.Abilities.of_this_machine()
    for node in config.nodes:
        containerd.write(config, layout, node, abilities)


def build_images(layout: Layout) -> bool:
    """Build the built-in images that were not yet; True when one was built."""
    missing = [image for image in images.BUILT_IN.values() if not (layout.images / image.file_name).exists()]
    for image in missing:
        images.build(image, layout.images / image.file_name)
    return bool(missing)


def load_images(config: ClusterConfig, layout: Layout) -> None:
    """Load the built-in images into every node that does not have them."""
    archives = [layout.images / image.file_name for image in images.BUILT_IN.values()]

    def load_all(node: Node) -> None:
        for archive in archives:
            images.load(layout, node, archive, again=False)

    in_parallel(load_all, config.nodes)


def in_parallel(work: Callable[[Node], object], nodes: tuple[Node, ...]) -> None:
    """Do it for every node at once; raises the first problem."""
    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(work, nodes))


def groups(specs: list[ProcessSpec]) -> list[tuple[str, list[str]]]:
    """Titles of the steps and the names of the processes that each waits for."""
    titles = {
        "etcd": "etcd",
        "containerd": "containerd",
        "apiserver": "API server",
        "controller-manager": "Controller manager and scheduler",
        "scheduler": "Controller manager and scheduler",
        "egress": "Way out for image pulls",
    }
    grouped: dict[str, list[str]] = {}
    for order in (*titles, ""):
        for spec in specs:
            kind = spec.name.removesuffix("-" + spec.name.rpartition("-")[2]) if spec.node else spec.name
            if kind == order or (not order and kind not in titles):
                grouped.setdefault(titles.get(kind, "Node processes"), []).append(spec.name)
    return list(grouped.items())


def wait_until_ready(layout: Layout, specs: list[ProcessSpec], names: list[str], step: Step) -> None:
    """Until all those processes answer; raises ClusterError with the end of the log of one that keeps failing."""
    logs = {spec.name: Path(spec.log) for spec in specs}
    before = {state.name: state.restarts for state in control.states(layout)}

    def look() -> list[ProcessState] | None:
        states = [state for state in control.states(layout) if state.name in names]
        for state in states:
            restarts = state.restarts - before.get(state.name, 0)
            if restarts >= GIVE_UP_AFTER_RESTARTS and state.state != "ready":
                raise ClusterError(f"{state.name} keeps ending ({state.last_exit}):\n{tail(logs[state.name])}")
        waiting = [state for state in states if state.state != "ready"]
        return None if waiting or not states else states

    try:
        states = wait_for(look, ", ".join(names), READY_WITHIN)
    except TimeoutError as late:
        slow = [state.name for state in control.states(layout) if state.name in names and state.state != "ready"]
        ends = "\n".join(f"--- {name}\n{tail(logs[name])}" for name in slow)
        raise ClusterError(f"{late}\n{ends}") from late
    step.outcome = f"{len(states)} processes" if len(states) > 1 else f"pid {states[0].pid}"


def tail(log: Path, lines: int = 12) -> str:
    """The last lines of a log."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError as problem:
        return str(problem)


def wait_for_nodes(config: ClusterConfig, layout: Layout, progress: Progress) -> None:
    """Until every node is Ready and this machine has routes to its pods."""

    def look() -> list[dict[str, object]] | None:
        ready = [node for node in api.nodes(config, layout) or [] if api.is_ready(node)]
        names = {node["metadata"]["name"] for node in ready}
        return ready if names >= {node.name for node in config.nodes} else None

    with progress.step("Nodes ready") as step:
        try:
            found = wait_for(look, "nodes ready", READY_WITHIN)
        except TimeoutError as late:
            raise ClusterError(f"{late}; see `skiff status` and `skiff logs kubelet-a`") from late
        step.outcome = ", ".join(node.name for node in config.nodes[:4])
        if not config.simulated:
            network.ensure_pod_routes(config, api.pod_cidrs(found))
