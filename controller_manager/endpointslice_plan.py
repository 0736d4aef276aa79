"""From a Service, its pods and its slices to the slices to write. Pure; `slice_packing` does the sums.

Upstream: staging/src/k8s.io/endpointslice/utils.go.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from controller_manager import service_ports
from controller_manager.slice_packing import MANAGED_BY, MAX_ENDPOINTS, SERVICE_NAME, Groups, Packing, SlicePlan, pack
from machinery.api import kinds, meta, pods
from machinery.api.codec import Json

MANAGER: Final = "endpointslice-controller.k8s.io"
_RESERVED: Final = (SERVICE_NAME, MANAGED_BY, service_ports.HEADLESS_LABEL)
_ZONE: Final = "topology.kubernetes.io/zone"


def plan_slices(
    service: Json,
    members: Sequence[Json],
    nodes: Mapping[str, Json],
    existing: Sequence[Json],
    full: int = MAX_ENDPOINTS,
) -> SlicePlan:
    """The whole decision for one Service; `existing` are its slices that this controller manages."""
    families: list[str] = service["spec"].get("ipFamilies") or ["IPv4"]
    wanted = [_groups(service, members, nodes, family) for family in families]
    return pack(wanted, existing, Packing(_slice_metadata(service, members), full))


def _groups(service: Json, members: Sequence[Json], nodes: Mapping[str, Json], family: str) -> Groups:
    groups = Groups(family)
    for pod in members:
        endpoint = endpoint_of(service, pod, nodes, family)
        ports = _ports_on(service, pod)
        if endpoint is not None and ports is not None:
            groups.add(ports, endpoint)
    return groups


def endpoint_of(service: Json, pod: Json, nodes: Mapping[str, Json], family: str) -> Json | None:
    """The endpoint for a pod; None when it has no address of the family, ended, or sits on a node nobody knows."""
    if not service_ports.may_serve(pod, terminating_too=True):
        return None
    addresses = [ip for ip in service_ports.pod_ips(pod) if service_ports.family_of(ip) == family]
    node = nodes.get(pods.node_of(pod))
    tolerant = service_ports.publishes_not_ready(service)
    if not addresses or (node is None and not tolerant):
        return None
    serving, terminating = pods.is_ready(pod), meta.is_being_deleted(pod)
    ready = tolerant or (serving and not terminating)
    endpoint = {
        "addresses": addresses,
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
        "hostname": service_ports.hostname_in(service, pod),
        "targetRef": service_ports.pod_reference(pod),
        "nodeName": pods.node_of(pod),
        "zone": meta.labels_of(node or {}).get(_ZONE),
    }
    return {key: value for key, value in endpoint.items() if value}


def _ports_on(service: Json, pod: Json) -> list[Json] | None:
    """The Service's ports on this pod; None when it has none of them."""
    wanted = service["spec"].get("ports") or []
    if not wanted:
        return [] if service_ports.is_headless(service) else None
    ports = []
    for port in wanted:
        number = service_ports.port_on(pod, port)
        if number is not None:
            entry = {"name": port.get("name") or "", "port": number, "protocol": port.get("protocol") or "TCP"}
            ports.append(entry | ({"appProtocol": port["appProtocol"]} if port.get("appProtocol") else {}))
    return ports or None


def _slice_metadata(service: Json, members: Sequence[Json]) -> Json:
    labels = {key: value for key, value in meta.labels_of(service).items() if key not in _RESERVED}
    labels |= {SERVICE_NAME: meta.name_of(service), MANAGED_BY: MANAGER}
    if service_ports.is_headless(service):
        labels[service_ports.HEADLESS_LABEL] = ""
    return {
        "generateName": f"{meta.name_of(service)}-",
        "namespace": meta.namespace_of(service),
        "labels": labels,
        "annotations": {service_ports.TRIGGER_TIME: service_ports.trigger_time(service, list(members))},
        "ownerReferences": [meta.owner_reference(service, kinds.SERVICES)],
    }
