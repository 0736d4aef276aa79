"""How many pods each ReplicaSet of a Deployment should have next: rolling, recreating, scaling. Pure arithmetic.

Theory of operation (upstream: pkg/controller/deployment/rolling.go, recreate.go, sync.go; util/deployment_util.go).
A plan is a list of `Resize`; carrying it out changes `spec.replicas`; the pods are moved by `replicaset`.
- Never more than replicas + maxSurge pods are asked for, and old pods are only taken away while at least
  replicas - maxUnavailable stay available; new pods that are not available yet count as unavailable.
- A plan first grows the new ReplicaSet; only when there is nothing to grow are old ones shrunk: unhealthy pods first
  (taking them away costs no availability), then the rest, oldest ReplicaSet first.
- A change of the Deployment's own replicas in the middle of a rollout is spread over the active ReplicaSets in
  proportion to their sizes; the annotations desired-replicas and max-replicas on each tell what they were meant for.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from controller_manager.deployment_revisions import DESIRED_REPLICAS, MAX_REPLICAS
from machinery.api import meta
from machinery.api.codec import Json


@dataclass(frozen=True, slots=True)
class Resize:
    """A ReplicaSet and the replicas it should have."""

    replica_set: Json
    replicas: int


def replicas_of(obj: Json) -> int:
    """`spec.replicas` of a Deployment or ReplicaSet; 1 when absent, as the API defaults it."""
    replicas = obj["spec"].get("replicas")
    return 1 if replicas is None else int(replicas)


def total_of(replica_sets: Iterable[Json | None]) -> int:
    """The sum of `spec.replicas`."""
    return sum(replicas_of(rs) for rs in replica_sets if rs is not None)


def status_sum(replica_sets: Iterable[Json | None], field: str) -> int:
    """The sum of a count in `status`."""
    return sum((rs.get("status") or {}).get(field) or 0 for rs in replica_sets if rs is not None)


def active(replica_sets: Iterable[Json | None]) -> list[Json]:
    """Those that ask for pods."""
    return [rs for rs in replica_sets if rs is not None and replicas_of(rs) > 0]


def is_rolling(deployment: Json) -> bool:
    """Whether the strategy is RollingUpdate (the default)."""
    return bool((deployment["spec"].get("strategy") or {}).get("type", "RollingUpdate") == "RollingUpdate")


def _fenceposts(deployment: Json) -> tuple[int, int]:
    """maxSurge rounded up and maxUnavailable rounded down; both zero would stall, so then one may be unavailable."""
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    wanted = replicas_of(deployment)
    surge = scaled(rolling.get("maxSurge", "25%"), wanted, round_up=True)
    unavailable = scaled(rolling.get("maxUnavailable", "25%"), wanted, round_up=False)
    return surge, (1 if surge == 0 and unavailable == 0 else unavailable)


def scaled(value: Any, total: int, *, round_up: bool) -> int:
    """An IntOrString: a number as it is, a percentage of the total rounded. Raises ValueError."""
    if isinstance(value, int):
        return value
    product = int(str(value).removesuffix("%")) * total
    return -(-product // 100) if round_up else product // 100


def max_surge(deployment: Json) -> int:
    """Pods allowed above replicas during a rolling update; 0 with other strategies."""
    return _fenceposts(deployment)[0] if is_rolling(deployment) else 0


def max_unavailable(deployment: Json) -> int:
    """Pods allowed to be missing during a rolling update; 0 with other strategies or without replicas."""
    wanted = replicas_of(deployment)
    return min(_fenceposts(deployment)[1], wanted) if is_rolling(deployment) and wanted else 0


def size_annotations(deployment: Json) -> dict[str, str]:
    """What the Deployment's sizes are, as every ReplicaSet it resizes remembers them."""
    wanted = replicas_of(deployment)
    return {DESIRED_REPLICAS: str(wanted), MAX_REPLICAS: str(wanted + max_surge(deployment))}


def remembered(rs: Json, annotation: str) -> int | None:
    """A size annotation as a number, if it is one."""
    text = meta.annotations_of(rs).get(annotation, "")
    return int(text) if text.isdecimal() else None


def initial_size(deployment: Json, others: Sequence[Json]) -> int:
    """The replicas a new ReplicaSet starts with."""
    wanted = replicas_of(deployment)
    if not is_rolling(deployment):
        return wanted
    room = wanted + max_surge(deployment) - total_of(others)
    return max(0, min(room, wanted))


def plan_rolling(deployment: Json, new: Json, old: Sequence[Json]) -> list[Resize]:
    """The next step of a rolling update; empty when there is nothing to do until pods change."""
    return _grow_new(deployment, new, old) or _shrink_old(deployment, new, old)


def _grow_new(deployment: Json, new: Json, old: Sequence[Json]) -> list[Resize]:
    wanted, present = replicas_of(deployment), replicas_of(new)
    if present == wanted:
        return []
    if present > wanted:
        return [Resize(new, wanted)]
    room = wanted + max_surge(deployment) - total_of([*old, new])
    return [Resize(new, present + min(room, wanted - present))] if room > 0 else []


def _shrink_old(deployment: Json, new: Json, old: Sequence[Json]) -> list[Resize]:
    everyone = [*old, new]
    minimum = replicas_of(deployment) - max_unavailable(deployment)
    new_unavailable = replicas_of(new) - status_sum([new], "availableReplicas")
    allowance = total_of(everyone) - minimum - new_unavailable
    if allowance <= 0:
        return []
    sizes = {meta.uid_of(rs): replicas_of(rs) for rs in old}
    _take_unhealthy(old, sizes, allowance)
    _take_healthy(old, sizes, status_sum(everyone, "availableReplicas") - minimum)
    return [Resize(rs, sizes[meta.uid_of(rs)]) for rs in old if sizes[meta.uid_of(rs)] != replicas_of(rs)]


def _take_unhealthy(old: Sequence[Json], sizes: dict[str, int], allowance: int) -> None:
    for rs in old:
        unhealthy = replicas_of(rs) - status_sum([rs], "availableReplicas")
        taken = max(0, min(allowance, unhealthy))
        sizes[meta.uid_of(rs)] -= taken
        allowance -= taken


def _take_healthy(old: Sequence[Json], sizes: dict[str, int], spare: int) -> None:
    for rs in old:
        taken = max(0, min(spare, sizes[meta.uid_of(rs)]))
        sizes[meta.uid_of(rs)] -= taken
        spare -= taken


def to_zero(replica_sets: Iterable[Json | None]) -> list[Resize]:
    """Empty every active ReplicaSet."""
    return [Resize(rs, 0) for rs in active(replica_sets)]


def is_scaling(deployment: Json, replica_sets: Iterable[Json]) -> bool:
    """Whether the Deployment's replicas changed since its active ReplicaSets were last sized."""
    wanted = replicas_of(deployment)
    return any(remembered(rs, DESIRED_REPLICAS) not in (None, wanted) for rs in active(replica_sets))


def is_saturated(deployment: Json, new: Json | None) -> bool:
    """Whether the new ReplicaSet alone carries the whole Deployment."""
    if new is None:
        return False
    wanted = replicas_of(deployment)
    available = status_sum([new], "availableReplicas")
    return remembered(new, DESIRED_REPLICAS) == wanted == replicas_of(new) == available


def plan_scaling(deployment: Json, new: Json | None, old: Sequence[Json]) -> list[Resize]:
    """Resizes after the Deployment's replicas changed, or while it is paused."""
    wanted = replicas_of(deployment)
    single = _active_or_latest(new, old)
    if single is not None:
        # Also when only the memory of the sizes is old: is_scaling would stay true for ever.
        settled = replicas_of(single) == wanted and remembered(single, DESIRED_REPLICAS) in (None, wanted)
        return [] if settled else [Resize(single, wanted)]
    if is_saturated(deployment, new):
        return to_zero(old)
    return _proportionally(deployment, active([*old, new])) if is_rolling(deployment) else []


def _active_or_latest(new: Json | None, old: Sequence[Json]) -> Json | None:
    busy = active([*old, new])
    if len(busy) > 1:
        return None
    if busy:
        return busy[0]
    return new if new is not None or not old else old[-1]


def _proportionally(deployment: Json, busy: Sequence[Json]) -> list[Resize]:
    wanted = replicas_of(deployment)
    allowed = wanted + max_surge(deployment) if wanted > 0 else 0
    to_add = allowed - total_of(busy)
    # Larger ones first; among equals newer first when growing, older first when shrinking.
    by_age = list(reversed(busy)) if to_add > 0 else list(busy)
    ordered = sorted(by_age, key=lambda rs: -replicas_of(rs))
    sizes = [replicas_of(rs) for rs in ordered]
    added = 0
    for index, rs in enumerate(ordered):
        share = _proportion(deployment, rs, to_add, added)
        sizes[index] += share
        added += share
    sizes[0] = max(0, sizes[0] + to_add - added)
    # Those whose size stays are listed too: they have to remember the Deployment's new sizes.
    return [Resize(rs, size) for rs, size in zip(ordered, sizes, strict=True)]


def _proportion(deployment: Json, rs: Json, to_add: int, added: int) -> int:
    if not replicas_of(rs) or not to_add or to_add == added:
        return 0
    share, left = _fraction(deployment, rs), to_add - added
    return min(share, left) if to_add > 0 else max(share, left)


def _fraction(deployment: Json, rs: Json) -> int:
    wanted, size = replicas_of(deployment), replicas_of(rs)
    if wanted == 0:
        return -size
    before = remembered(rs, MAX_REPLICAS) or (deployment.get("status") or {}).get("replicas") or 0
    if not before:
        return 0
    after = wanted + max_surge(deployment)
    return (2 * size * after + before) // (2 * before) - size  # rounded half up, in integers
