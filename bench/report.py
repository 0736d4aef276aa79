"""Rows and figures of a run, and their table: for people, or as JSON. Targets and upstream's figures stand beside."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table

from bench.client import Load

#: server CPU in µs at most, and what upstream's kube-apiserver took on two cores (Go, RBAC, TLS, JSON)
TARGETS: Final = {
    "create pod (replicas)": (500.0, 1336.0),
    "create pod (each its own spec)": (500.0, 1336.0),
    "create ConfigMap": (300.0, 565.0),
    "GET pod": (60.0, 291.0),
    "LIST, per pod, JSON": (2.0, 57.0),
    "LIST, per pod, JSON, from cache": (2.0, 36.0),
    "LIST, per pod, JSON, gzip": (2.0, 57.0),
    "LIST, per pod, JSON, gzip, from cache": (2.0, 36.0),
    "LIST, per pod, Table": (25.0, None),
    "LIST, per pod, Table, gzip": (25.0, None),
    "watch, per delivery": (5.0, 55.0),
    "memory, idle": (110.0, 300.0),
    "memory, 10,000 pods": (220.0, None),
    "start to ready": (1.5, None),
    "delay by a LIST, p99": (10.0, None),
    "delay by a plain LIST, p99": (10.0, None),
    "delay by a Table LIST, p99": (10.0, None),
    "times slower beside a noisy client, p50": (2.0, None),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One operation: per second, milliseconds at the median and at p99, µs of the server's CPU."""

    name: str
    per_second: float
    p50: float
    p99: float
    cpu: float

    @classmethod
    def of(cls, name: str, load: Load, cpu: float) -> "Row":
        """From the load's times."""
        ordered = sorted(load.latencies)
        rate = len(ordered) / load.seconds
        return cls(name, rate, percentile(ordered, 50) * 1e3, percentile(ordered, 99) * 1e3, cpu)


def percentile(ordered: Sequence[float], percent: float) -> float:
    """The least value that so many percent are not above (nearest rank); `ordered` is not empty."""
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


@dataclass(slots=True)
class Report:
    """What one run has found so far."""

    server: str
    rows: list[Row] = field(default_factory=list)
    figures: dict[str, tuple[float, str]] = field(default_factory=dict)  # name: value, unit

    def row(self, row: Row) -> None:
        """One more operation."""
        self.rows.append(row)

    def figure(self, name: str, value: float, unit: str) -> None:
        """One more figure that is no operation."""
        self.figures[name] = value, unit

    def cpu(self, name: str) -> float | None:
        """µs of a row, or a figure's value; None where it was not measured."""
        if name in self.figures:
            return self.figures[name][0]
        return next((row.cpu for row in self.rows if row.name == name), None)


def as_json(reports: Sequence[Report]) -> str:
    """All of it, for programs."""
    return json.dumps([asdict(report) for report in reports], indent=2)


def print_tables(reports: Sequence[Report], console: Console) -> None:
    """The first report's rows, with the second's beside them, or upstream's known figures where there is none."""
    ours, other = reports[0], reports[1] if len(reports) > 1 else None
    beside = other.server if other else "upstream"
    table = Table(box=box.MARKDOWN)
    table.add_column("operation")
    for title in ("per s", "p50 ms", "p99 ms", "CPU µs", "at most", beside, "ratio"):
        table.add_column(title, justify="right")
    for row in ours.rows:
        times = (_short(row.p50), _short(row.p99)) if row.p99 else ("", "")
        table.add_row(row.name, f"{row.per_second:,.0f}", *times, _short(row.cpu), *_beside(row.name, row.cpu, other))
    console.print(table)
    table = Table(box=box.MARKDOWN)
    table.add_column("figure")
    for title in (ours.server, "at most", beside, "ratio"):
        table.add_column(title, justify="right")
    for name, (value, unit) in ours.figures.items():
        table.add_row(f"{name}, {unit}", _short(value), *_beside(name, value, other))
    console.print(table)


def _beside(name: str, value: float, other: Report | None) -> tuple[str, str, str]:
    most, known = TARGETS.get(name, (None, None))
    theirs = other.cpu(name) if other else known
    ratio = f"{value / theirs:.2f}" if theirs else ""
    return (_short(most) if most is not None else "", _short(theirs) if theirs else "", ratio)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
