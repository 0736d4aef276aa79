"""What PersistentVolumes, claims and classes say, as far as placing pods goes. Pure; whether nodes fit is the plugins'.

Upstream: component-helpers/storage/volume/pv_helpers.go, storage/ephemeral.
"""

from collections.abc import Collection, Iterator
from fractions import Fraction
from typing import Final, NamedTuple

from machinery.api import meta, quantity
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.selectors import LabelSelector

BIND_COMPLETED: Final = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER: Final = "pv.kubernetes.io/bound-by-controller"
SELECTED_NODE: Final = "volume.kubernetes.io/selected-node"
NO_PROVISIONER: Final = "kubernetes.io/no-provisioner"
_CLASS_BEFORE_1_6: Final = "volume.beta.kubernetes.io/storage-class"
WAIT: Final = "WaitForFirstConsumer"


class Unusable(Exception):
    """What keeps a pod with volumes from being placed or bound; the text is upstream's."""


class ClaimName(NamedTuple):
    """The name of a claim that a pod mounts; of an ephemeral volume the claim is made for the pod."""

    name: str
    is_ephemeral: bool


def claims_of(pod: Json) -> Iterator[ClaimName]:
    """The claims that a pod mounts."""
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        if volume.get("persistentVolumeClaim") is not None:
            yield ClaimName(volume["persistentVolumeClaim"].get("claimName") or "", False)
        elif volume.get("ephemeral") is not None:
            yield ClaimName(f"{meta.name_of(pod)}-{volume['name']}", True)


def named_claims_of(pod: Json) -> list[str]:
    """The claims that a pod mounts by name; those that are made for its ephemeral volumes are not among them."""
    return [claim.name for claim in claims_of(pod) if not claim.is_ephemeral]


def is_among(claim: Json, namespace: str, names: Collection[str]) -> bool:
    """Whether a claim is one of these of a namespace."""
    return meta.namespace_of(claim) == namespace and meta.name_of(claim) in names


def class_of(obj: Json) -> str:
    """The StorageClass of a volume or claim; empty for none."""
    annotated = meta.annotations_of(obj).get(_CLASS_BEFORE_1_6)
    return annotated if annotated is not None else (obj.get("spec") or {}).get("storageClassName") or ""


def is_fully_bound(claim: Json) -> bool:
    """Whether the volume controller is through with a claim."""
    return bool(volume_of(claim)) and BIND_COMPLETED in meta.annotations_of(claim)


def volume_of(claim: Json) -> str:
    """The name of a claim's volume."""
    return (claim.get("spec") or {}).get("volumeName") or ""


def waits_for_pod(storage_class: Json | None) -> bool:
    """Whether claims of a class are bound when a pod that uses them has a node."""
    return (storage_class or {}).get("volumeBindingMode") == WAIT


def size_wanted(claim: Json) -> Fraction | None:
    """Bytes; None for a claim that does not say."""
    wanted = (((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}).get("storage")
    return None if wanted is None else quantity.parse(str(wanted))


def size_of(volume: Json) -> Fraction:
    """Bytes."""
    return quantity.parse(str(((volume.get("spec") or {}).get("capacity") or {}).get("storage") or "0"))


def most_of(capacity: Json) -> Fraction | None:
    """Bytes of the largest volume that a CSIStorageCapacity has room for; None where it does not say."""
    limit = capacity.get("maximumVolumeSize") or capacity.get("capacity")
    return None if limit is None else quantity.parse(str(limit))


def node_selector_of(volume: Json) -> Json | None:
    """Where a volume can be used; None stands for everywhere."""
    affinity = (volume.get("spec") or {}).get("nodeAffinity") or {}
    selector: Json | None = affinity.get("required")
    return selector


def is_reserved_for(volume: Json, claim: Json) -> bool:
    """Whether a volume is bound to a claim, or was meant for it by whoever made it."""
    reference = (volume.get("spec") or {}).get("claimRef")
    if not reference:
        return False
    named = reference.get("name"), reference.get("namespace")
    return named == (meta.name_of(claim), meta.namespace_of(claim)) and reference.get("uid") in (
        None,
        "",
        meta.uid_of(claim),
    )


def may_serve(volume: Json, claim: Json) -> bool:
    """Whether a volume could be bound to a claim as far as both go: where, and whether it is taken, is not asked."""
    if size_of(volume) < (size_wanted(claim) or 0) or _mode_of(volume) != _mode_of(claim):
        return False
    if meta.is_being_deleted(volume):
        return False
    if is_reserved_for(volume, claim):
        return True
    if (volume.get("spec") or {}).get("claimRef") or (volume.get("status") or {}).get("phase") != "Available":
        return False
    selector = (claim.get("spec") or {}).get("selector")
    if selector is not None and not LabelSelector.from_dict(selector).matches(meta.labels_of(volume)):
        return False
    wanted, offered = ((one.get("spec") or {}).get("accessModes") or () for one in (claim, volume))
    return class_of(volume) == class_of(claim) and set(wanted) <= set(offered)


def not_found(kind: Kind, name: str) -> Unusable:
    """As listers say it, which name a kind by itself and not by its plural."""
    group = f".{kind.group}" if kind.group else ""
    return Unusable(f'{kind.kind.lower()}{group} "{name}" not found')


def _mode_of(obj: Json) -> str:
    return (obj.get("spec") or {}).get("volumeMode") or "Filesystem"
