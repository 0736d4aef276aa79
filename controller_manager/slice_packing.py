"""Spreads endpoints over EndpointSlices with as few changed slices as can be. Pure; whose they are is the caller's.

Theory of operation (upstream: staging/src/k8s.io/endpointslice/reconciler.go, utils.go).
Slices are kept per address type and set of port numbers (named ports may differ from pod to pod). For each such group:
- an endpoint that is in a slice stays in that slice, updated in place if its conditions changed; one that is no longer
  wanted leaves it. Nothing is moved between slices for its own sake: every changed slice goes to every node.
- what is new goes into slices that change anyway, then into one slice with enough room, then into new slices.
- a slice that ends up empty is deleted, but each address type may keep one empty slice while there is nothing else,
  so that clients can tell "no endpoints" from "not looked at yet".
The result is a function of its arguments: the same look twice writes nothing the second time.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from machinery.api import codec, kinds, meta
from machinery.api.codec import Json

MAX_ENDPOINTS: Final = 100
SERVICE_NAME: Final = "kubernetes.io/service-name"
MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"


@dataclass(slots=True)
class SlicePlan:
    """What to write, in upstream's order: creations, updates, deletions."""

    create: list[Json] = field(default_factory=list)
    update: list[Json] = field(default_factory=list)
    delete: list[Json] = field(default_factory=list)


@dataclass(slots=True)
class Group:
    """The endpoints wanted behind one set of ports of one address type, by identity."""

    address_type: str
    ports: list[Json]
    endpoints: dict[str, Json] = field(default_factory=dict)


@dataclass(slots=True)
class Groups:
    """All groups of one address type, filled endpoint by endpoint."""

    address_type: str
    by_ports: dict[bytes, Group] = field(default_factory=dict)

    def add(self, ports: list[Json], endpoint: Json) -> None:
        """One endpoint behind these ports."""
        group = self.by_ports.setdefault(_ports_key(ports), Group(self.address_type, ports))
        group.endpoints[_identity(endpoint)] = endpoint


@dataclass(frozen=True, slots=True)
class Packing:
    """How slices are made: the metadata of all of them, how many endpoints fill one, whether one stays empty."""

    metadata: Json
    full: int = MAX_ENDPOINTS
    keep_one_empty: bool = True


def pack(wanted: Iterable[Groups], existing: Sequence[Json], packing: Packing) -> SlicePlan:
    """The writes that turn the existing slices into what is wanted; slices of other address types are deleted."""
    plan = SlicePlan()
    families = {groups.address_type: groups for groups in wanted}
    plan.delete += [slice_ for slice_ in existing if slice_["addressType"] not in families]
    for family, groups in families.items():
        _pack_family(plan, groups, [each for each in existing if each["addressType"] == family], packing)
    return plan


def _pack_family(plan: SlicePlan, groups: Groups, existing: Sequence[Json], packing: Packing) -> None:
    by_ports = _by_ports(existing)
    for key, group in groups.by_ports.items():
        _pack_group(plan, group, by_ports.pop(key, []), packing)
    rest = [slice_ for slices in by_ports.values() for slice_ in slices]
    if groups.by_ports or not packing.keep_one_empty:
        plan.delete += rest
    else:
        _keep_one_empty(plan, Group(groups.address_type, []), rest, packing.metadata)


def _by_ports(slices: Iterable[Json]) -> dict[bytes, list[Json]]:
    by_ports: dict[bytes, list[Json]] = {}
    for slice_ in sorted(slices, key=meta.name_of):
        by_ports.setdefault(_ports_key(slice_.get("ports") or []), []).append(slice_)
    return by_ports


def _keep_one_empty(plan: SlicePlan, group: Group, slices: list[Json], metadata: Json) -> None:
    if not slices:
        plan.create.append(_new_slice(metadata, group, []))
        return
    kept = min(slices, key=lambda slice_: (bool(slice_.get("endpoints") or slice_.get("ports")), meta.name_of(slice_)))
    plan.delete += [slice_ for slice_ in slices if slice_ is not kept]
    if kept.get("endpoints") or not _labelled(kept, metadata):
        plan.update.append(_updated(kept, [], metadata))


def _ports_key(ports: Sequence[Json]) -> bytes:
    known = [[port.get(name) or "" for name in ("name", "port", "protocol", "appProtocol")] for port in ports]
    return codec.dumps(sorted(known, key=str))


def _identity(endpoint: Json) -> str:
    target = endpoint.get("targetRef") or {}
    return "/".join((target.get("uid", ""), ",".join(endpoint["addresses"])))


def _pack_group(plan: SlicePlan, group: Group, slices: Sequence[Json], packing: Packing) -> None:
    metadata, full = packing.metadata, packing.full
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


def _new_slice(metadata: Json, group: Group, endpoints: list[Json]) -> Json:
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
