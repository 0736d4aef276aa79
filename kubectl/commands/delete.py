"""`skiff delete`: by file, name, selector or all; waits until the objects are gone.

Upstream: kubectl/pkg/cmd/delete/delete.go.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from kubectl.builder import Target, Wanted, targets
from kubectl.command import (
    ALL,
    ALL_NAMESPACES,
    DRY_RUN,
    FIELD_SELECTOR,
    FILES,
    OUTPUT,
    SELECTOR,
    TIMEOUT,
    Command,
    dry_run_of,
    dry_run_suffix,
)
from kubectl.flags import Args, number, switch, text
from kubectl.problems import CliError
from kubectl.session import Session
from kubectl.waiting import until_gone
from kubectl.writes import for_each
from machinery.api import errors, meta
from machinery.api.codec import Json

_CASCADE: Final = {"background": "Background", "foreground": "Foreground", "orphan": "Orphan"}
_FORCE_WARNING: Final = (
    "Warning: Immediate deletion does not wait for confirmation that the running resource has been terminated. The "
    "resource may continue to run on the cluster indefinitely."
)


@dataclass(frozen=True, slots=True)
class Options:
    """The flags, read once; `grace` is -1 for the object's own grace period."""

    dry_run: str
    cascade: str
    grace: int
    force: bool
    ignore_not_found: bool
    output: str


async def run(session: Session, args: Args) -> int | None:
    """Delete what is named, then wait until it is gone."""
    options = _options(args)
    wanted = Wanted.of(args)
    _check(args, wanted)
    if options.force:
        session.warn(_FORCE_WARNING)
    found = await targets(session, args.words, wanted)
    if not found and not options.ignore_not_found:
        session.print("No resources found")
    waiting: list[Target] = []

    async def delete(target: Target) -> None:
        answered = await _delete(session, options, target)
        if answered is not None:
            waiting.append(answered)

    await for_each(found, delete)
    if args.on("wait") and options.dry_run == "none":
        await _wait(session, args, waiting)
    return None


def _options(args: Args) -> Options:
    cascade = args.text("cascade")
    if cascade in ("true", "false"):
        cascade = "background" if cascade == "true" else "orphan"
    if cascade not in _CASCADE:
        raise CliError(
            f'invalid cascade value ({args.text("cascade")}). Must be "background", "foreground", or "orphan"'
        )
    grace, force = args.number("grace-period"), args.on("force")
    if args.on("now"):
        if grace != -1:
            raise CliError("--now and --grace-period cannot be specified together")
        grace = 1
    if grace == 0 and not force:
        grace = 1  # to be deleted at once, but after the kubelet agreed: only --force goes without it
    if force and grace < 0:
        grace = 0
    every = args.on("all") or bool(args.text("selector")) or bool(args.text("field-selector"))
    return Options(dry_run_of(args), cascade, grace, force, args.on("ignore-not-found") or every, args.text("output"))


def _check(args: Args, wanted: Wanted) -> None:
    if args.text("output") not in ("", "name"):
        raise CliError("unexpected -o output mode: " + args.text("output") + ". We only support '-o name'")
    if args.on("all") and wanted.label_selector:
        raise CliError("setting 'all' parameter but found a non empty selector. ")
    if args.on("all") and wanted.field_selector:
        raise CliError("setting 'all' parameter but found a non empty selector. ")


async def _delete(session: Session, options: Options, target: Target) -> Target | None:
    """Ask for the deletion; what to wait for, or None."""
    body: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": _CASCADE[options.cascade]}
    if options.grace >= 0:
        body["gracePeriodSeconds"] = options.grace
    if options.dry_run == "server":
        body["dryRun"] = ["All"]
    answer: Json = {}
    if options.dry_run != "client":
        try:
            answer = await session.call("DELETE", target.path, body)
        except errors.NotFound:
            if options.ignore_not_found:
                return None
            raise
    _say(session, options, target)
    uid = meta.uid_of(answer) or str((answer.get("details") or {}).get("uid") or "")
    return Target(target.resource, target.namespace, target.name, {"metadata": {"uid": uid}})


def _say(session: Session, options: Options, target: Target) -> None:
    if options.output == "name":
        session.write(f"{target.title}\n")
        return
    verb = "force deleted" if options.grace == 0 else "deleted"
    session.write(f'{target.resource.title} "{target.name}" {verb}{dry_run_suffix(options.dry_run)}\n')


async def _wait(session: Session, args: Args, waiting: list[Target]) -> None:
    try:
        async with asyncio.timeout(args.seconds("timeout") or None):
            for target in waiting:
                await until_gone(session, target, meta.uid_of(target.object or {}))
    except errors.Forbidden:
        return  # who may delete but not watch is told of the deletion, and that is all there is
    except TimeoutError as problem:
        names = waiting[0].kind.plural + "/" + waiting[0].name
        raise CliError(f"timed out waiting for the condition on {names}") from problem


COMMAND = Command(
    "delete (TYPE NAME… | TYPE/NAME… | TYPE -l SELECTOR | TYPE --all | -f FILE) [FLAGS]",
    "Delete objects by file, name or selector, and wait until they are gone.",
    (
        *FILES,
        SELECTOR,
        FIELD_SELECTOR,
        ALL_NAMESPACES,
        ALL,
        DRY_RUN,
        TIMEOUT,
        OUTPUT,
        text(
            "cascade", "background, foreground or orphan: what happens to what it owns.", "", "background", "background"
        ),
        number("grace-period", "Seconds a pod has to end; -1: as the pod says.", -1),
        switch("now", "One second of grace."),
        switch("force", "Remove from the server at once, whatever still runs."),
        switch("wait", "Wait until the objects are gone.", default=True),
        switch("ignore-not-found", "It is no error when an object is not there."),
    ),
    run,
)
