"""Priority: the class of a pod becomes a number, and whether it may preempt others.

Upstream: plugin/pkg/admission/priority/admission.go.
"""

from typing import Final

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from machinery.api import kinds, meta
from machinery.api.codec import Json

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
        chosen = await _class_of(spec, attributes, reader)
        value, policy = chosen.get("value") or 0, chosen.get("preemptionPolicy") or _PREEMPTION
        if spec.get("priority") not in (None, value):
            raise attributes.forbidden(
                f"the integer value of priority ({spec['priority']}) must not be provided in pod spec; "
                f"priority admission controller computed {value} from the given PriorityClass name"
            )
        if spec.get("preemptionPolicy") not in (None, policy):
            raise attributes.forbidden(
                f"the string value of PreemptionPolicy ({spec['preemptionPolicy']}) must not be provided in pod spec; "
                f"priority admission controller computed {policy} from the given PriorityClass name"
            )
        spec["priority"], spec["preemptionPolicy"] = value, policy


async def _class_of(spec: Json, attributes: Attributes, reader: Reader) -> Json:
    """The class a pod names, or the cluster's default, by which it is named then; none is nothing special."""
    name = spec.get("priorityClassName") or ""
    if not name:
        defaults = [item for item in reader.all(kinds.PRIORITY_CLASSES) if item.get("globalDefault")]
        if not defaults:
            return {}
        chosen = min(defaults, key=lambda item: item.get("value") or 0)
        spec["priorityClassName"] = meta.name_of(chosen)
        return chosen
    found = await reader.get(kinds.PRIORITY_CLASSES, "", name)
    if found is None:
        raise attributes.forbidden(f"no PriorityClass with name {name} was found")
    return found


def _carry_over(spec: Json, old: Json) -> None:
    """A client that replaces a pod need not know what admission put in."""
    for field in ("priority", "preemptionPolicy"):
        if field not in spec and field in old:
            spec[field] = old[field]
