"""Identity of processes: a pid with the time it started."""

import os
import signal
import subprocess

from cluster import processes
from cluster.processes import Pid


def sleeper() -> "subprocess.Popen[bytes]":
    """A process of ours that does nothing for a while."""
    return subprocess.Popen(["sleep", "60"])


def test_we_are_alive_and_our_pid_at_another_time_is_not() -> None:
    me = processes.identify(os.getpid())
    assert processes.is_alive(me)
    assert not processes.is_alive(Pid(me.pid, me.start_time + 1))


def test_a_recycled_pid_is_not_signalled() -> None:
    with sleeper() as child:
        identity = processes.identify(child.pid)
        assert not processes.send(Pid(identity.pid, identity.start_time - 1), signal.SIGKILL)
        assert child.poll() is None
        assert processes.send(identity, signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL


def test_ending_all_kills_what_does_not_listen() -> None:
    deaf = subprocess.Popen(
        ["sh", "-c", "trap '' TERM; echo deaf; while :; do :; sleep 0.1; done"], stdout=subprocess.PIPE
    )
    assert deaf.stdout is not None and deaf.stdout.readline() == b"deaf\n"
    with deaf, sleeper() as child:
        processes.end_all([processes.identify(deaf.pid), processes.identify(child.pid)], grace_seconds=0.2)
        assert child.wait() == -signal.SIGTERM and deaf.wait() == -signal.SIGKILL


def test_a_process_that_has_ended_is_gone_even_before_anyone_collects_it() -> None:
    with subprocess.Popen(["true"]) as child:
        identity = processes.identify(child.pid)
        assert processes.wait_until_gone(identity, 10)
        assert not processes.is_alive(identity)
