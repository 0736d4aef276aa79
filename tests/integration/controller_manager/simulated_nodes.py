"""Nodes for tests of controllers: they take pods, call them ready, end them, and fall silent. No kubelet."""

import asyncio
import contextlib
from itertools import count

from machinery.api import errors, kinds, meta, pods, times
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import ignore_not_found
from machinery.client.informer import Informers
from machinery.client.rest import Client

_LEASES = "kube-node-lease"
_TERMINATING = "because it is being terminated"
_CONDITIONS = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


class SimulatedNodes:
    """Binds each pending pod to the living node with the fewest, and plays its kubelet."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._informers = Informers(client)
        self._pods = self._informers.watch(kinds.PODS)
        self._nodes = self._informers.watch(kinds.NODES)
        self._addresses = count(1)
        self.alive: set[str] = set()
        self.makes_ready = True
        self.failures: list[str] = []

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._informers.run())
            group.create_task(self._heartbeats())
            await self._informers.wait_for_sync()
            while True:
                for pod in self._pods.list():
                    await self._play(pod)
                await asyncio.sleep(0.05)

    async def add(self, name: str) -> None:
        """A new living node."""
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        await self._client.create(kinds.NODES, node)
        self.alive.add(name)
        await self._report(name)

    async def _heartbeats(self) -> None:
        while True:
            for name in sorted(self.alive):
                with contextlib.suppress(errors.NotFound, errors.Conflict, OSError):
                    await self._report(name)
            await asyncio.sleep(0.5)

    async def _report(self, name: str) -> None:
        now = times.now()
        lease = {
            "apiVersion": kinds.LEASES.api_version,
            "kind": "Lease",
            "metadata": {"name": name, "namespace": _LEASES},
            "spec": {"holderIdentity": name, "leaseDurationSeconds": 40, "renewTime": times.micro(now)},
        }
        try:
            await self._client.create(kinds.LEASES, lease)
        except errors.AlreadyExists:
            await self._client.patch(kinds.LEASES, name, _LEASES, {"spec": lease["spec"]})
        node = await self._client.get(kinds.NODES, name)
        conditions = (node.get("status") or {}).get("conditions") or []
        shown = [(meta.find_condition(conditions, type_) or {}).get("status", "Unknown") for type_ in _CONDITIONS]
        if "Unknown" not in shown:
            return  # the Lease is sign enough
        wanted = [
            {"type": type_, "status": "True" if type_ == "Ready" else "False", "lastHeartbeatTime": times.rfc3339(now)}
            for type_ in _CONDITIONS
        ]
        for condition in wanted:
            conditions = meta.set_condition(conditions, condition, times.rfc3339(now))
        await self._client.patch(kinds.NODES, name, "", {"status": {"conditions": conditions}}, subresource="status")

    async def _play(self, pod: Json) -> None:
        try:
            await self._step(pod)
        except (errors.NotFound, errors.Conflict, errors.AlreadyExists, OSError):
            return  # it has changed meanwhile, or the server is not there: the next round sees how it is
        except errors.StatusError as problem:
            if _TERMINATING not in str(problem):  # else the pod is about to go with its namespace
                self.failures.append(str(problem))

    async def _step(self, pod: Json) -> None:
        key, node = meta.key_of(pod), pods.node_of(pod)
        if not node:
            await self._bind(pod, key)
        elif node not in self.alive:
            return
        elif meta.is_being_deleted(pod):
            await ignore_not_found(
                self._client.delete(kinds.PODS, key.name, key.namespace, uid=meta.uid_of(pod), grace_period_seconds=0)
            )
        elif pods.phase_of(pod) == "Pending" or (self.makes_ready and not pods.is_ready(pod)):
            await self._client.patch(kinds.PODS, key.name, key.namespace, self._running(pod), subresource="status")

    async def _bind(self, pod: Json, key: ObjectKey) -> None:
        usable = [name for name in sorted(self.alive) if not self._tainted(name)]
        if not usable or meta.is_being_deleted(pod):
            return
        load = {name: sum(pods.node_of(each) == name for each in self._pods.list()) for name in usable}
        target = {"apiVersion": "v1", "kind": "Node", "name": min(usable, key=lambda name: (load[name], name))}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": key.name, "namespace": key.namespace}}
        await self._client.create(kinds.PODS, {**binding, "target": target}, subresource="binding", name=key.name)

    def _tainted(self, name: str) -> bool:
        node = self._nodes.get(ObjectKey("", name))
        return node is None or bool((node.get("spec") or {}).get("taints"))

    def _running(self, pod: Json) -> Json:
        now = times.rfc3339(times.now())
        status = pod.get("status") or {}
        ready = {"type": "Ready", "status": "True" if self.makes_ready else "False"}
        conditions = meta.set_condition(status.get("conditions"), ready, now)
        ip = status.get("podIP") or f"10.244.0.{next(self._addresses)}"
        return {
            "metadata": {"uid": meta.uid_of(pod)},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": conditions},
        }
