"""componentstatuses: whether scheduler, controller manager and etcd answer, asked when somebody wants to know.

Upstream: pkg/registry/core/componentstatus; the components are looked for on this machine, under their usual ports.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import httpx

from apiserver.handlers import options, rendering
from apiserver.registry.resource import Column, Resource
from apiserver.request import Answer, Request
from apiserver.storage.errors import StorageError
from apiserver.storage.interface import Storage
from apiserver.storage.listing import Listing
from apiserver.storage.objects import Entry, encode, entry_of_own
from machinery.api import codec, errors, kinds, meta
from machinery.api.codec import Json

_PORTS: Final = {"controller-manager": 10257, "scheduler": 10259}
_ETCD: Final = "etcd-0"
_SECONDS: Final = 5.0


def _healthy(status: Json) -> Json:
    return meta.find_condition(status.get("conditions"), "Healthy") or {}


def _state(status: Json) -> str:
    return {"True": "Healthy", "False": "Unhealthy"}.get(_healthy(status).get("status", ""), "Unknown")


#: the row for discovery; no store is behind it
RESOURCES: Final = (
    Resource(
        kinds.COMPONENT_STATUSES,
        verbs=("get", "list"),
        short_names=("cs",),
        columns=(
            Column("Status", _state),
            Column("Message", lambda status: _healthy(status).get("message", "")),
            Column("Error", lambda status: _healthy(status).get("error", "")),
        ),
        deprecated="v1 ComponentStatus is deprecated in v1.19+",
    ),
)


class ComponentStatuses:
    """The handler."""

    def __init__(self, storage: Storage, ports: Mapping[str, int] = _PORTS) -> None:
        self._storage = storage
        self._ports = ports

    def table(self) -> Mapping[tuple[str, str, str], Callable[[Request], Awaitable[Answer | None]]]:
        """(group, resource, subresource) → handler."""
        return {("", kinds.COMPONENT_STATUSES.plural, ""): self.handle}

    async def handle(self, request: Request) -> Answer:
        """One, or all that are selected."""
        (resource,) = RESOURCES
        request.warnings.append(resource.deprecated)
        if request.info.verb not in resource.verbs:
            raise errors.MethodNotSupported("the server does not allow this method on the requested resource", {})
        name = request.info.name
        if name:
            if name not in (*self._ports, _ETCD):
                raise errors.not_found(resource.kind, name)
            return rendering.object_answer(request, resource, await self._status(name))
        found = await asyncio.gather(*(self._status(one) for one in (*self._ports, _ETCD)))
        selection = options.selection(request, resource)
        return rendering.list_answer(request, resource, Listing([one for one in found if selection.matches(one)], 0))

    async def _status(self, name: str) -> Entry:
        condition: dict[str, Any] = {"type": "Healthy", "status": "True"}
        problem = await (self._ask_etcd() if name == _ETCD else self._ask(self._ports[name]))
        if problem:
            condition |= {"status": "False", "message": problem, "error": problem}
        else:
            condition["message"] = "ok"
        kind = kinds.COMPONENT_STATUSES
        obj = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": {"name": name}, "conditions": [condition]}
        return replace(entry_of_own("", name, encode(obj), 0), fields={"metadata.name": name})

    async def _ask_etcd(self) -> str:
        try:
            async with asyncio.timeout(_SECONDS):
                await self._storage.current_revision()
        except (StorageError, TimeoutError) as problem:
            return str(problem) or "no answer in time"
        return ""

    async def _ask(self, port: int) -> str:
        """What is wrong, "" for nothing. Whose certificate answers is not looked at (as upstream)."""
        url = f"https://127.0.0.1:{port}/healthz"
        try:
            async with httpx.AsyncClient(verify=False, timeout=_SECONDS, trust_env=False) as client:
                answer = await client.get(url)
        except httpx.TransportError as problem:
            return f"Get {codec.dumps(url).decode()}: {problem or type(problem).__name__}"
        return "" if answer.status_code == 200 else answer.text or f"HTTP status {answer.status_code}"
