"""What is written to the API server, and when a deletion ends."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from kubelet.status_manager import StatusManager, changes
from machinery.api import errors, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.client.config import ClientConfig
from machinery.client.rest import Client
from tests.kubelet.pods import pod

READY = {"type": "Ready", "status": "True", "lastTransitionTime": "t1", "lastProbeTime": None}
UNREADY = {"type": "Ready", "status": "False", "lastTransitionTime": "t2", "reason": "ContainersNotReady"}
GATE = {"type": "example.com/gate", "status": "True"}


@pytest.mark.parametrize(
    ("old", "new", "patch"),
    [
        pytest.param({"phase": "Running"}, {"phase": "Running"}, {}, id="nothing-new"),
        pytest.param(
            {"phase": "Pending"}, {"phase": "Running", "hostIP": "1"}, {"phase": "Running", "hostIP": "1"}, id="fields"
        ),
        pytest.param(
            {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "t1"}]},
            {"conditions": [READY]},
            {},
            id="nulls-are-nothing",
        ),
        pytest.param(
            {"conditions": [UNREADY, GATE]},
            {"conditions": [READY, GATE]},
            {"conditions": [{**READY, "reason": None}]},
            id="an-old-reason-goes-and-others-conditions-stay",
        ),
        pytest.param(
            {"podIPs": [{"ip": "10.0.0.1"}]},
            {"podIPs": [{"ip": "10.0.0.2"}]},
            {"podIPs": [{"ip": "10.0.0.2"}, {"$patch": "delete", "ip": "10.0.0.1"}]},
            id="an-old-address-goes",
        ),
        pytest.param({"reason": "X", "phase": "Failed"}, {"phase": "Failed"}, {"reason": None}, id="reason-gone"),
    ],
)
def test_patches(old: Json, new: Json, patch: Json) -> None:
    assert changes(old, new) == patch


class Recorder(Client):
    """Keeps what it was asked; refuses when told."""

    def __init__(self) -> None:
        super().__init__(ClientConfig("http://nowhere"))
        self.patches: list[Json] = []
        self.deletions: list[tuple[str, str]] = []
        self.refuse: list[errors.StatusError] = []

    async def patch(self, kind: Kind, name: str, namespace: str, patch: Any, **more: Any) -> Json:
        if self.refuse:
            raise self.refuse.pop()
        self.patches.append(patch)
        shown = pod()
        shown["metadata"]["resourceVersion"] = str(100 + len(self.patches))
        return {**shown, "status": patch["status"]}

    async def delete(self, kind: Kind, name: str, namespace: str = "", *, uid: str = "", **more: Any) -> Json:
        self.deletions.append((name, uid))
        return {}


class Bench:
    def __init__(self) -> None:
        self.client = Recorder()
        self.manager = StatusManager(self.client)

    async def run(self, until: Callable[[], Any]) -> None:
        writer = asyncio.ensure_future(self.manager.run())
        async with asyncio.timeout(5):
            while not until():
                await asyncio.sleep(0)
        writer.cancel()


async def test_a_status_is_written_once_with_the_pods_uid() -> None:
    on = Bench()
    on.manager.set(pod(), {"phase": "Running"})
    on.manager.set(pod(), {"phase": "Running"})
    await on.run(lambda: on.client.patches)
    assert on.client.patches == [{"metadata": {"uid": "uid-1"}, "status": {"phase": "Running"}}]


async def test_what_somebody_else_overwrote_is_written_again() -> None:
    on = Bench()
    on.manager.set(pod(), {"conditions": [READY]})
    await on.run(lambda: on.client.patches)
    marked = pod() | {"status": {"conditions": [UNREADY]}}
    marked["metadata"]["resourceVersion"] = "200"
    on.manager.seen(marked)
    await on.run(lambda: len(on.client.patches) == 2)
    assert on.client.patches[1]["status"]["conditions"][0]["status"] == "True"


async def test_a_watch_that_is_behind_causes_no_write() -> None:
    on = Bench()
    on.manager.set(pod(), {"phase": "Running"})
    await on.run(lambda: on.client.patches)
    on.manager.seen(pod())
    await on.run(lambda: True)
    assert len(on.client.patches) == 1


async def test_a_refused_write_is_tried_again() -> None:
    on = Bench()
    on.client.refuse.append(errors.ServiceUnavailable("later"))
    on.manager.set(pod(), {"phase": "Running"})
    await on.run(lambda: on.client.patches)


async def test_a_pod_that_is_gone_is_not_brought_back() -> None:
    on = Bench()
    on.client.refuse.append(errors.NotFound("gone"))
    on.manager.set(pod(), {"phase": "Running"})
    await on.run(lambda: not on.client.refuse)
    assert on.client.patches == []
    assert meta.uid_of(on.manager.latest(pod())) == "uid-1"
    assert "status" not in on.manager.latest(pod())


async def test_the_api_object_goes_only_when_the_node_is_clean() -> None:
    on = Bench()
    leaving = pod()
    leaving["metadata"] |= {"deletionTimestamp": "t", "resourceVersion": "5"}
    on.manager.seen(leaving)
    await on.run(lambda: True)
    assert on.client.deletions == []
    on.manager.off_the_node(leaving)
    await on.run(lambda: on.client.deletions)
    assert on.client.deletions == [("web", "uid-1")]
