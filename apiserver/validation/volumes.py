"""Volumes of a pod (upstream: ValidateVolumes, validateVolumeSource in pkg/apis/core/validation)."""

from collections.abc import Callable
from typing import Final

from apiserver.validation import claims, fields, metadata, old_volumes, projections
from machinery.api import errors, names, quantity
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_HOST_PATHS: Final = (
    "BlockDevice",
    "CharDevice",
    "Directory",
    "DirectoryOrCreate",
    "File",
    "FileOrCreate",
    "Socket",
)
_PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_LONGEST_DRIVER: Final = 63


def check(volumes: list[Json] | None, path: str) -> list[FieldError]:
    """Names are unique, each volume has one source, and that makes sense."""
    found: list[FieldError] = []
    seen: set[str] = set()
    for volume, at in fields.each(volumes, path):
        name = volume.get("name") or ""
        if not name:
            found.append(errors.required(f"{at}.name"))
        else:
            found += fields.dns_label(name, f"{at}.name")
        if name and name in seen:
            found.append(errors.duplicate(f"{at}.name", name))
        seen.add(name)
        found += _source(volume, at)
    return found


def _source(volume: Json, path: str) -> list[FieldError]:
    chosen = [key for key, value in volume.items() if key != "name" and value is not None]
    if not chosen:
        return [errors.required(path, "must specify a volume type")]
    text = "may not specify more than 1 volume type"
    found = [errors.forbidden_field(f"{path}.{key}", text) for key in chosen[1:]]
    kind, source, at = chosen[0], volume[chosen[0]], f"{path}.{chosen[0]}"
    check_source = _SOURCES.get(kind)
    return found + (check_source(source, at) if check_source else old_volumes.check(kind, source, at))


def _empty_dir(source: Json, path: str) -> list[FieldError]:
    limit = source.get("sizeLimit")
    if limit is not None and quantity.parse(limit) < 0:
        text = "SizeLimit field must be a valid resource quantity"
        return [errors.forbidden_field(f"{path}.sizeLimit", text)]
    return []


def host_path(source: Json, path: str) -> list[FieldError]:
    """A path of the node and what is there (upstream: validateHostPathVolumeSource)."""
    value = source.get("path") or ""
    if not value:
        return [errors.required(f"{path}.path")]
    found = fields.no_backsteps(value, f"{path}.path")
    return found + fields.one_of(source.get("type"), _HOST_PATHS, f"{path}.type")


def _secret(source: Json, path: str) -> list[FieldError]:
    found = [] if source.get("secretName") else [errors.required(f"{path}.secretName")]
    found += projections.mode(source.get("defaultMode"), f"{path}.defaultMode")
    return found + projections.items(source.get("items"), f"{path}.items")


def _config_map(source: Json, path: str) -> list[FieldError]:
    found = [] if source.get("name") else [errors.required(f"{path}.name")]
    found += projections.mode(source.get("defaultMode"), f"{path}.defaultMode")
    return found + projections.items(source.get("items"), f"{path}.items")


def _downward_api(source: Json, path: str) -> list[FieldError]:
    return projections.mode(source.get("defaultMode"), f"{path}.defaultMode") + projections.downward_files(source, path)


def _claim(source: Json, path: str) -> list[FieldError]:
    return [] if source.get("claimName") else [errors.required(f"{path}.claimName")]


def _ephemeral(source: Json, path: str) -> list[FieldError]:
    template = source.get("volumeClaimTemplate")
    if template is None:
        return [errors.required(f"{path}.volumeClaimTemplate")]
    at, about = f"{path}.volumeClaimTemplate", template.get("metadata") or {}
    found = metadata.annotations(about.get("annotations"), f"{at}.metadata.annotations")
    found += metadata.labels(about.get("labels"), f"{at}.metadata.labels")
    return found + claims.spec(template.get("spec") or {}, f"{at}.spec")


def nfs(source: Json, path: str) -> list[FieldError]:
    """A server and a path there (upstream: validateNFSVolumeSource)."""
    found = [] if source.get("server") else [errors.required(f"{path}.server")]
    place = source.get("path") or ""
    if not place:
        found.append(errors.required(f"{path}.path"))
    if not place.startswith("/"):
        found.append(errors.invalid_value(f"{path}.path", place, "must be an absolute path"))
    return found


def csi_driver(name: str, path: str) -> list[FieldError]:
    """A driver's name, in any case (upstream: ValidateCSIDriverName)."""
    if not name:
        return [errors.required(path)]
    found = [errors.too_long(path, _LONGEST_DRIVER)] if len(name) > _LONGEST_DRIVER else []
    return found + [errors.invalid_value(path, name, text) for text in names.is_dns_subdomain(name.lower())]


def _csi(source: Json, path: str) -> list[FieldError]:
    found = csi_driver(source.get("driver") or "", f"{path}.driver")
    secret = source.get("nodePublishSecretRef")
    if secret is None:
        return found
    if not secret.get("name"):
        return [*found, errors.required(f"{path}.nodePublishSecretRef.name")]
    # upstream leaves the reference out of the path here
    return found + fields.satisfies(secret["name"], f"{path}.name", names.is_dns_subdomain)


def _image(source: Json, path: str) -> list[FieldError]:
    found = [] if source.get("reference") else [errors.required(f"{path}.reference")]
    return found + fields.one_of(source.get("pullPolicy"), _PULL_POLICIES, f"{path}.pullPolicy", needed=True)


_SOURCES: Final[dict[str, Callable[[Json, str], list[FieldError]]]] = {
    "configMap": _config_map,
    "csi": _csi,
    "downwardAPI": _downward_api,
    "emptyDir": _empty_dir,
    "ephemeral": _ephemeral,
    "hostPath": host_path,
    "image": _image,
    "nfs": nfs,
    "persistentVolumeClaim": _claim,
    "projected": projections.check,
    "secret": _secret,
}
