"""References from a container or a volume to keys, fields and resources (upstream: validateEnvVarValueFrom …)."""

import re
from collections.abc import Mapping
from typing import Any, Final

from apiserver.validation import fields
from machinery.api import errors, names, quantity
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_ENV_FIELDS: Final = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_VOLUME_FIELDS: Final = (
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
)
_RESOURCES: Final = (
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
)
_CPU_DIVISORS: Final = ("1m", "1")
_DIVISORS: Final = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
#: in what unit a resource can be shown, and what upstream calls the resource
_UNITS: Final = {
    "cpu": ("1m and 1", "cpu"),
    "memory": (", ".join(_DIVISORS), "memory"),
    "ephemeral-storage": (", ".join(_DIVISORS), "local ephemeral storage"),
    "hugepages": (", ".join(_DIVISORS), "hugepages"),
}
_SUBSCRIPT: Final = re.compile(r"(metadata\.(?:annotations|labels))\['(.*)'\]")


def key_selector(reference: Json, path: str) -> list[FieldError]:
    """A key of a ConfigMap or Secret."""
    found = [] if reference.get("name") else [errors.required(f"{path}.name")]
    key = reference.get("key") or ""
    if not key:
        return [*found, errors.required(f"{path}.key")]
    return found + fields.satisfies(key, f"{path}.key", names.is_config_key)


def env_field(reference: Json, path: str) -> list[FieldError]:
    """A field of the pod as an environment variable."""
    return _field(reference, path, _ENV_FIELDS)


def volume_field(reference: Json, path: str) -> list[FieldError]:
    """A field of the pod as a file."""
    return _field(reference, path, _VOLUME_FIELDS)


def _field(reference: Json, path: str, allowed: tuple[str, ...]) -> list[FieldError]:
    if not reference.get("apiVersion"):
        return [errors.required(f"{path}.apiVersion")]
    field = reference.get("fieldPath") or ""
    if not field:
        return [errors.required(f"{path}.fieldPath")]
    subscript = _SUBSCRIPT.fullmatch(field)
    if subscript:
        return fields.satisfies(subscript.group(2).lower(), path, names.is_qualified_name)
    if field in allowed:
        return []
    if not field.startswith(("metadata.", "spec.", "status.")):
        text = f"error converting fieldPath: field label not supported: {field}"
        return [errors.invalid_value(f"{path}.fieldPath", field, text)]
    return [errors.not_supported(f"{path}.fieldPath", field, allowed)]


def resource_field(reference: Json, path: str, *, in_volume: bool = False) -> list[FieldError]:
    """A container's request or limit, in a unit of its resource."""
    found: list[FieldError] = []
    resource = reference.get("resource") or ""
    if in_volume and not reference.get("containerName"):
        found.append(errors.required(f"{path}.containerName"))
    elif not resource:
        found.append(errors.required(f"{path}.resource"))
    elif resource not in _RESOURCES and not resource.startswith(("limits.hugepages-", "requests.hugepages-")):
        found.append(errors.not_supported(f"{path}.resource", resource, _RESOURCES))
    divisor = reference.get("divisor")
    return found if divisor in (None, "0") else found + _divisor(resource, divisor, f"{path}.divisor")


def _divisor(resource: str, divisor: Any, path: str) -> list[FieldError]:
    """Upstream's validateContainerResourceDivisor, which shows the resource where the divisor is wrong."""
    part, _, name = resource.partition(".")
    name = "hugepages" if name.startswith("hugepages-") else name
    if part not in ("limits", "requests") or name not in _UNITS or not quantity.parse(divisor):
        return []
    if quantity.canonical(divisor) in (_CPU_DIVISORS if name == "cpu" else _DIVISORS):
        return []
    units, shown = _UNITS[name]
    text = f"only divisor's values {units} are supported with the {shown} resource"
    return [errors.invalid_value(path, resource, text)]


def file_key(reference: Json, path: str) -> list[FieldError]:
    """A variable of a file in a volume (upstream: validateFileKeySelector)."""
    found: list[FieldError] = []
    for name, check in (("key", names.is_relaxed_env_var_name), ("volumeName", names.is_dns_label)):
        value = reference.get(name) or ""
        found += fields.satisfies(value, f"{path}.{name}", check) if value else [errors.required(f"{path}.{name}")]
    place = reference.get("path") or ""
    return found + (fields.no_backsteps(place, f"{path}.path") if place else [errors.required(f"{path}.path")])


def file_volume(reference: Json, path: str, volumes: Mapping[Any, Json]) -> list[FieldError]:
    """The volume of such a file, which an init container writes (upstream: validateFileKeyRefVolumes)."""
    name = reference.get("volumeName") or ""
    if name not in volumes:
        return [errors.not_found_value(f"{path}.volumeName", name)]
    if volumes[name].get("emptyDir") is None:
        text = "referenced volume must be of type emptyDir"
        return [errors.invalid_value(f"{path}.volumeName", name, text)]
    return []
