"""Whatever is late, lost or gone: no node is booked twice, no pod is bound twice, and in the end all have a node.

The scheduler is the real one, on a clock of the test's; the API server here is only the truth, and a bad connection to
it: events come late and in order per kind, nodes go and come back, pods go while they are being placed, bindings are
slow, are refused, or happen although the scheduler is told that the connection broke.
"""

import asyncio
import random
from collections import deque
from typing import Any

import pytest

from machinery.aio.clock import FakeClock
from machinery.api import errors, kinds, meta, pods
from machinery.api.codec import Json, copy_of
from machinery.api.kinds import Kind
from machinery.api.names import ObjectKey
from machinery.client.rest import ConnectionProblem
from scheduler.config import Profile, build
from scheduler.framework import Handle
from scheduler.scheduler import Scheduler
from scheduler.simulated_cluster import NoEvents
from tests.scheduler.objects import node, pod_object
from tests.scheduler.test_scheduler import HandFed

CORES = 2
STEPS = 120


class World:
    """The truth, and what is on its way to the scheduler."""

    def __init__(self, dice: random.Random, clock: FakeClock) -> None:
        self.dice = dice
        self.clock = clock
        self.informers = HandFed()
        self.nodes: dict[str, Json] = {}
        self.pods: dict[ObjectKey, Json] = {}
        self.under_way: dict[str, deque[tuple[Json | None, Json | None]]] = {"nodes": deque(), "pods": deque()}
        self.bound: dict[str, str] = {}  # uid → node, of all pods there ever were
        self.calm = False
        #: what must not be; an assertion within a binding would only fail the binding
        self.wrongs: list[str] = []

    # what happens

    def put_pod(self, obj: Json) -> None:
        """New or changed."""
        key = meta.key_of(obj)
        self.under_way["pods"].append((self.pods.get(key), obj))
        self.pods[key] = obj

    def delete_pod(self, key: ObjectKey) -> None:
        """Gone."""
        self.under_way["pods"].append((self.pods.pop(key), None))

    def put_node(self, name: str) -> None:
        """A node of two cores."""
        obj = node(name, cpu=str(CORES))
        self.under_way["nodes"].append((self.nodes.get(name), obj))
        self.nodes[name] = obj

    def delete_node(self, name: str) -> None:
        """Gone; the pods that were bound to it stay bound."""
        self.under_way["nodes"].append((self.nodes.pop(name), None))

    def deliver(self, most: int) -> None:
        """The scheduler hears of the oldest news of one kind."""
        kind = self.dice.choice(["nodes", "pods"])
        for _ in range(most):
            if not self.under_way[kind]:
                return
            self.informers.tell(kind, *self.under_way[kind].popleft())

    # what the scheduler asks

    async def create(self, kind: Kind, obj: Json, *, subresource: str = "", name: str = "") -> Json:
        """A binding; may take its time, be refused, or break the connection before or after."""
        assert (kind, subresource) == (kinds.PODS, "binding")
        await self.clock.sleep(0 if self.calm else self.dice.choice([0, 0, 0.5, 5]))
        fate = "well" if self.calm else self.dice.choice(["well"] * 5 + ["refused", "broken", "lost"])
        if fate == "refused":
            raise errors.Conflict("not now")
        if fate == "broken":
            raise ConnectionProblem("the connection broke before")
        self._bind(ObjectKey(meta.namespace_of(obj), name), obj["metadata"]["uid"], obj["target"]["name"])
        if fate == "lost":
            raise ConnectionProblem("the connection broke after")
        return {}

    def _bind(self, key: ObjectKey, uid: str, where: str) -> None:
        obj = self.pods.get(key)
        if obj is None or meta.uid_of(obj) != uid:
            raise errors.not_found(kinds.PODS, key.name)
        if pods.node_of(obj):
            raise errors.Conflict("it is bound already")
        if uid in self.bound:
            self.wrongs.append(f"{key} is bound twice")
        self.bound[uid] = where
        placed = copy_of(obj)
        placed["spec"]["nodeName"] = where
        self.put_pod(placed)
        self._no_node_is_booked_twice()

    async def get(self, kind: Kind, name: str, namespace: str = "", **_: Any) -> Json:
        """A pod."""
        if not self.calm and self.dice.random() < 0.3:
            raise ConnectionProblem("the connection broke")
        found = self.pods.get(ObjectKey(namespace, name))
        if found is None:
            raise errors.not_found(kind, name)
        return found

    async def patch(self, kind: Kind, name: str, namespace: str, patch: Json, **_: Any) -> Json:
        """The conditions of pods."""
        if not self.calm and self.dice.random() < 0.3:
            raise ConnectionProblem("the connection broke")
        obj = self.pods.get(ObjectKey(namespace, name))
        if obj is None:
            raise errors.not_found(kind, name)
        self.put_pod({**obj, "status": {**(obj.get("status") or {}), **patch["status"]}})
        return {}

    # what must hold

    def _no_node_is_booked_twice(self) -> None:
        """What the pods on a node ask for is never more than it has."""
        used: dict[str, int] = {}
        for obj in self.pods.values():
            if where := pods.node_of(obj):
                used[where] = used.get(where, 0) + pods.requests_of(obj)["cpu"]
        self.wrongs += [f"{name}: {milli}" for name, milli in used.items() if milli > CORES * 1000]


def _make_scheduler(world: World) -> Scheduler:
    everybody: Any = world
    recorder: Any = NoEvents()
    informers: Any = world.informers
    handle = Handle(everybody, informers, seed=1, clock=world.clock)
    return Scheduler(handle, recorder, {"default-scheduler": build(Profile(), handle)})


def _step(world: World, number: int) -> None:
    dice = world.dice
    match dice.choice(["pod", "pod", "pod", "no pod", "node", "no node", "news", "news", "news", "news"]):
        case "pod":
            obj = pod_object(f"p{dice.randrange(25)}", cpu=dice.choice(["250m", "500m", "1", "1500m"]))
            obj["metadata"]["uid"] = f"uid-{number}"
            if meta.key_of(obj) not in world.pods:
                world.put_pod(obj)
        case "no pod" if world.pods:
            world.delete_pod(dice.choice(list(world.pods)))
        case "node":
            world.put_node(f"n{dice.randrange(5)}")
        case "no node" if len(world.nodes) > 1:
            world.delete_node(dice.choice(list(world.nodes)))
        case _:
            world.deliver(dice.randrange(1, 6))


@pytest.mark.parametrize("seed", range(60))
async def test_nothing_is_booked_twice_and_in_the_end_all_have_a_node(seed: int) -> None:
    dice, clock = random.Random(seed), FakeClock()
    world = World(dice, clock)
    scheduler = _make_scheduler(world)
    task = asyncio.ensure_future(scheduler.run())
    try:
        for name in ("n0", "n1"):
            world.put_node(name)
        for number in range(STEPS):
            _step(world, number)
            await clock.advance(dice.choice([0, 0, 0.1, 1, 10, 400]))
        await _calm_down(world, clock)
        assert world.wrongs == []
        left = [obj for obj in world.pods.values() if not pods.node_of(obj)]
        assert left == []
        assert scheduler.cache.count_assumed() == 0
        assert scheduler.is_idle
        assert len(scheduler.cache) == len(world.pods)
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _calm_down(world: World, clock: FakeClock) -> None:
    """All news arrives, the connection holds, and there is room for everybody."""
    world.calm = True
    for number in range(20):
        world.put_node(f"more-{number}")
    for _ in range(40):
        while any(world.under_way.values()):
            world.deliver(100)
        await clock.advance(30)
