"""Carries plans out on the network namespace this process is in: files, routes, rules, sysctls. It decides nothing."""

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cni import plan
from machinery.aio import process
from machinery.aio.process import CommandFailed
from machinery.api import codec
from machinery.api.codec import Json

logger = logging.getLogger(__name__)

_SYSCTLS: Final = Path("/proc/sys")
_IPTABLES: Final = ("iptables", "-w", "5")
_RESTORE: Final = ("iptables-restore", "-w", "5", "--noflush")


def write_conflist(folder: Path, conflist: Json) -> bool:
    """Put the configuration in place in one step; False if it is there already. Raises OSError.

    The temporary name must not end as the runtime's pattern does: it would load half a file.
    """
    path = folder / plan.CONF_FILE
    content = codec.dumps(conflist) + b"\n"
    if path.exists() and path.read_bytes() == content:
        return False
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{plan.CONF_FILE}.new"
    temporary.write_bytes(content)
    os.replace(temporary, path)
    return True


async def load_bridge_filter() -> None:
    """Let packets on bridges pass the packet filter, where that is a module nobody has loaded yet.

    A kernel that has it built in, and one that cannot load modules at all, need nothing and get nothing.
    """
    if not (_SYSCTLS / "net/bridge").exists():
        try:
            await process.run(["modprobe", "br_netfilter"])
        except CommandFailed as problem:
            logger.warning("pods of one node may not reach each other by Services: %s", problem)


def set_sysctls(wanted: Mapping[str, int]) -> list[str]:
    """Write what differs; returns what this kernel has not, or this namespace may not write."""
    problems = []
    for name, value in wanted.items():
        path = _SYSCTLS / name
        try:
            if path.read_text().strip() != str(value):
                path.write_text(str(value))
        except OSError as problem:
            problems.append(f"sysctl {name.replace('/', '.')} stays as it is: {problem.strerror}")
    return problems


async def own_routes() -> dict[str, str]:
    """Pod network → next hop, of the routes that carry our number."""
    output = await process.run(["ip", "-json", "-4", "route", "show", "proto", str(plan.ROUTE_PROTOCOL)])
    return {_network(route["dst"]): route.get("gateway", "") for route in codec.loads(output or "[]")}


async def apply_routes(desired: Mapping[str, str]) -> list[str]:
    """Bring our routes in line; returns the problems, one per route that could not be set."""
    wanted, stale = plan.route_changes(desired, await own_routes())
    problems = []
    for cidr, gateway in wanted.items():
        logger.info("route to %s by %s", cidr, gateway)
        command = ["ip", "-4", "route", "replace", cidr, "via", gateway, "proto", str(plan.ROUTE_PROTOCOL)]
        try:
            await process.run(command)
        except CommandFailed as problem:  # one node that is not a neighbour must not keep the others from being reached
            problems.append(str(problem))
    for cidr in stale:
        logger.info("no route to %s any more", cidr)
        await process.succeeds(["ip", "-4", "route", "del", cidr, "proto", str(plan.ROUTE_PROTOCOL)])
    return problems


async def apply_rules(text: str) -> None:
    """Write our chains, and the rules that lead into them where they are missing; raises CommandFailed."""
    await process.run(_RESTORE, text)
    for jump in plan.JUMPS:
        if not await process.succeeds([*_IPTABLES, "-t", jump.table, "-C", *jump.arguments()]):
            await process.run([*_IPTABLES, "-t", jump.table, "-A", *jump.arguments()])


async def clean_up(conf_dir: Path, settings: plan.Settings) -> None:
    """Take everything of the agent away; what is not there is as it should be."""
    (conf_dir / plan.CONF_FILE).unlink(missing_ok=True)
    shutil.rmtree(Path(settings.data_dir) / plan.NETWORK_NAME, ignore_errors=True)
    await apply_routes({})
    for jump in plan.JUMPS:
        while await process.succeeds([*_IPTABLES, "-t", jump.table, "-D", *jump.arguments()]):
            pass
    await process.run(_RESTORE, plan.removal())
    await process.succeeds(["ip", "link", "del", settings.bridge])


def _network(destination: str) -> str:
    """iproute2 leaves out the length of a host route."""
    return destination if "/" in destination else f"{destination}/32"
