"""Processes as data: how one is started, when it counts as ready, and how to end a pid that is certainly ours.

Nothing here decides when; that is the supervisor's. A pid alone is not an identity (pids are recycled), so a pid is
kept with the time its process started, and signals go through a pidfd that was checked against it.
"""

import os
import select
import signal
import time
from pathlib import Path
from typing import Final, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

START_TIME_FIELD: Final = 21  # of /proc/PID/stat, counted from 0; the command's name in field 1 may hold blanks


class Ready(BaseModel):
    """When a process counts as ready: something accepts on `unix` or `tcp`, or `url` answers 200."""

    model_config = ConfigDict(frozen=True)
    tcp: str = ""  # "address:port"
    unix: str = ""  # a socket's path
    url: str = ""  # http or https
    ca: str = ""
    client_certificate: str = ""
    client_key: str = ""


class ProcessSpec(BaseModel):
    """One process of the cluster: what to run, where, after what, and how to see that it is up."""

    model_config = ConfigDict(frozen=True)
    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = Field(default_factory=dict)
    log: str
    node: str = ""
    netns: str = ""
    ports: tuple[int, ...] = ()
    depends_on: tuple[str, ...] = ()
    ready: Ready | None = None
    grace_seconds: float = 10.0


class ProcessState(BaseModel):
    """What the supervisor says about one process; `since` is a Unix time in seconds."""

    name: str
    state: str = "waiting"  # waiting starting ready backoff stopped
    wanted: bool = True
    pid: int = 0
    start_time: int = 0
    since: float = 0.0
    restarts: int = 0
    last_exit: str = ""
    argv: tuple[str, ...] = ()


class Pid(NamedTuple):
    """A process that cannot be mistaken for another: its pid and when it started, in clock ticks since boot."""

    pid: int
    start_time: int


def start_time_of(pid: int) -> int:
    """Clock ticks after boot at which `pid` started; 0 when there is no such process or only its remains."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] in "ZX" else int(fields[START_TIME_FIELD - 2])


def identify(pid: int) -> Pid:
    """The identity of a running process."""
    return Pid(pid, start_time_of(pid))


def is_alive(process: Pid) -> bool:
    """Whether that very process (not a later one of the same pid) still runs."""
    return process.start_time != 0 and start_time_of(process.pid) == process.start_time


def open_pidfd(process: Pid) -> int | None:
    """A pidfd for exactly that process, or None when it is gone; the caller closes it."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return None
    if is_alive(process):  # checked after opening: from here on the pid cannot be recycled under us
        return descriptor
    os.close(descriptor)
    return None


def send(process: Pid, signal_number: signal.Signals) -> bool:
    """Signal that process and no other; False when it is gone."""
    descriptor = open_pidfd(process)
    if descriptor is None:
        return False
    try:
        signal.pidfd_send_signal(descriptor, signal_number)
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
    return True


def wait_until_gone(process: Pid, seconds: float) -> bool:
    """Wait for a process's end, whosever child it is; False when it still runs after `seconds`."""
    descriptor = open_pidfd(process)
    if descriptor is None:
        return True
    try:
        return bool(select.select([descriptor], [], [], seconds)[0])
    finally:
        os.close(descriptor)


def end_all(processes: list[Pid], grace_seconds: float = 5.0) -> None:
    """SIGTERM to all, then SIGKILL to those that are left after the grace; for when no supervisor is there to ask."""
    for process in processes:
        send(process, signal.SIGTERM)
    deadline = time.monotonic() + grace_seconds
    for process in processes:
        if not wait_until_gone(process, max(0.0, deadline - time.monotonic())):
            send(process, signal.SIGKILL)
            wait_until_gone(process, 5.0)


def stop_order(specs: list[ProcessSpec]) -> list[list[str]]:
    """Names in the order to stop them, level by level: dependents first. Raises ValueError on a cycle."""
    left = {spec.name: set(spec.depends_on) for spec in specs}
    levels: list[list[str]] = []
    while left:
        needed = set().union(*left.values())
        level = [name for name in left if name not in needed]
        if not level:
            raise ValueError(f"these depend on each other: {', '.join(sorted(left))}")
        levels.append(level)
        for name in level:
            del left[name]
    return levels
