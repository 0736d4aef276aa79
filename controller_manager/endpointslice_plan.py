"""From a Service, its pods and its slices to the slices to create, update and delete. Pure.

Theory of operation (upstream: staging/src/k8s.io/endpointslice/reconciler.go, utils.go).
Slices are kept per address type and set of port numbers (named ports may differ from pod to pod). For each such group:
- an endpoint that is in a slice stays in that slice, updated in place if its conditions changed; one that is no longer
  wanted leaves it. Nothing is moved between slices for its own sake: every changed slice goes to every node.
- what is new goes into slices that change anyway, then into one slice with enough room, then into new slices.
- a slice that ends up empty is deleted, but each address type keeps one empty slice while there is nothing else,
  so that clients can tell "no endpoints" from "not looked at yet".
The result is a function of its arguments: the same look twice writes nothing the second time.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from controller_manager import service_ports
from machinery.api import codec, kinds, meta, pods
from machinery.api.codec import Json

MAX_ENDPOINTS: Final = 100
SERVICE_NAME: Final = "kubernetes.io/service-name"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
MANAGER: Final = "endpointslice-controller.k8s.io"
_RESERVED: Final = (SERVICE_NAME, MANAGED_BY, service_ports.HEADLESS_LABEL)
_ZONE: Final = "topology.kubernetes.io/zone"


@dataclass(slots=True)
class SlicePlan:
    """What to write, in upstream's order: creations, updates, deletions."""

    create: list[Json] = field(default_factory=list)
    update: list[Json] = field(default_factory=list)
    delete: list[Json] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Group:
    """The endpoints wanted behind one set of ports of one address type, by identity."""

    address_type: str
    ports: list[Json]
    endpoints: dict[str, Json]


def plan_slices(
    service: Json,
    members: Sequence[Json],
    nodes: Mapping[str, Json],
    existing: Sequence[Json],
    full: int = MAX_ENDPOINTS,
) -> SlicePlan:
    """The whole decision for one Service; `existing` are its slices that this controller manages."""
    plan = SlicePlan()
    families: list[str] = service["spec"].get("ipFamilies") or ["IPv4"]
    metadata = _slice_metadata(service, members)
    plan.delete += [slice_ for slice_ in existing if slice_["addressType"] not in families]
    for family in families:
        groups = _groups(service, members, nodes, family)
        mine = [slice_ for slice_ in existing if slice_["addressType"] == family]
        by_ports = _by_ports(mine)
        for key, group in groups.items():
            _plan_group(plan, group, by_ports.pop(key, []), metadata, full)
        rest = [slice_ for slices in by_ports.values() for slice_ in slices]
        if groups:
            plan.delete += rest
        else:
            _keep_one_empty(plan, _Group(family, [], {}), rest, metadata)
    return plan


def _by_ports(slices: Iterable[Json]) -> dict[bytes, list[Json]]:
    by_ports: dict[bytes, list[Json]] = {}
    for slice_ in sorted(slices, key=meta.name_of):
        by_ports.setdefault(_ports_key(slice_.get("ports") or []), []).append(slice_)
    return by_ports


def _keep_one_empty(plan: SlicePlan, group: _Group, slices: list[Json], metadata: Json) -> None:
    if not slices:
        plan.create.append(_new_slice(metadata, group, []))
        return
    kept = min(slices, key=lambda slice_: (bool(slice_.get("endpoints") or slice_.get("ports")), meta.name_of(slice_)))
    plan.delete += [slice_ for slice_ in slices if slice_ is not kept]
    if kept.get("endpoints") or not _labelled(kept, metadata):
        plan.update.append(_updated(kept, [], metadata))


def _groups(service: Json, members: Iterable[Json], nodes: Mapping[str, Json], family: str) -> dict[bytes, _Group]:
    """The wanted endpoints by ports; a group without endpoints when there are none at all."""
    groups: dict[bytes, _Group] = {}
    for pod in members:
        endpoint = endpoint_of(service, pod, nodes, family)
        ports = _ports_on(service, pod)
        if endpoint is None or ports is None:
            continue
        key = _ports_key(ports)
        group = groups.setdefault(key, _Group(family, ports, {}))
        group.endpoints[_identity(endpoint)] = endpoint
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


def _ports_key(ports: Sequence[Json]) -> bytes:
    known = [[port.get(name) or "" for name in ("name", "port", "protocol", "appProtocol")] for port in ports]
    return codec.dumps(sorted(known, key=str))


def _identity(endpoint: Json) -> str:
    target = endpoint.get("targetRef") or {}
    return "/".join((target.get("uid", ""), ",".join(endpoint["addresses"])))


def _plan_group(plan: SlicePlan, group: _Group, slices: Sequence[Json], metadata: Json, full: int) -> None:
    waiting = dict(sorted(group.endpoints.items()))
    contents = [(slice_, _kept(slice_, waiting)) for slice_ in slices]
    changed = [pair for pair in contents if pair[1] != (pair[0].get("endpoints") or [])]
    same = [pair for pair in contents if pair[1] == (pair[0].get("endpoints") or [])]
    for _, endpoints in changed:
        _fill(endpoints, waiting, full)
    roomy = next((pair for pair in same if len(pair[1]) + len(waiting) <= full), None)
    if waiting and roomy is not None:
        same.remove(roomy)
        changed.append((roomy[0], [*roomy[1], *waiting.values()]))
        waiting.clear()
    while waiting:
        fresh: list[Json] = []
        _fill(fresh, waiting, full)
        plan.create.append(_new_slice(metadata, group, fresh))
    for slice_, endpoints in changed:
        if endpoints:
            plan.update.append(_updated(slice_, endpoints, metadata))
        else:
            plan.delete.append(slice_)
    # Unchanged endpoints, but perhaps other labels.
    plan.update += [
        _updated(slice_, endpoints, metadata) for slice_, endpoints in same if not _labelled(slice_, metadata)
    ]


def _fill(endpoints: list[Json], waiting: dict[str, Json], full: int) -> None:
    for identity in list(waiting)[: full - len(endpoints)]:
        endpoints.append(waiting.pop(identity))


def _kept(slice_: Json, waiting: dict[str, Json]) -> list[Json]:
    """The slice's endpoints as they should be now; what it keeps is taken from `waiting`."""
    kept = []
    for endpoint in slice_.get("endpoints") or ():
        wanted = waiting.pop(_identity(endpoint), None)
        if wanted is not None:
            kept.append({**wanted, **({"hints": endpoint["hints"]} if "hints" in endpoint else {})})
    return kept


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


def _new_slice(metadata: Json, group: _Group, endpoints: list[Json]) -> Json:
    return {
        "apiVersion": kinds.ENDPOINT_SLICES.api_version,
        "kind": kinds.ENDPOINT_SLICES.kind,
        "metadata": metadata,
        "addressType": group.address_type,
        "endpoints": endpoints,
        "ports": group.ports,
    }


def _updated(slice_: Json, endpoints: list[Json], metadata: Json) -> Json:
    annotations = {**meta.annotations_of(slice_), **metadata["annotations"]}
    fresh = {**slice_["metadata"], "labels": metadata["labels"], "annotations": annotations}
    return {**slice_, "metadata": fresh, "endpoints": endpoints}


def _labelled(slice_: Json, metadata: Json) -> bool:
    return bool(meta.labels_of(slice_) == metadata["labels"])
