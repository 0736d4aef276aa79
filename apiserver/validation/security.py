"""Security contexts (upstream: ValidateSecurityContext, validatePodSpecSecurityContext)."""

from typing import Final

from apiserver.validation import fields
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_MAX_ID: Final = 2**31 - 1
_ID_TEXT: Final = "must be between 0 and 2147483647, inclusive"
_SECCOMP: Final = ("Localhost", "RuntimeDefault", "Unconfined")
_PROC_MOUNTS: Final = ("Default", "Unmasked")
_CHANGE_POLICIES: Final = ("Always", "OnRootMismatch")


def _ids(context: Json, names: tuple[str, ...], path: str) -> list[FieldError]:
    return [
        errors.invalid_value(f"{path}.{name}", context[name], _ID_TEXT)
        for name in names
        if context.get(name) is not None and not 0 <= context[name] <= _MAX_ID
    ]


def _profile(profile: Json | None, path: str) -> list[FieldError]:
    if profile is None:
        return []
    found = fields.one_of(profile.get("type"), _SECCOMP, f"{path}.type", needed=True)
    localhost = profile.get("localhostProfile")
    if profile.get("type") == "Localhost" and not localhost:
        found.append(errors.required(f"{path}.localhostProfile", "must be set when seccomp type is Localhost"))
    elif profile.get("type") != "Localhost" and localhost is not None:
        text = "can only be set when seccomp type is Localhost"
        found.append(errors.invalid_value(f"{path}.localhostProfile", localhost, text))
    return found


def container(context: Json | None, path: str) -> list[FieldError]:
    """A container's security context."""
    if context is None:
        return []
    found = _ids(context, ("runAsUser", "runAsGroup"), path)
    found += fields.one_of(context.get("procMount"), _PROC_MOUNTS, f"{path}.procMount")
    found += _profile(context.get("seccompProfile"), f"{path}.seccompProfile")
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
    found += fields.one_of(context.get("fsGroupChangePolicy"), _CHANGE_POLICIES, f"{path}.fsGroupChangePolicy")
    return found + _profile(context.get("seccompProfile"), f"{path}.seccompProfile")
