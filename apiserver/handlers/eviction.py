"""pods/NAME/eviction: a deletion that may be refused. Disruption budgets, which refuse, come with their kind.

Upstream: pkg/registry/core/pod/storage/eviction.go.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from apiserver.handlers import admitting, options
from apiserver.handlers.body import decode_body
from apiserver.registry.resource import Resource
from apiserver.registry.store import Store
from apiserver.request import Answer, Request, Response
from machinery.api import codec, errors, meta
from machinery.api.kinds import Kind

EVICTION: Final = Resource(Kind("policy", "v1", "Eviction", "evictions"))
_SUCCESS: Final = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class Evictions:
    """The handler of the subresource."""

    def __init__(self, pods: Store) -> None:
        self._pods = pods

    def table(self) -> Mapping[tuple[str, str, str], Callable[[Request], Awaitable[Answer | None]]]:
        """(group, resource, subresource) → handler."""
        return {("", "pods", "eviction"): self.create}

    async def create(self, request: Request) -> Answer:
        """Delete the pod as the eviction's deleteOptions say."""
        if request.info.verb != "create":
            raise errors.MethodNotSupported("the server does not allow this method on the requested resource")
        eviction = await decode_body(request, EVICTION)
        name = meta.name_of(eviction)
        if name and name != request.info.name:
            raise errors.BadRequest("name in URL does not match name in Eviction object")
        chosen = options.delete_options(request, eviction.get("deleteOptions") or {})
        dry_run = chosen.dry_run or "All" in request.query.get("dryRun", ())
        context = admitting.context(request, self._pods, dry_run=dry_run, subresource="")
        await self._pods.delete(context, chosen, admitting.gate_of_deletion(request, self._pods, context))
        return Response(201, codec.dumps(_SUCCESS))
