"""The EndpointSlices of each Service with a selector: reading, and carrying out `endpointslice_plan`'s decision.

Upstream: pkg/controller/endpointslice/endpointslice_controller.go.
"""

import logging

from controller_manager import service_ports
from controller_manager.endpointslice_plan import MANAGER, plan_slices
from controller_manager.pod_control import is_namespace_terminating
from controller_manager.slice_packing import SlicePlan
from controller_manager.slice_writer import SliceWriter
from machinery.aio.clock import REAL, Clock
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta, pods
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.api.selectors import LabelSelector
from machinery.client.controller import enqueue_itself
from machinery.client.events import EventRecorder
from machinery.client.informer import Informers
from machinery.client.rest import Client

logger = logging.getLogger(__name__)


class EndpointSliceController:
    """Keys are Services; those without a selector are left to their owners."""

    name = "endpointslice-controller"

    def __init__(self, client: Client, informers: Informers, events: EventRecorder, clock: Clock = REAL) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue(clock)
        self._client = client
        self._events = events
        self._services = informers.watch(kinds.SERVICES, on_change=enqueue_itself(self.queue))
        self._pods = informers.watch(kinds.PODS, on_change=self._pod_changed)
        self._nodes = informers.watch(kinds.NODES, on_change=self._node_changed)
        self._writer = SliceWriter(client, informers.watch(kinds.ENDPOINT_SLICES), MANAGER, clock)
        informers.watch(kinds.ENDPOINT_SLICES, on_change=self._slice_changed)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one Service."""
        service = self._services.get(key)
        if service is None or meta.is_being_deleted(service):
            self._writer.forget(key)
            return None  # its slices are the garbage collector's
        if not service_ports.selector_of(service) or service["spec"].get("type") == "ExternalName":
            return None
        if self._writer.cache_lags(key):
            return 0.5  # the slice's own event brings the key sooner
        terms = LabelSelector.from_labels(service_ports.selector_of(service))
        members = [pod for pod in self._pods.in_namespace(key.namespace) if terms.matches(meta.labels_of(pod))]
        names = {pods.node_of(pod) for pod in members}
        nodes = {name: node for name in names if (node := self._nodes.get(ObjectKey("", name))) is not None}
        await self._carry_out(service, plan_slices(service, members, nodes, self._writer.slices_of(key)))
        return None

    async def _carry_out(self, service: Json, plan: SlicePlan) -> None:
        key = meta.key_of(service)
        try:
            await self._writer.carry_out(key, plan)
        except errors.Conflict:
            raise
        except errors.StatusError as problem:
            if is_namespace_terminating(problem):
                return
            text = f"Error updating Endpoint Slices for Service {key}: {problem}"
            self._events.event(service, kinds.SERVICES, "Warning", "FailedToUpdateEndpointSlices", text)
            raise

    def _slice_changed(self, old: Json | None, new: Json | None) -> None:
        slice_ = new or old or {}
        key = self._writer.service_of(slice_)
        if key is not None:
            if new is None:
                self._writer.gone(key, slice_)
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
