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
#: kernel settings of the network and of processes' messages, and the field by which a pod has its host's
_HOST_SYSCTLS: Final = (
    ("hostNetwork", ("net.",)),
    ("hostIPC", ("kernel.sem", "kernel.shm", "kernel.msg", "fs.mqueue.")),
)
_LONGEST_APPARMOR: Final = 4095  # bytes, a path's most without the end
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


def _proc_mount(value: str, path: str, spec: Json) -> list[FieldError]:
    found = fields.one_of(value, _PROC_MOUNTS, path)
    if value == "Unmasked" and spec.get("hostUsers") is not False:
        found.append(errors.invalid_value(path, value, "`hostUsers` must be false to use `Unmasked`"))
    return found


def _profiles(context: Json, path: str) -> list[FieldError]:
    """What pods and containers have alike: seccomp, AppArmor, and what Windows knows in their place."""
    found: list[FieldError] = []
    if context.get("seccompProfile") is not None:
        found += _profile(context["seccompProfile"], f"{path}.seccompProfile", "seccomp")
    if context.get("windowsOptions") is not None:
        found += windows_options.check(context["windowsOptions"], f"{path}.windowsOptions")
    if context.get("appArmorProfile") is not None:
        found += _profile(context["appArmorProfile"], f"{path}.appArmorProfile", "AppArmor")
    return found


def _profile(profile: Json, path: str, what: str) -> list[FieldError]:
    found = fields.one_of(profile.get("type"), _PROFILES, f"{path}.type", needed=True)
    localhost = profile.get("localhostProfile")
    if profile.get("type") == "Localhost" and not localhost:
        found.append(errors.required(f"{path}.localhostProfile", f"must be set when {what} type is Localhost"))
    elif profile.get("type") != "Localhost" and localhost is not None:
        text = f"can only be set when {what} type is Localhost"
        found.append(errors.invalid_value(f"{path}.localhostProfile", localhost, text))
    elif localhost:
        check_name = _apparmor_name if what == "AppArmor" else fields.relative_path
        found += check_name(localhost, f"{path}.localhostProfile")
    return found


def _apparmor_name(value: str, path: str) -> list[FieldError]:
    found = [errors.invalid_value(path, value, "must not be padded with whitespace")] if value != value.strip() else []
    too_long = len(value.encode()) > _LONGEST_APPARMOR
    return [*found, errors.too_long(path, _LONGEST_APPARMOR)] if too_long else found


def _sysctls(items: list[Json], path: str, spec: Json) -> list[FieldError]:
    """Well-formed, each once, and not of a namespace that the pod shares with its host."""
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
        for field, prefixes in _HOST_SYSCTLS:
            if spec.get(field) and name.replace("/", ".").startswith(prefixes):
                text = f"may not be specified when '{field}' is true"
                found.append(errors.invalid_value(f"{at}.name", name, text))
    return found


def container(context: Json | None, path: str, spec: Json) -> list[FieldError]:
    """The security context of one of a pod's containers."""
    if not context:
        return []
    found = _ids(context, ("runAsUser", "runAsGroup"), path)
    if context.get("procMount"):
        found += _proc_mount(context["procMount"], f"{path}.procMount", spec)
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


def pod(context: Json | None, path: str, spec: Json) -> list[FieldError]:
    """The security context of a pod."""
    if not context:
        return []
    found = _ids(context, ("runAsUser", "runAsGroup", "fsGroup"), path)
    for group, at in fields.each(context.get("supplementalGroups"), f"{path}.supplementalGroups"):
        if not 0 <= group <= _MAX_ID:
            found.append(errors.invalid_value(at, group, _ID_TEXT))
    for name, values in _POLICIES.items():
        if context.get(name):
            found += fields.one_of(context[name], values, f"{path}.{name}")
    if context.get("sysctls"):
        found += _sysctls(context["sysctls"], f"{path}.sysctls", spec)
    return found + _profiles(context, path)
