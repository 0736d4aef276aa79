"""`skiff apply`: makes objects be as files say, by a patch computed here, or by the server (--server-side).

Upstream: kubectl/pkg/cmd/apply/apply.go and patcher.go.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from kubectl.apply import last_applied
from kubectl.apply.three_way import NoMergeKey, create_patch
from kubectl.builder import Target, Wanted, from_files
from kubectl.command import DRY_RUN, FILES, PRINT_FLAGS, SELECTOR, TIMEOUT, Command, dry_run_of
from kubectl.flags import Args, number, switch, text
from kubectl.printers.json_text import to_json
from kubectl.problems import CliError, Sourced
from kubectl.session import Session
from kubectl.waiting import until_gone
from kubectl.writes import Results, for_each, validation_of
from machinery.api import codec, errors, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.patch import merge_patch, strategic_merge_patch
from machinery.api.schema import definition_of, shape_named
from machinery.api.schema_walk import Shape
from machinery.api.selectors import LabelSelector
from machinery.client.rest import APPLY_PATCH, MERGE_PATCH, STRATEGIC_PATCH

_TRIES: Final = 5
_MISSING: Final = (
    "Warning: resource {name} is missing the {annotation} annotation which is required by kubectl apply. kubectl apply "
    "should only be used on resources created declaratively by either kubectl create --save-config or kubectl apply. "
    "The missing annotation will be patched automatically."
)


@dataclass(frozen=True, slots=True)
class Options:
    """The flags, read once."""

    dry_run: str
    params: dict[str, str]
    server_side: bool
    force: bool
    force_conflicts: bool
    grace_period: int
    timeout: float


async def run(session: Session, args: Args) -> int | None:
    """Apply every object of the files, in their order."""
    options = _options(args)
    wanted = Wanted.of(args)
    if args.words:
        raise CliError(
            f"Unexpected args: [{' '.join(args.words)}]\nSee 'skiff apply -h' for help and examples", bare=True
        )
    if not wanted.files:
        raise CliError("must specify one of -f and -k")
    targets = [target for target in await from_files(session, wanted) if _selected(target, wanted.label_selector)]
    if not targets:
        raise CliError("no objects passed to apply")
    results = Results(session, options.dry_run)
    applier = _Applier(session, options, results)
    try:
        await for_each(targets, applier.server_side if options.server_side else applier.client_side)
    finally:
        results.finish()
    return None


def _options(args: Args) -> Options:
    dry_run = dry_run_of(args)
    server_side = args.on("server-side")
    if server_side and dry_run == "client":
        raise CliError("--dry-run=client doesn't work with --server-side (did you mean --dry-run=server instead?)")
    if args.on("force-conflicts") and not server_side:
        raise CliError("--force-conflicts only works with --server-side")
    if args.on("force") and server_side:
        raise CliError("--force cannot be used with --server-side")
    manager = args.text("field-manager") or ("kubectl" if server_side else "kubectl-client-side-apply")
    params = {"fieldManager": manager, "fieldValidation": validation_of(args.text("validate"))}
    if dry_run == "server":
        params["dryRun"] = "All"
    return Options(
        dry_run,
        params,
        server_side,
        args.on("force"),
        args.on("force-conflicts"),
        args.number("grace-period"),
        args.seconds("timeout"),
    )


def _selected(target: Target, selector: str) -> bool:
    return not selector or LabelSelector.parse(selector).matches(meta.labels_of(target.object or {}))


def shape_of(kind: Kind) -> Shape | None:
    """The shape of a built-in kind; None for kinds whose lists nobody told us how to merge."""
    try:
        return shape_named(definition_of(kind))
    except KeyError:
        return None


class _Applier:
    def __init__(self, session: Session, options: Options, results: Results) -> None:
        self._session, self._options, self._results = session, options, results

    # --- by the server ------------------------------------------------------------------------------------------------

    async def server_side(self, target: Target) -> None:
        """PATCH the whole object: the server merges by field ownership."""
        params = self._options.params | {"force": "true" if self._options.force_conflicts else "false"}
        body = codec.dumps(target.object)
        try:
            answer = await self._session.call(
                "PATCH", target.path, body, params=params, headers={"content-type": APPLY_PATCH}
            )
        except errors.Conflict as problem:
            hint = "Run again with --force-conflicts to take these fields over, or leave them out of the file."
            raise CliError(f"{problem.message}\n{hint}") from problem
        self._results.say(target, "serverside-applied", answer)

    # --- by us --------------------------------------------------------------------------------------------------------

    async def client_side(self, target: Target) -> None:
        """Create the object, or patch it to what the file says."""
        if not target.name:
            raise CliError(
                f"error when retrieving current configuration of:\n{_described(target)}\nfrom server for: "
                f'"{target.source}": resource name may not be empty'
            )
        modified = last_applied.with_annotation(target.object or {})
        try:
            current = await self._session.call("GET", target.path)
        except errors.NotFound:
            await self._create(target, modified)
            return
        if last_applied.original_of(current) is None:
            name = f"{target.kind.plural}/{target.name}"
            self._session.warn(_MISSING.format(name=name, annotation=last_applied.ANNOTATION))
        await self._patch(target, modified, current)

    async def _create(self, target: Target, modified: Json) -> None:
        if self._options.dry_run == "client":
            self._results.say(target, "created", modified)
            return
        path = target.kind.path(target.namespace)
        try:
            created = await self._session.call("POST", path, modified, params=self._options.params)
        except errors.StatusError as problem:
            raise Sourced(problem, "creating", target.source) from problem
        self._results.say(target, "created", created)

    async def _patch(self, target: Target, modified: Json, current: Json) -> None:
        for attempt in range(1, _TRIES + 1):
            patch, shape = _patch_for(target, modified, current)
            if not patch:
                self._results.say(target, "unchanged", current)
                return
            if self._options.dry_run == "client":
                self._results.say(target, "configured", _patched(current, patch, shape))
                return
            try:
                answer = await self._send(target, patch, shape)
            except errors.Conflict as problem:
                if attempt == _TRIES:
                    await self._give_up_or_replace(target, modified, problem, patch)
                    return
                current = await self._session.call("GET", target.path)
            except errors.Invalid as problem:
                await self._give_up_or_replace(target, modified, problem, patch)
                return
            except errors.StatusError as problem:
                raise _patch_problem(target, problem, patch) from problem
            else:
                self._results.say(target, "configured", answer)
                return

    async def _send(self, target: Target, patch: Json, shape: Shape | None) -> Json:
        content_type = STRATEGIC_PATCH if shape else MERGE_PATCH
        headers = {"content-type": content_type}
        return await self._session.call("PATCH", target.path, patch, params=self._options.params, headers=headers)

    async def _give_up_or_replace(
        self, target: Target, modified: Json, problem: errors.StatusError, patch: Json
    ) -> None:
        """--force: what cannot be patched is deleted and made anew."""
        if not self._options.force:
            raise _patch_problem(target, problem, patch) from problem
        grace = self._options.grace_period
        body: Json = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if grace >= 0:
            body["gracePeriodSeconds"] = grace
        await self._session.call("DELETE", target.path, body)
        async with asyncio.timeout(self._options.timeout or None):
            await until_gone(self._session, target)
        created = await self._session.call(
            "POST", target.kind.path(target.namespace), modified, params=self._options.params
        )
        self._results.say(target, "configured", created)


def _patch_for(target: Target, modified: Json, current: Json) -> tuple[Json, Shape | None]:
    shape = shape_of(target.kind)
    try:
        original = last_applied.original_of(current) or {}
        return create_patch(original, modified, current, shape), shape
    except (NoMergeKey, ValueError) as problem:
        raise CliError(f"creating patch for {_described(target)}: {problem}") from problem


def _patched(current: Json, patch: Json, shape: Shape | None) -> Json:
    return strategic_merge_patch(current, patch, shape) if shape else merge_patch(current, patch)


def _patch_problem(target: Target, problem: errors.StatusError, patch: Json) -> Sourced:
    verb = f"applying patch:\n{to_json(patch, indent=None)}\nto:\n{_described(target)}\nfor:"
    return Sourced(problem, verb, target.source)


def _described(target: Target) -> str:
    kind = target.kind
    version = kind.api_version if kind.group else f"/{kind.version}"
    return (
        f'Resource: "{version}, Resource={kind.plural}", GroupVersionKind: "{version}, Kind={kind.kind}"\n'
        f'Name: "{target.name}", Namespace: "{target.namespace}"'
    )


COMMAND = Command(
    "apply -f (FILE | FOLDER | URL | -) [FLAGS]",
    "Make objects be as files say: create what is not there, change what is different, leave to others what is theirs.",
    (
        *FILES,
        *PRINT_FLAGS,
        SELECTOR,
        DRY_RUN,
        TIMEOUT,
        switch("server-side", "Let the server merge, by ownership of fields."),
        switch("force-conflicts", "With --server-side: take over fields that others own."),
        switch("force", "Delete and create again what cannot be changed."),
        number("grace-period", "With --force: seconds the old object has to end.", -1),
        text(
            "validate",
            "What the server does with unknown fields: strict, warn, ignore.",
            default="strict",
            bare="strict",
        ),
        text("field-manager", "The name that owns the fields."),
        switch("overwrite", "Accepted for compatibility.", default=True),
        switch("openapi-patch", "Accepted for compatibility.", default=True),
        switch("wait", "Accepted for compatibility."),
    ),
    run,
)
