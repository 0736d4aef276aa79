"""What a cluster could leave behind on this machine, as one comparable value."""

from dataclasses import dataclass
from pathlib import Path

from cluster import machine
from cluster.config import Layout


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
    """The state as far as this cluster may have touched it."""
    marks = (str(layout.home), str(layout.run))
    return MachineState(
        processes=frozenset(line for line in _command_lines() if any(mark in line for mark in marks)),
        mounts=frozenset(line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()),
        namespaces=_names(Path("/run/netns")),
        interfaces=_names(Path("/sys/class/net")),
        routes=frozenset(machine.run("ip", "-4", "route", "show", "table", "all").splitlines()),
        rules=_rules(),
        cgroups=frozenset(
            str(directory)
            for top in machine.cgroup_hierarchies()
            for directory in top.glob("skiff-*/")
            if directory.exists()
        ),
        files=_names(Path("/run/containerd/s")) | _names(Path("/var/lib/cni/results")) | _names(Path("/run/skiff")),
    )


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
