"""What runs of a cluster, where, since when, and how often it had to be started again, as a table. Changes nothing."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from cluster import api, control
from cluster.config import ClusterConfig, Layout
from cluster.processes import ProcessSpec, ProcessState
from cluster.supervisor import SPECS

HEADERS = ("COMPONENT", "STATE", "NODE", "PID", "PORTS", "SINCE", "RESTARTS", "LAST EXIT")
COLOURS = {"ready": "green", "starting": "yellow", "waiting": "yellow", "backoff": "red", "stopped": "dim"}


@dataclass(frozen=True, slots=True)
class Status:
    """A cluster's processes and nodes at one moment."""

    config: ClusterConfig
    specs: dict[str, ProcessSpec]
    states: list[ProcessState]
    nodes: list[dict[str, Any]] | None  # None: the API server does not answer


def read(config: ClusterConfig, layout: Layout) -> Status:
    """Ask the supervisor and, if it answers, the API server."""
    specs = SPECS.validate_json(layout.processes.read_bytes()) if layout.processes.exists() else []
    states = control.states(layout)
    running = config.joined or any(state.name == "apiserver" and state.pid for state in states)
    nodes = api.nodes(config, layout) if running else None
    return Status(config, {spec.name: spec for spec in specs}, states, nodes)


def rows(status: Status, now: float) -> list[tuple[str, ...]]:
    """One row per process, as text; `now` is a Unix time."""
    found: list[tuple[str, ...]] = []
    for state in status.states:
        spec = status.specs.get(state.name)
        found.append(
            (
                state.name,
                state.state,
                spec.node if spec and spec.node else "-",
                str(state.pid or "-"),
                ",".join(str(port) for port in spec.ports) if spec and spec.ports else "-",
                age(now - state.since) if state.pid else "-",
                str(state.restarts),
                state.last_exit or "-",
            )
        )
    return found


def age(seconds: float) -> str:
    """How long, in the two units that matter: "3s", "4m10s", "2h3m", "5d1h"."""
    left = int(max(0.0, seconds))
    days, left = divmod(left, 86400)
    hours, left = divmod(left, 3600)
    minutes, left = divmod(left, 60)
    if days:
        return f"{days}d{hours}h"
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{left}s" if minutes else f"{left}s"


def print_status(status: Status, console: Console) -> None:
    """The tables: coloured on a terminal, aligned columns elsewhere."""
    _print_table(console, HEADERS, rows(status, time.time()))
    console.print()
    if status.nodes is None:
        console.print("The API server does not answer.")
    else:
        _print_table(console, ("NODE", "READY", "ADDRESS", "POD CIDR"), node_rows(status.config, status.nodes))


def node_rows(config: ClusterConfig, nodes: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    """One row per Node object."""
    cidrs = api.pod_cidrs(nodes)
    found: list[tuple[str, ...]] = []
    for node in nodes:
        name = api.name_of(node)
        ours = config.node(name)
        ready = "ready" if api.is_ready(node) else "not ready"
        found.append((name, ready, ours.address if ours else "-", cidrs.get(name, "-")))
    return found


def _print_table(console: Console, headers: Sequence[str], body: Sequence[Sequence[str]]) -> None:
    """Aligned columns by our own hand: rich's tables cut cells where a line is longer than the terminal."""
    widths = [max(len(cell) for cell in column) for column in zip(headers, *body, strict=True)]
    head = (f"{cell:<{width}}" for cell, width in zip(headers, widths, strict=True))
    console.print("  ".join(head), style="bold", soft_wrap=True)
    for row in body:
        cells = (_coloured(cell, width) for cell, width in zip(row, widths, strict=True))
        console.print("  ".join(cells), soft_wrap=True)


def _coloured(cell: str, width: int) -> str:
    colour = COLOURS.get(cell) or ("red" if cell == "not ready" else "")
    padded = f"{cell:<{width}}"
    return f"[{colour}]{padded}[/{colour}]" if colour else padded
