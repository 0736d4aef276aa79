"""Tells a person what is being done and how long it took: a spinner on a terminal, plain lines elsewhere."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console

T = TypeVar("T")


class Progress:
    """Prints one line per finished step, with its time and what came of it."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)
        self._began = time.monotonic()

    @contextmanager
    def step(self, title: str) -> Iterator["Step"]:
        """A step; what is put into `outcome` is shown when it is done. A step that raises is shown as failed."""
        step = Step(title)
        began = time.monotonic()
        try:
            if self.console.is_terminal:
                with self.console.status(title):
                    yield step
            else:
                yield step
        except BaseException:
            self._line("[red]✘[/red]", step, began)
            raise
        self._line("[green]✔[/green]", step, began)

    def _line(self, mark: str, step: "Step", began: float) -> None:
        seconds = time.monotonic() - began
        outcome = f"  [dim]{step.outcome}[/dim]" if step.outcome else ""
        self.console.print(f"{mark} {step.title:<44} [dim]{seconds:5.1f} s[/dim]{outcome}", soft_wrap=True)

    def say(self, text: str = "") -> None:
        """A line of its own; may hold rich's markup."""
        self.console.print(text, soft_wrap=True)

    def elapsed(self) -> float:
        """Seconds since the first step."""
        return time.monotonic() - self._began


class Step:
    """One step that is under way."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.outcome = ""

    def changed(self, changed: bool, yes: str = "made", no: str = "as it was") -> None:
        """Say whether anything was changed by it."""
        self.outcome = yes if changed else no


def wait_for(look: Callable[[], T | None], what: str, seconds: float, every: float = 0.1) -> T:
    """Look again and again until there is something; raises TimeoutError naming what was waited for."""
    deadline = time.monotonic() + seconds
    while (found := look()) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(every)
    return found
