"""The supervisor with real processes: it restarts what dies, survives its own death, and stops in order."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster import control, processes
from cluster.config import Layout
from cluster.errors import ClusterError
from cluster.processes import Pid, ProcessSpec, ProcessState, Ready
from cluster.supervisor import rotate


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    made = Layout(tmp_path / "home", tmp_path / "run")
    yield made
    supervisor = control.supervisor_process(made)
    ours = [Pid(state.pid, state.start_time) for state in control.states(made)]
    processes.end_all([*([supervisor] if supervisor else []), *ours])


def script(
    layout: Layout, name: str, text: str, after: tuple[str, ...] = (), ready: Ready | None = None
) -> ProcessSpec:
    """A process that is a shell script."""
    log = str(layout.log(name))
    return ProcessSpec(name=name, argv=("sh", "-c", text), log=log, depends_on=after, ready=ready, grace_seconds=1)


def state_of(layout: Layout, name: str) -> ProcessState:
    """What the supervisor says about a process."""
    return next(state for state in control.states(layout) if state.name == name)


def eventually(look: Callable[[], bool], seconds: float = 15) -> None:
    """Look until it is so."""
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.02)


def is_running(layout: Layout, name: str) -> bool:
    """Whether a process is ready."""
    return state_of(layout, name).state == "ready"


def test_what_dies_is_started_again_and_counted(layout: Layout) -> None:
    control.hand_over(layout, [script(layout, "sleeper", "exec sleep 100")])
    eventually(lambda: is_running(layout, "sleeper"))
    first = state_of(layout, "sleeper")
    os.kill(first.pid, signal.SIGKILL)
    eventually(lambda: is_running(layout, "sleeper") and state_of(layout, "sleeper").pid != first.pid)
    assert state_of(layout, "sleeper").restarts == 1
    assert state_of(layout, "sleeper").last_exit == "SIGKILL"


def test_a_program_that_cannot_start_is_tried_again_ever_more_slowly(layout: Layout) -> None:
    spec = ProcessSpec(name="none", argv=("/nonexistent",), log=str(layout.log("none")))
    control.hand_over(layout, [spec])
    eventually(lambda: state_of(layout, "none").restarts >= 2)
    assert "cannot start /nonexistent" in layout.log("none").read_text()
    assert state_of(layout, "none").state == "backoff"


def test_a_process_starts_only_once_what_it_needs_is_ready(layout: Layout) -> None:
    flag = layout.home / "flag"
    socket = str(layout.home / "socket")
    listen = f"import socket,time;s=socket.socket(socket.AF_UNIX);s.bind('{socket}');s.listen();time.sleep(100)"
    waits = f'while [ ! -e {flag} ]; do sleep 0.05; done; exec python3 -c "{listen}"'
    first = script(layout, "first", waits, ready=Ready(unix=socket))
    control.hand_over(layout, [script(layout, "second", "exec sleep 100", after=("first",)), first])
    eventually(lambda: state_of(layout, "first").state == "starting")
    assert state_of(layout, "second").state == "waiting"
    flag.touch()
    eventually(lambda: is_running(layout, "second"))
    assert is_running(layout, "first")


def test_a_killed_supervisor_leaves_its_processes_and_the_next_takes_them_over(layout: Layout) -> None:
    specs = [script(layout, "sleeper", "exec sleep 100")]
    control.hand_over(layout, specs)
    eventually(lambda: is_running(layout, "sleeper"))
    before = state_of(layout, "sleeper")
    supervisor = control.supervisor_process(layout)
    assert supervisor is not None
    processes.send(supervisor, signal.SIGKILL)
    assert processes.wait_until_gone(supervisor, 10)
    assert processes.is_alive(Pid(before.pid, before.start_time))
    assert control.hand_over(layout, specs)
    eventually(lambda: is_running(layout, "sleeper"))
    after = state_of(layout, "sleeper")
    assert (after.pid, after.restarts, after.since) == (before.pid, 0, before.since)
    os.kill(after.pid, signal.SIGKILL)  # no child of the new supervisor, yet its end is noticed
    eventually(lambda: is_running(layout, "sleeper") and state_of(layout, "sleeper").restarts == 1)


def test_a_process_that_was_stopped_stays_so_until_it_is_started(layout: Layout) -> None:
    control.hand_over(layout, [script(layout, "sleeper", "exec sleep 100")])
    eventually(lambda: is_running(layout, "sleeper"))
    pid = state_of(layout, "sleeper").pid
    control.ask(layout, "stop", "sleeper")
    assert not Path(f"/proc/{pid}").exists()
    eventually(lambda: state_of(layout, "sleeper").state == "stopped")
    control.ask(layout, "start", "sleeper")
    eventually(lambda: is_running(layout, "sleeper"))
    assert state_of(layout, "sleeper").restarts == 0


def test_a_process_deaf_to_sigterm_is_killed_after_its_grace(layout: Layout) -> None:
    control.hand_over(layout, [script(layout, "deaf", "trap '' TERM; while :; do sleep 0.2; done")])
    eventually(lambda: is_running(layout, "deaf"))
    control.ask(layout, "stop", "deaf")
    eventually(lambda: state_of(layout, "deaf").last_exit == "SIGKILL")


def test_shutting_down_ends_dependents_first(layout: Layout) -> None:
    order = layout.home / "order"

    def noting(name: str, after: tuple[str, ...] = ()) -> ProcessSpec:
        text = f"trap 'sleep 0.2; echo {name} >> {order}; exit' TERM; while :; do sleep 0.05; done"
        return script(layout, name, text, after)

    control.hand_over(layout, [noting("store"), noting("server", ("store",)), noting("worker", ("server",))])
    eventually(lambda: is_running(layout, "worker"))
    time.sleep(0.3)  # the shells need a moment to set their traps, and nothing shows it
    supervisor = control.supervisor_process(layout)
    assert supervisor is not None
    control.ask(layout, "shutdown")
    assert processes.wait_until_gone(supervisor, 20)
    assert order.read_text().split() == ["worker", "server", "store"]


def test_handing_over_the_same_list_changes_nothing_and_a_longer_one_adds(layout: Layout) -> None:
    one, two = (script(layout, name, "exec sleep 100") for name in ("one", "two"))
    assert control.hand_over(layout, [one])
    eventually(lambda: is_running(layout, "one"))
    pid = state_of(layout, "one").pid
    assert not control.hand_over(layout, [one])
    assert control.hand_over(layout, [one, two])
    eventually(lambda: is_running(layout, "two"))
    assert state_of(layout, "one").pid == pid


def test_an_unknown_name_is_refused(layout: Layout) -> None:
    control.hand_over(layout, [script(layout, "sleeper", "exec sleep 100")])
    with pytest.raises(ClusterError, match="no process of that name"):
        control.ask(layout, "stop", "nobody")


def test_a_log_that_has_grown_is_emptied_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    with log.open("ab") as output:
        with subprocess.Popen(
            ["sh", "-c", "echo before; read _; echo after"], stdin=subprocess.PIPE, stdout=output
        ) as p:
            eventually(lambda: log.read_text() == "before\n")
            rotate([log, tmp_path / "none.log"], most_bytes=3)
            assert log.read_text() == "" and (tmp_path / "x.log.1").read_text() == "before\n"
            p.communicate(b"\n")
    assert log.read_text() == "after\n"
