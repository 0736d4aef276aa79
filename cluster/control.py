"""The other end of the supervisor's socket: ask it, start it. What it does with the question is its own affair."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from cluster.config import Layout
from cluster.errors import ClusterError
from cluster.processes import Pid, ProcessSpec, ProcessState, identify
from cluster.supervisor import SPECS

REPOSITORY = Path(__file__).parent.parent


def ask(layout: Layout, op: str, name: str = "", seconds: float = 60.0) -> dict[str, Any]:
    """One question and its answer; raises ConnectionError or FileNotFoundError where no supervisor listens."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(str(layout.control_socket))
        connection.sendall(orjson.dumps({"op": op, "name": name}) + b"\n")
        line = connection.makefile("rb").readline()
    if not line:
        raise ConnectionError("the supervisor hung up")
    answer: dict[str, Any] = orjson.loads(line)
    if problem := answer.get("error"):
        raise ClusterError(problem)
    return answer


def is_running(layout: Layout) -> bool:
    """Whether a supervisor answers."""
    try:
        ask(layout, "status", seconds=5)
    except OSError:
        return False
    return True


def states(layout: Layout) -> list[ProcessState]:
    """What the supervisor says about each process; empty where none answers."""
    try:
        return [ProcessState.model_validate(entry) for entry in ask(layout, "status")["processes"]]
    except OSError:
        return []


def python_env() -> dict[str, str]:
    """What our own processes need to find the code, whether it was installed or only checked out."""
    inherited = os.environ.get("PYTHONPATH", "")
    return {"PYTHONPATH": f"{REPOSITORY}:{inherited}".rstrip(":"), "PYTHONUNBUFFERED": "1"}


def hand_over(layout: Layout, specs: list[ProcessSpec]) -> bool:
    """Give the supervisor the list of processes, starting it if need be; True when anything changed by that."""
    make_run_directory(layout.run)
    layout.logs.mkdir(parents=True, exist_ok=True)
    wanted = SPECS.dump_json(specs, indent=1)
    same = layout.processes.exists() and layout.processes.read_bytes() == wanted
    layout.processes.write_bytes(wanted)
    if is_running(layout):
        if not same:
            ask(layout, "reload")
        return not same
    start(layout)
    return True


def make_run_directory(run: Path) -> None:
    """Make the directory of sockets; raises ClusterError where somebody else has put something in its place."""
    for directory in (run.parent, run):
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
            raise ClusterError(f"{directory} is somebody else's: remove it, or set XDG_RUNTIME_DIR")


def start(layout: Layout, seconds: float = 10.0) -> None:
    """Start the supervisor so that it outlives the terminal; raises ClusterError when it does not come up."""
    with open(layout.log("supervisor"), "ab") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", "cluster.supervisor", str(layout.run)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **python_env()},
            start_new_session=True,
        )
    layout.supervisor_pid.write_text("{} {}".format(*identify(child.pid)))
    deadline = time.monotonic() + seconds
    while not is_running(layout):
        if child.poll() is not None or time.monotonic() > deadline:
            raise ClusterError(f"the supervisor did not start: see {layout.log('supervisor')}")
        time.sleep(0.05)
    child.returncode = 0  # it is on its own from here: Popen must not warn that it still runs


def supervisor_process(layout: Layout) -> Pid | None:
    """The identity of the supervisor that was started last, running or not."""
    try:
        pid, start_time = layout.supervisor_pid.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return Pid(int(pid), int(start_time))
