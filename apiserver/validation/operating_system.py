"""What a pod's operating system knows and what it does not (upstream: validateLinux, validateWindows, validateOS)."""

from collections.abc import Iterator
from typing import Final

from apiserver.validation import fields
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_SYSTEMS: Final = ("linux", "windows")
_NOT_LINUX: Final = "windows options cannot be set for a linux pod"
_NOT_WINDOWS: Final = "cannot be set for a windows pod"
#: fields that count as set when they say false, too
_SET_WHEN_FALSE: Final = ("hostUsers", "shareProcessNamespace")
_OF_POD: Final = (
    *("appArmorProfile", "seLinuxOptions", "seccompProfile", "fsGroup", "fsGroupChangePolicy", "sysctls"),
    *("runAsUser", "runAsGroup", "supplementalGroups", "supplementalGroupsPolicy", "seLinuxChangePolicy"),
)
_OF_CONTAINER: Final = (
    *("appArmorProfile", "seLinuxOptions", "seccompProfile", "capabilities", "readOnlyRootFilesystem", "privileged"),
    *("allowPrivilegeEscalation", "procMount", "runAsUser", "runAsGroup"),
)
_WINDOWS_SIGNALS: Final = ("SIGKILL", "SIGTERM")
_LINUX_SIGNALS: Final = (
    *("SIGABRT", "SIGALRM", "SIGBUS", "SIGCHLD", "SIGCLD", "SIGCONT", "SIGFPE", "SIGHUP", "SIGILL", "SIGINT", "SIGIO"),
    *("SIGIOT", "SIGKILL", "SIGPIPE", "SIGPOLL", "SIGPROF", "SIGPWR", "SIGQUIT", "SIGSEGV", "SIGSTKFLT", "SIGSTOP"),
    *("SIGSYS", "SIGTERM", "SIGTRAP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGUSR1", "SIGUSR2", "SIGVTALRM"),
    *("SIGWINCH", "SIGXCPU", "SIGXFSZ", "SIGRTMIN", *(f"SIGRTMIN+{number}" for number in range(1, 16))),
    *(*(f"SIGRTMAX-{number}" for number in range(14, 0, -1)), "SIGRTMAX"),
)


def check(spec: Json, path: str) -> list[FieldError]:
    """The system is known, and nothing is asked for that another one has."""
    name = spec["os"].get("name")
    found = fields.one_of(name, _SYSTEMS, f"{path}.os.name", needed=True)
    if found:
        return found
    return _linux(spec, path) if name == "linux" else _windows(spec, path)


def stop_signal(signal: str, system: Json | None, path: str) -> list[FieldError]:
    """A signal that the pod's system has, which must be named (upstream: validateStopSignal)."""
    if system is None:
        return [errors.forbidden_field(path, "may not be set for containers with empty `spec.os.name`")]
    known = {"linux": _LINUX_SIGNALS, "windows": _WINDOWS_SIGNALS}.get(system.get("name") or "")
    return [] if known is None or signal in known else [errors.not_supported(path, signal, known)]


def _contexts(spec: Json, path: str) -> Iterator[tuple[Json, str]]:
    """The security contexts of all containers."""
    for kind in ("initContainers", "containers", "ephemeralContainers"):
        for container, at in fields.each(spec.get(kind), f"{path}.{kind}"):
            if container.get("securityContext"):
                yield container["securityContext"], f"{at}.securityContext"


def _linux(spec: Json, path: str) -> list[FieldError]:
    contexts = ((spec.get("securityContext") or {}, f"{path}.securityContext"), *_contexts(spec, path))
    return [
        errors.forbidden_field(f"{at}.windowsOptions", _NOT_LINUX)
        for context, at in contexts
        if context.get("windowsOptions") is not None
    ]


def _windows(spec: Json, path: str) -> list[FieldError]:
    named = [f"{path}.{name}" for name in _SET_WHEN_FALSE if spec.get(name) is not None]
    named += [f"{path}.{name}" for name in ("hostPID", "hostIPC") if spec.get(name)]
    context = spec.get("securityContext") or {}
    named += [f"{path}.securityContext.{name}" for name in _OF_POD if context.get(name) not in (None, [])]
    for context, at in _contexts(spec, path):
        named += [f"{at}.{name}" for name in _OF_CONTAINER if context.get(name) is not None]
    return [errors.forbidden_field(at, _NOT_WINDOWS) for at in named]
