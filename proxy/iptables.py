"""Runs iptables, iptables-save and iptables-restore. What the rules are is decided in `rules`.

Whichever of iptables-nft and iptables-legacy the machine's `iptables` is gets used; both can do all of it. They must
not be mixed in one network namespace: each sees only its own rules.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from typing import Final

from machinery.aio import process
from machinery.aio.process import CommandFailed
from proxy.rules import FILTER_CHAINS, FIREWALL, JUMPS, LOCALNET_JUMPS, NAT_CHAINS, Jump, RuleSet, is_service_chain

logger = logging.getLogger(__name__)

#: seconds to wait for the lock that legacy iptables takes
_WAIT: Final = "5"
TABLES: Final = ("nat", "filter")
_RANDOM_FULLY_SINCE: Final = (1, 6, 2)

#: what the rules need, each as a rule of its own, so that what a kernel lacks can be named
_NEEDS: Final = {
    "match comment": '-m comment --comment "x" -j RETURN',
    "match conntrack": "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN",
    "match addrtype": "-m addrtype --dst-type LOCAL -j RETURN",
    "match statistic": "-m statistic --mode random --probability 0.5000000000 -j RETURN",
    "match recent": "-m recent --name KUBE-PROXY-PROBE --rcheck --seconds 1 --reap -j RETURN",
    "match mark": "-m mark --mark 0x4000/0x4000 -j RETURN",
    "target MARK": "-j MARK --or-mark 0x4000",
    "target DNAT": "-p tcp -m tcp -j DNAT --to-destination 127.0.0.1:1",
}
_PROBE: Final = "KUBE-PROXY-PROBE"


class Iptables:
    """The packet filter of the network namespace this process is in, IPv4; `prefix` (nsenter …) makes it another's."""

    def __init__(self, prefix: Sequence[str] = ()) -> None:
        self._prefix = tuple(prefix)

    async def version(self) -> str:
        """Such as `iptables v1.8.9 (nf_tables)`; raises CommandFailed when there is none."""
        try:
            return (await process.run([*self._prefix, "iptables", "--version"])).strip()
        except CommandFailed as problem:
            raise CommandFailed(f"the proxy needs iptables (Debian's package `iptables`): {problem}") from problem

    async def check(self) -> None:
        """Raises CommandFailed that names what is missing: the program, root, or a part of the kernel."""
        try:
            await self._probe(_NEEDS.values())
        except CommandFailed as problem:
            missing = [need for need, rule in _NEEDS.items() if not await self._works(rule)]
            everything = len(missing) == len(_NEEDS)
            what = str(problem) if everything or not missing else f"kernel or iptables lack: {', '.join(missing)}"
            raise CommandFailed(f"iptables cannot hold the service rules: {what}") from problem

    async def apply(self, rules: RuleSet, stale: Iterable[str]) -> None:
        """Put the whole rule set in place, one transaction per table; raises CommandFailed with the offending line."""
        text = rules.text(stale)
        try:
            await self._restore(text, "--counters")
        except CommandFailed as problem:
            raise CommandFailed(_with_line(str(problem), text)) from problem

    async def ensure_jumps(self, jumps: Sequence[Jump]) -> None:
        """Put the rules that lead into our chains where they are missing, in front."""
        for jump in jumps:
            if not await process.succeeds(self._command(jump, "-C")):
                await process.run(self._command(jump, "-I"))

    async def chains(self, table: str) -> list[str]:
        """Names of all chains of a table."""
        return chains_in(await process.run([*self._prefix, "iptables-save", "-t", table]))

    async def clean_up(self) -> None:
        """Take everything of the proxy out again; nothing there is success."""
        for jump in JUMPS + LOCALNET_JUMPS:
            while await process.succeeds(self._command(jump, "-D")):
                pass
        for table in TABLES:
            ours = [chain for chain in await self.chains(table) if is_ours(table, chain)]
            if ours:
                await self._restore(removal(table, ours))

    def _command(self, jump: Jump, verb: str) -> list[str]:
        return [*self._prefix, "iptables", "-w", _WAIT, "-t", jump.table, verb, *jump.arguments()]

    async def _restore(self, text: str, *options: str) -> None:
        await process.run([*self._prefix, "iptables-restore", "-w", _WAIT, "--noflush", *options], text)

    async def _probe(self, rules: Iterable[str]) -> None:
        lines = "".join(f"-A {_PROBE} {rule}\n" for rule in rules)
        await self._restore(f"*nat\n:{_PROBE} - [0:0]\n{lines}COMMIT\n", "--test")

    async def _works(self, rule: str) -> bool:
        try:
            await self._probe([rule])
        except CommandFailed:
            return False
        return True


def is_ours(table: str, chain: str) -> bool:
    """Whether clean-up deletes this chain."""
    fixed = {"nat": NAT_CHAINS, "filter": (*FILTER_CHAINS, FIREWALL)}.get(table, ())
    return chain in fixed or (table == "nat" and is_service_chain(chain))


def removal(table: str, chains: Sequence[str]) -> str:
    """The input of iptables-restore that empties and deletes chains."""
    emptied, deleted = ([form.format(chain) for chain in chains] for form in (":{} - [0:0]", "-X {}"))
    return "\n".join([f"*{table}", *emptied, *deleted, "COMMIT", ""])


def chains_in(saved: str) -> list[str]:
    """Names of the chains in the output of iptables-save."""
    return [line[1:].split(" ", 1)[0] for line in saved.splitlines() if line.startswith(":")]


def has_random_fully(version: str) -> bool:
    """Whether MASQUERADE takes --random-fully (upstream: util/iptables)."""
    found = re.search(r"v(\d+)\.(\d+)\.(\d+)", version)
    return found is not None and tuple(map(int, found.groups())) >= _RANDOM_FULLY_SINCE


def _with_line(message: str, text: str) -> str:
    found = re.search(r"line:? (\d+)", message)
    lines = text.splitlines()
    if found is None or not 0 < int(found[1]) <= len(lines):
        return message
    return f"{message} ({lines[int(found[1]) - 1]})"
