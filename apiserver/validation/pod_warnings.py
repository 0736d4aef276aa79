"""What is allowed in a pod's spec but rarely meant: texts for Warning headers (upstream: pkg/api/pod/warnings.go)."""

from collections.abc import Iterable

from apiserver.validation import fields
from machinery.api import quantity
from machinery.api.codec import Json


def check(spec: Json, path: str) -> list[str]:
    """The warnings of a spec, in the order of its fields."""
    found: list[str] = []
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        text = "must be >= 0; negative values are invalid and will be treated as 1"
        found.append(f"{path}.terminationGracePeriodSeconds: {text}")
    for secret, at in fields.each(spec.get("imagePullSecrets"), f"{path}.imagePullSecrets"):
        if not secret.get("name"):
            found.append(f'{at}: invalid empty name ""')
    for name in ("initContainers", "containers"):
        for container, at in fields.each(spec.get(name), f"{path}.{name}"):
            found += _container(container, at)
    return found


def _container(container: Json, path: str) -> Iterable[str]:
    seen: set[str] = set()
    for variable, at in fields.each(container.get("env"), f"{path}.env"):
        name = variable.get("name") or ""
        if name in seen:
            yield f'{at}: hides previous definition of "{name}", which may be dropped when using apply'
        seen.add(name)
    ports: dict[tuple[object, ...], str] = {}
    for port, at in fields.each(container.get("ports"), f"{path}.ports"):
        key = tuple(port.get(part) for part in ("containerPort", "protocol", "hostIP", "hostPort"))
        if key in ports:
            yield f"{at}: duplicate port definition with {ports[key]}"
        ports.setdefault(key, at)
    yield from _fractions(container.get("resources") or {}, f"{path}.resources")


def _fractions(resources: Json, path: str) -> Iterable[str]:
    for kind in ("limits", "requests"):
        for name in ("memory", "ephemeral-storage"):
            amount = (resources.get(kind) or {}).get(name)
            if amount is not None and quantity.parse(amount).denominator != 1:
                yield f'{path}.{kind}[{name}]: fractional byte value "{amount}" is invalid, must be an integer'
