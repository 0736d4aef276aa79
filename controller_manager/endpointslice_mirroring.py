"""EndpointSlices for Endpoints that somebody else wrote: proxies read slices only. Selectors are `endpointslice`'s.

Upstream: pkg/controller/endpointslicemirroring/.
"""

import ipaddress
from typing import Final

from controller_manager.pod_control import is_namespace_terminating
from controller_manager.service_ports import TRIGGER_TIME, family_of
from controller_manager.slice_packing import MANAGED_BY, SERVICE_NAME, Groups, Packing, SlicePlan, pack
from controller_manager.slice_writer import SliceWriter
from machinery.aio.clock import REAL, Clock
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself
from machinery.client.informer import Informers
from machinery.client.rest import Client

MANAGER: Final = "endpointslicemirroring-controller.k8s.io"
_SKIP: Final = "endpointslice.kubernetes.io/skip-mirror"
_LEADER: Final = "control-plane.alpha.kubernetes.io/leader"
_NOT_COPIED: Final = (TRIGGER_TIME, "kubectl.kubernetes.io/last-applied-configuration")
_FIELDS: Final = ("addresses", "notReadyAddresses")
_FULL: Final = 1000


def wants_mirroring(endpoints: Json | None, service: Json | None) -> bool:
    """Whether Endpoints belong to a Service without selector and are not marked otherwise."""
    if endpoints is None or service is None or service["spec"].get("selector"):
        return False
    return meta.labels_of(endpoints).get(_SKIP) != "true" and _LEADER not in meta.annotations_of(endpoints)


def plan_mirror(endpoints: Json | None, service: Json | None, existing: list[Json]) -> SlicePlan:
    """The writes that make the slices say what the Endpoints say."""
    if endpoints is None or not wants_mirroring(endpoints, service):
        return SlicePlan(delete=existing)
    families = {family: Groups(family) for family in ("IPv4", "IPv6")}
    for subset in endpoints.get("subsets") or ():
        ports = [_port(port) for port in subset.get("ports") or ()]
        for field in _FIELDS:
            for address in (subset.get(field) or ())[:_FULL]:
                endpoint = _endpoint(address, ready=field == "addresses")
                families[family_of(endpoint["addresses"][0])].add(ports, endpoint)
    return pack(families.values(), existing, Packing(_metadata(endpoints), full=_FULL, keep_one_empty=False))


def _port(port: Json) -> Json:
    mirrored = {"name": port.get("name") or "", "port": port["port"], "protocol": port.get("protocol") or "TCP"}
    return mirrored | ({"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {})


def _endpoint(address: Json, *, ready: bool) -> Json:
    endpoint = {
        "addresses": [str(ipaddress.ip_address(address["ip"]))],
        "conditions": {"ready": ready},
        "hostname": address.get("hostname"),
        "nodeName": address.get("nodeName"),
        "targetRef": address.get("targetRef"),
    }
    return {key: value for key, value in endpoint.items() if value}


def _metadata(endpoints: Json) -> Json:
    name = meta.name_of(endpoints)
    annotations = meta.annotations_of(endpoints)
    return {
        "generateName": f"{name}-",
        "namespace": meta.namespace_of(endpoints),
        "labels": {**meta.labels_of(endpoints), SERVICE_NAME: name, MANAGED_BY: MANAGER},
        "annotations": {key: value for key, value in annotations.items() if key not in _NOT_COPIED},
        "ownerReferences": [meta.owner_reference(endpoints, kinds.ENDPOINTS)],
    }


class EndpointSliceMirroringController:
    """Keys are Endpoints, which have their Service's name."""

    name = "endpointslice-mirroring-controller"

    def __init__(self, client: Client, informers: Informers, clock: Clock = REAL) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue(clock)
        self._services = informers.watch(kinds.SERVICES, on_change=enqueue_itself(self.queue))
        self._endpoints = informers.watch(kinds.ENDPOINTS, on_change=enqueue_itself(self.queue))
        self._writer = SliceWriter(client, informers.watch(kinds.ENDPOINT_SLICES), MANAGER, clock)
        informers.watch(kinds.ENDPOINT_SLICES, on_change=self._slice_changed)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one Endpoints object."""
        if self._writer.cache_lags(key):
            return 0.5  # the slice's own event brings the key sooner
        plan = plan_mirror(self._endpoints.get(key), self._services.get(key), self._writer.slices_of(key))
        try:
            await self._writer.carry_out(key, plan)
        except errors.Forbidden as problem:
            if not is_namespace_terminating(problem):
                raise
        return None

    def _slice_changed(self, old: Json | None, new: Json | None) -> None:
        slice_ = new or old or {}
        key = self._writer.service_of(slice_)
        if key is not None:
            if new is None:
                self._writer.gone(key, slice_)
            self.queue.add(key)
