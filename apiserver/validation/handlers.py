"""Probes and lifecycle hooks: what a kubelet runs or asks (upstream: validateProbe, validateHandler)."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from apiserver.validation import fields, operating_system
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_Action = Callable[[Json, str], list[FieldError]]

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


def lifecycle(value: Json | None, path: str, spec: Json) -> list[FieldError]:
    """postStart and preStop, which end in time; a signal that the pod's system has (upstream: validateLifecycle)."""
    found: list[FieldError] = []
    if value is None:
        return found
    actions: Mapping[str, _Action] = {
        **_HOOK_ACTIONS,
        "sleep": partial(_sleep, spec.get("terminationGracePeriodSeconds")),
    }
    for name in ("postStart", "preStop"):
        if value.get(name) is not None:
            found += _handler(value[name], f"{path}.{name}", actions)
    if value.get("stopSignal") is not None:
        found += operating_system.stop_signal(value["stopSignal"], spec.get("os"), f"{path}.stopSignal")
    return found


def _handler(value: Json, path: str, actions: Mapping[str, _Action]) -> list[FieldError]:
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


def _sleep(grace: int | None, action: Json, path: str) -> list[FieldError]:
    seconds = action.get("seconds") or 0
    if grace is None or 0 <= seconds <= grace:
        return []
    text = f"must be non-negative and less than terminationGracePeriodSeconds ({grace})"
    return [errors.invalid_value(path, seconds, text)]


_HOOK_ACTIONS: Final = {"exec": _exec, "httpGet": _http_get, "tcpSocket": _tcp_socket}
_PROBE_ACTIONS: Final = {**_HOOK_ACTIONS, "grpc": _grpc}
