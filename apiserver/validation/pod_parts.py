"""What `pods/ephemeralcontainers` and `pods/resize` may change, and how.

Upstream: ValidatePodEphemeralContainersUpdate, ValidatePodResize; pkg/registry/core/pod/strategy.go.
"""

from collections.abc import Mapping
from typing import Any, Final

from apiserver.validation.pod_update import difference
from machinery.api import codec, errors, pods
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_LISTS: Final = ("containers", "initContainers")
_RESIZED: Final = ("resources", "resizePolicy")
_MUTABLE: Final = ("cpu", "memory")


def with_ephemeral(spec: Json, old: Json) -> Json:
    """The old spec with the new one's ephemeral containers: nothing else can be changed on this way."""
    kept = {name: value for name, value in old.items() if name != "ephemeralContainers"}
    added = spec.get("ephemeralContainers")
    return {**kept, "ephemeralContainers": added} if added else kept


def check_ephemeral(pod: Json, old: Json) -> list[FieldError]:
    """Ephemeral containers come; they neither go nor change."""
    if pods.is_static(old):
        return [errors.forbidden_field("", "static pods do not support ephemeral containers")]
    new = {container.get("name"): container for container in (pod.get("spec") or {}).get("ephemeralContainers") or ()}
    found: list[FieldError] = []
    for before in (old.get("spec") or {}).get("ephemeralContainers") or ():
        name, path = before.get("name"), "spec.ephemeralContainers"
        if name not in new:
            text = f'existing ephemeral containers "{name}" may not be removed\n'
            found.append(errors.forbidden_field(path, text))
        elif new[name] != before:
            text = f'existing ephemeral containers "{name}" may not be changed\n{difference(before, new[name])}'
            found.append(errors.forbidden_field(path, text))
    return found


def with_resources(spec: Json, old: Json) -> Json:
    """The old spec with the new one's container resources and resize policies."""
    resized = codec.copy_of(old)
    for field in _LISTS:
        given = {container.get("name"): container for container in spec.get(field) or ()}
        for container in resized.get(field) or ():
            wanted = given.get(container.get("name"))
            if wanted is not None:
                _take(container, wanted)
    return resized


def _take(container: Json, wanted: Mapping[str, Any]) -> None:
    for name in _RESIZED:
        if name in wanted:
            container[name] = wanted[name]
        else:
            container.pop(name, None)


def check_resize(pod: Json, old: Json) -> list[FieldError]:
    """cpu and memory of containers may change, in bounds that leave the pod's quality of service as it is."""
    if pods.is_static(old):
        return [errors.forbidden_field("", "static pods do not support resize")]
    spec, old_spec = pod.get("spec") or {}, old.get("spec") or {}
    if (old_spec.get("os") or {}).get("name") == "windows":
        return [errors.forbidden_field("", "windows pods cannot be resized")]
    found: list[FieldError] = []
    quality = pods.qos_class(pod)
    if quality != pods.qos_class(old):
        found.append(errors.invalid_value("spec", quality, "Pod QOS Class may not change as a result of resizing"))
    for field in _LISTS:
        for index, (new, before) in enumerate(zip(spec.get(field) or (), old_spec.get(field) or (), strict=True)):
            found += _removed(new, before, f"spec.{field}[{index}].resources")
    munged = _with_old_amounts(spec, old_spec)
    if munged != old_spec:
        text = f"only cpu and memory resources are mutable\n{difference(old_spec, munged, 'spec')}"
        found.append(errors.forbidden_field("spec", text))
    return found


def _removed(new: Json, old: Json, path: str) -> list[FieldError]:
    now, before = new.get("resources") or {}, old.get("resources") or {}
    return [
        errors.forbidden_field(f"{path}.{what}", f"resource {what} cannot be removed")
        for what in ("requests", "limits")
        if (before.get(what) or {}).keys() - (now.get(what) or {}).keys()
    ]


def _with_old_amounts(spec: Json, old: Json) -> Json:
    """The new spec with the old cpu and memory, and the old resize policies; ordinary init containers as they are."""
    munged = codec.copy_of(spec)
    for field in _LISTS:
        for container, before in zip(munged.get(field) or (), old.get(field) or (), strict=True):
            if field == "initContainers" and not pods.is_sidecar(before):
                continue
            resources = container.get("resources") or {}
            _take(container, before)
            rest = {what: _others(resources.get(what)) for what in ("requests", "limits")}
            if rest != {what: _others((before.get("resources") or {}).get(what)) for what in ("requests", "limits")}:
                container["resources"] = resources
    return munged


def _others(amounts: Json | None) -> Json:
    return {name: value for name, value in (amounts or {}).items() if name not in _MUTABLE}
