"""Requests over kept connections, against a server whose bytes the test writes."""

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from machinery.client.http1 import AHEAD, Broken, Connections

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Server:
    """Answers each connection as its script says and keeps what was asked."""

    def __init__(self, *scripts: list[bytes]) -> None:
        self._scripts = list(scripts)
        self.asked: list[list[bytes]] = []  # per connection

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer request after request, then close."""
        mine: list[bytes] = []
        self.asked.append(mine)
        try:
            for answer in self._scripts[len(self.asked) - 1]:
                mine.append(await _request(reader))
                writer.write(answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        writer.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = [line.partition(b":")[2] for line in head.split(b"\r\n") if line.startswith(b"content-length")]
    return head + await reader.readexactly(int(length[0]) if length else 0)


@asynccontextmanager
async def connected(talk: Talk) -> AsyncIterator[Connections]:
    """Connections to a server on loopback."""
    talks: list[asyncio.Task[None]] = []

    async def remembered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        talks.append(task)
        await talk(reader, writer)

    server = await asyncio.start_server(remembered, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connections = Connections(f"http://127.0.0.1:{port}", None, headers=[("user-agent", "test")])
    try:
        yield connections
    finally:
        await connections.close()
        server.close()
        await asyncio.wait_for(asyncio.gather(*talks, return_exceptions=True), 5)


async def ask(connections: Connections, method: str = "GET", target: str = "/", body: bytes | None = None) -> bytes:
    """The answer's body."""
    return (await connections.request(method, target, [], body, 5.0)).content


async def test_a_connection_is_used_again() -> None:
    server = Server([WHOLE, WHOLE, WHOLE])
    async with connected(server.talk) as connections:
        assert [await ask(connections) for _ in range(3)] == [b"ok"] * 3
    assert [len(asked) for asked in server.asked] == [3]


async def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    server = Server([WHOLE, WHOLE], [WHOLE, WHOLE])
    async with connected(server.talk) as connections:
        assert list(await asyncio.gather(ask(connections), ask(connections))) == [b"ok", b"ok"]
    assert [len(asked) for asked in server.asked] == [1, 1]


async def test_what_is_sent() -> None:
    server = Server([WHOLE])
    async with connected(server.talk) as connections:
        await connections.request("POST", "/a b?x=ü", [("accept", "application/json")], b"{}", 5.0)
    head, _, body = server.asked[0][0].partition(b"\r\n\r\n")
    first, host, *headers = head.split(b"\r\n")
    assert first == b"POST /a%20b?x=%C3%BC HTTP/1.1"
    assert host.startswith(b"host: 127.0.0.1:")
    assert headers == [
        b"user-agent: test",
        b"accept: application/json",
        b"accept-encoding: gzip",
        b"content-length: 2",
    ]
    assert body == b"{}"


async def test_a_header_cannot_smuggle_another() -> None:
    server = Server([WHOLE])
    async with connected(server.talk) as connections:
        with pytest.raises(ValueError, match="line break"):
            await connections.request("GET", "/", [("x", "a\r\nauthorization: mine")], None, 5.0)
    assert server.asked == []


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", b"abc", id="chunks"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", b"until the end", id="until-it-closes"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", b"", id="nothing"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE, b"ok", id="another-first"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\ncontent-length: %d\r\n\r\n%s"
            % (len(gzip.compress(b"small")), gzip.compress(b"small")),
            b"small",
            id="compressed",
        ),
        pytest.param(b"HTTP/1.1 204 No Content\r\ncontent-encoding: gzip\r\n\r\n", b"", id="nothing-compressed"),
    ],
)
async def test_how_answers_end(answer: bytes, body: bytes) -> None:
    async with connected(Server([answer]).talk) as connections:
        assert await ask(connections) == body


async def test_all_values_of_a_header() -> None:
    answer = b"HTTP/1.1 404 Not Found\r\nWarning: one\r\nwarning: two\r\ncontent-length: 0\r\n\r\n"
    async with connected(Server([answer]).talk) as connections:
        found = await connections.request("GET", "/", [], None, 5.0)
    assert (found.status_code, found.header("Warning"), found.header("x")) == (404, ["one", "two"], [])


async def test_a_connection_that_the_server_closes_is_not_used_again() -> None:
    closing = WHOLE.replace(b"OK\r\n", b"OK\r\nconnection: close\r\n")
    server = Server([closing, WHOLE], [WHOLE])
    async with connected(server.talk) as connections:
        assert [await ask(connections, "POST", body=b"{}") for _ in range(2)] == [b"ok", b"ok"]
    assert [len(asked) for asked in server.asked] == [1, 1]


@pytest.mark.parametrize(("method", "asked"), [("GET", [2, 1]), ("DELETE", [2, 1]), ("POST", [2]), ("PATCH", [2])])
async def test_a_kept_connection_that_closes_as_we_ask(method: str, asked: list[int]) -> None:
    """What may be repeated is sent again, once, on a new connection."""
    server = Server([WHOLE, b""], [WHOLE])
    async with connected(server.talk) as connections:
        await ask(connections)
        if len(asked) == 2:
            assert await ask(connections, method) == b"ok"
        else:
            with pytest.raises(Broken, match="closed the connection"):
                await ask(connections, method, body=b"{}")
    assert [len(one) for one in server.asked] == asked


async def test_an_answer_without_a_length_tells_nothing_about_the_next() -> None:
    """The end of the connection is the end of an answer only where that answer's head says so."""
    async with connected(Server([b"HTTP/1.1 204 No Content\r\n\r\n", b""]).talk) as connections:
        await ask(connections)
        with pytest.raises(Broken, match="closed the connection"):
            await ask(connections, "POST", body=b"{}")


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(b"", id="closes"),
        pytest.param(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n", id="says-why"),
    ],
)
async def test_a_kept_connection_that_is_closing_is_not_used(last: bytes) -> None:
    """A POST would be lost on it, and is not repeated."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(WHOLE)
        await asyncio.sleep(0.05)
        writer.write(last)
        writer.close()

    async with connected(talk) as connections:
        await ask(connections)
        (kept,) = connections._free
        transport = kept._transport
        assert transport is not None
        async with asyncio.timeout(5):
            while not transport.is_closing():
                await asyncio.sleep(0)
        assert await ask(connections, "POST", body=b"{}") == b"ok"


@pytest.mark.parametrize(
    "more", [pytest.param(WHOLE[:-4], id="half-an-answer"), pytest.param(b"nonsense\r\n\r\n", id="nonsense")]
)
async def test_what_stands_behind_an_answer_is_nobodys(more: bytes) -> None:
    problems: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
    closed = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(WHOLE + more)
        with suppress(ConnectionError):
            assert await reader.read() == b""
        closed.set()
        writer.close()

    async with connected(talk) as connections:
        assert await ask(connections) == b"ok"
        await asyncio.wait_for(closed.wait(), 5)
    assert problems == []


async def test_closing_ends_what_is_under_way() -> None:
    begun = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal begun
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while request := await _request(reader):
                begun += 1
                writer.write(b"" if b"/slow" in request else WHOLE)
        writer.close()

    async with connected(talk) as connections:
        await ask(connections)
        slow = asyncio.ensure_future(ask(connections, target="/slow"))
        await asyncio.sleep(0.05)
        await connections.close()
        with pytest.raises(Broken):  # GET may be repeated, but there is nobody any more to do so
            await slow
        with pytest.raises(Broken, match="are closed"):
            await ask(connections)
    assert begun == 2


async def test_an_answer_that_we_cut_short_is_not_whole() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")
        await reader.read()
        writer.close()

    async with connected(talk) as connections, connections.stream("/", [], 5.0) as answer:
        pieces = answer.aiter_bytes()
        assert await anext(pieces) == b"until the end"
        await connections.close()
        with pytest.raises(Broken):
            await anext(pieces)


async def test_a_kept_connection_that_is_silent_is_not_tried_again() -> None:
    """It may have happened, and whoever asks wants to know in time."""
    asked = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await _request(reader):
            asked.append(request.partition(b" ")[0])
            await asyncio.sleep(0.01)  # so that two connections are opened
            if asked[-1] == b"GET":
                writer.write(WHOLE)

    async with connected(talk) as connections:
        await asyncio.gather(ask(connections), ask(connections))
        with pytest.raises(Broken, match="no answer in 0.05 s"):
            await connections.request("PUT", "/", [], b"{}", 0.05)
        await asyncio.sleep(0.05)
    assert asked == [b"GET", b"GET", b"PUT"]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(b"", "the server closed the connection", id="nothing"),
        pytest.param(WHOLE[:-1], "the server closed the connection", id="a-part"),
        pytest.param(
            WHOLE.replace(b"OK\r\n", b"OK\r\ncontent-encoding: gzip\r\n"), "malformed gzip", id="not-compressed"
        ),
        pytest.param(b"SSH-2.0-OpenSSH\r\n", "malformed HTTP response", id="another-protocol"),
    ],
)
async def test_half_an_answer_is_none(answer: bytes, said: str) -> None:
    async with connected(Server([answer]).talk) as connections:
        with pytest.raises(Broken, match=said):
            await ask(connections)


async def test_nobody_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    connections = Connections(f"http://127.0.0.1:{port}", None)
    with pytest.raises(Broken, match="Connect call failed"):
        await ask(connections)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".test"])
async def test_a_name_that_cannot_be_one(host: str) -> None:
    with pytest.raises(Broken, match="label"):
        await ask(Connections(f"http://{host}", None))


async def test_silence_ends_and_closes() -> None:
    closed = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        assert await reader.read() == b""
        closed.set()
        writer.close()

    async with connected(talk) as connections:
        with pytest.raises(Broken, match="no answer in 0.05 s"):
            await connections.request("GET", "/", [], None, 0.05)
        await asyncio.wait_for(closed.wait(), 5)


async def test_whoever_is_cancelled_leaves_no_answer_to_the_next() -> None:
    late = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await _request(reader)
        if b"/slow" in request:
            await late.wait()
        writer.write(WHOLE.replace(b"ok", b"no" if b"/slow" in request else b"ok"))
        writer.close()

    async with connected(talk) as connections:
        slow = asyncio.ensure_future(ask(connections, target="/slow"))
        await asyncio.sleep(0.05)
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)
        late.set()
        assert await ask(connections) == b"ok"


async def test_a_stream_comes_piece_by_piece() -> None:
    ask_for_more = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _request(reader)
        writer.write(CHUNKED + b"3\r\none\r\n")
        await ask_for_more.wait()
        writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
        await writer.drain()
        await reader.read()
        writer.close()

    async with connected(talk) as connections, connections.stream("/", [], 5.0) as answer:
        pieces = answer.aiter_bytes()
        assert (answer.status_code, await anext(pieces)) == (200, b"one")
        ask_for_more.set()
        assert [piece async for piece in pieces] == [b"two"]


async def test_streams_leave_no_connections_behind() -> None:
    answer = CHUNKED + b"3\r\none\r\n0\r\n\r\n"
    closed = 0

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal closed
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await _request(reader):
                writer.write(answer)
        closed += 1
        writer.close()

    async with connected(talk) as connections:
        for _ in range(5):
            async with connections.stream("/", [], 5.0) as found:
                assert [piece async for piece in found.aiter_bytes()] == [b"one"]
        await asyncio.sleep(0.1)
        assert closed == 5


async def test_a_stream_that_nobody_reads_stops_the_server() -> None:
    sent = 0
    piece = b"x" * 65536

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await _request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (512 * len(piece)))
        for _ in range(512):
            writer.write(piece)
            await writer.drain()
            sent += len(piece)
        writer.close()

    async with connected(talk) as connections, connections.stream("/", [], 5.0) as answer:
        before = -1
        while before != sent:
            before = sent
            await asyncio.sleep(0.2)
        assert AHEAD < sent < 512 * len(piece)
        read = sum([len(one) async for one in answer.aiter_bytes()])
    assert read == 512 * len(piece)


async def test_all_of_a_stream_may_be_wanted_at_once() -> None:
    large = b"x" * (3 * AHEAD)
    answer = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: %d\r\n\r\n" % len(large) + large
    async with connected(Server([answer]).talk) as connections, connections.stream("/", [], 2.0) as found:
        assert await found.aread() == large


async def test_a_stream_that_breaks_says_so() -> None:
    broken = CHUNKED + b"3\r\none\r\n"
    async with connected(Server([broken]).talk) as connections, connections.stream("/", [], 5.0) as answer:
        pieces = answer.aiter_bytes()
        assert await anext(pieces) == b"one"
        with pytest.raises(Broken, match="the server closed the connection"):
            await anext(pieces)
