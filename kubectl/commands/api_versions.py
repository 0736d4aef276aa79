"""`skiff api-versions`: the group-versions the server has, from discovery."""

from kubectl.command import Command
from kubectl.flags import Args
from kubectl.problems import CliError
from kubectl.session import Session


async def run(session: Session, args: Args) -> int | None:
    """Print them, sorted."""
    if args.words:
        raise CliError(f"unexpected arguments: [{' '.join(args.words)}]")
    discovery = await session.discovery()
    for version in sorted({resource.kind.api_version for resource in discovery.resources}):
        session.print(version)
    return None


COMMAND = Command("api-versions", "List the API versions the server has.", (), run)
