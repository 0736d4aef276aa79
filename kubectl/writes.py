"""What verbs that write have in common: going on after a problem, saying results. The requests differ by verb."""

from collections.abc import Awaitable, Callable, Sequence

from kubectl.builder import Target
from kubectl.command import dry_run_suffix
from kubectl.printers import objects
from kubectl.problems import CliError, Sourced, raise_all
from kubectl.session import Session
from machinery.api import errors
from machinery.api.codec import Json

VALIDATION = {"true": "Strict", "strict": "Strict", "warn": "Warn", "ignore": "Ignore", "false": "Ignore"}


class Results:
    """Says what happened to each object, or collects the objects for -o."""

    def __init__(self, session: Session, dry_run: str = "none") -> None:
        self._session = session
        self._suffix = dry_run_suffix(dry_run)
        self._output = str(session.args.values.get("output") or "")
        self._done: list[Target] = []
        objects.check(self._output)

    def say(self, target: Target, what: str, obj: Json | None = None) -> None:
        """`deployment.apps/web configured`, or with -o name only the name; with -o json … the object, at the end."""
        if not self._output:
            self._session.write(f"{target.title} {what}{self._suffix}\n")
        elif self._output == "name":
            self._session.write(f"{target.title}\n")
        else:
            self._done.append(Target(target.resource, target.namespace, target.name, obj or target.object))

    def finish(self) -> None:
        """Print what was collected."""
        if self._done:
            values = self._session.args.values
            text = objects.text_of(
                self._output,
                self._done,
                as_list=len(self._done) > 1,
                template=str(values.get("template") or ""),
                managed=bool(values.get("show-managed-fields")),
            )
            self._session.write(text)


async def for_each(targets: Sequence[Target], work: Callable[[Target], Awaitable[None]]) -> None:
    """Do the work for each target even when one fails; raises what failed at the end."""
    problems: list[Exception] = []
    for target in targets:
        try:
            await work(target)
        except (errors.StatusError, Sourced, CliError) as problem:
            problems.append(problem)
    raise_all(problems)


def validation_of(given: str) -> str:
    """The query parameter for --validate; raises CliError."""
    if given not in VALIDATION:
        raise CliError(
            f'invalid validation option "{given}"; must be one of: strict (or true), warn, ignore (or false)'
        )
    return VALIDATION[given]
