"""One HTTP/2 connection that carries gRPC calls to etcd, client side. When to connect, and to whom, is `channels`.

Theory of operation
-------------------
gRPC's own library hands every call to a thread and back, which costs several times what the call itself does
(docs/performance.md). What etcd needs of HTTP/2 is little: a head, messages in both directions, a status at the end.

* Frames that go out gather for one tick of the loop and leave in one write; so many calls share a system call.
* Header compression is switched off for what comes in (a table of size 0): each block means the same wherever it
  comes, so the two that nearly every answer consists of are decoded once and remembered. Ours are never indexed, and
  so are made once per method.
* Flow control. What comes in is granted by bytes as it is consumed: a watch that is not read stops the server after
  WINDOW bytes. What goes out waits for the server's windows, in order, per stream.
* A PING goes out where nothing came in for PING_SECONDS; who does not answer one in PONG_SECONDS is given up.

A call ends with its status, or with Broken, whose `sent` says whether the server may have acted on it: not where the
request never left, where the server refused the stream or went away (GOAWAY) before it looked at it.

Refused: server push, priorities, retries (only `etcd` knows what may be repeated), compression of messages.
"""

import asyncio
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final
from urllib.parse import unquote

import hpack

WINDOW: Final = 64 << 20  # bytes a server may send ahead of the reader, per stream and per connection
PING_SECONDS: Final = 30.0
PONG_SECONDS: Final = 10.0
FAREWELL_SECONDS: Final = 1.0
_LARGEST_FRAME: Final = 16_384  # bytes; nobody may send a larger one unless we say so
_LAST_STREAM: Final = (1 << 31) - 1
_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RST_STREAM, _SETTINGS, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_TABLE_SIZE, _PUSH, _MOST_CALLS, _INITIAL_WINDOW, _MAX_FRAME = 1, 2, 3, 4, 5
_REFUSED_STREAM, _CANCEL = 0x7, 0x8


class Broken(Exception):
    """The call has no answer; `sent`: the server may have acted on it."""

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class CallError(Exception):
    """The server answered with a status that is not OK."""

    def __init__(self, code: int, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One frame as bytes (RFC 9113, section 4.1)."""
    head = (len(payload) << 40) | (kind << 32) | (flags << 24)
    return head.to_bytes(8, "big")[:5] + stream.to_bytes(4, "big") + payload


def setting(name: int, value: int) -> bytes:
    """One setting as a SETTINGS frame holds it."""
    return name.to_bytes(2, "big") + value.to_bytes(4, "big")


def head_block(authority: str, path: str, secure: bool, metadata: Mapping[str, str]) -> bytes:
    """The header block of a call, which any stream may send."""
    encoder = hpack.Encoder()
    encoder.header_table_size = 0
    fixed = {
        ":method": "POST",
        ":scheme": "https" if secure else "http",
        ":path": path,
        ":authority": authority,
        "te": "trailers",
        "content-type": "application/grpc",
    }
    block: bytes = encoder.encode([*fixed.items(), *metadata.items()])
    return block


@lru_cache(maxsize=64)
def _fields(block: bytes) -> Mapping[str, str]:
    """A header block's fields; blocks do not depend on each other, since our table has size 0."""
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = 0
    decoder.header_table_size = 0
    return {str(name): str(value) for name, value in decoder.decode(block)}


@dataclass(eq=False, slots=True)
class Call:
    """One stream: what it has still to send, what came, how it ended."""

    connection: "Connection"
    number: int
    window: int  # bytes the server lets us send
    streaming: bool  # several messages, each read as it comes; else one, read when the call is over
    outgoing: deque[tuple[bytes, bool]] = field(default_factory=deque)  # waiting for the windows, with END_STREAM
    data: bytearray = field(default_factory=bytearray)  # that came and was not read yet
    waiter: asyncio.Future[None] | None = None
    done: bool = False
    problem: Exception | None = None  # why it ended, unless it ended well
    owed: int = 0  # bytes consumed and not granted again yet

    def send(self, payload: bytes, *, last: bool = False) -> None:
        """Queue one message; with `last` no other follows."""
        self.connection.send_data(self, b"\0" + len(payload).to_bytes(4, "big") + payload, last)

    async def reply(self) -> bytes:
        """The message of a call that has one; raises CallError and Broken."""
        while not self.done:
            await self._wait()
        if self.problem is not None:
            raise self.problem
        return bytes(memoryview(self.data)[5:])

    async def next(self) -> bytes:
        """The next message of a stream; raises CallError and Broken, the latter also when the server ends it."""
        while (found := self._message()) is None:
            if self.done:
                raise self.problem or Broken("etcd ended the stream")
            await self._wait()
        return found

    def cancel(self, why: str = "cancelled") -> None:
        """Nobody waits for it any more."""
        if not self.done:
            self.connection.reset(self, why)

    def end(self, problem: Exception | None) -> None:
        """The connection says how it ended; None: well."""
        self.done = True
        self.problem = problem
        self.wake()

    def wake(self) -> None:
        """The connection says that something came."""
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def _wait(self) -> None:
        self.waiter = self.connection.loop.create_future()
        await self.waiter

    def _message(self) -> bytes | None:
        data = self.data
        if len(data) < 5:
            return None
        end = 5 + int.from_bytes(data[1:5], "big")
        if len(data) < end:
            return None
        found = bytes(memoryview(data)[5:end])
        del data[:end]
        self.connection.consumed(self, end)
        return found


class Connection(asyncio.Protocol):
    """See the module's head."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.closed = False  # no further call may begin here
        self._transport: asyncio.Transport | None = None
        self._calls: dict[int, Call] = {}
        self._next = 1
        self._out: list[bytes] = []
        self._buffer = b""
        self._header: tuple[int, int, bytes] | None = None  # stream, flags, what came of a block before CONTINUATION
        self._window = 65_535  # what the server lets us send on the whole connection
        self._initial_window = 65_535  # and on a new stream
        self._largest_frame = 16_384
        self._most_calls = 1 << 31
        self._room: deque[asyncio.Future[None]] = deque()
        self._owed = 0
        self._heard = self.loop.time()
        self._ping: asyncio.TimerHandle | None = None
        self._lost = asyncio.Event()

    # calls

    async def call(self, block: bytes, *, streaming: bool = False) -> Call:
        """Begin a call with this header block; raises Broken where no call may begin here any more."""
        while len(self._calls) >= self._most_calls and not self.closed:
            waiter: asyncio.Future[None] = self.loop.create_future()
            self._room.append(waiter)
            await waiter
        if self.closed:
            raise Broken("the connection is closed", sent=False)
        call = Call(self, self._next, self._initial_window, streaming)
        self._calls[self._next] = call
        self._next += 2
        if self._next > _LAST_STREAM:
            self._going_away(_LAST_STREAM)
        self._write(frame(_HEADERS, _END_HEADERS, call.number, block))
        return call

    def send_data(self, call: Call, data: bytes, last: bool) -> None:
        """Queue data of a call behind what it has queued already."""
        call.outgoing.append((data, last))
        self._pump(call)

    def reset(self, call: Call, why: str) -> None:
        """Tell the server that nobody waits for this call."""
        self._write(frame(_RST_STREAM, 0, call.number, _CANCEL.to_bytes(4, "big")))
        self._finish(call, Broken(why))

    def consumed(self, call: Call, size: int) -> None:
        """The reader of a stream took `size` bytes: the server may send as many more."""
        call.owed += size
        if call.owed >= WINDOW // 4 and not call.done:
            self._write(frame(_WINDOW_UPDATE, 0, call.number, call.owed.to_bytes(4, "big")))
            call.owed = 0

    @property
    def gone(self) -> bool:
        """Whether the socket is closed."""
        return self._transport is not None and self._transport.is_closing()

    def close(self) -> None:
        """End the connection; calls under way are broken."""
        self.closed = True
        if self._transport is not None:
            self._flush()
            self._transport.close()

    async def ended(self) -> None:
        """Close it and wait until it is, FAREWELL_SECONDS at most: TLS says goodbye and hears goodbye."""
        self.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(FAREWELL_SECONDS):
                await self._lost.wait()
        if not self._lost.is_set() and self._transport is not None:
            self._transport.abort()

    # the transport's side

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Say hello; whoever opened the connection need not wait for the server's."""
        self._transport = transport
        settings = ((_TABLE_SIZE, 0), (_PUSH, 0), (_INITIAL_WINDOW, WINDOW))
        hello = frame(_SETTINGS, 0, 0, b"".join(setting(*pair) for pair in settings))
        self._write(_PREFACE + hello + frame(_WINDOW_UPDATE, 0, 0, (WINDOW - 65_535).to_bytes(4, "big")))
        self._ping = self.loop.call_later(PING_SECONDS, self._check)

    def connection_lost(self, exc: Exception | None) -> None:
        """Whatever was under way has no answer."""
        self._lost.set()
        self._give_up(f"the connection to etcd was lost: {exc or 'closed'}")

    def data_received(self, data: bytes) -> None:
        """Bytes from the server."""
        self._heard = self.loop.time()
        buffer = self._buffer + data if self._buffer else data
        at, size = 0, len(buffer)
        while size - at >= 9:
            length = int.from_bytes(buffer[at : at + 3], "big")
            if length > _LARGEST_FRAME:
                self._give_up(f"etcd sent a frame of {length} bytes")
                return
            end = at + 9 + length
            if size < end:
                break
            number = int.from_bytes(buffer[at + 5 : at + 9], "big") & _LAST_STREAM
            self._received(buffer[at + 3], buffer[at + 4], number, buffer[at + 9 : end])
            at = end
        self._buffer = buffer[at:]

    def _received(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if kind == _DATA:
            self._data(flags, number, payload)
        elif kind == _HEADERS:
            self._block(number, flags, _unpadded(flags, payload)[5 if flags & _PRIORITY else 0 :])
        elif kind == _CONTINUATION and self._header is not None:
            number, first, begun = self._header
            self._block(number, first & ~_END_HEADERS | flags & _END_HEADERS, begun + payload)
        elif kind == _WINDOW_UPDATE:
            self._granted(number, int.from_bytes(payload, "big") & _LAST_STREAM)
        elif kind == _PING and not flags & _ACK:
            self._write(frame(_PING, _ACK, 0, payload))
        elif kind == _RST_STREAM:
            self._reset(number, int.from_bytes(payload, "big"))
        elif kind == _SETTINGS and not flags & _ACK:
            self._set(payload)
        elif kind == _GOAWAY:
            self._going_away(int.from_bytes(payload[:4], "big") & _LAST_STREAM)

    def _data(self, flags: int, number: int, payload: bytes) -> None:
        self._owed += len(payload)
        if self._owed >= WINDOW // 4:
            self._write(frame(_WINDOW_UPDATE, 0, 0, self._owed.to_bytes(4, "big")))
            self._owed = 0
        call = self._calls.get(number)
        if call is None:
            return
        content = _unpadded(flags, payload)
        call.data += content
        self.consumed(call, len(payload) - len(content) if call.streaming else len(payload))
        if flags & _END_STREAM:  # a status is still owed, so this is no good end
            self._finish(call, Broken("etcd ended a call without a status"))
        elif call.streaming:
            call.wake()

    def _block(self, number: int, flags: int, block: bytes) -> None:
        if not flags & _END_HEADERS:
            self._header = number, flags, block
            return
        self._header = None
        call = self._calls.get(number)
        if call is None or not flags & _END_STREAM:
            return
        try:
            fields = _fields(block)
        except hpack.HPACKError as problem:
            self._give_up(f"etcd sent headers that cannot be read: {problem}")
            return
        self._finish(call, _outcome(fields))

    def _finish(self, call: Call, problem: Exception | None) -> None:
        self._calls.pop(call.number, None)
        call.end(problem)
        while self._room and (self.closed or len(self._calls) < self._most_calls):
            waiter = self._room.popleft()
            if not waiter.done():
                waiter.set_result(None)
                break
        if self.closed and not self._calls:
            self.close()

    def _reset(self, number: int, code: int) -> None:
        call = self._calls.get(number)
        if call is not None:
            self._finish(call, Broken(f"etcd reset the call, code {code}", sent=code != _REFUSED_STREAM))

    def _going_away(self, last: int) -> None:
        """No new calls here; those the server did not look at may be made elsewhere."""
        self.closed = True
        for call in list(self._calls.values()):
            if call.number > last:
                self._finish(call, Broken("etcd is going away", sent=False))
        if not self._calls:
            self.close()

    def _set(self, payload: bytes) -> None:
        for at in range(0, len(payload) - 5, 6):
            name, value = int.from_bytes(payload[at : at + 2], "big"), int.from_bytes(payload[at + 2 : at + 6], "big")
            if name == _MOST_CALLS:
                self._most_calls = value
            elif name == _MAX_FRAME:
                self._largest_frame = value
            elif name == _INITIAL_WINDOW:
                for call in self._calls.values():
                    call.window += value - self._initial_window
                self._initial_window = value
        self._write(frame(_SETTINGS, _ACK, 0, b""))
        self._pump_all()

    # sending

    def _granted(self, number: int, size: int) -> None:
        if number == 0:
            self._window += size
            self._pump_all()
        elif call := self._calls.get(number):
            call.window += size
            self._pump(call)

    def _pump_all(self) -> None:
        for call in list(self._calls.values()):
            if call.outgoing:
                self._pump(call)

    def _pump(self, call: Call) -> None:
        """Send as much of a call as the windows let."""
        while call.outgoing:
            data, last = call.outgoing[0]
            size = min(len(data), self._largest_frame, call.window, self._window)
            if size <= 0:
                return
            whole = size == len(data)
            self._write(frame(_DATA, _END_STREAM if last and whole else 0, call.number, data[:size]))
            call.window -= size
            self._window -= size
            if whole:
                call.outgoing.popleft()
            else:
                call.outgoing[0] = data[size:], last

    def _write(self, data: bytes) -> None:
        if not self._out:
            self.loop.call_soon(self._flush)
        self._out.append(data)

    def _flush(self) -> None:
        if self._out and self._transport is not None and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()

    # being alive

    def _check(self) -> None:
        quiet = self.loop.time() - self._heard
        if quiet >= PING_SECONDS:
            self._write(frame(_PING, 0, 0, b"skiff..."))
            self._ping = self.loop.call_later(PONG_SECONDS, self._check_pong, self._heard)
        else:
            self._ping = self.loop.call_later(PING_SECONDS - quiet, self._check)

    def _check_pong(self, heard: float) -> None:
        if self._heard == heard:
            self._give_up(f"etcd did not answer a ping in {PONG_SECONDS:.0f} s")
        else:
            self._check()

    def _give_up(self, why: str) -> None:
        self.closed = True
        if self._ping is not None:
            self._ping.cancel()
        if self._transport is not None:
            self._transport.abort()
        for call in list(self._calls.values()):
            self._finish(call, Broken(why))
        while self._room:
            waiter = self._room.popleft()
            if not waiter.done():
                waiter.set_result(None)


def _unpadded(flags: int, payload: bytes) -> bytes:
    return payload[1 : len(payload) - payload[0]] if flags & _PADDED and payload else payload


def _outcome(fields: Mapping[str, str]) -> Exception | None:
    """What the last header block of a call says: None is success."""
    code = fields.get("grpc-status", "")
    if not code.isdecimal():
        return Broken(f"etcd ended a call with HTTP status {fields.get(':status', 'unknown')}")
    return CallError(int(code), unquote(fields.get("grpc-message", ""))) if int(code) else None
