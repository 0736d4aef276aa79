"""Security contexts (upstream: ValidateSecurityContext, validatePodSpecSecurityContext)."""

import re
from typing import Final

from apiserver.validation import fields, windows_options
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_MAX_ID: Final = 2**31 - 1
_ID_TEXT: Final = "must be between 0 and 2147483647, inclusive"
_PROFILES: Final = ("Localhost", "RuntimeDefault", "Unconfined")
_LONGEST_SYSCTL: Final = 253
_SYSCTL: Final = re.compile(r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?")
_SYSCTL_TEXT: Final = (
    "must have at most 253 characters and match regex "
    r"^([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$"
)
_PROC_MOUNTS: Final = ("Default", "Unmasked")
#: values of fields of a pod's security context
_POLICIES: Final = {
    "fsGroupChangePolicy": ("Always", "OnRootMismatch"),
    "supplementalGroupsPolicy": ("Merge", "Strict"),
    "seLinuxChangePolicy": ("MountOption", "Recursive"),
}


def _ids(context: Json, names: tuple[str, ...], path: str) -> list[FieldError]:
    return [
        errors.invalid_value(f"{path}.{name}", context[name], _ID_TEXT)
        for name in names
        if context.get(name) is not None and not 0 <= context[name] <= _MAX_ID
    ]


def _profiles(context: Json, path: str) -> list[FieldError]:
    found = _profile(context.get("seccompProfile"), f"{path}.seccompProfile", "seccomp")
    return found + _profile(context.get("appArmorProfile"), f"{path}.appArmorProfile", "AppArmor")


def _profile(profile: Json | None, path: str, what: str) -> list[FieldError]:
    if profile is None:
        return []
    found = fields.one_of(profile.get("type"), _PROFILES, f"{path}.type", needed=True)
    localhost = profile.get("localhostProfile")
    if profile.get("type") == "Localhost" and not localhost:
        found.append(errors.required(f"{path}.localhostProfile", f"must be set when {what} type is Localhost"))
    elif profile.get("type") != "Localhost" and localhost is not None:
        text = f"can only be set when {what} type is Localhost"
        found.append(errors.invalid_value(f"{path}.localhostProfile", localhost, text))
    return found


def _sysctls(items: list[Json] | None, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[str] = set()
    for item, at in fields.each(items, path):
        name = item.get("name") or ""
        if not name:
            found.append(errors.required(f"{at}.name"))
        elif len(name) > _LONGEST_SYSCTL or not _SYSCTL.fullmatch(name):
            found.append(errors.invalid_value(f"{at}.name", name, _SYSCTL_TEXT))
        elif name in seen:
            found.append(errors.duplicate(f"{at}.name", name))
        seen.add(name)
    return found


def container(context: Json | None, path: str) -> list[FieldError]:
    """A container's security context."""
    if context is None:
        return []
    found = _ids(context, ("runAsUser", "runAsGroup"), path)
    found += fields.one_of(context.get("procMount"), _PROC_MOUNTS, f"{path}.procMount")
    found += windows_options.check(context.get("windowsOptions"), f"{path}.windowsOptions")
    found += _profiles(context, path)
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            text = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            found.append(errors.invalid_value(path, context, text))
        added = (context.get("capabilities") or {}).get("add") or ()
        if {"SYS_ADMIN", "CAP_SYS_ADMIN"} & set(added):
            text = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            found.append(errors.invalid_value(path, context, text))
    return found


def pod(context: Json | None, path: str) -> list[FieldError]:
    """A pod's security context."""
    if context is None:
        return []
    found = _ids(context, ("runAsUser", "runAsGroup", "fsGroup"), path)
    for group, at in fields.each(context.get("supplementalGroups"), f"{path}.supplementalGroups"):
        if not 0 <= group <= _MAX_ID:
            found.append(errors.invalid_value(at, group, _ID_TEXT))
    for name, values in _POLICIES.items():
        found += fields.one_of(context.get(name), values, f"{path}.{name}")
    found += _sysctls(context.get("sysctls"), f"{path}.sysctls")
    found += windows_options.check(context.get("windowsOptions"), f"{path}.windowsOptions")
    return found + _profiles(context, path)
