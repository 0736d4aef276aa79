"""Volumes as a container sees them in its file system (upstream: ValidateVolumeMounts).

Upstream tells of sub-paths, propagation and recursive read-only mounts by the list's path, without a mount's index.
"""

from collections.abc import Mapping
from typing import Any, Final

from apiserver.validation import fields
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_PROPAGATIONS: Final = ("Bidirectional", "HostToContainer", "None")
_UNPRIVILEGED: Final = "Bidirectional mount propagation is available only to privileged containers"
_RECURSIVE: Final = ("Disabled", "Enabled", "IfPossible")
_WRITABLE: Final = "may only be specified when readOnly is true"
_PROPAGATED: Final = "may only be specified when mountPropagation is None or not specified"


def check(container: Json, path: str, volumes: Mapping[Any, Json]) -> list[FieldError]:
    """Each mount is of a volume of the pod, at a path of its own."""
    found: list[FieldError] = []
    seen: set[str] = set()
    path = f"{path}.volumeMounts"
    for mount, at in fields.each(container.get("volumeMounts"), path):
        name, place = mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            found.append(errors.required(f"{at}.name"))
        elif name not in volumes:
            found.append(errors.not_found_value(f"{at}.name", name))
        if not place:
            found.append(errors.required(f"{at}.mountPath"))
        elif place in seen:
            found.append(errors.invalid_value(f"{at}.mountPath", place, "must be unique"))
        seen.add(place)
        found += _sub_path(mount, path, at)
        if mount.get("mountPropagation"):
            found += _propagation(mount["mountPropagation"], container, f"{path}.mountPropagation")
        if mount.get("recursiveReadOnly"):
            found += _recursive(mount, f"{path}.recursiveReadOnly")
    return found


def _sub_path(mount: Json, path: str, at: str) -> list[FieldError]:
    plain, expression = mount.get("subPath"), mount.get("subPathExpr")
    found = fields.relative_path(plain, f"{path}.subPath") if plain else []
    if expression:
        if plain:
            text = "subPathExpr and subPath are mutually exclusive"
            found.append(errors.invalid_value(f"{at}.subPathExpr", expression, text))
        found += fields.relative_path(expression, f"{path}.subPathExpr")
    return found


def _propagation(value: str, container: Json, path: str) -> list[FieldError]:
    found = fields.one_of(value, _PROPAGATIONS, path)
    if value == "Bidirectional" and not (container.get("securityContext") or {}).get("privileged"):
        found.append(errors.forbidden_field(path, _UNPRIVILEGED))
    return found


def _recursive(mount: Json, path: str) -> list[FieldError]:
    """All mounts below are read-only, too, which only a read-only mount that nothing is passed on through can be."""
    found = fields.one_of(mount["recursiveReadOnly"], _RECURSIVE, path)
    if found or mount["recursiveReadOnly"] == "Disabled":
        return found
    if not mount.get("readOnly"):
        found.append(errors.forbidden_field(path, _WRITABLE))
    if mount.get("mountPropagation") not in (None, "", "None"):
        found.append(errors.forbidden_field(path, _PROPAGATED))
    return found
