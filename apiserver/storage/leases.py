"""Leases for keys with a lifetime (Events): one is shared by all keys of about a minute. Who needs one is `etcd`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from machinery.aio.clock import Clock

_SHARED_SECONDS: Final = 60.0
_SHARED_PART: Final = 0.05  # of the lifetime: a short one must not be stretched by a minute
_MOST_KEYS: Final = 1000


@dataclass(slots=True)
class _Lease:
    id: int
    until: float  # on the monotonic clock: up to when it may still be handed out
    keys: int = 0


class Leases:
    """Hands out lease ids (upstream: apiserver/pkg/storage/etcd3/lease_manager.go)."""

    def __init__(self, grant: Callable[[int], Awaitable[int]], clock: Clock) -> None:
        self._grant = grant
        self._clock = clock
        self._leases: dict[int, _Lease] = {}

    async def lease_for(self, ttl_seconds: int) -> int:
        """A lease that lives at least `ttl_seconds` from now, and at most a minute (or 5 %) longer."""
        if ttl_seconds <= 0:
            return 0
        lease = self._leases.get(ttl_seconds)
        now = self._clock.monotonic()
        if lease is None or now >= lease.until or lease.keys >= _MOST_KEYS:
            shared = min(_SHARED_SECONDS, ttl_seconds * _SHARED_PART)
            lease = _Lease(await self._grant(ttl_seconds + int(shared)), now + int(shared))
            self._leases[ttl_seconds] = lease
        lease.keys += 1
        return lease.id

    def forget(self) -> None:
        """etcd does not know a lease any more: ask for new ones."""
        self._leases.clear()
