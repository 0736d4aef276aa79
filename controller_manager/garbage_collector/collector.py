"""Acts on the graph: asks the API server how things stand, then deletes, orphans, or lets go.

Upstream: pkg/controller/garbagecollector/garbagecollector.go. Nothing is deleted on the word of the graph alone: the
object and each of its owners are read from the API server first, and the deletion carries the uid that was read.
"""

import asyncio
import logging
from collections import OrderedDict
from typing import Final

from controller_manager.garbage_collector import decisions
from controller_manager.garbage_collector.decisions import Fate
from controller_manager.garbage_collector.graph import Graph, Identity, Node, Reference
from controller_manager.garbage_collector.monitors import Monitors
from machinery.aio.tasks import every
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.names import ObjectKey
from machinery.client.controller import run_controller
from machinery.client.informer import Informers
from machinery.client.rest import Client

logger = logging.getLogger(__name__)

_DISCOVERY_PERIOD: Final = 30.0
_REMEMBERED_ABSENT: Final = 500


class UnknownKind(Exception):
    """An owner reference names a kind that discovery does not show: whether the owner exists cannot be known."""


class ImpossibleOwner(Exception):
    """A cluster-scoped object names a namespaced owner: in which namespace that would be, nobody can say."""


class GarbageCollector:
    """Keys are uids (as the name of an ObjectKey)."""

    name = "garbage-collector-controller"

    def __init__(self, client: Client, metadata_client: Client) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._graph = Graph()
        self._monitors = Monitors(client, metadata_client, self._seen, self._kind_gone)
        self._absent: OrderedDict[tuple[str, ...], None] = OrderedDict()
        self._no_informers = Informers(client)

    async def run(self, workers: int) -> None:
        """Watch and work, for ever."""
        async with asyncio.TaskGroup() as group:
            await self._first_sync(group)
            period = every(_DISCOVERY_PERIOD, "discovery for the garbage collector", lambda: self._monitors.sync(group))
            group.create_task(period)
            await self._monitors.wait_for_sync()
            group.create_task(run_controller(self, self._no_informers, workers))

    async def _first_sync(self, group: asyncio.TaskGroup) -> None:
        while True:
            try:
                return await self._monitors.sync(group)
            except (errors.StatusError, OSError) as problem:
                logger.warning("discovery: %s; trying again", problem)
                await asyncio.sleep(2)

    # --- what the monitors see ----------------------------------------------------------------------------------------

    def _seen(self, kind: Kind, old: Json | None, new: Json | None) -> None:
        if old is not None and (new is None or meta.uid_of(old) != meta.uid_of(new)):
            self._look(self._graph.remove(meta.uid_of(old)))
        if new is not None:
            self._look(self._graph.put(kind.api_version, kind.kind, new))

    def _kind_gone(self, kind: Kind) -> None:
        self._look(self._graph.forget_kind(kind.api_version, kind.kind))

    def _look(self, uids: set[str]) -> None:
        for uid in uids:
            self.queue.add(ObjectKey("", uid))

    # --- one look -----------------------------------------------------------------------------------------------------

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one object."""
        node = self._graph.get(key.name)
        if node is None:
            return None
        try:
            await self._look_at(node)
        except UnknownKind as problem:
            logger.debug("%s: %s", node.identity, problem)
            return _DISCOVERY_PERIOD
        except ImpossibleOwner as problem:
            logger.debug("%s stays: %s", node.identity, problem)
        return None

    async def _look_at(self, node: Node) -> None:
        if node.virtual:
            await self._verify(node)
        elif node.orphans_dependents:
            await self._orphan(node)
        elif node.waits_for_dependents:
            await self._finish_foreground(node)
        elif not node.deleting:
            await self._judge(node)

    async def _verify(self, node: Node) -> None:
        """An owner that no monitor shows: when the API server does not have it either, its dependents are looked at."""
        if await self._read(node.identity) is None:
            self._look(set(node.dependents))

    async def _judge(self, node: Node) -> None:
        obj = await self._read(node.identity)
        if obj is None:
            self._look(self._graph.remove(node.identity.uid))  # its watch will say so, too
            return
        if meta.is_being_deleted(obj):
            return
        references = [Reference.of(reference) for reference in meta.owners_of(obj)]
        fates = {reference.uid: await self._fate(reference, node.identity) for reference in references}
        dependents = self._graph.dependents_of(node.identity.uid)
        waiting = any(dependent.waits_for_dependents for dependent in dependents)
        verdict = decisions.judge(obj, fates, has_dependents=bool(dependents), dependents_waiting=waiting)
        if verdict.drop:
            await self._patch(node, decisions.owners_patch(obj, decisions.owners_without(obj, verdict.drop)))
        if verdict.unblock:
            await self._patch(node, decisions.owners_patch(obj, decisions.owners_unblocked(obj)))
        if verdict.delete:
            logger.debug("deleting %s (%s): its owners are gone", node.identity, verdict.delete)
            await self._delete(node, verdict.delete)

    async def _fate(self, reference: Reference, dependent: Identity) -> Fate:
        where = Identity(reference.api_version, reference.kind, dependent.namespace, reference.name, reference.uid)
        identity = (where.api_version, where.kind, where.namespace, where.name, where.uid)
        if identity in self._absent:
            return Fate.DANGLING
        owner = await self._read(where)
        if owner is None:
            self._absent[identity] = None
            while len(self._absent) > _REMEMBERED_ABSENT:
                self._absent.popitem(last=False)
            return Fate.DANGLING
        foreground = meta.is_being_deleted(owner) and meta.FOREGROUND in meta.finalizers_of(owner)
        return Fate.WAITING if foreground else Fate.SOLID

    async def _finish_foreground(self, node: Node) -> None:
        """Let an owner go when nothing holds it back any more; else have what does looked at."""
        uid = node.identity.uid
        blocking = [dependent for dependent in self._graph.dependents_of(uid) if dependent.blocks(uid)]
        if not blocking:
            await self._drop_finalizer(node, meta.FOREGROUND)
            return
        self._look({dependent.identity.uid for dependent in blocking if not dependent.deleting})

    async def _orphan(self, node: Node) -> None:
        """Cut the dependents loose first, then let the owner go."""
        for dependent in self._graph.dependents_of(node.identity.uid):
            obj = await self._read(dependent.identity)
            if obj is not None:
                owners = decisions.owners_without(obj, frozenset((node.identity.uid,)))
                await self._patch(dependent, decisions.owners_patch(obj, owners))
        await self._drop_finalizer(node, meta.ORPHAN)

    async def _drop_finalizer(self, node: Node, finalizer: str) -> None:
        obj = await self._read(node.identity)
        if obj is not None and finalizer in meta.finalizers_of(obj):
            await self._patch(node, decisions.without_finalizer(obj, finalizer))

    # --- the API server -----------------------------------------------------------------------------------------------

    def _kind(self, identity: Identity) -> Kind:
        resource = self._monitors.resource_for(identity.api_version, identity.kind)
        if resource is None:
            raise UnknownKind(
                f"no resource serves {identity.api_version} {identity.kind}, an owner of that kind is named"
            )
        return resource.kind

    async def _read(self, identity: Identity) -> Json | None:
        """The object with this very uid, or None; raises UnknownKind, ImpossibleOwner."""
        kind = self._kind(identity)
        if kind.namespaced and not identity.namespace:
            raise ImpossibleOwner(f"{identity} is namespaced, and the object that names it as its owner is not")
        try:
            obj = await self._client.get(kind, identity.name, identity.namespace if kind.namespaced else "")
        except errors.NotFound:
            return None
        return obj if meta.uid_of(obj) == identity.uid else None

    async def _patch(self, node: Node, patch: Json) -> None:
        kind = self._kind(node.identity)
        try:
            await self._client.patch(kind, node.identity.name, node.identity.namespace, patch)
        except errors.NotFound:
            return

    async def _delete(self, node: Node, policy: str) -> None:
        identity = node.identity
        try:
            await self._client.delete(
                self._kind(identity), identity.name, identity.namespace, uid=identity.uid, propagation_policy=policy
            )
        except errors.NotFound:
            return
