"""`skiff wait --for=…`: until a condition, a value or the end of objects. Rollouts have a verb of their own.

Upstream: kubectl/pkg/cmd/wait.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from kubectl.builder import Target, Wanted, targets
from kubectl.command import ALL, ALL_NAMESPACES, FIELD_SELECTOR, FILES, PRINT_FLAGS, SELECTOR, Command
from kubectl.flags import Args, seconds, text
from kubectl.printers import jsonpath
from kubectl.problems import CliError
from kubectl.session import Session
from kubectl.waiting import until
from kubectl.writes import Results
from machinery.api import errors, meta
from machinery.api.codec import Json

Check = Callable[[Json], bool]
_WEEK: Final = 7 * 24 * 3600.0


async def run(session: Session, args: Args) -> int | None:
    """Wait for each object in turn; the timeout is for all together."""
    wanted = args.text("for")
    limit = args.seconds("timeout")
    deadline = time.monotonic() + (limit if limit >= 0 else _WEEK)
    check = None if wanted.lower() in ("delete", "create") else check_of(wanted)
    if wanted.lower() == "create":
        await _until_there(session, args, deadline)
        check = _is_there
    results = Results(session)
    found = await _found(session, args, for_delete=check is None)
    for target in found:
        await _wait(session, target, check, None if limit == 0 else deadline)
        results.say(target, "condition met")
    results.finish()
    return None


def check_of(wanted: str) -> Check:
    """What `condition=Ready`, `condition=Ready=false` and `jsonpath={.x}=y` ask of an object; raises CliError."""
    kind, _, rest = wanted.partition("=")
    if kind.lower() == "condition" and rest:
        type_, _, status = rest.partition("=")
        return lambda obj: _has_condition(obj, type_, status or "true")
    if kind.lower() == "jsonpath" and rest:
        return _jsonpath_check(rest)
    raise CliError(f'unrecognized condition: "{wanted}"')


def _has_condition(obj: Json, type_: str, status: str) -> bool:
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if str(condition.get("type", "")).lower() == type_.lower():
            observed = condition.get("observedGeneration", (obj.get("status") or {}).get("observedGeneration"))
            if observed is not None and observed < meta.generation_of(obj):
                return False  # the status is of an older spec
            return str(condition.get("status", "")).lower() == status.lower()
    return False


def _jsonpath_check(rest: str) -> Check:
    expression, value = rest, ""
    if "}" in rest:
        end = rest.rindex("}") + 1
        expression, value = rest[:end], rest[end:]
    else:
        expression, equals, tail = rest.rpartition("=") if "=" in rest else (rest, "", "")
        value = equals + tail
    if value and not value.startswith("="):
        raise CliError(
            "jsonpath wait format must be --for=jsonpath='{.status.readyReplicas}'=3 or "
            "--for=jsonpath='{.status.readyReplicas}'"
        )
    if value == "=":
        raise CliError(
            "jsonpath wait has to have a value after equal sign, like --for=jsonpath='{.status.readyReplicas}'=3"
        )
    try:
        path = jsonpath.relaxed(expression)
    except jsonpath.PathError as problem:
        raise CliError(str(problem)) from problem
    wanted = value[1:].strip("'\"")

    def check(obj: Json) -> bool:
        found = path.find(obj)
        return bool(found) and (not wanted or _only_scalar(found) == wanted)

    return check


def _only_scalar(found: list[Any]) -> str:
    if len(found) > 1:
        raise CliError("given jsonpath expression matches more than one value")
    if isinstance(found[0], dict | list):
        raise CliError("jsonpath leads to a nested object or list, which cannot be compared to a string value")
    return jsonpath.shown(found[0])


def _is_there(obj: Json) -> bool:
    return True


async def _until_there(session: Session, args: Args, deadline: float) -> None:
    wanted = Wanted.of(args)
    while not await _exist(session, args, wanted):
        if time.monotonic() >= deadline:
            raise CliError("timed out waiting for the condition")
        await asyncio.sleep(0.5)  # what is not there by a selector cannot be watched by its name


async def _exist(session: Session, args: Args, wanted: Wanted) -> bool:
    found = await targets(session, args.words, wanted)
    try:
        for target in found:
            await session.call("GET", target.path)
    except errors.NotFound:
        return False
    return bool(found)


async def _found(session: Session, args: Args, *, for_delete: bool) -> list[Target]:
    found: list[Target] = []
    for target in await targets(session, args.words, Wanted.of(args)):
        try:
            await session.call("GET", target.path)
        except errors.NotFound:
            if not for_delete:
                raise
        else:
            found.append(target)
    if not found and not for_delete:
        raise CliError("no matching resources found")
    return found


async def _wait(session: Session, target: Target, check: Check | None, deadline: float | None) -> None:
    where = f"{target.kind.plural}/{target.name}"

    def holds(state: Json | None) -> bool:
        if state is None:
            if check is not None:
                raise errors.not_found(target.kind, target.name)
            return True
        return check is not None and check(state)

    if deadline is None:
        if not holds(await until(session, target, lambda _: True)):
            raise CliError(f"condition not met for {where}")
        return
    try:
        async with asyncio.timeout(max(0.0, (deadline or 0.0) - time.monotonic())):
            await until(session, target, holds)
    except TimeoutError as problem:
        raise CliError(f"timed out waiting for the condition on {where}") from problem


COMMAND = Command(
    "wait (TYPE NAME… | TYPE/NAME… | TYPE -l SELECTOR | -f FILE) --for=WHAT",
    "Wait for a condition of objects.",
    (
        *FILES,
        *PRINT_FLAGS,
        SELECTOR,
        FIELD_SELECTOR,
        ALL,
        ALL_NAMESPACES,
        text("for", "What to wait for: condition=Ready, jsonpath={.status.phase}=Running, delete, create."),
        seconds("timeout", "How long to wait at most; 0: look once; negative: a week.", 30.0),
    ),
    run,
)
