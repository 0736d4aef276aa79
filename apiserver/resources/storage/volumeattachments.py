"""VolumeAttachments (upstream: pkg/registry/storage/volumeattachment, pkg/apis/storage/validation)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of, status_of
from apiserver.validation import fields
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class VolumeAttachmentStrategy(KindStrategy):
    """A volume that is to be at a node."""

    namespaced = False
    drops_status = True

    def defaults(self, obj: Json) -> None:
        """Not there yet."""
        obj.setdefault("status", {}).setdefault("attached", False)

    def prepare_for_create(self, obj: Json, context: object) -> None:
        """Not there yet, whatever the client says."""
        obj["status"] = {"attached": False}

    def check(self, obj: Json) -> list[FieldError]:
        """Who attaches what where."""
        spec = spec_of(obj)
        found = [errors.required(f"spec.{name}", "") for name in ("attacher", "nodeName") if not spec.get(name)]
        source = spec.get("source") or {}
        named, inline = source.get("persistentVolumeName"), source.get("inlineVolumeSpec")
        if named is None and inline is None:
            text = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
            found.append(errors.required("spec.source", text))
        elif named is not None and inline is not None:
            text = "must specify exactly one of inlineVolumeSpec and persistentVolumeName"
            found.append(errors.forbidden_field("spec.source", text))
        elif named == "":
            found.append(
                errors.required("spec.source.persistentVolumeName", "must specify non empty persistentVolumeName")
            )
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """The wish stays."""
        return fields.immutable(spec_of(obj), spec_of(old), "spec")


VOLUME_ATTACHMENTS: Final = Resource(
    kind=kinds.VOLUME_ATTACHMENTS,
    key="volumeattachments",
    strategy=VolumeAttachmentStrategy(),
    columns=(
        Column("Attacher", lambda obj: spec_of(obj).get("attacher") or "", format="name"),
        Column("PV", lambda obj: (spec_of(obj).get("source") or {}).get("persistentVolumeName") or ""),
        Column("Node", lambda obj: spec_of(obj).get("nodeName") or ""),
        Column("Attached", lambda obj: bool(status_of(obj).get("attached")), type="boolean"),
        AGE,
    ),
    subresources=("status",),
)
