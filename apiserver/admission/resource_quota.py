"""ResourceQuota: what a namespace's quotas count is charged before it is written, and refused above their bounds.

Upstream: plugin/pkg/admission/resourcequota. The charge is a guarded write of the quota's status, judged on the newest
one, so that of many creates at a time, on any number of servers, no more get through than fit. What is charged and then
not written, or deleted, is given back by the controller that recounts.
"""

import asyncio
from functools import partial
from typing import Final
from weakref import WeakValueDictionary

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from machinery.api import errors, kinds, meta, quotas
from machinery.api.codec import Json
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

    def __init__(self) -> None:
        self._turns: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises Forbidden where a quota would be exceeded, does not know its usage yet, or needs what is not said."""
        obj = attributes.obj
        if obj is None or not attributes.namespace or not _may_cost(attributes):
            return
        found = reader.in_namespace(kinds.RESOURCE_QUOTAS, attributes.namespace)
        if not found:
            return
        old = quotas.usage_of(attributes.kind, attributes.old) if attributes.old else {}
        asked = quotas.increase(quotas.usage_of(attributes.kind, obj), old)
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
