"""Which objects an owner holds: adoption of matching orphans, release of the rest. What is done with them is not here.

Upstream: pkg/controller/controller_ref_manager.go.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from machinery.api import errors, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.selectors import LabelSelector
from machinery.client.rest import STRATEGIC_PATCH, Client


@dataclass(frozen=True, slots=True)
class Claim:
    """The sorted result: what is held already, what to adopt, what to let go."""

    held: list[Json]
    adopt: list[Json]
    release: list[Json]


def plan_claim(owner: Json, selector: LabelSelector, objects: Iterable[Json]) -> Claim:
    """Sort candidates of the owner's namespace; an owner that is being deleted neither adopts nor releases."""
    claim = Claim([], [], [])
    leaving = meta.is_being_deleted(owner)
    for obj in objects:
        matches = selector.matches(meta.labels_of(obj))
        if meta.is_controlled_by(obj, owner):
            if matches:
                claim.held.append(obj)
            elif not leaving:
                claim.release.append(obj)
        elif meta.controller_of(obj) is None and matches and not leaving and not meta.is_being_deleted(obj):
            claim.adopt.append(obj)
    return claim


def selector_of(owner: Json) -> LabelSelector:
    """The owner's `spec.selector` (metav1.LabelSelector); an absent one selects nothing. Raises ValueError."""
    return LabelSelector.from_dict(owner["spec"].get("selector"))


def adoption_patch(owner: Json, owner_kind: Kind, obj: Json) -> Json:
    """The strategic merge patch that makes `owner` the controller of `obj`; the uid guards against a namesake."""
    return {"metadata": {"ownerReferences": [meta.owner_reference(owner, owner_kind)], "uid": meta.uid_of(obj)}}


def release_patch(owner: Json, obj: Json) -> Json:
    """The strategic merge patch that takes `owner` from the owners of `obj`."""
    gone = {"$patch": "delete", "uid": meta.uid_of(owner)}
    return {"metadata": {"ownerReferences": [gone], "uid": meta.uid_of(obj)}}


class Claimer:
    """Carries out claims of one owner kind on one kind of object."""

    def __init__(self, client: Client, owner_kind: Kind, kind: Kind) -> None:
        self._client = client
        self._owner_kind = owner_kind
        self._kind = kind

    async def claim(self, owner: Json, objects: Iterable[Json]) -> list[Json]:
        """What the owner holds after adopting and releasing; raises errors.StatusError when a patch fails."""
        plan = plan_claim(owner, selector_of(owner), objects)
        for obj in plan.release:
            await self._patch(obj, release_patch(owner, obj))
        if not plan.adopt or not await self._still_wanted(owner):
            return plan.held
        patches = [(obj, adoption_patch(owner, self._owner_kind, obj)) for obj in plan.adopt]
        adopted = [await self._patch(obj, patch) for obj, patch in patches]
        return plan.held + [obj for obj in adopted if obj is not None]

    async def _still_wanted(self, owner: Json) -> bool:
        # The cache may not know yet that the owner is going: an orphan adopted now would be deleted with it.
        try:
            fresh = await self._client.get(self._owner_kind, meta.name_of(owner), meta.namespace_of(owner))
        except errors.NotFound:
            return False
        return meta.uid_of(fresh) == meta.uid_of(owner) and not meta.is_being_deleted(fresh)

    async def _patch(self, obj: Json, patch: Json) -> Json | None:
        name, namespace = meta.name_of(obj), meta.namespace_of(obj)
        try:
            return await self._client.patch(self._kind, name, namespace, patch, content_type=STRATEGIC_PATCH)
        except (errors.NotFound, errors.Invalid):
            return None  # gone, or another object of that name: neither is ours
