"""`skiff scale`: sets replicas through the scale subresource, whatever the kind. Waiting for pods is `rollout`'s.

Upstream: kubectl/pkg/scale/scale.go.
"""

import asyncio
from dataclasses import replace

from kubectl.builder import Target, Wanted, targets
from kubectl.command import ALL, DRY_RUN, FILES, PRINT_FLAGS, RESOURCE_VERSION, SELECTOR, TIMEOUT, Command, dry_run_of
from kubectl.flags import Args, number
from kubectl.problems import CliError
from kubectl.session import Session
from kubectl.waiting import until
from kubectl.writes import Results, for_each
from machinery.api import meta
from machinery.api.codec import Json
from machinery.client.rest import MERGE_PATCH


async def run(session: Session, args: Args) -> int | None:
    """Scale every target; raises CliError when a precondition does not hold."""
    if not args.given("replicas"):
        raise CliError('required flag(s) "replicas" not set')
    if args.number("replicas") < 0:
        raise CliError("The --replicas=COUNT flag is required, and COUNT must be greater than or equal to 0")
    found = await targets(session, args.words, Wanted.of(args))
    if not found:
        raise CliError("no objects passed to scale")
    if args.text("resource-version") and len(found) > 1:
        raise CliError("cannot use --resource-version with multiple resources")
    results = Results(session, dry_run_of(args))
    await for_each(found, lambda target: _scale(session, args, results, target))
    results.finish()
    return None


async def _scale(session: Session, args: Args, results: Results, target: Target) -> None:
    dry_run, replicas = dry_run_of(args), args.number("replicas")
    live = await session.call("GET", target.path)
    if dry_run != "client":
        await _check(session, args, target)
        path = target.kind.path(target.namespace, target.name, "scale")
        params = {"dryRun": "All"} if dry_run == "server" else {}
        patch: Json = {"spec": {"replicas": replicas}}
        if version := args.text("resource-version"):
            patch["metadata"] = {"resourceVersion": version}
        await session.call("PATCH", path, patch, params=params, headers={"content-type": MERGE_PATCH})
        if args.seconds("timeout") and dry_run == "none":
            await _wait(session, args, target)
    scaled = live | {"spec": (live.get("spec") or {}) | {"replicas": replicas}}
    results.say(replace(target, object=scaled), "scaled", scaled)


async def _check(session: Session, args: Args, target: Target) -> None:
    wanted = args.number("current-replicas")
    if wanted < 0:
        return
    scale = await session.call("GET", target.kind.path(target.namespace, target.name, "scale"))
    actual = (scale.get("spec") or {}).get("replicas") or 0
    if actual != wanted:
        raise CliError(f"Expected replicas to be {wanted}, was {actual}")
    if args.text("resource-version") not in ("", meta.resource_version_of(scale)):
        version = meta.resource_version_of(scale)
        raise CliError(f"Expected resource version to be {args.text('resource-version')}, was {version}")


async def _wait(session: Session, args: Args, target: Target) -> None:
    wanted = args.number("replicas")

    def reached(obj: Json | None) -> bool:
        status = (obj or {}).get("status") or {}
        seen = (status.get("observedGeneration") or 0) >= meta.generation_of(obj or {})
        return seen and (status.get("replicas") or 0) == wanted

    try:
        async with asyncio.timeout(args.seconds("timeout")):
            await until(session, target, reached)
    except TimeoutError as problem:
        raise CliError(f'timed out waiting for "{target.name}" to be synced') from problem


COMMAND = Command(
    "scale (TYPE NAME… | TYPE/NAME… | -f FILE) --replicas=COUNT [FLAGS]",
    "Set the number of replicas.",
    (
        *FILES,
        *PRINT_FLAGS,
        SELECTOR,
        ALL,
        DRY_RUN,
        TIMEOUT,
        RESOURCE_VERSION,
        number("replicas", "How many there shall be.", 0),
        number("current-replicas", "Only if there are so many now.", -1),
    ),
    run,
)
