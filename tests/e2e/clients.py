"""The command lines the main job is done with: every kubectl on the machine, and skiff."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from machinery.api.codec import Json

T = TypeVar("T")


@dataclass(frozen=True)
class CommandLine:
    """A kubectl or skiff, bound to a kubeconfig."""

    argv: tuple[str, ...]
    kubeconfig: Path

    def start(self, *arguments: str, **options: Any) -> "subprocess.Popen[str]":
        """The command, running; its output is piped as text."""
        env = os.environ | {"KUBECONFIG": str(self.kubeconfig)}
        return subprocess.Popen(
            [*self.argv, *arguments], env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
        )

    def run(self, *arguments: str, stdin: str = "", timeout: float = 120) -> "subprocess.CompletedProcess[str]":
        """The command's result, whatever its exit code."""
        process = self.start(*arguments, stdin=subprocess.PIPE)
        try:
            out, err = process.communicate(stdin, timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"{arguments} took over {timeout} s\n{out}\n{err}") from None
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def __call__(self, *arguments: str, stdin: str = "", timeout: float = 120) -> str:
        """What the command prints; an exit code other than 0 fails the test."""
        done = self.run(*arguments, stdin=stdin, timeout=timeout)
        assert done.returncode == 0, f"{self.argv} {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str) -> Json:
        """The object `get … -o json` prints."""
        answer: Json = json.loads(self(*arguments, "-o", "json"))
        return answer

    def on_a_terminal(self, *arguments: str, typed: str, until: str, timeout: float = 30) -> str:
        """What a command prints on a terminal of its own after `typed` was typed, up to the text `until`."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.environ["KUBECONFIG"] = str(self.kubeconfig)
            os.execv(self.argv[0], [*self.argv, *arguments])
        try:
            return _talk(terminal, typed, until, timeout)
        finally:
            os.close(terminal)
            os.waitpid(pid, 0)


def _talk(terminal: int, typed: str, until: str, timeout: float) -> str:
    shown, sent, end = "", False, time.monotonic() + timeout
    while time.monotonic() < end and not (sent and until in shown):
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                shown += os.read(terminal, 4096).decode(errors="replace")
            except OSError:  # the other side has closed: a terminal's end of file
                break
        if not sent and ("#" in shown or "$" in shown):
            os.write(terminal, typed.encode())
            sent = True
    assert until in shown, f"{until!r} did not show up on the terminal:\n{shown}"
    return shown


def skiff_argv() -> tuple[str, ...]:
    """How `skiff` is started from this checkout."""
    return (sys.executable, "-m", "kubectl")


def eventually(check: Callable[[], T | None], what: str, timeout: float = 60, pause: float = 0.25) -> T:
    """The first truthy result of `check`; fails after `timeout` seconds with what was waited for.

    A check that fails (the server is being restarted) counts as "not yet".
    """
    end = time.monotonic() + timeout
    while True:
        seen: object
        try:
            result = check()
            if result:
                return result
            seen = result
        except AssertionError as problem:
            seen = problem
        assert time.monotonic() < end, f"waited {timeout} s for {what}; last seen: {seen!r}"
        time.sleep(pause)
