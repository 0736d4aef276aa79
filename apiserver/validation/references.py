"""References from a container or a volume to keys, fields and resources (upstream: validateEnvVarValueFrom …)."""

import re
from typing import Final

from apiserver.validation import fields
from machinery.api import errors, names
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
    """A container's request or limit."""
    if in_volume and not reference.get("containerName"):
        return [errors.required(f"{path}.containerName")]
    resource = reference.get("resource") or ""
    if not resource:
        return [errors.required(f"{path}.resource")]
    if resource in _RESOURCES or resource.startswith(("limits.hugepages-", "requests.hugepages-")):
        return []
    return [errors.not_supported(f"{path}.resource", resource, _RESOURCES)]
