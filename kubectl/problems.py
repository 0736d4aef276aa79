"""What went wrong, in kubectl's words, with its exit code. What a server may answer is machinery's `errors`."""

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from machinery.api import errors


class CliError(Exception):
    """A problem on this side of the wire; the text is shown behind `error: ` unless it carries its own beginning."""

    def __init__(self, text: str, *, code: int = 1, bare: bool = False) -> None:
        super().__init__(text)
        self.text = text if bare else f"error: {text}"
        self.code = code


class Unreachable(CliError):
    """The server was not reached, or the connection broke: it may be there again in a moment."""


class Several(Exception):
    """More than one problem, each shown on a line of its own."""

    def __init__(self, problems: Sequence[Exception]) -> None:
        super().__init__(f"{len(problems)} problems")
        self.problems = problems


class Sourced(Exception):
    """A server's answer about an object that came from a file: the message names what was done and the file."""

    def __init__(self, problem: errors.StatusError, verb: str, source: str) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.prefix = f'error when {verb} "{source}": '


def raise_all(problems: Sequence[Exception]) -> None:
    """Raise nothing, the only problem, or all of them as one."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise Several(problems)


def explain(problem: BaseException) -> Iterator[str]:
    """The lines for standard error (upstream: kubectl/pkg/cmd/util/helpers.go, checkErr and StandardErrorMessage)."""
    match problem:
        case Several():
            for one in problem.problems:
                yield from explain(one)
        case Sourced():
            yield from _status_lines(problem.problem, problem.prefix)
        case errors.StatusError():
            yield from _status_lines(problem, "")
        case CliError():
            yield problem.text
        case _:
            yield f"error: {problem}"


def code_of(problem: BaseException) -> int:
    """The exit code for a problem: 1 unless it says otherwise."""
    return problem.code if isinstance(problem, CliError) else 1


def refused(server: str) -> str:
    """Nobody listens there."""
    return (
        f"The connection to the server {urlsplit(server).netloc} was refused - did you specify the right host or port?"
    )


def _status_lines(problem: errors.StatusError, prefix: str) -> Iterator[str]:
    if isinstance(problem, errors.Invalid):
        yield from _invalid_lines(problem)
    elif isinstance(problem, errors.Unauthorized):
        yield f"error: You must be logged in to the server ({prefix}{problem.message})"
    elif problem.reason:
        yield f"Error from server ({problem.reason}): {prefix}{problem.message}"
    else:
        yield f"Error from server: {prefix}{problem.message}"


def _invalid_lines(problem: errors.StatusError) -> Iterator[str]:
    details = problem.details or {}
    causes = list(
        dict.fromkeys(f"{cause.get('field')}: {cause.get('message')}" for cause in details.get("causes") or ())
    )
    text = "The request is invalid"
    if details.get("kind") or details.get("name"):
        text = f'The {details.get("kind", "")} "{details.get("name", "")}" is invalid'
    elif problem.message and not causes:
        text += f": {problem.message}"
    if not causes:
        yield text
    elif len(causes) == 1:
        yield f"{text}: {causes[0]}"
    else:
        yield f"{text}: "
        yield from (f"* {cause}" for cause in causes)
