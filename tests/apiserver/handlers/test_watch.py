"""Handlers: watches as clients read them."""

import asyncio

import pytest

from apiserver.handlers import watch
from machinery.api import errors
from machinery.api.codec import Json
from tests.apiserver.handlers.calls import Caller

MAPS = "/api/v1/namespaces/a/configmaps"
STREAMED_LIST = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
MERGE = {"content-type": "application/merge-patch+json"}

pytestmark = pytest.mark.timeout(10)


def _map(name: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}


async def test_a_watch_goes_on_where_a_list_ended(api: Caller) -> None:
    await api("POST", MAPS, _map("old"))
    version = (await api("GET", MAPS)).json["metadata"]["resourceVersion"]
    await api("POST", MAPS, _map("between"))
    async with api.watch(f"{MAPS}?watch=true&resourceVersion={version}") as lines:
        assert await lines.shown(1) == [("ADDED", "between")]
        await api("PATCH", f"{MAPS}/old", {"data": {"k": "v"}}, MERGE)
        await api("DELETE", f"{MAPS}/between")
        assert await lines.shown(2) == [("MODIFIED", "old"), ("DELETED", "between")]


async def test_a_watch_without_a_version_begins_with_what_is_there(api: Caller) -> None:
    await api("POST", MAPS, _map("x"))
    for version in ("", "&resourceVersion=0"):
        async with api.watch(f"{MAPS}?watch=1{version}") as lines:
            assert await lines.shown(1) == [("ADDED", "x")]


async def test_a_streamed_list_ends_with_its_bookmark_and_goes_on(api: Caller) -> None:
    for number in range(120):
        await api("POST", MAPS, _map(f"m-{number:03}"))
    async with api.watch(f"{MAPS}?watch=1&{STREAMED_LIST}") as lines:
        assert await lines.shown(120) == [("ADDED", f"m-{number:03}") for number in range(120)]
        end = await lines.next()
        assert end["type"] == "BOOKMARK"
        assert end["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert int(end["object"]["metadata"]["resourceVersion"]) >= 121
        await api("DELETE", f"{MAPS}/m-007")
        assert await lines.shown(1) == [("DELETED", "m-007")]


async def test_a_streamed_list_of_nothing_ends_too(api: Caller) -> None:
    async with api.watch(f"{MAPS}?watch=1&{STREAMED_LIST}") as lines:
        assert (await lines.next())["type"] == "BOOKMARK"


async def test_without_initial_events_a_watch_begins_now(api: Caller) -> None:
    await api("POST", MAPS, _map("old"))
    url = f"{MAPS}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan"
    async with api.watch(url) as lines, asyncio.TaskGroup() as group:
        first = group.create_task(lines.shown(1))
        for _ in range(5):
            await asyncio.sleep(0)
        await api("POST", MAPS, _map("new"))
    assert first.result() == [("ADDED", "new")]


async def test_a_watch_ends_in_time_with_a_bookmark(api: Caller) -> None:
    await api("POST", MAPS, _map("x"))
    answer = await api("GET", f"{MAPS}?watch=1&allowWatchBookmarks=true&timeoutSeconds=1&resourceVersion=1")
    lines = answer.raw.splitlines()
    assert lines[-1].startswith(b'{"type":"BOOKMARK","object":{"kind":"ConfigMap","apiVersion":"v1"')


@pytest.mark.parametrize("query", ["", "&resourceVersion=0"])
async def test_who_asks_for_bookmarks_and_no_revision_is_told_where_the_initial_events_end(
    api: Caller, query: str
) -> None:
    await api("POST", MAPS, _map("x"))
    async with api.watch(f"{MAPS}?watch=1&allowWatchBookmarks=true{query}") as lines:
        event = await lines.next()
        while event["type"] == "ADDED":
            event = await lines.next()
        assert event["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_bookmarks_come_while_nothing_happens(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "BOOKMARK_SECONDS", 0.01)
    async with api.watch(f"{MAPS}?watch=1&allowWatchBookmarks=true") as lines:
        assert [(await lines.next())["type"] for _ in range(3)] == ["BOOKMARK"] * 3


async def test_a_watch_that_cannot_begin_ends_with_an_error_event(api: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apiserver.storage.collection.HISTORY_LENGTH", 1)
    for name in "abc":
        await api("POST", MAPS, _map(name))
    await api("GET", MAPS)
    async with api.watch(f"{MAPS}?watch=1&resourceVersion=1") as lines:
        event = await lines.next()
        assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
        with pytest.raises(StopAsyncIteration):
            await lines.next()


@pytest.mark.parametrize(
    ("query", "expected", "text"),
    [
        pytest.param("resourceVersion=x", errors.BadRequest, "invalid resource version", id="nonsense-version"),
        pytest.param(
            "resourceVersionMatch=NotOlderThan",
            errors.Invalid,
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
            id="match-alone",
        ),
        pytest.param(
            "sendInitialEvents=true",
            errors.Invalid,
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
            id="no-match",
        ),
        pytest.param("fieldSelector=x%3Dy", errors.BadRequest, "field", id="field"),
    ],
)
async def test_what_a_watch_cannot_ask_for(
    api: Caller, query: str, expected: type[errors.StatusError], text: str
) -> None:
    with pytest.raises(expected) as refusal:
        await api("GET", f"{MAPS}?watch=1&{query}")
    assert text in refusal.value.message


async def test_a_watched_table_has_its_columns_once(api: Caller) -> None:
    await api("POST", MAPS, _map("x"))
    async with api.watch(f"{MAPS}?watch=1", TABLE) as lines:
        first = await lines.next()
        await api("DELETE", f"{MAPS}/x")
        second = await lines.next()
    assert (first["type"], second["type"]) == ("ADDED", "DELETED")
    assert len(first["object"]["columnDefinitions"]) == 3
    assert second["object"]["columnDefinitions"] == []
    assert second["object"]["rows"][0]["cells"][0] == "x"


async def test_a_client_that_goes_is_forgotten(api: Caller) -> None:
    await api("POST", MAPS, _map("x"))
    store = api.registry.store_for("", "v1", "configmaps")
    assert store is not None
    async with api.watch(f"{MAPS}?watch=1") as lines:
        await lines.next()
        assert len(store.collection.watchers()) == 1
    assert store.collection.watchers() == []
