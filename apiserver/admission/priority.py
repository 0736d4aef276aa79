"""Priority: the class of a pod becomes a number. Only the two built-in classes so far; others come with their kind.

Upstream: plugin/pkg/admission/priority/admission.go.
"""

from typing import Final

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin, Reader
from machinery.api import kinds
from machinery.api.codec import Json

CLASSES: Final = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_PREEMPTION: Final = "PreemptLowerPriority"


class Priority(Plugin):
    """Fills spec.priority and spec.preemptionPolicy."""

    name = "Priority"

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises Forbidden for an unknown class, and for a number that contradicts the class."""
        pod = attributes.obj
        if pod is None or not attributes.is_for(kinds.PODS, Operation.CREATE, Operation.UPDATE):
            return
        spec = pod.setdefault("spec", {})
        if attributes.operation is Operation.UPDATE:
            _carry_over(spec, (attributes.old or {}).get("spec") or {})
            return
        name = spec.get("priorityClassName") or ""
        if name and name not in CLASSES:
            raise attributes.forbidden(f"no PriorityClass with name {name} was found")
        computed = CLASSES.get(name, 0)
        if spec.get("priority") not in (None, computed):
            raise attributes.forbidden(
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
                f"priority admission controller computed {computed} from the given PriorityClass name"
            )
        spec["priority"] = computed
        if spec.get("preemptionPolicy") not in (None, _PREEMPTION):
            raise attributes.forbidden(
                f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; "
                f"priority admission controller computed {_PREEMPTION} from the given PriorityClass name"
            )
        spec["preemptionPolicy"] = _PREEMPTION


def _carry_over(spec: Json, old: Json) -> None:
    """A client that replaces a pod need not know what admission put in."""
    for field in ("priority", "preemptionPolicy"):
        if field not in spec and field in old:
            spec[field] = old[field]
