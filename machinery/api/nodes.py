"""What every component asks of a Node. Pure readings of the dict."""

from typing import Final

from machinery.api import meta
from machinery.api.codec import Json

TAINT_NOT_READY: Final = "node.kubernetes.io/not-ready"
TAINT_UNREACHABLE: Final = "node.kubernetes.io/unreachable"
TAINT_UNSCHEDULABLE: Final = "node.kubernetes.io/unschedulable"


def ready_condition(node: Json) -> Json | None:
    """The Ready condition, if there is one."""
    return meta.find_condition((node.get("status") or {}).get("conditions"), "Ready")


def is_ready(node: Json) -> bool:
    """Whether the Ready condition is True."""
    return meta.condition_is_true(node, "Ready")


def taints_of(node: Json) -> list[Json]:
    """`spec.taints`."""
    taints: list[Json] = (node.get("spec") or {}).get("taints") or []
    return taints


def is_unschedulable(node: Json) -> bool:
    """Whether the node is cordoned."""
    return bool((node.get("spec") or {}).get("unschedulable"))


def pod_cidr_of(node: Json) -> str:
    """`spec.podCIDR`, empty until the IPAM controller has given one."""
    return (node.get("spec") or {}).get("podCIDR") or ""


def addresses_of(node: Json, type_: str = "InternalIP") -> list[str]:
    """The node's addresses of a type, in order."""
    addresses = (node.get("status") or {}).get("addresses") or ()
    return [address["address"] for address in addresses if address.get("type") == type_]


def tolerates(toleration: Json, taint: Json) -> bool:
    """Whether a toleration covers a taint (upstream: v1.Toleration.ToleratesTaint)."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    return bool(toleration.get("key")) and (toleration.get("value") or "") == (taint.get("value") or "")
