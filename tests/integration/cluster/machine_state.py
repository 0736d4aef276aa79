"""What a cluster could leave behind on this machine, as one comparable value."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cluster import machine
from cluster.config import Layout, cluster_id, load


@dataclass(frozen=True)
class MachineState:
    """Names of everything that outlives a process, and the processes that speak of a cluster's directories."""

    processes: frozenset[str]
    mounts: frozenset[str]
    namespaces: frozenset[str]
    interfaces: frozenset[str]
    routes: frozenset[str]
    rules: frozenset[str]
    cgroups: frozenset[str]
    files: frozenset[str]


def look(layout: Layout) -> MachineState:
    """The state as far as this cluster may have touched it, without what other clusters on the machine have."""
    config = load(layout)
    ours = cluster_id(layout.home) if config is None else config.id
    marks = (str(layout.home), str(layout.run), f"sk-{ours}", f"skiff-{ours}")
    own_nets = [config.node_subnet, config.pod_cidr, config.service_cidr] if config and not config.simulated else []
    prefixes = tuple(net.rpartition(".0/")[0].removesuffix(".0") + "." for net in own_nets)

    def mine(texts: Iterable[str]) -> frozenset[str]:
        return frozenset(text for text in texts if any(mark in text for mark in marks))

    mounts = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines())
    routes = machine.run("ip", "-4", "route", "show", "table", "all").splitlines()
    cgroups = (str(directory) for top in machine.cgroup_hierarchies() for directory in top.glob("skiff-*"))
    return MachineState(
        processes=mine(_command_lines()),
        mounts=mine(mounts),
        namespaces=mine(_names(Path("/run/netns"))),
        interfaces=mine(_names(Path("/sys/class/net"))),
        routes=mine(routes) | frozenset(route for route in routes if prefixes and route.startswith(prefixes)),
        rules=frozenset(rule for rule in _rules() if "KUBE-" in rule or any(mark in rule for mark in marks)),
        cgroups=mine(cgroups),
        files=mine(_paths(Path("/run/skiff"))) | frozenset(_dead_sockets()),
    )


def _paths(directory: Path) -> list[str]:
    return [str(directory / name) for name in _names(directory)]


def _dead_sockets() -> list[str]:
    """Sockets of shims that nobody listens on any more, whosever they were."""
    listening = Path("/proc/net/unix").read_text()
    return [path for path in _paths(Path("/run/containerd/s")) if path not in listening]


def difference(before: MachineState, after: MachineState) -> dict[str, list[str]]:
    """What is there now and was not before, by kind; empty when nothing was left."""
    kinds = MachineState.__dataclass_fields__
    added = {kind: sorted(getattr(after, kind) - getattr(before, kind)) for kind in kinds}
    return {kind: names for kind, names in added.items() if names}


def _names(directory: Path) -> frozenset[str]:
    return frozenset(entry.name for entry in directory.iterdir()) if directory.exists() else frozenset()


def _command_lines() -> list[str]:
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                lines.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue  # it has just ended
    return lines


def _rules() -> frozenset[str]:
    saved = machine.run("iptables-save").splitlines()
    return frozenset(line.split("[")[0].strip() for line in saved if not line.startswith("#"))
