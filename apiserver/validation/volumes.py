"""Volumes of a pod (upstream: ValidateVolumes, validateVolumeSource in pkg/apis/core/validation)."""

from collections.abc import Callable
from typing import Final

from apiserver.validation import claims, fields, metadata, old_volumes, references
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
_MODE_TEXT: Final = "must be a number between 0 and 0777 (octal), both inclusive"
_LEAST_TOKEN_SECONDS: Final = 600


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


def _mode(value: int | None, path: str) -> list[FieldError]:
    if value is None or 0 <= value <= 0o777:
        return []
    return [errors.invalid_value(path, value, _MODE_TEXT)]


def _items(items: list[Json] | None, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for item, at in fields.each(items, path):
        if not item.get("key"):
            found.append(errors.required(f"{at}.key"))
        found += _target(item.get("path") or "", f"{at}.path")
        found += _mode(item.get("mode"), f"{at}.mode")
    return found


def _target(value: str, path: str) -> list[FieldError]:
    if not value:
        return [errors.required(path)]
    found = fields.relative_path(value, path)
    if value.startswith("..") and not value.startswith("../") and value != "..":
        found.append(errors.invalid_value(path, value, "must not start with '..'"))
    return found


def _empty_dir(source: Json, path: str) -> list[FieldError]:
    limit = source.get("sizeLimit")
    if limit is not None and quantity.parse(limit) < 0:
        text = "SizeLimit field must be a valid resource quantity"
        return [errors.forbidden_field(f"{path}.sizeLimit", text)]
    return []


def _host_path(source: Json, path: str) -> list[FieldError]:
    value = source.get("path") or ""
    found = fields.no_backsteps(value, f"{path}.path") if value else [errors.required(f"{path}.path")]
    return found + fields.one_of(source.get("type"), _HOST_PATHS, f"{path}.type")


def _secret(source: Json, path: str) -> list[FieldError]:
    found = [] if source.get("secretName") else [errors.required(f"{path}.secretName")]
    found += _mode(source.get("defaultMode"), f"{path}.defaultMode")
    return found + _items(source.get("items"), f"{path}.items")


def _config_map(source: Json, path: str) -> list[FieldError]:
    found = [] if source.get("name") else [errors.required(f"{path}.name")]
    found += _mode(source.get("defaultMode"), f"{path}.defaultMode")
    return found + _items(source.get("items"), f"{path}.items")


def _downward_api(source: Json, path: str) -> list[FieldError]:
    found = _mode(source.get("defaultMode"), f"{path}.defaultMode")
    for item, at in fields.each(source.get("items"), path):
        found += _downward_file(item, at)
    return found


def _downward_file(item: Json, path: str) -> list[FieldError]:
    found = _target(item.get("path") or "", f"{path}.path")
    field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if field is not None:
        found += references.volume_field(field, f"{path}.fieldRef")
        if resource is not None:
            text = "fieldRef and resourceFieldRef can not be specified simultaneously"
            found.append(errors.invalid_value(path, "resource", text))
    elif resource is not None:
        found += references.resource_field(resource, f"{path}.resourceFieldRef", in_volume=True)
    else:
        found.append(errors.required(path, "one of fieldRef and resourceFieldRef is required"))
    return found + _mode(item.get("mode"), f"{path}.mode")


def _projected(source: Json, path: str) -> list[FieldError]:
    found = _mode(source.get("defaultMode"), f"{path}.defaultMode")
    targets: list[tuple[str, str]] = []
    for projection, at in fields.each(source.get("sources"), f"{path}.sources"):
        found += _projection(projection, at)
        targets += [(target, at) for target in _targets(projection)]
    seen: set[str] = set()
    for target, at in targets:
        if target in seen:
            found.append(errors.invalid_value(at, target, "conflicting duplicate paths"))
        seen.add(target)
    return found


def _projection(projection: Json, path: str) -> list[FieldError]:
    chosen = [key for key, value in projection.items() if value is not None]
    if not chosen:
        return [errors.required(path, "must specify a projection type")]
    text = "may not specify more than 1 volume type"
    found = [errors.forbidden_field(f"{path}.{key}", text) for key in chosen[1:]]
    source, at = projection[chosen[0]], f"{path}.{chosen[0]}"
    match chosen[0]:
        case "secret" | "configMap":
            found += [] if source.get("name") else [errors.required(f"{at}.name")]
            found += _items(source.get("items"), f"{at}.items")
        case "downwardAPI":
            for item, item_at in fields.each(source.get("items"), f"{at}.items"):
                found += _downward_file(item, item_at)
        case "serviceAccountToken":
            found += _token(source, at)
    return found


def _token(source: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    seconds = source.get("expirationSeconds") or 0
    if seconds < _LEAST_TOKEN_SECONDS:
        text = "may not specify a duration less than 10 minutes"
        found.append(errors.invalid_value(f"{path}.expirationSeconds", seconds, text))
    if seconds > 1 << 32:
        text = "may not specify a duration larger than 2^32 seconds"
        found.append(errors.invalid_value(f"{path}.expirationSeconds", seconds, text))
    return found + _target(source.get("path") or "", f"{path}.path")


def _targets(projection: Json) -> list[str]:
    found: list[str] = []
    for source in projection.values():
        found += [item["path"] for item in source.get("items") or () if item.get("path")]
        if source.get("path"):
            found.append(source["path"])
    return found


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


def _nfs(source: Json, path: str) -> list[FieldError]:
    found = [] if source.get("server") else [errors.required(f"{path}.server")]
    if not source.get("path"):
        return [*found, errors.required(f"{path}.path")]
    if not source["path"].startswith("/"):
        found.append(errors.invalid_value(f"{path}.path", source["path"], "must be an absolute path"))
    return found


def _csi(source: Json, path: str) -> list[FieldError]:
    driver = source.get("driver") or ""
    if not driver:
        return [errors.required(f"{path}.driver")]
    return fields.satisfies(driver.lower(), f"{path}.driver", names.is_dns_subdomain)


_SOURCES: Final[dict[str, Callable[[Json, str], list[FieldError]]]] = {
    "configMap": _config_map,
    "csi": _csi,
    "downwardAPI": _downward_api,
    "emptyDir": _empty_dir,
    "ephemeral": _ephemeral,
    "hostPath": _host_path,
    "nfs": _nfs,
    "persistentVolumeClaim": _claim,
    "projected": _projected,
    "secret": _secret,
}
