"""storage.http2 against a scripted server: windows, frames in pieces, ends of calls and of connections."""

import asyncio

import hpack
import pytest

from apiserver.storage import http2
from apiserver.storage.http2 import Broken, Call, CallError, Connection, frame, head_block, setting

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED = 0x1, 0x1, 0x4, 0x8
BLOCK = head_block("etcd:2379", "/KV/Range", False, {"hasleader": "true"})


class Server(asyncio.Transport):
    """Keeps what the client wrote, as (kind, flags, stream, payload)."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: list[tuple[int, int, int, bytes]] = []
        self.closed = False

    def write(self, data: bytes) -> None:  # type: ignore[override]
        """Takes frames apart, behind the preface."""
        data = data.removeprefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        while data:
            size = int.from_bytes(data[:3], "big")
            self.frames.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]))
            data = data[9 + size :]

    def is_closing(self) -> bool:
        """Whether the client closed."""
        return self.closed

    def close(self) -> None:
        """The client closes."""
        self.closed = True

    def abort(self) -> None:
        """The client gives up."""
        self.closed = True

    def sent(self, kind: int) -> list[tuple[int, int, bytes]]:
        """What the client sent of one kind: flags, stream, payload."""
        return [(flags, stream, payload) for found, flags, stream, payload in self.frames if found == kind]


async def connected() -> tuple[Connection, Server]:
    """A connection whose hello is out."""
    connection, server = Connection(), Server()
    connection.connection_made(server)
    await asyncio.sleep(0)
    return connection, server


def message(payload: bytes) -> bytes:
    """As gRPC frames it."""
    return b"\0" + len(payload).to_bytes(4, "big") + payload


def status(stream: int, code: int = 0, text: str = "", flags: int = END_HEADERS | END_STREAM) -> bytes:
    """What ends a call."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    return frame(HEADERS, flags, stream, encoder.encode([("grpc-status", str(code)), ("grpc-message", text)]))


def reply(stream: int, payload: bytes) -> bytes:
    """A whole answer."""
    head = frame(HEADERS, END_HEADERS, stream, hpack.Encoder().encode([(":status", "200")]))
    return head + frame(DATA, 0, stream, message(payload)) + status(stream)


async def test_the_hello_switches_header_tables_off() -> None:
    _, server = await connected()
    assert setting(1, 0) in server.sent(SETTINGS)[0][2]


async def test_a_call_and_its_answer_in_any_pieces() -> None:
    connection, server = await connected()
    first, second = await connection.call(BLOCK), await connection.call(BLOCK)
    first.send(b"one", last=True)
    second.send(b"two", last=True)
    await asyncio.sleep(0)
    for byte in reply(second.number, b"2" * 300) + reply(first.number, b"1"):
        connection.data_received(bytes([byte]))
    assert (await first.reply(), await second.reply()) == (b"1", b"2" * 300)
    assert [frame[:2] for frame in server.sent(HEADERS)] == [(END_HEADERS, 1), (END_HEADERS, 3)]
    assert [frame[2] for frame in server.sent(DATA)] == [message(b"one"), message(b"two")]
    fields = {str(name): str(value) for name, value in hpack.Decoder().decode(server.sent(HEADERS)[0][2])}
    assert (fields[":path"], fields[":authority"], fields["hasleader"]) == ("/KV/Range", "etcd:2379", "true")


async def test_a_large_request_waits_for_the_servers_windows() -> None:
    connection, server = await connected()
    call = await connection.call(BLOCK)
    payload = bytes(200_000)
    call.send(payload, last=True)
    await asyncio.sleep(0)
    assert sum(len(data) for _, _, data in server.sent(DATA)) == 65_535
    assert max(len(data) for _, _, data in server.sent(DATA)) == 16_384
    connection.data_received(frame(WINDOW_UPDATE, 0, 0, (1 << 20).to_bytes(4, "big")))
    await asyncio.sleep(0)
    assert sum(len(data) for _, _, data in server.sent(DATA)) == 65_535  # the stream's own is still shut
    connection.data_received(frame(SETTINGS, 0, 0, setting(4, 1 << 20) + setting(5, 1 << 17)))
    await asyncio.sleep(0)
    sent = server.sent(DATA)
    assert b"".join(data for _, _, data in sent) == message(payload)
    assert [flags for flags, _, _ in sent] == [0] * (len(sent) - 1) + [END_STREAM]
    assert max(len(data) for _, _, data in sent) > 16_384
    assert (ACK, 0, b"") in server.sent(SETTINGS)


async def test_a_stream_is_granted_as_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    connection, server = await connected()
    monkeypatch.setattr(http2, "WINDOW", 4000)
    call = await connection.call(BLOCK, streaming=True)
    for _ in range(3):
        connection.data_received(frame(DATA, 0, call.number, message(bytes(995))))
    await asyncio.sleep(0)
    assert [stream for _, stream, _ in server.sent(WINDOW_UPDATE)] == [0, 0, 0, 0]  # the hello, then each 1,000 bytes
    assert [len(await call.next()) for _ in range(3)] == [995] * 3
    await asyncio.sleep(0)
    granted = [int.from_bytes(size, "big") for _, stream, size in server.sent(WINDOW_UPDATE) if stream]
    assert granted == [1000, 1000, 1000]


async def test_messages_of_a_stream_come_one_by_one_and_its_end_is_told() -> None:
    connection, _ = await connected()
    call = await connection.call(BLOCK, streaming=True)
    both = message(b"first") + message(b"second")
    connection.data_received(frame(DATA, 0, call.number, both[:7]))
    waiting = asyncio.create_task(call.next())
    await asyncio.sleep(0)
    connection.data_received(frame(DATA, PADDED, call.number, b"\x03" + both[7:] + b"pad") + status(call.number))
    assert (await waiting, await call.next()) == (b"first", b"second")
    with pytest.raises(Broken, match="ended the stream"):
        await call.next()


async def failed(call: Call) -> Broken:
    """How a call was broken."""
    with pytest.raises(Broken) as caught:
        await call.reply()
    return caught.value


async def test_an_error_is_told_with_its_code_and_text() -> None:
    connection, _ = await connected()
    call = await connection.call(BLOCK)
    whole = status(call.number, 11, "etcdserver: mvcc: a%20future%E2%9C%93")
    payload = whole[9:]
    connection.data_received(frame(HEADERS, END_STREAM, call.number, payload[:5]))
    connection.data_received(frame(CONTINUATION, END_HEADERS, call.number, payload[5:]))
    with pytest.raises(CallError) as caught:
        await call.reply()
    assert (caught.value.code, caught.value.details) == (11, "etcdserver: mvcc: a future✓")


async def test_what_the_server_did_not_look_at_was_not_sent() -> None:
    connection, server = await connected()
    calls = [await connection.call(BLOCK) for _ in range(3)]
    connection.data_received(frame(RST_STREAM, 0, calls[0].number, (7).to_bytes(4, "big")))
    connection.data_received(frame(GOAWAY, 0, 0, calls[1].number.to_bytes(4, "big") + bytes(4)))
    assert not (await failed(calls[0])).sent
    assert not (await failed(calls[2])).sent
    assert connection.closed
    assert not server.closed  # the call it did look at goes on
    connection.data_received(reply(calls[1].number, b"late"))
    assert await calls[1].reply() == b"late"
    assert server.closed
    with pytest.raises(Broken) as caught:
        await connection.call(BLOCK)
    assert not caught.value.sent


async def test_a_lost_connection_leaves_it_open_what_happened() -> None:
    connection, _ = await connected()
    call = await connection.call(BLOCK)
    connection.connection_lost(ConnectionResetError("reset"))
    assert (await failed(call)).sent


@pytest.mark.parametrize(
    ("frames", "why"),
    [
        (frame(DATA, END_STREAM, 1, message(b"x")), "without a status"),
        (frame(HEADERS, END_HEADERS | END_STREAM, 1, hpack.Encoder().encode([(":status", "503")])), "HTTP status 503"),
        (frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff"), "cannot be read"),
        ((20_000).to_bytes(3, "big") + bytes([DATA, 0, 0, 0, 0, 1]), "a frame of 20000 bytes"),
        (frame(RST_STREAM, 0, 1, (2).to_bytes(4, "big")), "code 2"),
    ],
)
async def test_a_bad_end_is_no_answer(frames: bytes, why: str) -> None:
    connection, _ = await connected()
    call = await connection.call(BLOCK)
    connection.data_received(frames)
    problem = await failed(call)
    assert why in str(problem)
    assert problem.sent


async def test_calls_wait_where_the_server_takes_no_more() -> None:
    connection, _ = await connected()
    connection.data_received(frame(SETTINGS, 0, 0, setting(3, 1)))
    first = await connection.call(BLOCK)
    waiting = asyncio.create_task(connection.call(BLOCK))
    await asyncio.sleep(0)
    assert not waiting.done()
    first.cancel()
    assert (await waiting).number == first.number + 2


async def test_a_ping_is_answered_and_a_quiet_server_is_pinged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http2, "PING_SECONDS", 0.01)
    monkeypatch.setattr(http2, "PONG_SECONDS", 0.01)
    connection, server = await connected()
    connection.data_received(frame(PING, 0, 0, b"12345678"))
    call = await connection.call(BLOCK)
    assert "did not answer a ping" in str(await failed(call))
    assert server.closed
    assert (ACK, 0, b"12345678") in server.sent(PING)
    assert any(not flags & ACK for flags, _, _ in server.sent(PING))
