"""python -m bench apiserver: starts etcd and Skiff's API server, measures, prints a table.

Another server is measured with --url, --token, --ca and --pid; with --against-url and so on, both are, side by side.
python -m bench scheduler: places workloads like upstream's scheduler_perf, in simulation and on a real API server with
--nodes nodes; --scheduler-command measures another scheduler (its command line up to --kubeconfig).
"""

import argparse
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvloop
from rich.console import Console

from bench import report, scheduling
from bench.apiserver import FULL, SMALL, Benchmark
from bench.client import Address
from bench.processes import Target, skiff
from bench.report import Report


def main() -> int:
    """Measure what the command line says."""
    chosen = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as Ctrl-C: what was started is ended
    if chosen.what == "scheduler":
        console = Console(width=150)
        rows = scheduling.measure(_plan(chosen), console)
        print(scheduling.as_json(rows)) if chosen.json else scheduling.print_table(rows, console)
        return 0
    reports = [_measured(chosen, "")]
    if chosen.against_url:
        reports.append(_measured(chosen, "against_"))
    if chosen.json:
        print(report.as_json(reports))
    else:
        report.print_tables(reports, Console(width=150))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("what", choices=["apiserver", "scheduler"])
    parser.add_argument("--scale", choices=["small", "full"], default="full", help="small only shows that it runs")
    parser.add_argument("--only", action="append", default=[], metavar="GROUP", help="start, create-pod, list, …")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--nodes", type=int, default=5000, help="scheduler: nodes")
    parser.add_argument("--pods", type=int, default=1000, help="scheduler: pods that are measured")
    parser.add_argument("--simulated", action="store_true", help="scheduler: only in simulation")
    parser.add_argument("--scheduler-command", default="", help="scheduler: another one than Skiff's")
    for prefix, whose in (("", "the server's"), ("against-", "the other server's")):
        parser.add_argument(f"--{prefix}url", default="", help=f"{whose} address; none: one is started")
        parser.add_argument(f"--{prefix}token", default="", help=f"{whose} bearer token; its user may do everything")
        parser.add_argument(f"--{prefix}ca", type=Path, help=f"{whose} certificate authority")
        parser.add_argument(f"--{prefix}pid", type=int, action="append", default=[], help=f"{whose} processes")
        parser.add_argument(f"--{prefix}name", default="upstream" if prefix else "skiff", help="title in the table")
    return parser


def _plan(chosen: argparse.Namespace) -> scheduling.Plan:
    small = chosen.scale == "small"
    nodes, pods = (20, 20) if small else (chosen.nodes, chosen.pods)
    command = tuple(shlex.split(chosen.scheduler_command))
    return scheduling.Plan(nodes, pods, tuple(chosen.only), command, real=not chosen.simulated)


def _measured(chosen: argparse.Namespace, prefix: str) -> Report:
    with _target(chosen, prefix) as target:
        found = Report(getattr(chosen, f"{prefix}name"))
        benchmark = Benchmark(target, FULL if chosen.scale == "full" else SMALL, found)
        try:
            uvloop.run(benchmark.run(lambda group: not chosen.only or group in chosen.only))
        finally:
            if getattr(chosen, f"{prefix}url"):
                benchmark.clean()
    return found


@contextmanager
def _target(chosen: argparse.Namespace, prefix: str) -> Iterator[Target]:
    url = getattr(chosen, f"{prefix}url")
    if url:
        address = Address(url.rstrip("/"), getattr(chosen, f"{prefix}token"), getattr(chosen, f"{prefix}ca"))
        yield Target(address, tuple(getattr(chosen, f"{prefix}pid")))
        return
    with tempfile.TemporaryDirectory(prefix="skiff-bench-") as folder, skiff(Path(folder)) as target:
        yield target


if __name__ == "__main__":
    sys.exit(main())
