"""The node's own side: addresses and sysctls of the network namespace this process is in. Rules are not here."""

import logging
import os
from collections.abc import Iterable, Mapping
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

from machinery.aio import process
from machinery.api import codec

logger = logging.getLogger(__name__)

_SYSCTLS: Final = Path("/proc/sys")


async def own_addresses() -> list[str]:
    """This node's IPv4 addresses, from `ip -json addr`; raises CommandFailed when it cannot be run."""
    links = codec.loads(await process.run(["ip", "-json", "-4", "addr"]) or "[]")
    return [one["local"] for link in links for one in link.get("addr_info") or ()]


def within(addresses: Iterable[str], cidrs: Iterable[str]) -> tuple[str, ...]:
    """The addresses that lie in one of the networks; raises ValueError for a network that is none."""
    networks = [ip_network(cidr, strict=False) for cidr in cidrs]
    return tuple(one for one in addresses if any(ip_address(one) in network for network in networks))


def conntrack_sysctls(*, per_core: int, minimum: int, timeouts: Mapping[str, float]) -> dict[str, int]:
    """Size and timeouts (seconds) of the connection table, as upstream has them; 0 leaves one as it is."""
    wanted = {f"net/netfilter/nf_conntrack_{name}": int(seconds) for name, seconds in timeouts.items() if seconds}
    if per_core:
        wanted["net/netfilter/nf_conntrack_max"] = max(per_core * (os.cpu_count() or 1), minimum)
    return wanted


def set_sysctls(wanted: Mapping[str, int]) -> None:
    """Write what differs; what this namespace may not write is logged and left. A larger conntrack table is kept."""
    for name, value in wanted.items():
        path = _SYSCTLS / name
        try:
            current = int(path.read_text())
            if current == value or (name.endswith("conntrack_max") and current > value):
                continue
            path.write_text(str(value))
        except (OSError, ValueError) as problem:
            logger.info("sysctl %s stays as it is: %s", name.replace("/", "."), problem)
