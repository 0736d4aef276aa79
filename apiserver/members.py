"""The API servers of a cluster know each other by short-lived keys: /registry/masterleases/ADDRESS, as upstream.

What becomes of the addresses (the endpoints of the `kubernetes` Service) is `bootstrap`.
Upstream: pkg/controlplane/reconcilers.
"""

from contextlib import suppress
from typing import Final

from apiserver.storage.errors import KeyExists, KeyNotFound, RevisionConflict
from apiserver.storage.interface import Storage
from machinery.api import codec

PREFIX: Final = "/registry/masterleases/"
LEASE_SECONDS: Final = 15
RENEW_SECONDS: Final = 10.0


class Members:
    """This server's membership."""

    def __init__(self, storage: Storage, address: str) -> None:
        self._storage = storage
        self._key = PREFIX + address
        self._address = address
        self._round = 0

    async def renew(self) -> tuple[str, ...]:
        """Say that this server is there; answers the addresses of all that are, sorted. Raises StorageError."""
        self._round += 1
        found = await self._storage.get(self._key)
        # What may be in the way is the key of a server that ran here before: then the next round succeeds.
        with suppress(KeyExists, KeyNotFound, RevisionConflict):
            if found is None:
                await self._storage.create(self._key, self._value(), ttl_seconds=LEASE_SECONDS)
            else:
                await self._storage.update(self._key, self._value(), found.revision, ttl_seconds=LEASE_SECONDS)
        page = await self._storage.range(PREFIX)
        return tuple(sorted({self._address, *(item.key.removeprefix(PREFIX) for item in page.items)}))

    async def leave(self) -> tuple[str, ...]:
        """Say that this server is about to go; answers who stays. Raises StorageError."""
        found = await self._storage.get(self._key)
        if found is not None:
            with suppress(KeyNotFound, RevisionConflict):  # somebody else's by now
                await self._storage.delete(self._key, found.revision)
        page = await self._storage.range(PREFIX)
        return tuple(sorted({item.key.removeprefix(PREFIX) for item in page.items} - {self._address}))

    def _value(self) -> bytes:
        # The generation makes each value another one: a lease is kept by writes (upstream: reconcilers/lease.go).
        body = {
            "kind": "Endpoints",
            "apiVersion": "v1",
            "metadata": {"generation": self._round},
            "subsets": [{"addresses": [{"ip": self._address}]}],
        }
        return codec.dumps(body)
