"""What may change on a pod that exists, and in its status (upstream: ValidatePodUpdate, ValidatePodStatusUpdate)."""

from typing import Any, Final

from apiserver.validation import fields
from machinery.api import codec, errors, names, restarts
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_CHANGEABLE: Final = (
    "`spec.containers[*].image`",
    "`spec.initContainers[*].image`",
    "`spec.activeDeadlineSeconds`",
    "`spec.tolerations` (only additions to existing tolerations)",
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)",
)
_LISTS: Final = ("containers", "initContainers")


def check(pod: Json, old: Json) -> list[FieldError]:
    """The differences between two specs are among the few that are allowed."""
    spec, old_spec = pod.get("spec") or {}, old.get("spec") or {}
    for name in _LISTS:
        if len(spec.get(name) or ()) != len(old_spec.get(name) or ()):
            what = "containers" if name == "containers" else "init containers"
            return [errors.forbidden_field(f"spec.{name}", f"pod updates may not add or remove {what}")]
    found = _deadline(spec.get("activeDeadlineSeconds"), old_spec.get("activeDeadlineSeconds"))
    found += _only_added(spec.get("tolerations") or [], old_spec.get("tolerations") or [])
    found += _gates(spec.get("schedulingGates") or [], old_spec.get("schedulingGates") or [])
    if found:
        return found
    munged = _munged(spec, old_spec)
    if munged == old_spec:
        return []
    text = (
        f"pod updates may not change fields other than {','.join(_CHANGEABLE)}\n{difference(old_spec, munged, 'spec')}"
    )
    return [errors.forbidden_field("spec", text)]


def _deadline(new: int | None, old: int | None) -> list[FieldError]:
    path = "spec.activeDeadlineSeconds"
    if old is None or new == old:
        return []
    if new is None:
        return [errors.invalid_value(path, None, "must not update from a positive integer to nil value")]
    return [] if new <= old else [errors.invalid_value(path, new, "must be less than or equal to previous value")]


def _only_added(new: list[Json], old: list[Json]) -> list[FieldError]:
    kept = [_without_seconds(toleration) for toleration in new]
    if all(_without_seconds(toleration) in kept for toleration in old):
        return []
    text = "existing toleration can not be modified except its tolerationSeconds"
    return [errors.forbidden_field("spec.tolerations", text)]


def _without_seconds(toleration: Json) -> Json:
    return {key: value for key, value in toleration.items() if key != "tolerationSeconds"}


def _gates(new: list[Json], old: list[Json]) -> list[FieldError]:
    before = {gate.get("name") for gate in old}
    added = [gate for gate in new if gate.get("name") not in before]
    if not added:
        return []
    shown = ", ".join(sorted(str(gate.get("name")) for gate in added))
    text = f"only deletion is allowed, but found new scheduling gates '{shown}'"
    return [errors.forbidden_field("spec.schedulingGates", text)]


def _munged(spec: Json, old: Json) -> Json:
    """The new spec with the old value wherever a change is allowed: what differs still is not."""
    munged = codec.copy_of(spec)
    for name in _LISTS:
        for container, before in zip(munged.get(name) or (), old.get(name) or (), strict=True):
            if container.get("image"):
                container["image"] = before.get("image")
    allowed = ["activeDeadlineSeconds", "tolerations", "schedulingGates"]
    if (old.get("terminationGracePeriodSeconds") or 0) < 0 and spec.get("terminationGracePeriodSeconds") == 1:
        allowed.append("terminationGracePeriodSeconds")
    if old.get("schedulingGates"):
        # a gated pod is not scheduled yet: where it may go can still be narrowed
        allowed += ["nodeSelector", "affinity"]
    for key in allowed:
        if key in old:
            munged[key] = old[key]
        else:
            munged.pop(key, None)
    return munged


def difference(old: Any, new: Any, path: str = "") -> str:
    """The differing leaves of two values, one `- old` and `+ new` line each."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        parts = [difference(old.get(key), new.get(key), fields.child(path, key)) for key in keys]
        return "".join(parts)
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return "".join(difference(one, other, f"{path}[{index}]") for index, (one, other) in pairs)
    if old == new:
        return ""
    lines = (("-", old), ("+", new))
    return "".join(f"{sign} {path}: {codec.dumps(value).decode()}\n" for sign, value in lines if value is not None)


def check_status(pod: Json, old: Json) -> list[FieldError]:
    """Ended containers stay ended where the restart policy says so; the nominated node is a name."""
    status, old_status = pod.get("status") or {}, old.get("status") or {}
    found: list[FieldError] = []
    nominated = status.get("nominatedNodeName")
    if nominated:
        found += fields.satisfies(nominated, "status.nominatedNodeName", names.is_dns_subdomain)
    spec = old.get("spec") or {}
    if spec.get("restartPolicy") == "Always" or restarts.may_restart_all(old):
        return found
    for name, kind in (("containerStatuses", "containers"), ("initContainerStatuses", "initContainers")):
        containers = {item.get("name"): item for item in spec.get(kind) or ()}
        ended = [item for item in old_status.get(name) or () if _is_final(item, containers.get(item["name"], {}), old)]
        found += _stay_ended(status.get(name), ended, f"status.{name}")
    return found


def _stay_ended(new: list[Json] | None, ended: list[Json], path: str) -> list[FieldError]:
    final = {status["name"] for status in ended}
    text = "may not be transitioned to non-terminated state"
    return [
        errors.forbidden_field(f"{at}.state", text)
        for status, at in fields.each(new, path)
        if status.get("name") in final and (status.get("state") or {}).get("terminated") is None
    ]


def _is_final(status: Json, container: Json, pod: Json) -> bool:
    ended = (status.get("state") or {}).get("terminated")
    return ended is not None and not restarts.will_restart(container, pod, ended.get("exitCode") or 0)
