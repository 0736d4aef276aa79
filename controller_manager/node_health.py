"""Whether a node still shows signs of life, and what its silence does to its conditions, taints and zone. Pure.

Theory of operation (upstream: pkg/controller/nodelifecycle/node_lifecycle_controller.go).
A kubelet shows life in two ways: the heartbeat time of its Ready condition and the renew time of its Lease. Neither is
compared with our clock, only with what was seen before: a change of either, whenever it was written, means alive *now*.
- Silent for longer than the grace period: Ready and the pressure conditions become Unknown.
- Ready not True: the node gets a NoExecute taint, `not-ready` for False and `unreachable` for Unknown, never both. How
  fast is limited per zone; the fewer nodes of a zone are well, the slower: the fault is then more likely ours.
- No node in any zone is well: nothing is evicted at all, and taints are taken back. It is us who are cut off.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Final

from machinery.api import meta, nodes, times
from machinery.api.codec import Json

_WATCHED: Final = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
_CONDITION_TAINTS: Final = {
    ("Ready", "False"): nodes.TAINT_NOT_READY,
    ("Ready", "Unknown"): nodes.TAINT_UNREACHABLE,
    ("MemoryPressure", "True"): "node.kubernetes.io/memory-pressure",
    ("DiskPressure", "True"): "node.kubernetes.io/disk-pressure",
    ("NetworkUnavailable", "True"): "node.kubernetes.io/network-unavailable",
    ("PIDPressure", "True"): "node.kubernetes.io/pid-pressure",
}
_OWN_NO_SCHEDULE: Final = frozenset((*_CONDITION_TAINTS.values(), nodes.TAINT_UNSCHEDULABLE))
_OWN_NO_EXECUTE: Final = frozenset((nodes.TAINT_NOT_READY, nodes.TAINT_UNREACHABLE))
EXCLUDED_FROM_DISRUPTION: Final = "node.kubernetes.io/exclude-disruption"


# --- signs of life ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Health:
    """The last signs of life, and the monotonic time in seconds at which the newest was noticed."""

    heartbeat: str | None
    renewed: str
    noticed: float


def observe(before: Health | None, node: Json, lease: Json | None, monotonic: float, now: datetime) -> Health:
    """Compare a node and its Lease with what was seen before."""
    ready = nodes.ready_condition(node)
    heartbeat = ready.get("lastHeartbeatTime") or "" if ready is not None else None
    renewed = ((lease or {}).get("spec") or {}).get("renewTime") or ""
    if before is None:
        noticed = monotonic
        if ready is None and not renewed:  # it never posted anything: its time counts from its creation
            noticed -= _seconds_since(meta.metadata_of(node).get("creationTimestamp"), now)
        return Health(heartbeat, renewed, noticed)
    alive = heartbeat != before.heartbeat or renewed > before.renewed
    return Health(heartbeat, max(renewed, before.renewed), monotonic if alive else before.noticed)


def _seconds_since(text: str | None, now: datetime) -> float:
    return max(0.0, (now - times.parse(text)).total_seconds()) if text else 0.0


def unknown_conditions(node: Json, now: str) -> list[Json]:
    """The conditions of a node that went silent; the network's condition is not the kubelet's and stays."""
    conditions: list[Json] = (node.get("status") or {}).get("conditions") or []
    by_type = {condition["type"]: condition for condition in conditions}
    for type_ in _WATCHED:
        current = by_type.get(type_)
        if current is None:
            by_type[type_] = {
                "type": type_,
                "status": "Unknown",
                "reason": "NodeStatusNeverUpdated",
                "message": "Kubelet never posted node status.",
                "lastHeartbeatTime": meta.metadata_of(node).get("creationTimestamp"),
                "lastTransitionTime": now,
            }
        elif current.get("status") != "Unknown":
            by_type[type_] = {
                **current,
                "status": "Unknown",
                "reason": "NodeStatusUnknown",
                "message": "Kubelet stopped posting node status.",
                "lastTransitionTime": now,
            }
    return list(by_type.values())


# --- taints -------------------------------------------------------------------------------------------------------


def plan_no_schedule(node: Json, now: str) -> list[Json] | None:
    """The taints a node should have by its conditions and its cordon; None when it has them."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    pairs = ((condition.get("type", ""), condition.get("status", "")) for condition in conditions)
    wanted = [_CONDITION_TAINTS[pair] for pair in pairs if pair in _CONDITION_TAINTS]
    if nodes.is_unschedulable(node):
        wanted.append(nodes.TAINT_UNSCHEDULABLE)
    return _swap(node, wanted, _OWN_NO_SCHEDULE, "NoSchedule", now)


def plan_no_execute(node: Json, now: str) -> list[Json] | None:
    """The taints a node should have by its Ready condition; None when it has them, or has never reported."""
    ready = nodes.ready_condition(node)
    if ready is None:
        return None
    wanted = {"False": [nodes.TAINT_NOT_READY], "Unknown": [nodes.TAINT_UNREACHABLE]}.get(ready["status"], [])
    return _swap(node, wanted, _OWN_NO_EXECUTE, "NoExecute", now)


def without_no_execute(node: Json) -> list[Json] | None:
    """The taints without ours that evict; None when there are none of them."""
    return _swap(node, [], _OWN_NO_EXECUTE, "NoExecute", "")


def evicts(node: Json) -> bool:
    """Whether the node has one of our taints that evict."""
    return any(t["key"] in _OWN_NO_EXECUTE and t["effect"] == "NoExecute" for t in nodes.taints_of(node))


def _swap(node: Json, wanted: Sequence[str], own: frozenset[str], effect: str, now: str) -> list[Json] | None:
    current = nodes.taints_of(node)
    kept = [t for t in current if t["effect"] != effect or t["key"] not in own or t["key"] in wanted]
    present = {t["key"] for t in kept if t["effect"] == effect}
    added = [{"key": key, "effect": effect, "timeAdded": now} for key in wanted if key not in present]
    return kept + added if added or len(kept) != len(current) else None


# --- zones --------------------------------------------------------------------------------------------------------


class ZoneState(Enum):
    """How many nodes of a zone are well."""

    INITIAL = "Initial"
    NORMAL = "Normal"
    PARTIAL = "PartialDisruption"
    FULL = "FullDisruption"


def zone_of(node: Json) -> str:
    """Region and zone of a node, the two empty where unlabelled."""
    labels = meta.labels_of(node)
    return f"{labels.get('topology.kubernetes.io/region', '')}:{labels.get('topology.kubernetes.io/zone', '')}"


def state_of(ready: int, not_ready: int, threshold: float) -> ZoneState:
    """Full without any ready node; partial when more than two and at least `threshold` of all are not ready."""
    if not_ready and not ready:
        return ZoneState.FULL
    if not_ready > 2 and not_ready / (ready + not_ready) >= threshold:
        return ZoneState.PARTIAL
    return ZoneState.NORMAL


@dataclass(frozen=True, slots=True)
class Disruption:
    """The zones' states after a pass, and whether the whole cluster entered or left full disruption with it."""

    zones: Mapping[str, ZoneState]
    entered: bool
    left: bool


def judge(before: Mapping[str, ZoneState], ready_by_zone: Mapping[str, Sequence[bool]], threshold: float) -> Disruption:
    """Judge all zones; `ready_by_zone` has one entry per node."""
    zones = {zone: state_of(sum(ready), len(ready) - sum(ready), threshold) for zone, ready in ready_by_zone.items()}
    was_full = bool(zones) and all(before.get(zone, ZoneState.INITIAL) is ZoneState.FULL for zone in zones)
    is_full = bool(zones) and all(state is ZoneState.FULL for state in zones.values())
    return Disruption(zones, entered=is_full and not was_full, left=was_full and not is_full)


@dataclass(frozen=True, slots=True)
class EvictionRates:
    """Nodes per second to taint, and what counts as a large zone or an unhealthy one."""

    normal: float = 0.1
    secondary: float = 0.01
    large_cluster: int = 50
    unhealthy_threshold: float = 0.55

    def in_zone(self, state: ZoneState, size: int) -> float:
        """The rate for a zone of so many nodes."""
        if state is not ZoneState.PARTIAL:
            return self.normal
        return self.secondary if size > self.large_cluster else 0.0


@dataclass(slots=True)
class TokenBucket:
    """At most one node at once, then `rate` a second."""

    rate: float
    tokens: float = 1.0
    at: float = 0.0

    def take(self, monotonic: float) -> bool:
        """Whether one may go now."""
        self.tokens = min(1.0, self.tokens + (monotonic - self.at) * self.rate)
        self.at = monotonic
        if self.rate <= 0 or self.tokens < 1.0:
            return False
        self.tokens -= 1.0
        return True
