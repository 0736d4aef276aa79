"""ResourceQuota: what a namespace's quotas count is charged before it is written, and refused above their bounds.

Upstream: plugin/pkg/admission/resourcequota. The charge is a guarded write of the quota's status, judged on the newest
one, so that of many creates at a time, on any number of servers, no more get through than fit. What is charged and then
not written, or deleted, is given back by the controller that recounts.
"""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final, Self
from weakref import WeakValueDictionary

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin, Tools
from apiserver.admission.reader import Reader
from machinery.api import errors, kinds, meta, quotas
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.quotas import Usage

#: by kind: the updates that may cost more (subresources; empty: the object itself)
_UPDATES: Final = {
    kinds.PODS: "resize",
    kinds.SERVICES: "",
    kinds.PERSISTENT_VOLUME_CLAIMS: "",
}


class ResourceQuota(Plugin):
    """Charges every quota in turn; waits its turn for each, so that writers of one server do not outdate each other."""

    name = "ResourceQuota"

    def __init__(self, limited: Sequence[Json] = ()) -> None:
        self._limited = tuple(limited)
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    @classmethod
    def made_with(cls, tools: Tools) -> Self:
        """What may be had only where a quota allows it: limitedResources of a ResourceQuotaConfiguration."""
        return cls((tools.configuration.get(cls.name) or {}).get("limitedResources") or ())

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises Forbidden where a quota would be exceeded, does not know its usage yet, or needs what is not said."""
        obj = attributes.obj
        if obj is None or not attributes.namespace or not _may_cost(attributes):
            return
        found = reader.in_namespace(kinds.RESOURCE_QUOTAS, attributes.namespace)
        limited = [one for one in self._limited if _is_limited(attributes.kind, one)]
        if not found and not limited:
            return
        old = quotas.usage_of(attributes.kind, attributes.old) if attributes.old else {}
        asked = quotas.increase(quotas.usage_of(attributes.kind, obj), old)
        for one in limited:
            _require_cover(attributes, one, asked, found)
        for quota in sorted(found, key=meta.name_of):
            hard = (quota.get("status") or {}).get("hard") or {}
            if quotas.counts(quota, attributes.kind, obj):
                _require(attributes, quota, hard)
                if own := {name: text for name, text in asked.items() if name in hard}:
                    await self._charge(attributes, reader, quota, own)

    async def _charge(self, attributes: Attributes, reader: Reader, quota: Json, asked: Usage) -> None:
        if attributes.dry_run:
            _charged(attributes, quota, asked)
            return
        name = meta.name_of(quota)
        turn = self._turns.setdefault((attributes.namespace, name), asyncio.Lock())

        async def change(current: Json | None) -> Json:
            if current is None:
                raise errors.not_found(kinds.RESOURCE_QUOTAS, name)
            return _charged(attributes, current, asked)

        async with turn:
            try:
                await reader.change_status(kinds.RESOURCE_QUOTAS, attributes.namespace, name, change)
            except errors.NotFound:
                return  # it has just gone, and with it the bound


def _may_cost(attributes: Attributes) -> bool:
    if attributes.operation is Operation.CREATE:
        return not attributes.subresource
    return attributes.operation is Operation.UPDATE and _UPDATES.get(attributes.kind) == attributes.subresource


def _require(attributes: Attributes, quota: Json, hard: Json) -> None:
    if attributes.kind == kinds.PODS and (missing := quotas.missing_of(attributes.obj or {}, hard)):
        raise attributes.forbidden(f"failed quota: {meta.name_of(quota)}: {missing}")


def _is_limited(kind: Kind, limited: Json) -> bool:
    return (kind.group, kind.plural) == (limited.get("apiGroup") or "", limited.get("resource"))


def _require_cover(attributes: Attributes, limited: Json, asked: Usage, found: Sequence[Json]) -> None:
    """Raises Forbidden for what is limited and no quota of the namespace bounds."""
    obj = attributes.obj or {}
    parts = limited.get("matchContains") or ()
    wanted = {name for name in asked if any(part in name for part in parts)}
    covering = [quota for quota in found if quotas.counts(quota, attributes.kind, obj)]
    covered = {name for quota in covering for name in (quota.get("status") or {}).get("hard") or ()}
    if missing := sorted(wanted - covered):
        raise attributes.forbidden(f"insufficient quota to consume: {','.join(missing)}")
    for scope in limited.get("matchScopes") or ():
        selector = {"spec": {"scopeSelector": {"matchExpressions": [scope]}}}
        if not quotas.counts(selector, attributes.kind, obj):
            continue
        if not any(quotas.has_scope(quota, scope.get("scopeName") or "") for quota in covering):
            shown = f"{{{scope.get('scopeName')} {scope.get('operator')} [{' '.join(scope.get('values') or ())}]}}"
            raise attributes.forbidden(f"insufficient quota to match these scopes: [{shown}]")


def _charged(attributes: Attributes, quota: Json, asked: Usage) -> Json:
    """The quota with more used; raises Forbidden."""
    status = quota.get("status") or {}
    hard, used = status.get("hard") or {}, status.get("used") or {}
    own = {name: text for name, text in asked.items() if name in hard}
    if unknown := sorted(own.keys() - used.keys()):
        raise attributes.forbidden(f"status unknown for quota: {meta.name_of(quota)}, resources: {','.join(unknown)}")
    after = quotas.add({name: used[name] for name in own}, own)
    if over := quotas.exceeded(after, hard):
        shown = partial(_shown, over)
        who = meta.name_of(quota)
        raise attributes.forbidden(
            f"exceeded quota: {who}, requested: {shown(own)}, used: {shown(used)}, limited: {shown(hard)}"
        )
    return {**quota, "status": {**status, "used": {**used, **after}}}


def _shown(names: list[str], amounts: Json) -> str:
    return ",".join(f"{name}={amounts[name]}" for name in names)
