"""`skiff annotate`: sets and removes annotations. Labels are `label`'s.

Upstream: kubectl/pkg/cmd/annotate/annotate.go.
"""

from kubectl.builder import Target, Wanted, targets
from kubectl.command import Command, dry_run_of
from kubectl.commands.label import FLAGS, pairs_of, send
from kubectl.flags import Args, text
from kubectl.problems import CliError
from kubectl.session import Session
from kubectl.writes import Results, for_each
from machinery.api import meta


async def run(session: Session, args: Args) -> int | None:
    """Change annotations by a merge patch, for every target."""
    words, changes, removals = pairs_of(args.words, "annotation")
    if not changes and not removals and not args.on("list"):
        raise CliError("at least one annotation update is required")
    found = await targets(session, words, Wanted.of(args))
    results = Results(session, dry_run_of(args))
    await for_each(found, lambda target: _annotate(session, args, results, (target, changes, removals)))
    results.finish()
    return None


async def _annotate(
    session: Session, args: Args, results: Results, work: tuple[Target, dict[str, str], list[str]]
) -> None:
    target, changes, removals = work
    live = target.object if target.object and not target.source else await session.call("GET", target.path)
    old = dict(meta.annotations_of(live))
    if args.on("list"):
        for key, value in sorted(old.items()):
            session.print(f"{key}={value}")
        return
    if not args.on("overwrite"):
        taken = [f"'{key}' already has a value ({old[key]})" for key in changes if key in old]
        if taken:
            raise CliError(f"--overwrite is false but found the following declared annotation(s): {'; '.join(taken)}")
    answer = await send(session, args, target, {"annotations": changes | dict.fromkeys(removals)})
    results.say(target, "annotated", answer)


COMMAND = Command(
    "annotate (TYPE NAME… | TYPE/NAME… | -f FILE) KEY=VALUE… KEY-… [FLAGS]",
    "Set annotations, or remove them by a minus behind the key.",
    (*FLAGS, text("field-manager", "The name that owns the fields.", default="kubectl-annotate")),
    run,
)
