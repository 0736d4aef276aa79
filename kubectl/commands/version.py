"""`skiff version`: this tool's version and the server's."""

from importlib import metadata
from typing import Final

from kubectl.command import Command
from kubectl.flags import Args, switch, text
from kubectl.printers.json_text import to_json
from kubectl.problems import CliError
from kubectl.session import Session
from machinery.api.codec import Json

KUBERNETES: Final = "v1.37.0"


def own_version() -> Json:
    """The version of this tool, in the form the server's has."""
    try:
        own = metadata.version("skiff")
    except metadata.PackageNotFoundError:
        own = "0.0.0"  # run from a checkout that was never installed
    return {"major": "1", "minor": "37", "gitVersion": f"{KUBERNETES}+skiff.{own}"}


async def run(session: Session, args: Args) -> int | None:
    """Print the versions; exit code 1 when the server was wanted and could not be asked."""
    if args.text("output") not in ("", "json", "yaml"):
        raise CliError("--output must be 'yaml' or 'json'")
    versions: Json = {"clientVersion": own_version()}
    problem: Exception | None = None
    if not args.on("client"):
        try:
            versions["serverVersion"] = await session.call("GET", "/version")
        except CliError as unreachable:
            problem = unreachable
    _show(session, args.text("output"), versions)
    if problem:
        raise problem
    return None


def _show(session: Session, output: str, versions: Json) -> None:
    if output == "json":
        session.print(to_json(versions, indent=2))
    elif output == "yaml":
        for section, version in versions.items():
            session.print(f"{section}:")
            for field, value in sorted(version.items()):
                session.print(f'  {field}: "{value}"')
    else:
        session.print(f"Client Version: {versions['clientVersion']['gitVersion']}")
        if "serverVersion" in versions:
            session.print(f"Server Version: {versions['serverVersion'].get('gitVersion', '')}")


COMMAND = Command(
    "version [--client] [-o json|yaml]",
    "Show the versions of this tool and of the server.",
    (switch("client", "Only this tool's version."), text("output", "json or yaml.", "o")),
    run,
)
