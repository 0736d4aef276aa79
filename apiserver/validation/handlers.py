"""Probes and lifecycle hooks: what a kubelet runs or asks (upstream: validateProbe, validateHandler)."""

from collections.abc import Callable, Mapping
from typing import Final

from apiserver.validation import fields, operating_system
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_SCHEMES: Final = ("HTTP", "HTTPS")
_NUMBERS: Final = ("initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold")


def probe(value: Json | None, path: str, *, once: bool = False) -> list[FieldError]:
    """One probe; `once`: liveness and startup probes succeed at the first success."""
    if value is None:
        return []
    found = _handler(value, path, _PROBE_ACTIONS)
    for name in _NUMBERS:
        found += fields.non_negative(value.get(name), f"{path}.{name}")
    grace = value.get("terminationGracePeriodSeconds")
    if grace is not None and grace <= 0:
        found.append(errors.invalid_value(f"{path}.terminationGracePeriodSeconds", grace, "must be greater than 0"))
    if once and value.get("successThreshold", 1) != 1:
        found.append(errors.invalid_value(f"{path}.successThreshold", value["successThreshold"], "must be 1"))
    return found


def lifecycle(value: Json | None, path: str, system: Json | None) -> list[FieldError]:
    """postStart, preStop, and a stopSignal that the pod's operating system has (upstream: validateLifecycle)."""
    found: list[FieldError] = []
    if value is None:
        return found
    for name in ("postStart", "preStop"):
        if value.get(name) is not None:
            found += _handler(value[name], f"{path}.{name}", _HOOK_ACTIONS)
    if value.get("stopSignal") is not None:
        found += operating_system.stop_signal(value["stopSignal"], system, f"{path}.stopSignal")
    return found


def _handler(
    value: Json, path: str, actions: Mapping[str, Callable[[Json, str], list[FieldError]]]
) -> list[FieldError]:
    chosen = [name for name in actions if value.get(name) is not None]
    if not chosen:
        return [errors.required(path, "must specify a handler type")]
    found = actions[chosen[0]](value[chosen[0]], f"{path}.{chosen[0]}")
    text = "may not specify more than 1 handler type"
    return found + [errors.forbidden_field(f"{path}.{name}", text) for name in chosen[1:]]


def _exec(action: Json, path: str) -> list[FieldError]:
    return [] if action.get("command") else [errors.required(f"{path}.command")]


def _http_get(action: Json, path: str) -> list[FieldError]:
    found = [] if action.get("path") else [errors.required(f"{path}.path")]
    found += fields.port_number_or_name(action.get("port", 0), f"{path}.port")
    found += fields.one_of(action.get("scheme"), _SCHEMES, f"{path}.scheme")
    for header, at in fields.each(action.get("httpHeaders"), f"{path}.httpHeaders"):
        if not header.get("name") or not all(char.isalnum() or char in "-_" for char in header["name"]):
            text = "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name')"
            found.append(errors.invalid_value(f"{at}.name", header.get("name") or "", text))
    return found


def _tcp_socket(action: Json, path: str) -> list[FieldError]:
    return fields.port_number_or_name(action.get("port", 0), f"{path}.port")


def _grpc(action: Json, path: str) -> list[FieldError]:
    return fields.port_number(action.get("port") or 0, f"{path}.port")


def _sleep(action: Json, path: str) -> list[FieldError]:
    seconds = action.get("seconds") or 0
    return [] if seconds >= 0 else [errors.invalid_value(f"{path}.seconds", seconds, "must be greater than 0")]


_PROBE_ACTIONS: Final = {"exec": _exec, "httpGet": _http_get, "tcpSocket": _tcp_socket, "grpc": _grpc}
_HOOK_ACTIONS: Final = {"exec": _exec, "httpGet": _http_get, "tcpSocket": _tcp_socket, "sleep": _sleep}
