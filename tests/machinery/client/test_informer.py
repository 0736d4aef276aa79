"""Client, informer and controller loop against a scripted API on a loopback port."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from machinery.aio.workqueue import WorkQueue
from machinery.api import codec, errors, meta
from machinery.api.codec import Json
from machinery.api.kinds import PODS
from machinery.api.names import ObjectKey
from machinery.client.config import ClientConfig
from machinery.client.controller import enqueue_itself, enqueue_owner, run_controller
from machinery.client.informer import Informers, without_managed_fields
from machinery.client.rest import Client, ConnectionProblem
from machinery.component import health
from tests.ports import free_port


def _pod(name: str, revision: int, **labels: str) -> Json:
    metadata = {"name": name, "namespace": "default", "resourceVersion": str(revision), "labels": labels}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata}


class _Api:
    """A collection of pods whose lists and watches the test scripts."""

    def __init__(self) -> None:
        self.items: list[Json] = []
        self.revision = 1
        self.lists = 0
        self.watched_from: list[str] = []
        self.watches: asyncio.Queue[list[Json]] = asyncio.Queue()

    async def pods(self, request: Request) -> Response:
        if "watch" not in request.query_params:
            self.lists += 1
            return JSONResponse({"metadata": {"resourceVersion": str(self.revision)}, "items": self.items})
        self.watched_from.append(request.query_params["resourceVersion"])
        return StreamingResponse(self._events(), media_type="application/json")

    async def _events(self) -> AsyncIterator[bytes]:
        for event in await self.watches.get():
            line = codec.dumps(event) + b"\n"
            yield line[:7]  # events do not come in whole chunks
            yield line[7:]

    async def missing(self, request: Request) -> Response:
        return JSONResponse(errors.not_found(PODS, "x").status(), status_code=404)


@asynccontextmanager
async def _running(api: _Api) -> AsyncIterator[Client]:
    port = free_port()
    routes = [Route("/api/v1/pods", api.pods), Route("/api/v1/namespaces/default/pods/x", api.missing)]
    server = asyncio.ensure_future(health.serve(Starlette(routes=routes), "127.0.0.1", port))
    async with Client(ClientConfig(f"http://127.0.0.1:{port}")) as client:
        for _ in range(100):
            try:
                await client.request("GET", "/api/v1/pods")
                break
            except ConnectionProblem:
                await asyncio.sleep(0.02)
        yield client
    server.cancel()
    await asyncio.gather(server, return_exceptions=True)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_an_error_answer_is_raised_as_its_class() -> None:
    async with _running(_Api()) as client:
        with pytest.raises(errors.NotFound, match='pods "x" not found'):
            await client.get(PODS, "x", "default")


async def test_no_server_is_a_connection_problem() -> None:
    async with Client(ClientConfig(f"http://127.0.0.1:{free_port()}")) as client:
        with pytest.raises(ConnectionProblem):
            await client.list(PODS)


@pytest.mark.parametrize("line", [None, {"type": "ADDED"}, {"type": "ADDED", "object": 5}, [1]])
async def test_an_informer_survives_lines_of_another_form(line: Any) -> None:
    api = _Api()
    api.items = [_pod("a", 1)]
    async with _running(api) as client:
        informers = Informers(client)
        lister = informers.watch(PODS)
        running = asyncio.ensure_future(informers.run())
        await informers.wait_for_sync()
        api.watches.put_nowait([line])
        api.watches.put_nowait([{"type": "ADDED", "object": _pod("b", 2)}])
        await _until(lambda: len(lister.list()) == 2)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_an_informer_lists_then_follows_the_watch() -> None:
    api = _Api()
    api.items = [_pod("a", 1)]
    seen: list[tuple[str, str]] = []

    def on_change(old: Json | None, new: Json | None) -> None:
        seen.append((meta.name_of(old or {}), meta.name_of(new or {})))

    async with _running(api) as client:
        informers = Informers(client)
        lister = informers.watch(PODS, on_change=on_change)
        running = asyncio.ensure_future(informers.run())
        await informers.wait_for_sync()
        api.watches.put_nowait(
            [
                {"type": "ADDED", "object": _pod("b", 2)},
                {"type": "MODIFIED", "object": _pod("a", 3)},
                {"type": "DELETED", "object": _pod("b", 4)},
                {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "9"}}},
            ]
        )
        await _until(lambda: len(api.watched_from) == 2)
        assert seen == [("", "a"), ("", "b"), ("a", "a"), ("b", "")]
        assert [meta.resource_version_of(pod) for pod in lister.list()] == ["3"]
        assert api.watched_from == ["1", "9"]
        running.cancel()


async def test_a_compacted_revision_makes_the_informer_list_again_and_tell_the_difference() -> None:
    api = _Api()
    api.items = [_pod("gone", 1), _pod("kept", 1)]
    deleted: list[str] = []

    def on_change(old: Json | None, new: Json | None) -> None:
        if new is None:
            deleted.append(meta.name_of(old or {}))

    async with _running(api) as client:
        informers = Informers(client)
        lister = informers.watch(PODS, on_change=on_change)
        running = asyncio.ensure_future(informers.run())
        await informers.wait_for_sync()
        api.items, api.revision = [_pod("kept", 1), _pod("new", 7)], 8
        api.watches.put_nowait([{"type": "ERROR", "object": errors.Expired("too old resource version").status()}])
        await _until(lambda: api.watched_from == ["1", "8"])
        assert deleted == ["gone"]
        assert sorted(meta.name_of(pod) for pod in lister.list()) == ["kept", "new"]
        running.cancel()


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([], id="ends"),
        pytest.param([{"type": "ERROR", "object": errors.Expired("too old", {}).status()}], id="is-too-late"),
    ],
)
async def test_watches_that_end_at_once_are_asked_for_less_and_less_often(events: list[Json]) -> None:
    api = _Api()
    for _ in range(1000):
        api.watches.put_nowait(events)
    async with _running(api) as client, asyncio.TaskGroup() as group:
        informers = Informers(client)
        informers.watch(PODS)
        task = group.create_task(informers.run())
        await asyncio.sleep(1.0)
        task.cancel()
    assert 2 <= len(api.watched_from) <= 4


async def test_equal_arguments_share_an_informer_and_late_handlers_see_what_is_there() -> None:
    api = _Api()
    api.items = [_pod("a", 1)]
    async with _running(api) as client:
        informers = Informers(client)
        first = informers.watch(PODS)
        running = asyncio.ensure_future(informers.run())
        await informers.wait_for_sync()
        late: list[str] = []
        second = informers.watch(PODS, on_change=lambda old, new: late.append(meta.name_of(new or {})))
        assert first is second
        assert late == ["a"]
        running.cancel()


async def test_what_nobody_reads_is_not_kept() -> None:
    api = _Api()
    listed, watched = _pod("a", 1), _pod("b", 2)
    for one in (listed, watched):
        one["metadata"]["managedFields"] = [{"manager": "m"}]
    api.items = [listed]
    async with _running(api) as client, asyncio.TaskGroup() as group:
        informers = Informers(client, trim=without_managed_fields)
        pods = informers.watch(PODS)
        running = group.create_task(informers.run())
        await api.watches.put([{"type": "ADDED", "object": watched}])
        while len(pods.list()) < 2:
            await asyncio.sleep(0.01)
        assert all("managedFields" not in one["metadata"] for one in pods.list())
        running.cancel()


async def test_indices_are_kept_as_objects_come_and_go() -> None:
    api = _Api()
    api.items = [_pod("a", 1, app="web"), _pod("b", 1, app="db")]
    async with _running(api) as client:
        informers = Informers(client)
        lister = informers.watch(PODS)
        lister.add_index("app", lambda pod: [meta.labels_of(pod).get("app", "")])
        running = asyncio.ensure_future(informers.run())
        await informers.wait_for_sync()
        api.watches.put_nowait([{"type": "MODIFIED", "object": _pod("b", 2, app="web")}])
        await _until(lambda: len(lister.by_index("app", "web")) == 2)
        assert lister.by_index("app", "db") == []
        assert len(lister.in_namespace("default")) == 2
        running.cancel()


class _Flaky:
    name = "flaky"

    def __init__(self, informers: Informers) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self.attempts: list[str] = []
        informers.watch(PODS, on_change=enqueue_itself(self.queue))

    async def reconcile(self, key: ObjectKey) -> float | None:
        self.attempts.append(key.name)
        if key.name == "bad" and self.attempts.count("bad") < 3:
            raise RuntimeError("one bad object")
        return None


async def test_one_bad_object_is_tried_again_and_does_not_stop_the_others() -> None:
    api = _Api()
    api.items = [_pod("bad", 1), _pod("good", 1)]
    async with _running(api) as client:
        informers = Informers(client)
        controller = _Flaky(informers)
        async with asyncio.TaskGroup() as group:
            running = [
                group.create_task(informers.run()),
                group.create_task(run_controller(controller, informers, workers=1)),
            ]
            await _until(lambda: controller.attempts.count("bad") == 3)
            for task in running:
                task.cancel()
        assert controller.attempts.count("good") == 1


def test_both_owners_are_enqueued_when_the_owner_changed() -> None:
    queue: WorkQueue[ObjectKey] = WorkQueue()

    def owned_by(name: str) -> Json:
        owner = {"kind": "ReplicaSet", "name": name, "uid": name, "controller": True}
        return {"metadata": {"namespace": "ns", "ownerReferences": [owner]}}

    enqueue_owner("ReplicaSet", queue)(owned_by("old"), owned_by("new"))
    enqueue_owner("Job", queue)(None, owned_by("other"))
    assert len(queue) == 2
