"""Watches tell all of history: whoever lists and then replays what its watch says has what a later list says.

Twenty watchers follow objects that come, change and go at random, while they break off and go on, etcd is compacted and
the API server is killed and started again. Another test compares a watch with etcd's own history, revision by revision.
"""

import asyncio
import contextlib
import json
import random
import signal
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from apiserver.storage.channels import Endpoints
from apiserver.storage.etcd import connected
from tests.integration.apiserver_process import ADMIN_TOKEN, ApiserverProcess, start_apiserver, tls_context
from tests.ports import free_port

MAPS = "/api/v1/namespaces/default/configmaps"
WATCHERS = 20
CHANGES = 200
END = "end"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ApiserverProcess]:
    """One of the test's own, since it is killed."""
    with start_apiserver(tmp_path) as running:
        yield running


@pytest.fixture
async def client(server: ApiserverProcess) -> AsyncIterator[httpx.AsyncClient]:
    """Connections to it."""
    async with httpx.AsyncClient(
        base_url=server.url,
        headers={"authorization": f"Bearer {ADMIN_TOKEN}"},
        verify=tls_context(server.ca_file),
        trust_env=False,
        timeout=30,
        limits=httpx.Limits(max_connections=None),
    ) as found:
        yield found


class Follower:
    """A client that lists, watches from there, and starts again where the server forgot: a careless informer."""

    def __init__(self, client: httpx.AsyncClient, dice: random.Random) -> None:
        self._client = client
        self._dice = dice
        self.objects: dict[str, Any] = {}
        self.revision = 0
        self.watches = 0

    async def run(self) -> None:
        """Until it sees the object that ends the test."""
        while END not in self.objects:
            with contextlib.suppress(httpx.TransportError):  # the server is killed now and then
                await (self._watch() if self.revision else self._list())

    async def _list(self) -> None:
        answer = await self._client.get(MAPS, params={"limit": self._dice.choice((0, 3))})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        items = found["items"]
        while token := found["metadata"].get("continue"):
            answer = await self._client.get(MAPS, params={"limit": 3, "continue": token})
            if answer.status_code == 410:  # the server began anew, and etcd forgot
                return
            assert answer.status_code == 200, answer.text
            found = answer.json()
            items += found["items"]
        self.objects = {item["metadata"]["name"]: item for item in items}
        self.revision = int(found["metadata"]["resourceVersion"])

    async def _watch(self) -> None:
        left = self._dice.randint(1, 40)  # events, after which it breaks off
        params: dict[str, Any] = {"watch": 1, "resourceVersion": self.revision, "allowWatchBookmarks": True}
        if self._dice.random() < 0.3:
            params["timeoutSeconds"] = 1
        self.watches += 1
        async with self._client.stream("GET", MAPS, params=params) as lines:
            assert lines.status_code == 200, (await lines.aread()).decode()  # what is too old is told in the stream
            async for line in lines.aiter_lines():
                left -= 1
                if not self._apply(json.loads(line)) or not left or END in self.objects:
                    return

    def _apply(self, event: Any) -> bool:
        obj = event["object"]
        if event["type"] == "ERROR":
            assert obj["code"] == 410, obj
            self.revision = 0
            return False
        revision, name = int(obj["metadata"]["resourceVersion"]), obj["metadata"].get("name", "")
        if event["type"] == "BOOKMARK":
            assert revision >= self.revision
        else:
            assert revision > self.revision, f"{event['type']} {name}: {revision} after {self.revision}"
            assert (name in self.objects) is (event["type"] != "ADDED"), f"{event['type']} {name}"
        self.revision = revision
        if event["type"] == "DELETED":
            del self.objects[name]
        elif event["type"] != "BOOKMARK":
            self.objects[name] = obj
        return True


async def change(client: httpx.AsyncClient, dice: random.Random, number: int) -> None:
    """One random change; that it may not be possible is no matter."""
    name = f"m-{dice.randrange(8)}"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"n": str(number)}}
    with contextlib.suppress(httpx.TransportError):
        match dice.choice(("POST", "POST", "PUT", "PUT", "PATCH", "DELETE")):
            case "POST":
                await client.post(MAPS, json=body)
            case "PUT":
                await client.put(f"{MAPS}/{name}", json=body)
            case "PATCH":
                patch = json.dumps({"data": {"p": str(number)}})
                headers = {"content-type": "application/merge-patch+json"}
                await client.patch(f"{MAPS}/{name}", content=patch, headers=headers)
            case _:
                await client.delete(f"{MAPS}/{name}")


async def restart(server: ApiserverProcess) -> None:
    """As after a crash."""

    def again() -> None:
        server.stop(signal.SIGKILL)
        server.start()

    await asyncio.to_thread(again)


async def compact(server: ApiserverProcess) -> None:
    """Forget all but the last few revisions."""
    async with connected(Endpoints((server.etcd.url,))) as etcd:
        await etcd.compact(await etcd.current_revision() - 2)


async def finish(client: httpx.AsyncClient) -> Any:
    """The end of the changes, and the list of what is there then."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": END}}
    assert (await client.post(MAPS, json=body)).status_code == 201
    return (await client.get(MAPS)).json()


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_list_and_its_watch_are_a_later_list(
    server: ApiserverProcess, client: httpx.AsyncClient, seed: int
) -> None:
    dice = random.Random(seed)
    followers = [Follower(client, random.Random(f"{seed}-{number}")) for number in range(WATCHERS)]
    async with asyncio.timeout(100), asyncio.TaskGroup() as group:
        for follower in followers:
            group.create_task(follower.run())
        for number in range(CHANGES):
            await change(client, dice, number)
            if number == CHANGES // 2:
                await compact(server)
            if number in (CHANGES // 4, CHANGES // 2):
                await restart(server)
        last = await finish(client)
    expected = {item["metadata"]["name"]: item for item in last["items"]}
    for follower in followers:
        assert follower.objects == expected
    assert sum(follower.watches for follower in followers) > 2 * WATCHERS  # they did break off, and go on


async def test_what_etcd_forgot_is_told_as_expired(server: ApiserverProcess, client: httpx.AsyncClient) -> None:
    dice = random.Random(4)
    start = int((await client.get(MAPS)).json()["metadata"]["resourceVersion"])
    for number in range(20):
        await change(client, dice, number)
    await compact(server)
    await restart(server)
    async with client.stream("GET", MAPS, params={"watch": 1, "resourceVersion": start}) as lines:
        event = json.loads(await anext(lines.aiter_lines()))
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
    listed = await client.get(MAPS, params={"resourceVersion": start, "resourceVersionMatch": "Exact"})
    assert (listed.status_code, listed.json()["reason"]) == (410, "Expired")


async def test_a_watch_is_etcds_history(server: ApiserverProcess, client: httpx.AsyncClient) -> None:
    """Each revision once and in order, from the one a list named."""
    start = int((await client.get(MAPS)).json()["metadata"]["resourceVersion"])
    dice = random.Random(3)
    await asyncio.gather(*(change(client, dice, number) for number in range(100)))
    await finish(client)
    told: list[tuple[int, str, bool]] = []
    async with client.stream("GET", MAPS, params={"watch": 1, "resourceVersion": start}) as lines:
        async for line in lines.aiter_lines():
            event = json.loads(line)
            metadata = event["object"]["metadata"]
            told.append((int(metadata["resourceVersion"]), metadata["name"], event["type"] == "DELETED"))
            if metadata["name"] == END:
                break
    happened: list[tuple[int, str, bool]] = []
    async with connected(Endpoints((server.etcd.url,))) as etcd, asyncio.timeout(20):
        async for changes in etcd.watch("/registry/configmaps/default/", start + 1):
            happened += [(one.revision, one.key.rpartition("/")[2], one.value is None) for one in changes.changes]
            if happened and happened[-1][1] == END:
                break
    assert told == happened


async def test_a_watch_from_any_older_revision_leads_to_the_same_end(
    server: ApiserverProcess, client: httpx.AsyncClient
) -> None:
    """What was there at a revision, and what a watch from there says, is what is there at last."""
    dice = random.Random(5)
    start = int((await client.get(MAPS)).json()["metadata"]["resourceVersion"])
    for number in range(120):
        await change(client, dice, number)
    last = await finish(client)
    expected = {item["metadata"]["name"]: item for item in last["items"]}
    for revision in dice.sample(range(start, int(last["metadata"]["resourceVersion"])), 25):
        params: dict[str, Any] = {"resourceVersion": revision, "resourceVersionMatch": "Exact"}
        there = (await client.get(MAPS, params=params)).json()
        follower = Follower(client, random.Random(revision))
        follower.objects = {item["metadata"]["name"]: item for item in there["items"]}
        follower.revision = revision
        async with asyncio.timeout(20):
            await follower.run()
        assert follower.objects == expected


async def test_what_one_server_writes_another_one_shows_at_once(
    server: ApiserverProcess, client: httpx.AsyncClient
) -> None:
    """Two servers on one etcd: the second is never behind, though nothing tells it what the first one did."""
    other = replace(server, port=free_port(), _process=None)
    other.start()
    try:
        for number in range(30):
            body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"two-{number}"}}
            made = (await client.post(MAPS, json=body)).json()
            assert (await client.get(f"{other.url}{MAPS}/two-{number}")).json() == made
            listed = (await client.get(f"{other.url}{MAPS}")).json()
            assert f"two-{number}" in [item["metadata"]["name"] for item in listed["items"]]
            before = int(made["metadata"]["resourceVersion"]) - 1
            async with client.stream(
                "GET", f"{other.url}{MAPS}", params={"watch": 1, "resourceVersion": before}
            ) as lines:
                event = json.loads(await anext(lines.aiter_lines()))
            assert (event["type"], event["object"]) == ("ADDED", made)
    finally:
        other.stop()
