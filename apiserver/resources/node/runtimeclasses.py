"""RuntimeClasses (upstream: pkg/registry/node/runtimeclass, pkg/apis/node/validation)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE
from apiserver.validation import compute_resources, fields, scheduling
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class RuntimeClassStrategy(KindStrategy):
    """A handler of the container runtime, what it costs and where it is."""

    namespaced = False

    def prepare_for_create(self, obj: Json, context: object) -> None:
        """A generation that never changes."""
        obj["metadata"]["generation"] = 1

    def check(self, obj: Json) -> list[FieldError]:
        """A handler's name, amounts, a selector and tolerations."""
        found = fields.dns_label(obj.get("handler") or "", "handler")
        overhead = (obj.get("overhead") or {}).get("podFixed")
        if overhead:
            found += compute_resources.check({"requests": overhead, "limits": overhead}, "overhead.podFixed")
        placed = obj.get("scheduling") or {}
        found += scheduling.node_selector(placed.get("nodeSelector"), "scheduling.nodeSelector")
        return found + scheduling.tolerations(placed.get("tolerations"), "scheduling.tolerations")

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """The handler stays."""
        return fields.immutable(obj.get("handler"), old.get("handler"), "handler")


RUNTIME_CLASSES: Final = Resource(
    kind=kinds.RUNTIME_CLASSES,
    key="runtimeclasses",
    strategy=RuntimeClassStrategy(),
    columns=(Column("Handler", lambda obj: obj.get("handler") or ""), AGE),
)
