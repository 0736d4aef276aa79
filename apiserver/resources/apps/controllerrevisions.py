"""ControllerRevisions (upstream: pkg/registry/apps/controllerrevision)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, NONE
from apiserver.validation import fields
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class ControllerRevisionStrategy(KindStrategy):
    """A snapshot: its data never changes, its revision may."""

    def defaults(self, obj: Json) -> None:
        """The number is always written."""
        obj.setdefault("revision", 0)

    def check(self, obj: Json) -> list[FieldError]:
        """Data is there, the revision is not negative."""
        found = fields.non_negative(obj.get("revision"), "revision")
        return found if obj.get("data") is not None else [*found, errors.required("data", "data is mandatory")]

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """Data stays."""
        return fields.immutable(obj.get("data"), old.get("data"), "data")


def _controller(revision: Json) -> str:
    owner = meta.controller_of(revision)
    if owner is None:
        return NONE
    group = (owner.get("apiVersion") or "").rpartition("/")[0]
    kind = owner["kind"].lower()
    return f"{kind}.{group}/{owner['name']}" if group else f"{kind}/{owner['name']}"


CONTROLLER_REVISIONS: Final = Resource(
    kind=kinds.CONTROLLER_REVISIONS,
    key="controllerrevisions",
    strategy=ControllerRevisionStrategy(),
    columns=(
        Column("Controller", _controller),
        Column("Revision", lambda revision: revision.get("revision") or 0),
        AGE,
    ),
)
