"""What runs of a cluster, where, since when, and how often it had to be started again; as a table. Nothing is changed."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

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
    nodes: list[dict[str, Any]]


def read(config: ClusterConfig, layout: Layout) -> Status:
    """Ask the supervisor and, if it answers, the API server."""
    specs = SPECS.validate_json(layout.processes.read_bytes()) if layout.processes.exists() else []
    states = control.states(layout)
    nodes = api.nodes(config, layout) if any(s.name == "apiserver" and s.pid for s in states) else []
    return Status(config, {spec.name: spec for spec in specs}, states, nodes)


def rows(status: Status, now: float) -> list[tuple[str, ...]]:
    """One row per process, as text; `now` is a Unix time."""
    found = []
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
    if status.nodes:
        console.print()
        _print_table(console, ("NODE", "READY", "ADDRESS", "POD CIDR"), node_rows(status))
    else:
        console.print("\nThe API server does not answer.")


def node_rows(status: Status) -> list[tuple[str, ...]]:
    """One row per Node object."""
    cidrs = api.pod_cidrs(status.nodes)
    found = []
    for node in status.nodes:
        name = api.name_of(node)
        ours = status.config.node(name)
        ready = "ready" if api.is_ready(node) else "not ready"
        found.append((name, ready, ours.address if ours else "-", cidrs.get(name, "-")))
    return found


def _print_table(console: Console, headers: Sequence[str], body: Sequence[Sequence[str]]) -> None:
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False, padding=(0, 2, 0, 0))
    for header in headers:
        table.add_column(header, no_wrap=True)
    for row in body:
        table.add_row(*(_coloured(cell) for cell in row))
    width = console.width if console.is_terminal else 200
    console.print(table, width=width, soft_wrap=False)


def _coloured(cell: str) -> str:
    colour = COLOURS.get(cell) or ("red" if cell == "not ready" else "")
    return f"[{colour}]{cell}[/{colour}]" if colour else cell
