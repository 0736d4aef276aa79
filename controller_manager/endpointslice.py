"""The EndpointSlices of each Service with a selector: reading, and carrying out `endpointslice_plan`'s decision.

Upstream: pkg/controller/endpointslice/endpointslice_controller.go.
"""

import logging
from collections.abc import Awaitable
from typing import Final

from controller_manager import service_ports
from controller_manager.endpointslice_plan import MANAGED_BY, MANAGER, SERVICE_NAME, SlicePlan, plan_slices
from machinery.aio.clock import REAL, Clock
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta, pods
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.api.selectors import LabelSelector
from machinery.client.controller import enqueue_itself, ignore_not_found
from machinery.client.events import EventRecorder
from machinery.client.informer import Informers
from machinery.client.rest import Client

logger = logging.getLogger(__name__)

_CATCH_UP: Final = 10.0
"""Seconds to wait for the cache to show our own writes before deciding on what it shows."""


class EndpointSliceController:
    """Slices have generated names, so a look on a cache that lags behind our own creations would make doubles."""

    name = "endpointslice-controller"

    def __init__(self, client: Client, informers: Informers, events: EventRecorder, clock: Clock = REAL) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue(clock)
        self._client = client
        self._events = events
        self._clock = clock
        self._unseen: dict[ObjectKey, tuple[float, set[str]]] = {}
        self._services = informers.watch(kinds.SERVICES, on_change=enqueue_itself(self.queue))
        self._pods = informers.watch(kinds.PODS, on_change=self._pod_changed)
        self._nodes = informers.watch(kinds.NODES, on_change=self._node_changed)
        self._slices = informers.watch(kinds.ENDPOINT_SLICES, on_change=self._slice_changed)
        self._slices.add_index(SERVICE_NAME, _service_index)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one Service."""
        service = self._services.get(key)
        if service is None or meta.is_being_deleted(service):
            self._unseen.pop(key, None)
            return None  # its slices are the garbage collector's
        if not service_ports.selector_of(service) or service["spec"].get("type") == "ExternalName":
            return None
        if self._cache_lags(key):
            return 0.5  # the slice's own event brings the key sooner
        terms = LabelSelector.from_labels(service_ports.selector_of(service))
        members = [pod for pod in self._pods.in_namespace(key.namespace) if terms.matches(meta.labels_of(pod))]
        names = {pods.node_of(pod) for pod in members}
        nodes = {name: node for name in names if (node := self._nodes.get(ObjectKey("", name))) is not None}
        existing = self._slices.by_index(SERVICE_NAME, str(key))
        await self._carry_out(service, plan_slices(service, members, nodes, existing))
        return None

    async def _carry_out(self, service: Json, plan: SlicePlan) -> None:
        key = meta.key_of(service)
        try:
            for slice_ in plan.create:
                self._expect(key, meta.name_of(await self._client.create(kinds.ENDPOINT_SLICES, slice_)))
            for slice_ in plan.update:
                await self._client.update(kinds.ENDPOINT_SLICES, slice_)
            for slice_ in plan.delete:
                await ignore_not_found(self._deletion(slice_))
        except errors.Conflict:
            raise
        except errors.NotFound:
            return  # a slice or the namespace went away: its event brings the key back
        except errors.StatusError as problem:
            text = f"Error updating Endpoint Slices for Service {key}: {problem}"
            self._events.event(service, kinds.SERVICES, "Warning", "FailedToUpdateEndpointSlices", text)
            raise

    def _deletion(self, slice_: Json) -> Awaitable[Json]:
        key = meta.key_of(slice_)
        return self._client.delete(kinds.ENDPOINT_SLICES, key.name, key.namespace, uid=meta.uid_of(slice_))

    def _expect(self, key: ObjectKey, name: str) -> None:
        if self._slices.get(ObjectKey(key.namespace, name)) is None:
            since, unseen = self._unseen.setdefault(key, (self._clock.monotonic(), set()))
            unseen.add(name)

    def _cache_lags(self, key: ObjectKey) -> bool:
        since, unseen = self._unseen.get(key, (0.0, set()))
        unseen = {name for name in unseen if self._slices.get(ObjectKey(key.namespace, name)) is None}
        if not unseen or self._clock.monotonic() - since > _CATCH_UP:
            self._unseen.pop(key, None)
            return False
        return True

    def _slice_changed(self, old: Json | None, new: Json | None) -> None:
        slice_ = new or old or {}
        if meta.labels_of(slice_).get(MANAGED_BY) != MANAGER:
            return
        key = ObjectKey(meta.namespace_of(slice_), meta.labels_of(slice_).get(SERVICE_NAME, ""))
        if new is None and key in self._unseen:
            self._unseen[key][1].discard(meta.name_of(slice_))
        self.queue.add(key)

    def _pod_changed(self, old: Json | None, new: Json | None) -> None:
        if service_ports.matters(old) != service_ports.matters(new):
            for service in self._services.in_namespace(meta.namespace_of(new or old or {})):
                if service_ports.selects_either(service, old, new):
                    self.queue.add(meta.key_of(service))

    def _node_changed(self, old: Json | None, new: Json | None) -> None:
        if old is not None and new is not None and meta.labels_of(old) == meta.labels_of(new):
            return  # heartbeats
        for service in self._services.list():
            if service_ports.selector_of(service):
                self.queue.add(meta.key_of(service))


def _service_index(slice_: Json) -> list[str]:
    labels = meta.labels_of(slice_)
    if labels.get(MANAGED_BY) != MANAGER:
        return []
    return [str(ObjectKey(meta.namespace_of(slice_), labels.get(SERVICE_NAME, "")))]
