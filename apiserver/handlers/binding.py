"""pods/NAME/binding and bindings: the scheduler's write of a pod's node. What it does to a pod is the pod's own module.

Upstream: pkg/registry/core/pod/storage/storage.go (BindingREST), validation.ValidatePodBinding.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from apiserver.handlers import admitting
from apiserver.handlers.body import decode_body
from apiserver.registry.resource import Resource
from apiserver.registry.store import Store
from apiserver.registry.strategy import Context
from apiserver.request import Answer, Request, Response
from apiserver.resources.core.pods.binding import bind, check
from machinery.api import codec, errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind

BINDINGS: Final = Kind("", "v1", "Binding", "bindings")
#: the row for discovery; no store is behind it
RESOURCES: Final = (Resource(BINDINGS, verbs=("create",)),)
_SUCCESS: Final = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}


class Bindings:
    """The handler of both paths."""

    def __init__(self, pods: Store) -> None:
        self._pods = pods

    def table(self) -> Mapping[tuple[str, str, str], Callable[[Request], Awaitable[Answer | None]]]:
        """(group, resource, subresource) → handler."""
        return {("", "pods", "binding"): self.create, ("", "bindings", ""): self.create}

    async def create(self, request: Request) -> Answer:
        """Bind one pod to one node, once."""
        if request.info.verb != "create":
            raise errors.MethodNotSupported("the server does not allow this method on the requested resource")
        binding = await decode_body(request, RESOURCES[0])
        name = _name_of(binding, request)
        problems = check(binding)
        if problems:
            raise errors.StatusError(", ".join(problem.message() for problem in problems))

        async def change(pod: Json | None) -> Json:
            if pod is None:
                raise errors.not_found(kinds.PODS, name)
            bind(pod, binding)
            return pod

        await admitting.admit_special(request, self._pods.admission, kinds.PODS, BINDINGS, binding)
        dry_run = "All" in request.query.get("dryRun", ())
        context = Context(request.user, request.info.namespace, name, "binding", dry_run)
        await self._pods.update(change, context)
        return Response(201, codec.dumps(_SUCCESS))


def _name_of(binding: Json, request: Request) -> str:
    name, path_name = meta.name_of(binding), request.info.name
    if path_name and name and name != path_name:
        raise errors.BadRequest("the name of the object does not match the name on the URL")
    namespace = meta.namespace_of(binding)
    if namespace and namespace != request.info.namespace:
        raise errors.BadRequest("the namespace of the provided object does not match the namespace sent on the request")
    if not name and not path_name:
        raise errors.BadRequest("name must be provided")
    return path_name or name
