"""What a test of controllers sees of the cluster: a namespace, simulated nodes, and `eventually`."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from types import TracebackType

from machinery.api import errors, kinds, meta, pods
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.client.rest import Client
from tests.integration.controller_manager.simulated_nodes import SimulatedNodes


class World:
    """An async context manager: makes the namespace and the nodes `NS-a`, `NS-b`, and takes them away again."""

    def __init__(self, client: Client, namespace: str) -> None:
        self.client = client
        self.namespace = namespace
        self.nodes = SimulatedNodes(client)
        self.node_names = (f"{namespace}-a", f"{namespace}-b")
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "World":
        await self.client.create(
            kinds.NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        )
        for name in self.node_names:
            await self.nodes.add(name)
        await self.eventually(self._has_its_account)
        self._task = asyncio.create_task(self.nodes.run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.nodes.alive.update(self.node_names)
        with contextlib.suppress(errors.NotFound):
            await self.client.delete(kinds.NAMESPACES, self.namespace)
        if error is None:
            await self.eventually(self._is_gone, seconds=40)
            assert not self.nodes.failures, self.nodes.failures
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for name in self.node_names:
            with contextlib.suppress(errors.NotFound):
                await self.client.delete(kinds.NODES, name)

    async def _has_its_account(self) -> bool:
        """Without it no pod is let in."""
        return await self.find(kinds.SERVICE_ACCOUNTS, "default") is not None

    async def _is_gone(self) -> bool:
        return await self.find(kinds.NAMESPACES, self.namespace, "") is None

    async def eventually(self, check: Callable[[], Awaitable[bool]], *, seconds: float = 20.0) -> None:
        """Wait until a check holds; fails after so many seconds."""
        deadline = time.monotonic() + seconds
        while not await check():
            assert time.monotonic() < deadline, f"{check.__qualname__} did not hold within {seconds} s"
            await asyncio.sleep(0.05)

    async def find(self, kind: Kind, name: str, namespace: str | None = None) -> Json | None:
        """One object, or None."""
        try:
            return await self.client.get(kind, name, self.namespace if namespace is None else namespace)
        except errors.NotFound:
            return None

    async def items(self, kind: Kind, label_selector: str = "") -> list[Json]:
        """All objects of a kind in the namespace."""
        found = await self.client.list(kind, self.namespace, label_selector=label_selector)
        items: list[Json] = found.get("items") or []
        return items

    async def deploy(self, name: str = "web", *, replicas: int = 3, **spec: object) -> Json:
        """Create a Deployment of one container."""
        body: Json = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"containers": [{"name": "web", "image": "web:1"}]},
                },
            }
            | spec,
        }
        return await self.client.create(kinds.DEPLOYMENTS, body)

    async def change(self, name: str, spec: Json) -> Json:
        """Merge-patch a Deployment's spec."""
        return await self.client.patch(kinds.DEPLOYMENTS, name, self.namespace, {"spec": spec})

    async def set_image(self, image: str, name: str = "web") -> None:
        """Change the template."""
        await self.change(name, {"template": {"spec": {"containers": [{"name": "web", "image": image}]}}})

    async def rolled_out(self, name: str = "web", *, seconds: float = 25.0) -> Json:
        """Wait for what `kubectl rollout status` waits for; returns the Deployment."""

        async def is_complete() -> bool:
            found = await self.client.get(kinds.DEPLOYMENTS, name, self.namespace)
            status = found.get("status") or {}
            wanted = found["spec"]["replicas"]
            counts = {status.get(field, 0) for field in ("updatedReplicas", "replicas", "availableReplicas")}
            return (status.get("observedGeneration") or 0) >= meta.generation_of(found) and counts == {wanted}

        await self.eventually(is_complete, seconds=seconds)
        return await self.client.get(kinds.DEPLOYMENTS, name, self.namespace)

    async def running(self, label_selector: str = "") -> list[Json]:
        """Pods that are ready and not being deleted."""
        everyone = await self.items(kinds.PODS, label_selector)
        return [pod for pod in everyone if pods.is_ready(pod) and not meta.is_being_deleted(pod)]

    async def events(self, reason: str) -> list[str]:
        """The messages of the events with a reason in the namespace."""
        return [event["message"] for event in await self.items(kinds.EVENTS) if event["reason"] == reason]
