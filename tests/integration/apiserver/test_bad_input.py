"""Connections that misbehave, and what fuzzing found, each a named case: the server goes on and keeps nothing."""

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import httpx
import pytest

from tests.integration.apiserver.metrics import Leaks
from tests.integration.apiserver_process import ApiserverProcess, tls_context

MAPS = "/api/v1/namespaces/default/configmaps"
HEAD = "Host: x\r\nAuthorization: Bearer admin-token\r\n"


@pytest.fixture(autouse=True)
def nothing_stays_behind(server: ApiserverProcess) -> Iterator[None]:
    """Before and after each test the same is under way."""
    leaks = Leaks(server)
    yield
    leaks.check()


@asynccontextmanager
async def raw(server: ApiserverProcess) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A bare TLS connection, cut off in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=tls_context(server.ca_file))
    try:
        async with asyncio.timeout(20):
            yield reader, writer
    finally:
        writer.transport.abort()


async def everything(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection ends, however it ends."""
    found = bytearray()
    with suppress(OSError):  # a reset, or TLS that goes on after its end
        while data := await reader.read(1 << 16):
            found += data
    return bytes(found)


async def test_an_upload_that_breaks_off_is_forgotten(server: ApiserverProcess) -> None:
    for _ in range(5):
        async with raw(server) as (_, writer):
            writer.write(f"POST {MAPS} HTTP/1.1\r\n{HEAD}Content-Length: 1000000\r\n\r\n".encode() + b'{"a":"' * 100)
            await writer.drain()


async def test_a_chunked_upload_may_not_grow_for_ever(server: ApiserverProcess) -> None:
    async with raw(server) as (reader, writer):
        writer.write(f"POST {MAPS} HTTP/1.1\r\n{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
        with suppress(ConnectionError):
            for _ in range(100):
                writer.write(chunk)
                await writer.drain()
        assert (await reader.read(12)).startswith(b"HTTP/1.1 413")


async def test_garbage_after_a_request_ends_the_connection_after_its_answer(server: ApiserverProcess) -> None:
    async with raw(server) as (reader, writer):
        writer.write(f"GET /version HTTP/1.1\r\n{HEAD}\r\n".encode() + b"\x00\x01garbage\r\n\r\n")
        assert b"HTTP/1.1 400 " in await everything(reader)


async def test_many_requests_at_once_are_answered_in_order(server: ApiserverProcess) -> None:
    count = 300
    async with raw(server) as (reader, writer):
        asked = b"".join(f"GET {MAPS}/none-{n} HTTP/1.1\r\n{HEAD}\r\n".encode() for n in range(count))
        writer.write(asked + f"GET /livez HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode())
        text = (await everything(reader)).decode()
    places = [text.index(f'\\"none-{n}\\" not found') for n in range(count)]
    assert places == sorted(places)
    assert text.endswith("ok")


async def test_a_client_that_closes_its_half_is_still_answered_or_let_go(server: ApiserverProcess) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=tls_context(server.ca_file))
    writer.write(f"GET {MAPS}?watch=true&timeoutSeconds=60&resourceVersion=0 HTTP/1.1\r\n{HEAD}\r\n".encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    writer.close()
    await everything(reader)


async def test_a_watcher_that_does_not_read_is_dropped_and_others_are_not(server: ApiserverProcess) -> None:
    body = {"metadata": {"generateName": "large-", "labels": {"test": "slow"}}, "data": {"a": "x" * 900_000}}
    path = f"{MAPS}?labelSelector=test%3Dslow"
    headers = {"authorization": f"Bearer {server.token}"}
    async with raw(server) as (reader, writer):
        writer.write(f"GET {path}&watch=true HTTP/1.1\r\n{HEAD}\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
        assert isinstance(writer.transport, asyncio.Transport)
        writer.transport.pause_reading()
        async with httpx.AsyncClient(verify=tls_context(server.ca_file), headers=headers, trust_env=False) as admin:
            for _ in range(20):
                assert (await admin.post(server.url + MAPS, json=body)).status_code == 201
            assert (await admin.delete(server.url + path)).status_code == 200


async def test_a_list_nobody_reads_holds_up_nobody_else(server: ApiserverProcess) -> None:
    headers = {"authorization": f"Bearer {server.token}"}
    body = {"metadata": {"generateName": "big-", "labels": {"test": "unread"}}, "data": {"a": "x" * 900_000}}
    async with httpx.AsyncClient(verify=tls_context(server.ca_file), headers=headers, trust_env=False) as admin:
        for _ in range(10):
            await admin.post(server.url + MAPS, json=body)
        async with raw(server) as (_, writer):
            for _ in range(5):
                writer.write(f"GET {MAPS}?labelSelector=test%3Dunread HTTP/1.1\r\n{HEAD}\r\n".encode())
            assert (await admin.get(f"{server.url}/livez")).text == "ok"
        await admin.delete(f"{server.url}{MAPS}?labelSelector=test%3Dunread")


@pytest.mark.parametrize(
    ("content_type", "body", "code"),
    [
        pytest.param("application/json", b"[" * 2_700_000, 400, id="open-lists"),
        pytest.param("application/json", b"[]," * 900_000, 400, id="lists-in-a-row"),
        pytest.param("application/json", b'{"data":[' + b"[]," * 900_000 + b"[]]}", 400, id="a-list-of-lists"),
        pytest.param("application/json", b'{"x":{' + b'"a":1,' * 450_000 + b'"b":1}}', 422, id="doubled-fields"),
        pytest.param("application/json", b'{"metadata":{"name":"' + b"\xff" * 2_000_000 + b'"}}', 400, id="no-utf-8"),
        pytest.param("application/yaml", b"- " * 1_300_000, 400, id="yaml-dashes"),
        pytest.param("application/yaml", b"a: &a [" + b"*a," * 100_000 + b"]", 400, id="yaml-aliases"),
        pytest.param("application/yaml", b"? " * 900_000, 400, id="yaml-keys"),
        pytest.param("application/vnd.kubernetes.protobuf", b"k8s\0" + b"\x0a" * 2_000_000, 400, id="protobuf-tags"),
    ],
)
async def test_bodies_that_are_much_ado_stall_nobody(
    server: ApiserverProcess, content_type: str, body: bytes, code: int
) -> None:
    headers = {"authorization": f"Bearer {server.token}", "content-type": content_type}
    async with httpx.AsyncClient(verify=tls_context(server.ca_file), trust_env=False, timeout=20) as client:
        answer = await client.post(server.url + MAPS, content=body, headers=headers)
        assert answer.status_code == code, answer.text[:300]


def _names(first: str, count: int) -> list[str]:
    return [f"{first}.io/{number}" for number in range(count)]


@pytest.mark.parametrize(
    ("media_type", "patch"),
    [
        pytest.param("strategic-merge-patch", {"metadata": {"finalizers": _names("a", 40_000)}}, id="a-long-list"),
        pytest.param(
            "strategic-merge-patch",
            {
                "metadata": {
                    "finalizers": _names("b", 20_000),
                    "$setElementOrder/finalizers": _names("b", 20_000),
                    "$deleteFromPrimitiveList/finalizers": _names("a", 20_000),
                }
            },
            id="long-directives",
        ),
        pytest.param(
            "json-patch",
            [{"op": "add", "path": "/metadata/finalizers/0", "value": "a.io/b"}] * 9_999,
            id="many-operations",
        ),
        pytest.param("merge-patch", {"metadata": {"labels": {f"!{n}": "x" for n in range(40_000)}}}, id="many-labels"),
    ],
)
def test_patches_that_are_much_ado_end_soon(server: ApiserverProcess, media_type: str, patch: object) -> None:
    with server.client(timeout=20) as admin:
        admin.post(MAPS, json={"metadata": {"name": "patched", "finalizers": ["a.io/b"]}})
        headers = {"content-type": f"application/{media_type}+json"}
        answer = admin.patch(f"{MAPS}/patched?dryRun=All", json=patch, headers=headers)
        assert answer.status_code in (200, 413, 422), answer.text[:300]
        final = {"metadata": {"finalizers": None}}
        admin.patch(f"{MAPS}/patched", json=final, headers={"content-type": "application/merge-patch+json"})
        admin.delete(f"{MAPS}/patched").raise_for_status()


@pytest.mark.parametrize(
    "query",
    [
        pytest.param("labelSelector=" + ",".join(f"!x{n}" for n in range(300)), id="terms"),
        pytest.param("fieldSelector=" + ",".join(f"metadata.name!=x{n}" for n in range(300)), id="fields"),
        pytest.param("&".join(["a"] * 20_000), id="parameters"),
    ],
)
def test_queries_have_an_end(server: ApiserverProcess, query: str) -> None:
    with server.client() as admin:
        assert admin.get(f"{MAPS}?{query}").status_code == 400


@pytest.mark.parametrize("size", [1_700_000, 2_900_000])
def test_what_is_too_large_for_etcd_is_the_clients_mistake(server: ApiserverProcess, size: int) -> None:
    with server.client() as admin:
        rule = {"verbs": ["x" * size], "apiGroups": [""], "resources": ["pods"]}
        path = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
        answer = admin.post(path, json={"metadata": {"name": "too-large"}, "rules": [rule]})
        assert (answer.status_code, answer.json()["reason"]) == (413, "RequestEntityTooLarge")


async def test_a_body_that_is_compressed_is_not_read_as_something_else(server: ApiserverProcess) -> None:
    headers = {"authorization": f"Bearer {server.token}", "content-encoding": "gzip"}
    async with httpx.AsyncClient(verify=tls_context(server.ca_file), headers=headers, trust_env=False) as client:
        answer = await client.post(server.url + MAPS, content=zlib.compress(b"{}", wbits=31))
        assert answer.status_code == 400


async def test_frames_that_are_none_end_a_watch_over_websocket(server: ApiserverProcess) -> None:
    async with raw(server) as (reader, writer):
        upgrade = (
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
        )
        writer.write(f"GET {MAPS}?watch=true&resourceVersion=0 HTTP/1.1\r\n{HEAD}{upgrade}\r\n".encode())
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
        writer.write(b"\x82\xff" + struct.pack(">Q", 1 << 62) + b"mask")
        await everything(reader)
