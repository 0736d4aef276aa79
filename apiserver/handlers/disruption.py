"""What a PodDisruptionBudget says to one eviction, and what its status is afterwards. Pure; `eviction` carries it out.

Upstream: pkg/registry/core/pod/storage/eviction.go (checkAndDecrement, canIgnorePDB).
"""

from collections.abc import Iterable
from typing import Final

from machinery.api import errors, kinds, meta, pods
from machinery.api.codec import Json
from machinery.api.selectors import LabelSelector

_MOST_DISRUPTED: Final = 2000
_VIOLATES: Final = "Cannot evict pod as it would violate the pod's disruption budget."
_ALLOWED: Final = "DisruptionAllowed"


def needs_no_budget(pod: Json) -> bool:
    """Whether a pod serves nobody anyway: it has ended, is ending, or has not begun."""
    return pods.is_terminal(pod) or meta.is_being_deleted(pod) or pods.phase_of(pod) == "Pending"


def budgets_of(pod: Json, budgets: Iterable[Json]) -> list[Json]:
    """Those of the namespace whose selector the pod matches; a budget without a selector is nobody's."""
    labels = meta.labels_of(pod)
    found = []
    for budget in budgets:
        selector = (budget.get("spec") or {}).get("selector")
        if selector is not None and LabelSelector.from_dict(selector).matches(labels):
            found.append(budget)
    return found


def spares(pod: Json, budget: Json) -> bool:
    """Whether an unready pod may go without being counted (KEP-3017)."""
    if pods.is_ready(pod):
        return False
    if (budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow":
        return True
    status = budget.get("status") or {}
    wanted = status.get("desiredHealthy") or 0
    return 0 < wanted <= (status.get("currentHealthy") or 0)


def take_one(budget: Json, pod_name: str, now: str) -> None:
    """Count one disruption in the budget's status, in place; raises TooManyRequests, Forbidden."""
    status = budget.setdefault("status", {})
    name = meta.name_of(budget)
    generation = budget["metadata"].get("generation") or 0
    allowed = status.get("disruptionsAllowed") or 0
    if (status.get("observedGeneration") or 0) < generation:
        raise _too_many(f"The disruption budget {name} is still being processed by the server.")
    if allowed < 0:
        raise errors.forbidden(kinds.POD_DISRUPTION_BUDGETS, name, "pdb disruptions allowed is negative")
    disrupted = status.get("disruptedPods") or {}
    if len(disrupted) > _MOST_DISRUPTED:
        why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
        raise errors.forbidden(kinds.POD_DISRUPTION_BUDGETS, name, why)
    if allowed == 0:
        raise _too_many(_why_none(name, status))
    status["disruptionsAllowed"] = allowed - 1
    if allowed == 1:
        none_left = {
            "type": _ALLOWED,
            "reason": "InsufficientPods",
            "status": "False",
            "observedGeneration": status.get("observedGeneration") or 0,
            "message": "",
        }
        status["conditions"] = meta.set_condition(status.get("conditions"), none_left, now)
    status["disruptedPods"] = {**disrupted, pod_name: now}


def _why_none(name: str, status: Json) -> str:
    condition = meta.find_condition(status.get("conditions"), _ALLOWED) or {}
    if condition.get("status") == "False" and condition.get("reason") == "SyncFailed":
        message = condition.get("message", "")
        return f"The disruption budget {name} does not allow evicting pods currently because it failed sync: {message}"
    wanted, there = status.get("desiredHealthy") or 0, status.get("currentHealthy") or 0
    return f"The disruption budget {name} needs {wanted} healthy pods and has {there} currently"


def _too_many(message: str) -> errors.TooManyRequests:
    return errors.TooManyRequests(_VIOLATES, {"causes": [{"reason": "DisruptionBudget", "message": message}]})
