"""`skiff patch`: sends a patch as it was given. `apply` is the verb that computes one.

Upstream: kubectl/pkg/cmd/patch/patch.go.
"""

from pathlib import Path
from typing import Any, Final

import yaml

from kubectl.builder import Target, Wanted, targets
from kubectl.command import DRY_RUN, FILES, PRINT_FLAGS, Command, dry_run_of, write_params
from kubectl.commands.apply import shape_of
from kubectl.flags import Args, text
from kubectl.go_yaml import Loader
from kubectl.problems import CliError
from kubectl.session import Session
from kubectl.writes import Results, for_each
from machinery.api import patch as patches
from machinery.api.codec import Json
from machinery.client.rest import JSON_PATCH, MERGE_PATCH, STRATEGIC_PATCH

_TYPES: Final = {"json": JSON_PATCH, "merge": MERGE_PATCH, "strategic": STRATEGIC_PATCH}


async def run(session: Session, args: Args) -> int | None:
    """Patch every target."""
    type_ = args.text("type").lower()
    if type_ not in _TYPES:
        raise CliError(f"--type must be one of [json merge strategic], not {args.text('type')!r}".replace("'", '"'))
    body = _body(args)
    found = await targets(session, args.words, Wanted.of(args))
    if not found:
        raise CliError("no objects passed to patch")
    results = Results(session, dry_run_of(args))
    await for_each(found, lambda target: _patch(session, args, results, (target, body)))
    results.finish()
    return None


def _body(args: Args) -> Any:
    given, file = args.text("patch"), args.text("patch-file")
    if not given and not file:
        raise CliError("must specify --patch or --patch-file containing the contents of the patch")
    if given and file:
        raise CliError("cannot specify --patch and --patch-file together")
    try:
        return yaml.load(given or Path(file).read_text(), Loader=Loader)
    except (OSError, yaml.YAMLError) as problem:
        raise CliError(f"unable to parse {given or file!r}: {problem}") from problem


async def _patch(session: Session, args: Args, results: Results, work: tuple[Target, Any]) -> None:
    target, body = work
    before = await session.call("GET", target.path)
    if dry_run_of(args) == "client":
        after = _patched(args, target, before, body)
    else:
        path = target.kind.path(target.namespace, target.name, args.text("subresource"))
        params = write_params(args, dry_run_of(args), "kubectl-patch")
        headers = {"content-type": _TYPES[args.text("type").lower()]}
        after = await session.call("PATCH", path, body, params=params, headers=headers)
    results.say(target, "patched" if after != before else "patched (no change)", after)


def _patched(args: Args, target: Target, before: Json, body: Any) -> Json:
    try:
        match args.text("type").lower():
            case "json":
                return patches.json_patch(before, body)
            case "merge":
                return patches.merge_patch(before, body)
    except patches.PatchError as problem:
        raise CliError(str(problem)) from problem
    shape = shape_of(target.kind)
    if shape is None:
        raise CliError("strategic merge patch is not supported for this kind: use --type=merge")
    return patches.strategic_merge_patch(before, body, shape)


COMMAND = Command(
    "patch (TYPE NAME | TYPE/NAME | -f FILE) (-p PATCH | --patch-file FILE) [FLAGS]",
    "Change fields by a patch.",
    (
        *FILES,
        *PRINT_FLAGS,
        DRY_RUN,
        text("patch", "The patch, as JSON or YAML.", "p"),
        text("patch-file", "A file with the patch."),
        text("type", "json, merge or strategic.", default="strategic"),
        text("subresource", "Patch this subresource: status, scale."),
        text("field-manager", "The name that owns the fields.", default="kubectl-patch"),
    ),
    run,
)
