"""RuntimeClass: a pod that names a runtime gets what it costs and where it runs from that runtime's class.

Upstream: plugin/pkg/admission/runtimeclass/admission.go, pkg/util/tolerations (KEP-585, KEP-688).
"""

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from machinery.api import kinds, meta, quantity
from machinery.api.codec import Json


class RuntimeClass(Plugin):
    """Fills `overhead`, `nodeSelector` and `tolerations`."""

    name = "RuntimeClass"

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises Forbidden for a class that is not there, and where pod and class contradict each other."""
        if attributes.obj is None or not attributes.is_for(kinds.PODS, Operation.CREATE):
            return
        spec = attributes.obj.setdefault("spec", {})
        if chosen := await _class_of(attributes, reader):
            _set_overhead(attributes, spec, chosen)
            _set_scheduling(attributes, spec, chosen.get("scheduling") or {})

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises Forbidden for an overhead that no class defines."""
        if attributes.obj is None or not attributes.is_for(kinds.PODS, Operation.CREATE):
            return
        if not (attributes.obj.get("spec") or {}).get("overhead"):
            return
        chosen = await _class_of(attributes, reader)
        if not ((chosen or {}).get("overhead") or {}).get("podFixed"):
            raise attributes.forbidden(
                "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead"
            )


async def _class_of(attributes: Attributes, reader: Reader) -> Json | None:
    name = ((attributes.obj or {}).get("spec") or {}).get("runtimeClassName")
    if not name:
        return None
    found = await reader.get(kinds.RUNTIME_CLASSES, "", name)
    if found is None:
        raise attributes.forbidden(f'pod rejected: RuntimeClass "{name}" not found')
    return found


def _set_overhead(attributes: Attributes, spec: Json, chosen: Json) -> None:
    fixed = (chosen.get("overhead") or {}).get("podFixed") or {}
    if not fixed:
        return
    given = spec.setdefault("overhead", dict(fixed))
    if {name: quantity.parse(value) for name, value in given.items()} != {
        name: quantity.parse(value) for name, value in fixed.items()
    }:
        raise attributes.forbidden(
            f"pod rejected: Pod's Overhead doesn't match RuntimeClass \"{meta.name_of(chosen)}\" defined Overhead"
        )


def _set_scheduling(attributes: Attributes, spec: Json, scheduling: Json) -> None:
    selector = spec.get("nodeSelector") or {}
    for key, value in sorted((scheduling.get("nodeSelector") or {}).items()):
        if selector.get(key, value) != value:
            raise attributes.forbidden(
                f"conflict: runtimeClass.scheduling.nodeSelector[{key}] = {value}; "
                f"pod.spec.nodeSelector[{key}] = {selector[key]}"
            )
        selector[key] = value
    if selector:
        spec["nodeSelector"] = selector
    there = spec.get("tolerations") or []
    added = [one for one in scheduling.get("tolerations") or () if one not in there]
    if added:
        spec["tolerations"] = [*there, *added]
