"""`skiff label`: sets and removes labels. Annotations are `annotate`'s.

Upstream: kubectl/pkg/cmd/label/label.go.
"""

from kubectl.builder import Target, Wanted, targets
from kubectl.command import (
    ALL,
    ALL_NAMESPACES,
    DRY_RUN,
    FIELD_SELECTOR,
    FILES,
    PRINT_FLAGS,
    RESOURCE_VERSION,
    SELECTOR,
    Command,
    dry_run_of,
    write_params,
)
from kubectl.flags import Args, switch, text
from kubectl.problems import CliError
from kubectl.session import Session
from kubectl.writes import Results, for_each
from machinery.api import meta
from machinery.api.codec import Json
from machinery.api.names import is_label_value
from machinery.client.rest import MERGE_PATCH


def pairs_of(words: list[str], what: str) -> tuple[list[str], dict[str, str], list[str]]:
    """Words apart: those that name objects, `key=value` pairs, and keys to remove (`key-`); raises CliError."""
    is_pair = [("=" in word and not word.startswith("=")) or (word.endswith("-") and word != "-") for word in words]
    first = is_pair.index(True) if True in is_pair else len(words)
    if not all(is_pair[first:]):
        raise CliError(f"all resources must be specified before {what} changes: {words[is_pair.index(False, first)]}")
    pairs = [word.partition("=") for word in words[first:]]
    changes = {key: value for key, equals, value in pairs if equals}
    removals = [key[:-1] for key, equals, _ in pairs if not equals]
    if both := changes.keys() & set(removals):
        raise CliError(
            f"can not both modify and remove the {what} for the same key {sorted(both)[0]!r}".replace("'", '"')
        )
    return words[:first], changes, removals


async def run(session: Session, args: Args) -> int | None:
    """Change labels by a merge patch, for every target."""
    words, changes, removals = pairs_of(args.words, "label")
    for key, value in changes.items():
        if problems := is_label_value(value):
            raise CliError(f'invalid label value: "{key}={value}": {"; ".join(problems)}')
    if not changes and not removals and not args.on("list"):
        raise CliError("at least one label update is required")
    found = await targets(session, words, Wanted.of(args))
    results = Results(session, dry_run_of(args))
    await for_each(found, lambda target: _label(session, args, results, (target, changes, removals)))
    results.finish()
    return None


async def _label(
    session: Session, args: Args, results: Results, work: tuple[Target, dict[str, str], list[str]]
) -> None:
    target, changes, removals = work
    live = target.object if target.object and not target.source else await session.call("GET", target.path)
    old = dict(meta.labels_of(live))
    if args.on("list"):
        for key, value in sorted(old.items()):
            session.print(f"{key}={value}")
        return
    for key, value in changes.items():
        if not args.on("overwrite") and old.get(key, value) != value:
            raise CliError(f"'{key}' already has a value ({old[key]}), and --overwrite is false")
    for key in removals:
        if key not in old:
            session.warn(f'label "{key}" not found.')
    new = {key: value for key, value in (old | changes).items() if key not in removals}
    said = "not labeled"
    if new != old:
        said = "unlabeled" if not args.on("overwrite") and len(new) < len(old) else "labeled"
        live = await send(session, args, target, {"labels": changes | dict.fromkeys(removals)})
    results.say(target, said, live)


async def send(session: Session, args: Args, target: Target, metadata: Json) -> Json:
    """Merge a change of metadata into the object, unless the dry run is the client's."""
    dry_run = dry_run_of(args)
    if version := args.text("resource-version"):
        metadata = metadata | {"resourceVersion": version}
    if dry_run == "client":
        return await session.call("GET", target.path)
    params = write_params(args, dry_run, "kubectl-label")
    body = {"metadata": metadata}
    return await session.call("PATCH", target.path, body, params=params, headers={"content-type": MERGE_PATCH})


FLAGS = (
    *FILES,
    *PRINT_FLAGS,
    SELECTOR,
    FIELD_SELECTOR,
    ALL,
    ALL_NAMESPACES,
    DRY_RUN,
    RESOURCE_VERSION,
    switch("overwrite", "Change what is there already."),
    switch("list", "Show what there is."),
)

COMMAND = Command(
    "label (TYPE NAME… | TYPE/NAME… | -f FILE) KEY=VALUE… KEY-… [FLAGS]",
    "Set labels, or remove them by a minus behind the key.",
    (*FLAGS, text("field-manager", "The name that owns the fields.", default="kubectl-label")),
    run,
)
