"""pods/NAME/eviction: a deletion that a disruption budget may refuse. What a budget says is `disruption`'s.

Upstream: pkg/registry/core/pod/storage/eviction.go.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from apiserver.handlers import admitting, disruption, options
from apiserver.handlers.body import decode_body
from apiserver.registry import deletion
from apiserver.registry.deletion import DeleteOptions
from apiserver.registry.field_manager import Writer
from apiserver.registry.gate import Gate
from apiserver.registry.resource import Resource
from apiserver.registry.store import Store
from apiserver.registry.strategy import Context
from apiserver.request import Answer, Request, Response
from apiserver.storage.listing import Query
from apiserver.storage.objects import Selection
from machinery.aio.clock import REAL, Clock
from machinery.api import codec, errors, meta, times
from machinery.api.codec import Json
from machinery.api.errors import StatusError
from machinery.api.kinds import Kind

EVICTION: Final = Resource(Kind("policy", "v1", "Eviction", "evictions"))
_SUCCESS: Final = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}
_SERVER: Final = Writer("kube-apiserver", "status")
_TRIES: Final = 20  # upstream: EvictionsRetry
_SEVERAL: Final = "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."


@dataclass(slots=True)
class _Eviction:
    """One request, read."""

    request: Request
    options: DeleteOptions
    context: Context  # of the pod
    counted: bool = False  # by the budget: once, however often the pod changes under our hands


class Evictions:
    """The handler of the subresource."""

    def __init__(self, pods: Store, budgets: Store, clock: Clock = REAL) -> None:
        self._pods = pods
        self._budgets = budgets
        self._clock = clock

    def table(self) -> Mapping[tuple[str, str, str], Callable[[Request], Awaitable[Answer | None]]]:
        """(group, resource, subresource) → handler."""
        return {("", "pods", "eviction"): self.create}

    async def create(self, request: Request) -> Answer:
        """Delete the pod as the eviction's deleteOptions say, if its budget lets it."""
        if request.info.verb != "create":
            raise errors.MethodNotSupported("the server does not allow this method on the requested resource")
        eviction = await decode_body(request, EVICTION)
        name = meta.name_of(eviction)
        if name and name != request.info.name:
            raise errors.BadRequest("name in URL does not match name in Eviction object")
        chosen = options.delete_options(request, eviction.get("deleteOptions") or {})
        dry_run = chosen.dry_run or "All" in request.query.get("dryRun", ())
        context = admitting.context(request, self._pods, dry_run=dry_run, subresource="")
        chain = self._pods.admission  # of the eviction; the deletion it leads to is not admitted again
        await admitting.admit_special(request, chain, self._pods.resource.kind, EVICTION.kind, eviction)
        await self._evict(_Eviction(request, replace(chosen, dry_run=dry_run), context))
        return Response(201, codec.dumps(_SUCCESS))

    async def _evict(self, eviction: _Eviction) -> None:
        """Again while the pod changes under our hands, unless the client said which state it means."""
        for left in reversed(range(_TRIES)):
            pod = (await self._pods.get(eviction.context.namespace, eviction.context.name)).decode()
            try:
                await self._evict_now(eviction, pod)
            except errors.Conflict:
                if not left or eviction.options.resource_version is not None:
                    raise
            else:
                return

    async def _evict_now(self, eviction: _Eviction, pod: Json) -> None:
        deletion.check_preconditions(self._pods.resource.kind, pod, eviction.options)
        if not eviction.counted and not disruption.needs_no_budget(pod):
            await self._ask_budget(eviction, pod)
        options = eviction.options
        if not options.dry_run:
            options = replace(options, resource_version=await self._announce(eviction, pod))
        await self._pods.delete(eviction.context, options)

    async def _ask_budget(self, eviction: _Eviction, pod: Json) -> None:
        """Count the disruption, or raise what the budget says."""
        namespace = eviction.context.namespace
        listing = await self._budgets.list(Query(Selection(namespace)))
        found = disruption.budgets_of(pod, [entry.decode() for entry in listing.entries])
        if len(found) > 1:
            raise StatusError(_SEVERAL)
        if not found or disruption.spares(pod, found[0]):
            return

        async def count(budget: Json | None) -> Json:
            if budget is None:
                raise errors.not_found(self._budgets.resource.kind, meta.name_of(found[0]))
            disruption.take_one(budget, meta.name_of(pod), times.rfc3339(self._clock.now()))
            return budget

        name = meta.name_of(found[0])
        await self._budgets.update(count, _of_status(eviction, self._budgets, name), _as_server(self._budgets))
        eviction.counted = True

    async def _announce(self, eviction: _Eviction, pod: Json) -> str:
        """Tell in the pod's conditions why it goes; answers its resourceVersion then."""

        async def announced(current: Json | None) -> Json:
            if current is None:
                raise errors.not_found(self._pods.resource.kind, meta.name_of(pod))
            if meta.resource_version_of(current) != meta.resource_version_of(pod):
                raise errors.conflict(self._pods.resource.kind, meta.name_of(pod), errors.MODIFIED)
            status = current.setdefault("status", {})
            target = {
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "EvictionByEvictionAPI",
                "message": "Eviction API: evicting",
            }
            now = times.rfc3339(self._clock.now())
            status["conditions"] = meta.set_condition(status.get("conditions"), target, now)
            return current

        context = _of_status(eviction, self._pods, meta.name_of(pod))
        entry, _ = await self._pods.update(announced, context, _as_server(self._pods))
        return str(entry.revision)


def _of_status(eviction: _Eviction, store: Store, name: str) -> Context:
    """What hooks may know of a write of an object's status on the way."""
    dry_run = eviction.options.dry_run
    return admitting.context(eviction.request, store, dry_run=dry_run, subresource="status").named(name)


def _as_server(store: Store) -> Gate:
    """Nobody is asked, and the fields are this server's."""

    async def track(obj: Json | None, old: Json | None) -> None:
        if obj is not None:
            store.track(obj, old, _SERVER)

    return Gate(track)
