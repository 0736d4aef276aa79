"""StorageVersionMigrations (KEP-4192). Carrying them out is a controller's."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of
from apiserver.validation import fields
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class StorageVersionMigrationStrategy(KindStrategy):
    """A resource whose objects are to be written again."""

    namespaced = False
    drops_status = True

    def check(self, obj: Json) -> list[FieldError]:
        """A resource."""
        resource = spec_of(obj).get("resource") or {}
        return [] if resource.get("resource") else [errors.required("spec.resource.resource", "")]

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """The resource stays."""
        return fields.immutable(spec_of(obj).get("resource"), spec_of(old).get("resource"), "spec.resource")


def _resource(obj: Json) -> str:
    resource = spec_of(obj).get("resource") or {}
    group = f".{resource['group']}" if resource.get("group") else ""
    return f"{resource.get('resource') or ''}{group}"


STORAGE_VERSION_MIGRATIONS: Final = Resource(
    kind=kinds.STORAGE_VERSION_MIGRATIONS,
    key="storageversionmigrations",
    strategy=StorageVersionMigrationStrategy(),
    columns=(Column("Resource", _resource), AGE),
    subresources=("status",),
)
