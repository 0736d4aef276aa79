"""`skiff rollout`: status, restart, history, undo, pause and resume of what rolls out. Replicas are `scale`'s.

Upstream: kubectl/pkg/cmd/rollout, kubectl/pkg/polymorphichelpers.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

from kubectl.apply.last_applied import ANNOTATION
from kubectl.builder import Target, Wanted, targets
from kubectl.command import DRY_RUN, FILES, PRINT_FLAGS, SELECTOR, TIMEOUT, Command, dry_run_of, write_params
from kubectl.describe import templates
from kubectl.flags import Args, Flag, number, switch, text
from kubectl.printers.tabwriter import TabWriter
from kubectl.problems import CliError
from kubectl.rollout_status import status_of
from kubectl.session import Session
from kubectl.waiting import until
from kubectl.writes import Results, for_each
from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.selectors import LabelSelector
from machinery.client.rest import JSON_PATCH, STRATEGIC_PATCH

_RESTARTED: Final = "kubectl.kubernetes.io/restartedAt"
_CHANGE_CAUSE: Final = "kubernetes.io/change-cause"
_REVISION: Final = "deployment.kubernetes.io/revision"
_OWN_ANNOTATIONS: Final = (  # the Deployment's own: they do not come back with an old ReplicaSet's
    ANNOTATION,
    _REVISION,
    "deployment.kubernetes.io/revision-history",
    "deployment.kubernetes.io/desired-replicas",
    "deployment.kubernetes.io/max-replicas",
    "deprecated.deployment.rollback.to",
)
_HASH: Final = "pod-template-hash"


async def status(session: Session, args: Args) -> int | None:
    """Show how the rollout goes until it is done; raises CliError when it cannot be."""
    wanted = Wanted.of(args, everything=True)
    for target in await targets(session, args.words, wanted):
        live = await session.call("GET", target.path)
        _show_status(session, args, target, live)
        if args.on("watch"):
            await _watch_status(session, args, target)
    return None


async def _watch_status(session: Session, args: Args, target: Target) -> None:
    first = True

    def done(state: Json | None) -> bool:
        nonlocal first
        if state is None:
            raise CliError("object has been deleted")
        shown, first = first, False
        return status_of(state, args.number("revision"))[1] if shown else _show_status(session, args, target, state)

    try:
        async with asyncio.timeout(args.seconds("timeout") or None):
            await until(session, target, done)
    except TimeoutError as problem:
        raise CliError("timed out waiting for the condition") from problem


def _show_status(session: Session, args: Args, target: Target, live: Json) -> bool:
    message, done = status_of(live | {"kind": target.kind.kind}, args.number("revision"))
    session.write(message)
    return done


async def restart(session: Session, args: Args) -> int | None:
    """Give the pod template a new annotation: the controller replaces the pods by its strategy."""
    now = datetime.now().astimezone().isoformat(timespec="seconds").replace("+00:00", "Z")

    async def one(target: Target) -> Json:
        live = await session.call("GET", target.path)
        if (live.get("spec") or {}).get("paused"):
            raise CliError(
                f'{target.kind.resource} "{target.name}" can\'t restart paused deployment (run rollout resume first)'
            )
        patch = {"spec": {"template": {"metadata": {"annotations": {_RESTARTED: now}}}}}
        return await _patch(session, args, target, patch)

    return await _each(session, args, "restarted", one)


async def pause(session: Session, args: Args) -> int | None:
    """Changes of the template wait until `resume`."""
    return await _each(session, args, "paused", lambda target: _set_paused(session, args, target, True))


async def resume(session: Session, args: Args) -> int | None:
    """Let a paused rollout go on."""
    return await _each(session, args, "resumed", lambda target: _set_paused(session, args, target, False))


async def _set_paused(session: Session, args: Args, target: Target, paused: bool) -> Json:
    if target.kind.kind != "Deployment":
        verb = "pausing" if paused else "resuming"
        raise CliError(f'{target.kind.resource} "{target.name}" {verb} is not supported')
    live = await session.call("GET", target.path)
    if bool((live.get("spec") or {}).get("paused")) == paused:
        state = "is already paused" if paused else "is not paused"
        raise CliError(f'{target.kind.resource} "{target.name}" {state}')
    return await _patch(session, args, target, {"spec": {"paused": True if paused else None}})


async def _patch(session: Session, args: Args, target: Target, patch: Json) -> Json:
    dry_run = dry_run_of(args) if "dry-run" in args.values else "none"
    if dry_run == "client":
        return await session.call("GET", target.path)
    params = write_params(args, dry_run, "kubectl-rollout")
    return await session.call("PATCH", target.path, patch, params=params, headers={"content-type": STRATEGIC_PATCH})


async def _each(session: Session, args: Args, said: str, work: Callable[[Target], Awaitable[Json]]) -> int | None:
    found = await targets(session, args.words, Wanted.of(args, everything=True))
    results = Results(session, dry_run_of(args) if "dry-run" in args.values else "none")

    async def one(target: Target) -> None:
        results.say(target, said, await work(target))

    await for_each(found, one)
    results.finish()
    return None


# --- history ---------------------------------------------------------------------------------------------------------


async def history(session: Session, args: Args) -> int | None:
    """List revisions, or show the pod template of one."""
    revision = args.number("revision")
    for target in await targets(session, args.words, Wanted.of(args, everything=True)):
        revisions = await _revisions(session, target)
        if not revisions:
            text_ = "No rollout history found."
        elif revision:
            if revision not in revisions:
                raise CliError("unable to find the specified revision")
            text_ = templates.template_text(_template_of(revisions[revision]))
        else:
            rows = [f"{number_}\t{_cause(obj)}" for number_, obj in sorted(revisions.items())]
            text_ = TabWriter(padding=2).layout("\n".join(["REVISION\tCHANGE-CAUSE", *rows, ""]))
        suffix = f"with revision #{revision}" if revision else ""
        session.write(f"{target.title} {suffix}\n{text_}\n")
    return None


def _cause(obj: Json) -> str:
    return meta.annotations_of(obj).get(_CHANGE_CAUSE) or "<none>"


async def _revisions(session: Session, target: Target) -> dict[int, Json]:
    """Revision → the ReplicaSet or ControllerRevision that remembers it."""
    live = await session.call("GET", target.path)
    kind = kinds.REPLICA_SETS if target.kind.kind == "Deployment" else kinds.CONTROLLER_REVISIONS
    selector = str(LabelSelector.from_dict((live.get("spec") or {}).get("selector") or {}))
    answer = await session.call("GET", kind.path(target.namespace), params={"labelSelector": selector})
    owned = [item for item in answer.get("items") or () if meta.is_controlled_by(item, live)]
    numbered = {_number(item): item for item in owned}
    return {number_: item for number_, item in numbered.items() if number_}


def _number(item: Json) -> int:
    return int(item.get("revision") or meta.annotations_of(item).get(_REVISION) or 0)


def _template_of(obj: Json) -> Json:
    holder = obj.get("data") or obj
    template: Json = (holder.get("spec") or {}).get("template") or {}
    cause = meta.annotations_of(obj).get(_CHANGE_CAUSE)
    if not cause:
        return template
    metadata = meta.metadata_of(template)
    annotations = dict(metadata.get("annotations") or {}) | {_CHANGE_CAUSE: cause}
    return template | {"metadata": metadata | {"annotations": annotations}}


async def undo(session: Session, args: Args) -> int | None:
    """Go back to the revision before, or to a named one."""
    for target in await targets(session, args.words, Wanted.of(args, everything=True)):
        session.write(f"{target.title} {await _undo(session, args, target)}\n")
    return None


async def _undo(session: Session, args: Args, target: Target) -> str:
    wanted, dry_run = args.number("to-revision"), dry_run_of(args)
    revisions = await _revisions(session, target)
    chosen = _chosen_revision(target, revisions, wanted)
    live = await session.call("GET", target.path)
    if (live.get("spec") or {}).get("paused"):
        raise CliError(
            "you cannot rollback a paused deployment; resume it first with 'kubectl rollout resume' and try again"
        )
    template = _without_hash((chosen.get("data") or chosen)["spec"]["template"])
    if template == _without_hash(live["spec"]["template"]):
        return f"skipped rollback (current template already matches revision {wanted})"
    if dry_run == "client":
        return templates.template_text(template)
    patch: list[Json] = [{"op": "replace", "path": "/spec/template", "value": template}]
    if target.kind.kind == "Deployment":
        patch.append({"op": "replace", "path": "/metadata/annotations", "value": _annotations(live, chosen)})
    params = write_params(args, dry_run, "kubectl-rollout")
    await session.call("PATCH", target.path, patch, params=params, headers={"content-type": JSON_PATCH})
    return "rolled back" + (" (server dry run)" if dry_run == "server" else "")


def _chosen_revision(target: Target, revisions: dict[int, Json], wanted: int) -> Json:
    if wanted:
        if wanted not in revisions:
            raise CliError(f"unable to find specified revision {wanted} in history")
        return revisions[wanted]
    if len(revisions) < 2:
        raise CliError(f'no rollout history found for {target.kind.kind.lower()} "{target.name}"')
    return revisions[sorted(revisions)[-2]]


def _without_hash(template: Json) -> Json:
    labels = {key: value for key, value in meta.labels_of(template).items() if key != _HASH}
    return template | {"metadata": meta.metadata_of(template) | {"labels": labels}}


def _annotations(live: Json, chosen: Json) -> Json:
    kept = {key: value for key, value in meta.annotations_of(live).items() if key in _OWN_ANNOTATIONS}
    back = {key: value for key, value in meta.annotations_of(chosen).items() if key not in _OWN_ANNOTATIONS}
    return kept | back


def _command(name: str, help_: str, run: Callable[[Session, Args], Awaitable[int | None]], *flags: Flag) -> Command:
    usage = f"rollout {name} (TYPE NAME | TYPE/NAME | -f FILE) [FLAGS]"
    manager = text("field-manager", "The name that owns the fields.", default="kubectl-rollout")
    return replace(Command(usage, help_, (*FILES, *PRINT_FLAGS, SELECTOR, manager, *flags)), run=run)


COMMAND = Command(
    "rollout (status | restart | history | undo | pause | resume)",
    "Watch and steer rollouts of deployments, daemon sets and stateful sets.",
    subcommands={
        "status": _command(
            "status",
            "Show how a rollout goes until it is done.",
            status,
            switch("watch", "Go on until it is done.", "w", default=True),
            number("revision", "The rollout of this revision, or an error."),
            TIMEOUT,
        ),
        "restart": _command("restart", "Replace all pods by the strategy of the rollout.", restart),
        "history": _command("history", "List revisions.", history, number("revision", "Show this one's template.")),
        "undo": _command(
            "undo", "Go back to a revision.", undo, DRY_RUN, number("to-revision", "Which one; 0: the one before.")
        ),
        "pause": _command("pause", "Let changes of the template wait.", pause),
        "resume": _command("resume", "Let a paused rollout go on.", resume),
    },
)
