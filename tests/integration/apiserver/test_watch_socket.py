"""Watches over WebSocket, with a WebSocket client from elsewhere."""

import asyncio
import json
from collections.abc import Mapping

import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from tests.integration.apiserver.metrics import long_running
from tests.integration.apiserver_process import ApiserverProcess, tls_context

MAPS = "/api/v1/namespaces/default/configmaps"


def connect(server: ApiserverProcess, query: str, headers: Mapping[str, str] | None = None) -> websockets.connect:
    """A watch as admin."""
    return websockets.connect(
        f"wss://127.0.0.1:{server.port}{MAPS}?watch=true&{query}",
        ssl=tls_context(server.ca_file),
        additional_headers={"authorization": f"Bearer {server.token}", **(headers or {})},
        proxy=None,
    )


def create(server: ApiserverProcess, name: str) -> str:
    """A ConfigMap; the revision before it."""
    with server.client() as admin:
        before = admin.get(f"{MAPS}?limit=1").json()["metadata"]["resourceVersion"]
        assert admin.post(MAPS, json={"metadata": {"name": name}}).status_code == 201
    return str(before)


async def test_each_event_is_a_text_message(server: ApiserverProcess) -> None:
    since = create(server, "over-websocket")
    async with connect(server, f"resourceVersion={since}") as socket:
        event = json.loads(await socket.recv())
        assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "over-websocket")
        await socket.ping()
        create(server, "over-websocket-2")
        assert json.loads(await socket.recv())["object"]["metadata"]["name"] == "over-websocket-2"


async def test_the_server_closes_when_the_watch_is_over(server: ApiserverProcess) -> None:
    async with connect(server, "resourceVersion=0&timeoutSeconds=1") as socket:
        async for message in socket:
            assert json.loads(message)["type"] == "ADDED"
        assert socket.close_code == 1000


async def test_a_watch_in_protobuf_comes_in_binary_messages(server: ApiserverProcess) -> None:
    since = create(server, "in-binary")
    headers = {"accept": "application/vnd.kubernetes.protobuf"}
    async with connect(server, f"resourceVersion={since}", headers) as socket:
        message = await socket.recv()
        assert isinstance(message, bytes)
        assert message.startswith(b"\x0a\x05ADDED")


async def test_what_cannot_be_watched_is_refused_before_the_upgrade(server: ApiserverProcess) -> None:
    with pytest.raises(websockets.InvalidStatus) as refusal:
        await connect(server, "resourceVersion=x")
    assert refusal.value.response.status_code == 400


async def test_a_client_that_goes_leaves_nothing_behind(server: ApiserverProcess) -> None:
    before = long_running(server)
    sockets: list[ClientConnection] = [await connect(server, "resourceVersion=0") for _ in range(3)]
    assert long_running(server) == before + 3
    await sockets[0].close()
    sockets[1].transport.abort()
    await sockets[2].send("there is nothing to say")
    await sockets[2].close()
    async with asyncio.timeout(5):
        while long_running(server) > before:
            await asyncio.sleep(0.02)
