"""StorageClasses (upstream: pkg/registry/storage/storageclass, pkg/apis/storage/validation)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, UNSET
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import fields
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.errors import FieldError

IS_DEFAULT: Final = "storageclass.kubernetes.io/is-default-class"
_RECLAIM: Final = ("Delete", "Retain")
_BINDING: Final = ("Immediate", "WaitForFirstConsumer")
_MOST_PARAMETERS: Final = 512
_LARGEST: Final = 256 * 1024


class StorageClassStrategy(KindStrategy):
    """A provisioner with parameters, which stay."""

    namespaced = False

    def defaults(self, obj: Json) -> None:
        """Volumes go with their claims and are bound at once."""
        fill(obj, {"reclaimPolicy": "Delete", "volumeBindingMode": "Immediate"})

    def check(self, obj: Json) -> list[FieldError]:
        """A provisioner, parameters, policies."""
        found: list[FieldError] = []
        provisioner = obj.get("provisioner") or ""
        if not provisioner:
            found.append(errors.required("provisioner", provisioner))
        else:
            found += fields.qualified_name(provisioner.lower(), "provisioner")
        found += parameters(obj.get("parameters"), "parameters")
        found += fields.one_of(obj.get("reclaimPolicy"), _RECLAIM, "reclaimPolicy")
        return found + fields.one_of(obj.get("volumeBindingMode"), _BINDING, "volumeBindingMode", needed=True)

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """All but the topologies and whether volumes may grow."""
        found: list[FieldError] = []
        for name in ("parameters", "provisioner", "reclaimPolicy"):
            if obj.get(name) != old.get(name):
                text = "updates to {} are forbidden.".format(name if name != "reclaimPolicy" else "reclaimPolicy")
                found.append(errors.forbidden_field(name, text))
        return found + fields.immutable(obj.get("volumeBindingMode"), old.get("volumeBindingMode"), "volumeBindingMode")


def parameters(values: dict[str, str] | None, path: str) -> list[FieldError]:
    """Not too many, not too long, none without a name."""
    found: list[FieldError] = []
    if len(values or ()) > _MOST_PARAMETERS:
        found.append(
            errors.invalid_value(path, None, f"Provided {len(values or ())} parameters, but the maximum is 512")
        )
    for key in values or ():
        if not key:
            found.append(errors.invalid_value(path, key, "field can not be empty."))
    if sum(len(key) + len(value) for key, value in (values or {}).items()) > _LARGEST:
        found.append(errors.too_long(path, _LARGEST))
    return found


def _name(storage_class: Json) -> str:
    default = meta.annotations_of(storage_class).get(IS_DEFAULT) == "true"
    return meta.name_of(storage_class) + (" (default)" if default else "")


STORAGE_CLASSES: Final = Resource(
    kind=kinds.STORAGE_CLASSES,
    key="storageclasses",
    strategy=StorageClassStrategy(),
    short_names=("sc",),
    columns=(
        Column("Name", _name, format="name"),
        Column("Provisioner", lambda sc: sc.get("provisioner") or ""),
        Column("ReclaimPolicy", lambda sc: sc.get("reclaimPolicy") or UNSET),
        Column("VolumeBindingMode", lambda sc: sc.get("volumeBindingMode") or UNSET),
        Column("AllowVolumeExpansion", lambda sc: bool(sc.get("allowVolumeExpansion"))),
        AGE,
    ),
)
