"""The Endpoints object of each Service with a selector. EndpointSlices are `endpointslice`'s.

Upstream: pkg/controller/endpoint/endpoints_controller.go.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from controller_manager import service_ports
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta, pods
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.api.selectors import LabelSelector
from machinery.client.controller import enqueue_itself, ignore_not_found
from machinery.client.events import EventRecorder
from machinery.client.informer import Informers
from machinery.client.rest import Client

_CAPACITY: Final = 1000
_OVER_CAPACITY: Final = "endpoints.kubernetes.io/over-capacity"
_MANAGED_BY: Final = "endpoints.kubernetes.io/managed-by"
_MANAGER: Final = "endpoint-controller"


class _Entry(NamedTuple):
    """One address with the ports it serves."""

    address: Json
    ready: bool
    ports: tuple[tuple[str, int, str, str], ...]


def plan_subsets(service: Json, members: Iterable[Json]) -> list[Json]:
    """The subsets for a Service over its pods: addresses with equal ports share one; everything sorted."""
    tolerant = service_ports.publishes_not_ready(service)
    entries = [
        _entry(service, pod, ready=tolerant or pods.is_ready(pod))
        for pod in members
        if service_ports.may_serve(pod, terminating_too=tolerant)
    ]
    groups: dict[tuple[tuple[str, int, str, str], ...], list[_Entry]] = {}
    for entry in entries:
        if entry is not None:
            groups.setdefault(entry.ports, []).append(entry)
    return [_subset(ports, groups[ports]) for ports in sorted(groups)]


def _entry(service: Json, pod: Json, *, ready: bool) -> _Entry | None:
    ports = []
    for port in service["spec"].get("ports") or ():
        number = service_ports.port_on(pod, port)
        if number is not None:
            protocol, app = port.get("protocol") or "TCP", port.get("appProtocol") or ""
            ports.append((port.get("name") or "", number, protocol, app))
    if not ports and not (service_ports.is_headless(service) and not service["spec"].get("ports")):
        return None
    address = {
        "ip": pods.ip_of(pod),
        "hostname": service_ports.hostname_in(service, pod),
        "nodeName": pods.node_of(pod),
        "targetRef": service_ports.pod_reference(pod),
    }
    return _Entry({key: value for key, value in address.items() if value}, ready, tuple(sorted(ports)))


def _subset(ports: Sequence[tuple[str, int, str, str]], entries: Sequence[_Entry]) -> Json:
    subset: Json = {}
    for field, ready in (("addresses", True), ("notReadyAddresses", False)):
        addresses = [entry.address for entry in entries if entry.ready == ready]
        if addresses:
            subset[field] = sorted(addresses, key=lambda address: (address["ip"], address["targetRef"]["uid"]))
    if ports:
        named = [dict(zip(("name", "port", "protocol", "appProtocol"), port, strict=True)) for port in ports]
        subset["ports"] = [{key: value for key, value in port.items() if value} for port in named]
    return subset


def truncated(subsets: Sequence[Json]) -> tuple[list[Json], bool]:
    """At most 1000 addresses, ready ones first; whether any were cut."""
    ready = sum(len(subset.get("addresses", ())) for subset in subsets)
    total = ready + sum(len(subset.get("notReadyAddresses", ())) for subset in subsets)
    if total <= _CAPACITY:
        return list(subsets), False
    room = {"addresses": min(ready, _CAPACITY), "notReadyAddresses": max(0, _CAPACITY - ready)}
    result = []
    for subset in subsets:
        cut = dict(subset)
        for field in room:
            kept = subset.get(field, [])[: room[field]]
            room[field] -= len(kept)
            cut.pop(field, None)
            if kept:
                cut[field] = kept
        if "addresses" in cut or "notReadyAddresses" in cut:
            result.append(cut)
    return result, True


def plan_endpoints(service: Json, current: Json | None, members: Sequence[Json]) -> Json | None:
    """The Endpoints object to write; None when the current one says the same already."""
    subsets, over = truncated(plan_subsets(service, members))
    labels = {key: value for key, value in meta.labels_of(service).items() if key != service_ports.HEADLESS_LABEL}
    labels[_MANAGED_BY] = _MANAGER
    if service_ports.is_headless(service):
        labels[service_ports.HEADLESS_LABEL] = ""
    annotations = dict(meta.annotations_of(current or {}))
    if current is not None and _same(current, subsets, labels, over):
        return None
    annotations[service_ports.TRIGGER_TIME] = service_ports.trigger_time(service, list(members))
    annotations.pop(_OVER_CAPACITY, None)
    if over:
        annotations[_OVER_CAPACITY] = "truncated"
    key = meta.key_of(service)
    base = meta.metadata_of(current) if current is not None else {"name": key.name, "namespace": key.namespace}
    metadata = {**base, "labels": labels, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets}


def _same(current: Json, subsets: list[Json], labels: Json, over: bool) -> bool:
    marked = _OVER_CAPACITY in meta.annotations_of(current)
    return (current.get("subsets") or []) == subsets and meta.labels_of(current) == labels and marked == over


class EndpointsController:
    """Writes one Endpoints object per Service; leaves Services without a selector to their owners."""

    name = "endpoints-controller"

    def __init__(self, client: Client, informers: Informers, events: EventRecorder) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._events = events
        self._services = informers.watch(kinds.SERVICES, on_change=enqueue_itself(self.queue))
        self._pods = informers.watch(kinds.PODS, on_change=self._pod_changed)
        self._endpoints = informers.watch(kinds.ENDPOINTS, on_change=enqueue_itself(self.queue))

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one Service."""
        service = self._services.get(key)
        current = self._endpoints.get(key)
        if service is None:
            if current is not None and meta.labels_of(current).get(_MANAGED_BY) == _MANAGER:
                await ignore_not_found(self._client.delete(kinds.ENDPOINTS, key.name, key.namespace))
            return None
        if not service_ports.selector_of(service):
            return None
        selector = LabelSelector.from_labels(service_ports.selector_of(service))
        in_namespace = self._pods.in_namespace(key.namespace)
        members = [pod for pod in in_namespace if selector.matches(meta.labels_of(pod))]
        wanted = plan_endpoints(service, current, members)
        if wanted is not None:
            await self._write(service, wanted, is_new=current is None)
        return None

    async def _write(self, service: Json, wanted: Json, *, is_new: bool) -> None:
        try:
            if is_new:
                await self._client.create(kinds.ENDPOINTS, wanted)
            else:
                await self._client.update(kinds.ENDPOINTS, wanted)
        except (errors.AlreadyExists, errors.Conflict):
            return  # the cache was behind: the change on its way to it brings the key back
        except errors.StatusError as problem:
            verb, reason = ("create", "FailedToCreateEndpoint") if is_new else ("update", "FailedToUpdateEndpoint")
            key = meta.key_of(service)
            text = f"Failed to {verb} endpoint {key.namespace}/{key.name}: {problem}"
            self._events.event(wanted, kinds.ENDPOINTS, "Warning", reason, text)
            raise

    def _pod_changed(self, old: Json | None, new: Json | None) -> None:
        if service_ports.matters(old) != service_ports.matters(new):
            for service in self._services.in_namespace(meta.namespace_of(new or old or {})):
                if service_ports.selects_either(service, old, new):
                    self.queue.add(meta.key_of(service))
