"""What Windows containers run as (upstream: validateWindowsSecurityContextOptions, validateWindowsHostProcessPod)."""

import re
from typing import Any, Final

from apiserver.validation import fields
from machinery.api import errors, names, pods
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_KINDS: Final = ("initContainers", "containers", "ephemeralContainers")
_LONGEST_SPEC: Final = 64 * 1024  # bytes
_LONGEST_DOMAIN: Final = 255
_LONGEST_USER: Final = 104
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NETBIOS: Final = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}')
_DNS_LABEL: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_DNS: Final = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*")
_NOT_IN_USERS: Final = re.compile(r'["/\\:;|=,+*?<>@\[\]]')
_NOT_IN_USERS_TEXT: Final = r"""runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]"""
_BLANK_USER: Final = re.compile("[. ]+")
_ALL_OR_NONE: Final = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
_NEEDS_HOST_NETWORK: Final = "hostNetwork must be true if pod contains any hostProcess containers"


def check(options: Json, path: str) -> list[FieldError]:
    """Credentials of a group managed service account, and a user's name."""
    found: list[FieldError] = []
    name, spec, user = (options.get(key) for key in ("gmsaCredentialSpecName", "gmsaCredentialSpec", "runAsUserName"))
    if name is not None:
        found += fields.satisfies(name, f"{path}.gmsaCredentialSpecName", names.is_dns_subdomain)
    if spec == "":
        text = "gmsaCredentialSpec cannot be an empty string"
        found.append(errors.invalid_value(f"{path}.gmsaCredentialSpec", spec, text))
    elif spec is not None and len(spec.encode()) > _LONGEST_SPEC:
        text = "gmsaCredentialSpec size must be under 64 KiB"
        found.append(errors.invalid_value(f"{path}.gmsaCredentialSpec", spec, text))
    if user is not None:
        found += [errors.invalid_value(f"{path}.runAsUserName", user, text) for text in _user_name(user)]
    return found


def _user_name(name: str) -> list[str]:
    r"""Complaints about `domain\user` or `user`."""
    if not name:
        return ["runAsUserName cannot be an empty string"]
    if _CONTROL.search(name):
        return ["runAsUserName cannot contain control characters"]
    if name.count("\\") > 1:
        return ["runAsUserName cannot contain more than one backslash"]
    domain, backslash, user = name.rpartition("\\")
    found: list[str] = []
    if len(domain.encode()) > _LONGEST_DOMAIN:
        found.append("runAsUserName's Domain length must be under 256 characters")
    if backslash and not _NETBIOS.fullmatch(domain) and not _DNS.fullmatch(domain):
        found.append("runAsUserName's Domain doesn't match the NetBios nor the DNS format")
    if not user:
        found.append("runAsUserName's User cannot be empty")
    elif len(user.encode()) > _LONGEST_USER:
        found.append(f"runAsUserName's User length must not be longer than {_LONGEST_USER} characters")
    if _BLANK_USER.fullmatch(user):
        found.append("runAsUserName's User cannot contain only periods or spaces")
    if _NOT_IN_USERS.search(user):
        found.append(_NOT_IN_USERS_TEXT)
    return found


def host_process(spec: Json, path: str) -> list[FieldError]:
    """Containers that are processes of the host: all of a pod or none, on the host's network."""
    of_pod = _is_host_process(spec)
    if of_pod is None and all(_is_host_process(container) is None for container in pods.every_container_of(spec)):
        return []
    own = [
        (_is_host_process(container), at)
        for kind in _KINDS
        for container, at in fields.each(spec.get(kind), f"{path}.{kind}")
    ]
    text = f"pod hostProcess value must be identical if both are specified, was {str(of_pod).lower()}"
    found = [
        errors.invalid_value(f"{at}.securityContext.windowsOptions.hostProcess", value, text)
        for value, at in own
        if None not in (of_pod, value) and value != of_pod
    ]
    processes = [of_pod if value is None else value for value, _ in own]
    if any(processes):
        found += [] if all(processes) else [errors.invalid_value(path, "", _ALL_OR_NONE)]
        if not spec.get("hostNetwork"):
            found.append(errors.invalid_value(f"{path}.hostNetwork", False, _NEEDS_HOST_NETWORK))
    return found


def _is_host_process(holder: Json) -> Any:
    """Whether a pod or a container says so, or None where it says nothing."""
    context = holder.get("securityContext")
    return ((context.get("windowsOptions") or {}).get("hostProcess")) if context else None
