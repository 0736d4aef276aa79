"""Writes slice plans and remembers its own creations until the cache shows them. Deciding is the callers'.

Slices have generated names, so a look on a cache that lags behind our own creations would make doubles.
Upstream: pkg/controller/util/endpointslice/endpointslice_tracker.go, staging endpointslice/reconciler.go (finalize).
"""

from typing import Final

from controller_manager.slice_packing import MANAGED_BY, SERVICE_NAME, SlicePlan
from machinery.aio.clock import Clock
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import ignore_not_found
from machinery.client.rest import Client
from machinery.client.store import Lister

_CATCH_UP: Final = 10.0
"""Seconds to wait for the cache to show our own writes before deciding on what it shows."""


class SliceWriter:
    """The slices of one manager (the value of their managed-by label), by Service."""

    def __init__(self, client: Client, slices: Lister, manager: str, clock: Clock) -> None:
        self._client = client
        self._slices = slices
        self._manager = manager
        self._clock = clock
        self._unseen: dict[ObjectKey, tuple[float, set[str]]] = {}
        slices.add_index(manager, lambda slice_: [str(key)] if (key := self.service_of(slice_)) is not None else [])

    def service_of(self, slice_: Json) -> ObjectKey | None:
        """The Service a slice belongs to; None when it is another manager's."""
        labels = meta.labels_of(slice_)
        if labels.get(MANAGED_BY) != self._manager:
            return None
        return ObjectKey(meta.namespace_of(slice_), labels.get(SERVICE_NAME, ""))

    def slices_of(self, key: ObjectKey) -> list[Json]:
        """The slices of a Service as the cache has them."""
        return self._slices.by_index(self._manager, str(key))

    def cache_lags(self, key: ObjectKey) -> bool:
        """Whether the cache does not show all our creations yet; their events bring the key back."""
        since, unseen = self._unseen.get(key, (0.0, set()))
        unseen = {name for name in unseen if self._slices.get(ObjectKey(key.namespace, name)) is None}
        if not unseen or self._clock.monotonic() - since > _CATCH_UP:
            self._unseen.pop(key, None)
            return False
        return True

    def gone(self, key: ObjectKey, slice_: Json) -> None:
        """A slice was deleted: it will not be seen any more."""
        if key in self._unseen:
            self._unseen[key][1].discard(meta.name_of(slice_))

    def forget(self, key: ObjectKey) -> None:
        """The Service is gone."""
        self._unseen.pop(key, None)

    async def carry_out(self, key: ObjectKey, plan: SlicePlan) -> None:
        """Write the plan; raises errors.StatusError, but not when what it is about went away meanwhile."""
        try:
            for slice_ in plan.create:
                self._expect(key, meta.name_of(await self._client.create(kinds.ENDPOINT_SLICES, slice_)))
            for slice_ in plan.update:
                await self._client.update(kinds.ENDPOINT_SLICES, slice_)
        except errors.NotFound:
            return  # a slice or the namespace went away: its event brings the key back
        for slice_ in plan.delete:
            where = meta.key_of(slice_)
            await ignore_not_found(
                self._client.delete(kinds.ENDPOINT_SLICES, where.name, where.namespace, uid=meta.uid_of(slice_))
            )

    def _expect(self, key: ObjectKey, name: str) -> None:
        if self._slices.get(ObjectKey(key.namespace, name)) is None:
            _, unseen = self._unseen.setdefault(key, (self._clock.monotonic(), set()))
            unseen.add(name)
