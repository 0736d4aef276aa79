"""A node described, with the pods on it and how much of it they ask for."""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Final

from kubectl.describe.surroundings import Describer, Need, Surroundings
from kubectl.describe.text import NONE, UNSET, age, annotations, column, events, labels, lower, moment
from machinery.api import kinds, meta, quantity
from machinery.api.codec import Json

_ROLE: Final = "node-role.kubernetes.io/"
_STANDARD: Final = ("cpu", "memory", "ephemeral-storage")
_INFO: Final = (
    ("Machine ID", "machineID"),
    ("System UUID", "systemUUID"),
    ("Boot ID", "bootID"),
    ("Kernel Version", "kernelVersion"),
    ("OS Image", "osImage"),
    ("Operating System", "operatingSystem"),
    ("Architecture", "architecture"),
    ("Container Runtime Version", "containerRuntimeVersion"),
    ("Kubelet Version", "kubeletVersion"),
    ("Kube-Proxy Version", "kubeProxyVersion"),
)


def needs(node: Json) -> Sequence[Need]:
    """Its pods that still run, and its lease."""
    name = meta.name_of(node)
    alive = f"spec.nodeName={name},status.phase!=Succeeded,status.phase!=Failed"
    return (
        Need("pods", kinds.PODS, field_selector=alive),
        Need("lease", kinds.LEASES, namespace="kube-node-lease", name=name),
    )


def lines(found: Surroundings) -> Iterator[str]:
    """From name to events."""
    node = found.object
    spec, status = node.get("spec") or {}, node.get("status") or {}
    yield f"Name:\t{meta.name_of(node)}"
    yield f"Roles:\t{','.join(_roles(node)) or NONE}"
    yield from labels("Labels", meta.labels_of(node))
    yield from annotations("Annotations", meta.annotations_of(node))
    yield f"CreationTimestamp:\t{moment(meta.metadata_of(node).get('creationTimestamp'))}"
    yield from column("Taints", sorted((_taint(one) for one in spec.get("taints") or ()), key=_by_effect))
    yield f"Unschedulable:\t{lower(spec.get('unschedulable'))}"
    yield from _lease(found)
    yield from _conditions(status)
    yield "Addresses:"
    yield from (f"  {one.get('type')}:\t{one.get('address')}" for one in status.get("addresses") or ())
    for title in ("Capacity", "Allocatable"):
        if amounts := status.get(title.lower()):
            yield f"{title}:"
            yield from (f"  {name}:\t{amount}" for name, amount in sorted(amounts.items()))
    yield "System Info:"
    info = status.get("nodeInfo") or {}
    yield from (f"  {title}:\t{info.get(field, '')}" for title, field in _INFO)
    yield from _ranges(spec)
    yield from _pods(found, status.get("allocatable") or status.get("capacity") or {})
    yield from events(found.events, found.now)


def _ranges(spec: Json) -> Iterator[str]:
    if spec.get("podCIDR"):
        yield f"PodCIDR:\t{spec['podCIDR']}"
    if spec.get("podCIDRs"):
        yield f"PodCIDRs:\t{','.join(spec['podCIDRs'])}"
    if spec.get("providerID"):
        yield f"ProviderID:\t{spec['providerID']}"


def _roles(node: Json) -> list[str]:
    roles = {key.removeprefix(_ROLE) for key in meta.labels_of(node) if key.startswith(_ROLE)}
    return sorted(role for role in roles | {meta.labels_of(node).get("kubernetes.io/role", "")} if role)


def _taint(one: Json) -> str:
    value = f"={one['value']}" if one.get("value") else ""
    return f"{one.get('key', '')}{value}:{one.get('effect', '')}"


def _by_effect(text: str) -> tuple[str, str]:
    return text.rpartition(":")[2], text


def _lease(found: Surroundings) -> Iterator[str]:
    leases = found.related.get("lease") or []
    if not leases:
        name = meta.name_of(found.object)
        yield f'Lease:\tFailed to get lease: leases.coordination.k8s.io "{name}" not found'
        return
    spec = leases[0].get("spec") or {}
    yield "Lease:"
    yield f"  HolderIdentity:\t{spec.get('holderIdentity') or UNSET}"
    for title in ("acquireTime", "renewTime"):
        yield f"  {title[0].upper()}{title[1:]}:\t{moment(spec[title]) if spec.get(title) else UNSET}"


def _conditions(status: Json) -> Iterator[str]:
    if not status.get("conditions"):
        return
    yield "Conditions:"
    yield "  Type\tStatus\tLastHeartbeatTime\tLastTransitionTime\tReason\tMessage"
    yield "  ----\t------\t-----------------\t------------------\t------\t-------"
    for one in status["conditions"]:
        beat, change = moment(one.get("lastHeartbeatTime")), moment(one.get("lastTransitionTime"))
        words = f"{one.get('reason', '')} \t{one.get('message', '')}"
        yield f"  {one.get('type')} \t{one.get('status')} \t{beat} \t{change} \t{words}"


# --- what its pods ask for -------------------------------------------------------------------------------------------


def _pods(found: Surroundings, allocatable: Json) -> Iterator[str]:
    pods = found.related.get("pods") or []
    yield f"Non-terminated Pods:\t({len(pods)} in total)"
    yield "  Namespace\tName\t\tCPU Requests\tCPU Limits\tMemory Requests\tMemory Limits\tAge"
    yield "  ---------\t----\t\t------------\t----------\t---------------\t-------------\t---"
    for pod in pods:
        shares = [_share(amounts(pod, part), name, allocatable) for name in ("cpu", "memory") for part in _PARTS]
        created = age(meta.metadata_of(pod).get("creationTimestamp"), found.now)
        yield "\t".join([f"  {meta.namespace_of(pod)}", meta.name_of(pod), "", *shares, created])
    yield from ("Allocated resources:", "  (Total limits may be over 100 percent, i.e., overcommitted.)")
    yield from ("  Resource\tRequests\tLimits", "  --------\t--------\t------")
    totals = [_added(amounts(pod, part) for pod in pods) for part in _PARTS]
    for name in _STANDARD:
        yield "\t".join([f"  {name}", *(_share(total, name, allocatable) for total in totals)])
    for name in sorted(allocatable, key=lambda name: (not name.startswith("hugepages-"), name)):
        if name.startswith("hugepages-"):
            yield "\t".join([f"  {name}", *(_share(total, name, allocatable) for total in totals)])
        elif name not in (*_STANDARD, "pods", "storage"):
            yield "\t".join([f"  {name}", *(shown(total.get(name, ())) for total in totals)])


_PARTS: Final = ("requests", "limits")
Amounts = dict[str, list[str]]
"""Resource → the quantities to add up, as they are written: their notation decides that of the sum."""


def amounts(pod: Json, part: str) -> Amounts:
    """What a pod asks for: its containers and sidecars together, or its largest init container, and its overhead."""
    spec = pod.get("spec") or {}
    sidecars: Amounts = {}
    peaks: list[Amounts] = []
    for container in spec.get("initContainers") or ():
        wanted = _of(container, part)
        peaks.append(_added([sidecars, wanted]))
        if container.get("restartPolicy") == "Always":
            sidecars = peaks[-1]
    total = _added([*(_of(container, part) for container in spec.get("containers") or ()), sidecars])
    for peak in peaks:
        for name, values in peak.items():
            total[name] = max(total.get(name, []), values, key=_sum)
    overhead = {name: [str(value)] for name, value in (spec.get("overhead") or {}).items()}
    return _added([total, {name: value for name, value in overhead.items() if part == "requests" or name in total}])


def _of(container: Json, part: str) -> Amounts:
    return {name: [str(value)] for name, value in ((container.get("resources") or {}).get(part) or {}).items()}


def _added(parts: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for name, values in part.items():
            total[name] = total.get(name, []) + values
    return total


def _sum(values: Iterable[str]) -> Fraction:
    return sum((quantity.parse(value) for value in values), Fraction())


def _share(total: Amounts, name: str, allocatable: Json) -> str:
    values = total.get(name, ())
    whole = quantity.parse(str(allocatable.get(name, "0")))
    return f"{shown(values)} ({int(_sum(values) / whole * 100) if whole else 0}%)"


def shown(values: Sequence[str]) -> str:
    """The sum in the notation of the first quantity, as Go's Quantity.Add leaves it."""
    total = _sum(values)
    binary = bool(values) and values[0].endswith("i")
    if binary and total.denominator == 1:
        for power, suffix in ((6, "Ei"), (5, "Pi"), (4, "Ti"), (3, "Gi"), (2, "Mi"), (1, "Ki")):
            if total and total % 1024**power == 0:
                return f"{total // 1024**power}{suffix}"
        return str(int(total))
    return quantity.canonical(f"{int(total * 1000)}m")


DESCRIBER = Describer(lines, needs)
