"""What a container does when its resources change (upstream: validateResizePolicy, validateInitContainers)."""

from typing import Final

from apiserver.validation import fields
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_RESOURCES: Final = ("cpu", "memory")
_POLICIES: Final = ("NotRequired", "RestartContainer")
_NEVER: Final = "must be 'NotRequired' when pod `restartPolicy` is 'Never'"
_NO_SIDECAR: Final = "must not be set to 'RestartContainer' for non-sidecar initContainers"


def check(policies: list[Json], path: str, pod_restart_policy: str | None) -> list[FieldError]:
    """One policy a resource; as upstream tells it, only a repeated resource is named by its place in the list."""
    found: list[FieldError] = []
    seen: set[str] = set()
    for item, at in fields.each(policies, path):
        resource, policy = item.get("resourceName") or "", item.get("restartPolicy") or ""
        if resource in seen:
            found.append(errors.duplicate(at, resource))
        seen.add(resource)
        found += fields.one_of(resource, _RESOURCES, path, needed=True)
        found += fields.one_of(policy, _POLICIES, path, needed=True)
        if pod_restart_policy == "Never" and policy != "NotRequired":
            found.append(errors.invalid_value(path, policy, _NEVER))
    return found


def of_init(policies: list[Json], path: str) -> list[FieldError]:
    """An init container that ends is not restarted for its resources."""
    return [
        errors.invalid_value(f"{at}.restartPolicy", "RestartContainer", _NO_SIDECAR)
        for item, at in fields.each(policies, path)
        if item.get("restartPolicy") == "RestartContainer"
    ]
