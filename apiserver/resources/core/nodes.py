"""Nodes (upstream: pkg/registry/core/node, pkg/apis/core/validation ValidateNode)."""

from typing import Any, Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, UNKNOWN, or_none, spec_of, status_of
from apiserver.validation import fields
from machinery.api import errors, kinds, meta, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_ROLE_PREFIX: Final = "node-role.kubernetes.io/"
_ROLE_LABEL: Final = "kubernetes.io/role"
_EFFECTS: Final = ("NoSchedule", "PreferNoSchedule", "NoExecute")


class NodeStrategy(KindStrategy):
    """A kubelet registers its node with a status; later the main resource leaves status alone."""

    namespaced = False

    def defaults(self, obj: Json) -> None:
        """podCIDR is the first of podCIDRs; what is not said to be allocatable is the capacity."""
        spec, status = obj.setdefault("spec", {}), obj.setdefault("status", {})
        if spec.get("podCIDRs"):
            spec.setdefault("podCIDR", spec["podCIDRs"][0])
        elif spec.get("podCIDR"):
            spec["podCIDRs"] = [spec["podCIDR"]]
        if status.get("capacity") and "allocatable" not in status:
            status["allocatable"] = dict(status["capacity"])

    def prepare_for_update(self, obj: Json, old: Json, context: Any) -> None:
        """Status has its own subresource."""
        obj["status"] = old.get("status", {})

    def check(self, obj: Json) -> list[FieldError]:
        """Taints and pod CIDRs."""
        spec = spec_of(obj)
        found = _taints(spec.get("taints"))
        for block, path in fields.each(spec.get("podCIDRs"), "spec.podCIDRs"):
            found += fields.cidr(block, path)
        if len(spec.get("podCIDRs") or ()) > 2:
            text = "may specify no more than one CIDR for each IP family"
            found.append(errors.invalid_value("podCIDRs", spec["podCIDRs"], text))
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """Addresses and provider are set once; the rest of spec but taints and unschedulable is closed."""
        new_spec, old_spec = spec_of(obj), spec_of(old)
        found: list[FieldError] = []
        if old_spec.get("podCIDRs") and new_spec.get("podCIDRs") != old_spec["podCIDRs"]:
            text = 'node updates may not change podCIDR except from "" to valid'
            found.append(errors.forbidden_field("spec.podCIDRs", text))
        if old_spec.get("providerID") and new_spec.get("providerID") != old_spec["providerID"]:
            text = 'node updates may not change providerID except from "" to valid'
            found.append(errors.forbidden_field("spec.providerID", text))
        return found


def _taints(taints: list[Json] | None) -> list[FieldError]:
    found: list[FieldError] = []
    seen: set[tuple[str, str]] = set()
    for taint, path in fields.each(taints, "metadata.taints"):
        key, effect = taint.get("key") or "", taint.get("effect") or ""
        found += fields.qualified_name(key, f"{path}.key")
        found += fields.satisfies(taint.get("value") or "", f"{path}.value", names.is_label_value)
        found += fields.one_of(effect, _EFFECTS, f"{path}.effect", needed=True)
        if (key, effect) in seen:
            detail = "taints must be unique by key and effect pair"
            found.append(errors.FieldError("FieldValueDuplicate", path, detail, taint))
        seen.add((key, effect))
    return found


def _status(node: Json) -> str:
    ready = meta.find_condition(status_of(node).get("conditions"), "Ready")
    parts = ["Unknown" if ready is None else "Ready" if ready.get("status") == "True" else "NotReady"]
    if spec_of(node).get("unschedulable"):
        parts.append("SchedulingDisabled")
    return ",".join(parts)


def _roles(node: Json) -> str:
    found = set()
    for label, value in meta.labels_of(node).items():
        if label.startswith(_ROLE_PREFIX) and len(label) > len(_ROLE_PREFIX):
            found.add(label.removeprefix(_ROLE_PREFIX))
        elif label == _ROLE_LABEL and value:
            found.add(value)
    return str(or_none(",".join(sorted(found))))


def _address(type_: str) -> Any:
    def cell(node: Json) -> Any:
        addresses = status_of(node).get("addresses") or ()
        return or_none(next((item.get("address") for item in addresses if item.get("type") == type_), ""))

    return cell


def _info(field: str, empty: str = UNKNOWN) -> Any:
    return lambda node: (status_of(node).get("nodeInfo") or {}).get(field) or empty


NODES: Final = Resource(
    kind=kinds.NODES,
    key="minions",
    strategy=NodeStrategy(),
    short_names=("no",),
    columns=(
        Column("Status", _status),
        Column("Roles", _roles),
        AGE,
        Column("Version", _info("kubeletVersion", "")),
        Column("Internal-IP", _address("InternalIP"), priority=1),
        Column("External-IP", _address("ExternalIP"), priority=1),
        Column("OS-Image", _info("osImage"), priority=1),
        Column("Kernel-Version", _info("kernelVersion"), priority=1),
        Column("Container-Runtime", _info("containerRuntimeVersion"), priority=1),
    ),
    fields={"spec.unschedulable": lambda node: "true" if spec_of(node).get("unschedulable") else "false"},
    subresources=("status", "proxy"),
)
