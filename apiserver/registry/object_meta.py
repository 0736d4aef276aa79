"""What the server itself writes into metadata and carries over on an update. Checking values is validation's."""

import uuid
from typing import Final

from machinery.aio.clock import Clock
from machinery.api import errors, times
from machinery.api.codec import Json
from machinery.api.errors import FieldError
from machinery.api.kinds import Kind

_SYSTEM_FIELDS: Final = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink")
#: never changed by a client (upstream: rest.BeforeUpdate)
_CARRIED: Final = ("creationTimestamp", "deletionTimestamp", "generation")
_NAMESPACE_MISMATCH: Final = "the namespace of the provided object does not match the namespace sent on the request"


def fill(obj: Json, clock: Clock) -> None:
    """Metadata of a new object (upstream: rest.FillObjectMetaSystemFields)."""
    metadata = obj["metadata"]
    for name in (*_SYSTEM_FIELDS, "generation"):
        metadata.pop(name, None)
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = times.rfc3339(clock.now())


def check_name(name: str) -> list[FieldError]:
    """A name that can be part of a path and of a key, whatever else the kind demands (upstream: path/name.go)."""
    if not name:
        return [errors.required("metadata.name", "name or generateName is required")]
    texts = [f"may not be '{name}'"] if name in (".", "..") else []
    texts += [f"may not contain '{char}'" for char in "/%" if char in name]
    return [errors.invalid_value("metadata.name", name, text) for text in texts]


def carry_over(obj: Json, old: Json) -> None:
    """Metadata of a changed object that is not the client's to change (upstream: rest.BeforeUpdate)."""
    metadata, old_metadata = obj["metadata"], old["metadata"]
    metadata.pop("selfLink", None)
    for name in _CARRIED:
        if name in old_metadata:
            metadata[name] = old_metadata[name]
        else:
            metadata.pop(name, None)
    if not metadata.get("uid"):
        metadata["uid"] = old_metadata.get("uid", "")
    if "deletionGracePeriodSeconds" in old_metadata:
        metadata.setdefault("deletionGracePeriodSeconds", old_metadata["deletionGracePeriodSeconds"])


def place(obj: Json, kind: Kind, namespace: str) -> None:
    """The object is in the request's namespace, or says nothing about it, or the request is refused (BadRequest)."""
    metadata = obj["metadata"]
    if not kind.namespaced or not namespace:
        metadata.pop("namespace", None)
    elif not metadata.get("namespace"):
        metadata["namespace"] = namespace
    elif metadata["namespace"] != namespace:
        raise errors.BadRequest(_NAMESPACE_MISMATCH)
