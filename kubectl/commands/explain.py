"""`skiff explain`: what the fields of a kind are, as the server documents them.

Upstream: kubectl/pkg/cmd/explain/explain.go.
"""

from kubectl.command import Command
from kubectl.flags import Args, switch, text
from kubectl.problems import CliError
from kubectl.schema_text import Document, explain, header
from kubectl.session import Session
from machinery.api.kinds import Kind


async def run(session: Session, args: Args) -> int | None:
    """Print the documentation of a kind or of one of its fields."""
    if not args.words:
        raise CliError(
            'You must specify the type of resource to explain. Use "skiff api-resources" for a complete list of '
            "supported resources."
        )
    if len(args.words) > 1:
        raise CliError("We accept only this format: explain RESOURCE")
    kind, path = await _kind_and_path(session, args)
    document = await _document(session, kind)
    session.write(header(kind))
    session.write(explain(document, kind, path, recursive=args.on("recursive")))
    return None


async def _kind_and_path(session: Session, args: Args) -> tuple[Kind, list[str]]:
    word, *path = args.words[0].rstrip(".").split(".")
    discovery = await session.discovery()
    try:
        kind = discovery.find(word).kind
    except CliError as problem:
        raise CliError(str(problem), bare=True) from problem
    if version := args.text("api-version"):
        resource = discovery.of_kind(version, kind.kind)
        if resource is None:
            raise CliError(f'couldn\'t find resource for "{version}, Kind={kind.kind}"')
        kind = resource.kind
    return kind, path


async def _document(session: Session, kind: Kind) -> Document:
    root = await session.call("GET", "/openapi/v3")
    place = f"apis/{kind.api_version}" if kind.group else f"api/{kind.version}"
    entry = (root.get("paths") or {}).get(place)
    if entry is None:
        raise CliError(f"couldn't find the documentation of {kind.api_version} on the server")
    document = await session.call("GET", entry["serverRelativeURL"])
    return Document((document.get("components") or {}).get("schemas") or {})


COMMAND = Command(
    "explain TYPE[.FIELD…] [--recursive] [--api-version=V]",
    "Show what the fields of a kind are.",
    (
        switch("recursive", "All fields with their fields, without descriptions."),
        text("api-version", "Of this version: apps/v1."),
        text("output", "Accepted for compatibility.", "o", "plaintext"),
    ),
    run,
)
