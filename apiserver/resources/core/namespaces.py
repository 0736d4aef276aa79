"""Namespaces: they stay, Terminating, until spec.finalizers is empty (upstream: pkg/registry/core/namespace)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.registry.strategy import Context
from apiserver.resources.base import KindStrategy, keep_status
from apiserver.resources.columns import AGE, status_of
from apiserver.validation import fields
from machinery.api import errors, kinds, meta, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

NAME_LABEL: Final = "kubernetes.io/metadata.name"
FINALIZER: Final = "kubernetes"


class NamespaceStrategy(KindStrategy):
    """A namespace's finalizers live in its spec, changed through the finalize subresource only."""

    namespaced = False
    returns_deleted_object = True

    def name_check(self, name: str) -> list[str]:
        """A DNS label."""
        return names.is_dns_label(name)

    def defaults(self, obj: Json) -> None:
        """The label that carries the name, for selectors."""
        name = meta.name_of(obj)
        if name:
            labels = obj["metadata"].get("labels") or {}
            if labels.get(NAME_LABEL) != name:
                obj["metadata"]["labels"] = {**labels, NAME_LABEL: name}
        obj.setdefault("spec", {})
        obj.setdefault("status", {})

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """Active, and held by the namespace controller's finalizer."""
        self.defaults(obj)  # once more: generateName gave it its name only now
        finalizers = obj["spec"].get("finalizers") or []
        obj["spec"]["finalizers"] = [*finalizers, *([] if FINALIZER in finalizers else [FINALIZER])]
        obj["status"] = {"phase": "Active"}

    def prepare_for_update(self, obj: Json, old: Json, context: Context) -> None:
        """spec.finalizers and status have their own subresources."""
        obj["spec"] = old.get("spec", {})
        keep_status(obj, old)

    def prepare_for_finalize_update(self, obj: Json, old: Json, context: Context) -> None:
        """The finalize subresource changes spec.finalizers and nothing else."""
        finalizers = (obj.get("spec") or {}).get("finalizers")
        for key in [key for key in obj if key != "metadata"]:
            del obj[key]
        obj.update({key: value for key, value in old.items() if key != "metadata"})
        obj["spec"] = {**(old.get("spec") or {}), "finalizers": finalizers} if finalizers else {}

    def check(self, obj: Json) -> list[FieldError]:
        """Finalizers are `kubernetes` or qualified names."""
        found: list[FieldError] = []
        for finalizer in (obj.get("spec") or {}).get("finalizers") or ():
            found += fields.qualified_name(finalizer, "spec.finalizers")
            if not found and "/" not in finalizer and finalizer != FINALIZER:
                text = "name is neither a standard finalizer name nor is it fully qualified"
                found.append(errors.invalid_value("spec.finalizers", finalizer, text))
        return found

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """The phase follows from the deletion timestamp."""
        phase = status_of(obj).get("phase")
        if not meta.is_being_deleted(obj) and phase != "Active":
            text = "may only be 'Active' if `deletionTimestamp` is empty"
            return [errors.invalid_value("status.Phase", phase, text)]
        if meta.is_being_deleted(obj) and phase != "Terminating":
            text = "may only be 'Terminating' if `deletionTimestamp` is not empty"
            return [errors.invalid_value("status.Phase", phase, text)]
        return []

    def mark_deleted(self, obj: Json) -> None:
        """The namespace controller and admission go by the phase."""
        obj.setdefault("status", {})["phase"] = "Terminating"

    def holds_on(self, obj: Json) -> bool:
        """Not gone before the namespace controller emptied it."""
        return bool((obj.get("spec") or {}).get("finalizers"))


NAMESPACES: Final = Resource(
    kind=kinds.NAMESPACES,
    key="namespaces",
    strategy=NamespaceStrategy(),
    short_names=("ns",),
    columns=(Column("Status", lambda namespace: status_of(namespace).get("phase") or ""), AGE),
    fields={"status.phase": lambda namespace: status_of(namespace).get("phase") or ""},
    subresources=("status", "finalize"),
    verbs=("create", "delete", "get", "list", "patch", "update", "watch"),
)
