"""/healthz, /livez, /readyz: named checks, verbose and one by one. What a check looks at is handed in by `__main__`.

Upstream: apiserver/pkg/server/healthz. A failed check's reason stays in the log; clients see `reason withheld`.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

logger = logging.getLogger(__name__)

#: answers None when all is well, or what is wrong
Probe = Callable[[], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class Check:
    """One named probe and the endpoints it belongs to."""

    name: str
    probe: Probe
    endpoints: frozenset[str] = frozenset(("healthz", "livez", "readyz"))


READY_ONLY: Final = frozenset(("readyz",))


async def well() -> str | None:
    """The probe of what is well when it answers at all."""
    return None


@dataclass(slots=True)
class Health:
    """The checks of a server, in order."""

    checks: list[Check] = field(default_factory=lambda: [Check("ping", well), Check("log", well)])
    stopping: bool = False

    def add(self, name: str, probe: Probe, endpoints: frozenset[str] = Check("", well).endpoints) -> None:
        """One more check."""
        self.checks.append(Check(name, probe, endpoints))

    async def one(self, endpoint: str, name: str) -> tuple[int, str]:
        """Status and body of `/readyz/NAME`."""
        check = next((check for check in self._of(endpoint) if check.name == name), None)
        if check is None:
            return 404, "404 page not found\n"
        problem = await check.probe()
        return (200, "ok") if problem is None else (500, f"internal server error: {problem}\n")

    async def all(self, endpoint: str, *, verbose: bool, exclude: Sequence[str]) -> tuple[int, str]:
        """Status and body of `/readyz`."""
        lines, failed = [], []
        strange = [name for name in exclude if all(check.name != name for check in self._of(endpoint))]
        for check in self._of(endpoint):
            if check.name in exclude:
                lines.append(f"[+]{check.name} excluded: ok")
                continue
            problem = await check.probe()
            lines.append(f"[+]{check.name} ok" if problem is None else f"[-]{check.name} failed: reason withheld")
            if problem is not None:
                failed.append(f"{check.name}: {problem}")
        if strange:
            quoted = ", ".join(f'"{name}"' for name in strange)
            lines.append(f"warn: some health checks cannot be excluded: no matches for {quoted}")
        if failed:
            logger.warning("%s check failed: %s", endpoint, "; ".join(failed))
            return 500, "\n".join([*lines, f"{endpoint} check failed", ""])
        return 200, "\n".join([*lines, f"{endpoint} check passed", ""]) if verbose else "ok"

    def _of(self, endpoint: str) -> list[Check]:
        checks = [check for check in self.checks if endpoint in check.endpoints]
        return [*checks, Check("shutdown", self._shutdown)] if endpoint == "readyz" else checks

    async def _shutdown(self) -> str | None:
        return "process is shutting down" if self.stopping else None
