"""VolumeAttributesClasses (upstream: pkg/registry/storage/volumeattributesclass)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE
from apiserver.resources.storage.storageclasses import parameters
from apiserver.validation import fields
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class VolumeAttributesClassStrategy(KindStrategy):
    """A driver's parameters for volumes that exist; they stay."""

    namespaced = False

    def check(self, obj: Json) -> list[FieldError]:
        """A driver and at least one parameter."""
        found = [] if obj.get("driverName") else [errors.required("driverName", "")]
        if not obj.get("parameters"):
            found.append(errors.required("parameters", "must contain at least one key/value pair"))
        return found + parameters(obj.get("parameters"), "parameters")

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """Nothing changes."""
        found = fields.immutable(obj.get("driverName"), old.get("driverName"), "driverName")
        return found + fields.immutable(obj.get("parameters"), old.get("parameters"), "parameters")


VOLUME_ATTRIBUTES_CLASSES: Final = Resource(
    kind=kinds.VOLUME_ATTRIBUTES_CLASSES,
    key="volumeattributesclasses",
    strategy=VolumeAttributesClassStrategy(),
    short_names=("vac",),
    columns=(Column("DriverName", lambda obj: obj.get("driverName") or ""), AGE),
)
