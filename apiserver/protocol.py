"""The HTTP/1.1 connection: uvicorn's httptools protocol plus what ASGI has no word for. Requests are answered in `app`.

Theory of operation
-------------------
One SkiffProtocol per socket. It adds four things to uvicorn's:

* `Connection` in `scope["extensions"]["skiff"]`: the client certificate, whether the peer is gone, direct writes, the
  tunnel.
* Tunnels. A request with `Connection: Upgrade` goes through the application like any other, so that it is
  authenticated and authorized; what follows its head is kept aside. A handler then either answers normally (the
  connection ends with that answer, for nobody knows what the bytes after the head mean) or calls `take_over`, which
  hands the raw socket over: from then on bytes go to a peer protocol in both directions, with back-pressure, and HTTP
  is over on this connection.
* `ChunkWriter`: chunked responses written straight to the transport, gathered per tick of the loop. A watch delivery
  costs a list append and a share of one write, where ASGI costs a coroutine and a dict per chunk.
* Limits: heads over MAX_HEAD bytes are refused with 431 before they fill the memory, and who takes longer than
  HEAD_SECONDS over one is disconnected: it costs nothing to send half a head, and each would hold a file descriptor.

Invariants: nothing writes to a closing transport (uvloop raises); after `take_over` uvicorn's cycle counts as
complete, so that neither its keep-alive timer nor its error page touches the socket again. Refused: answering
WebSocket here and re-framing it (the two ends agree on a protocol; we need not know which), and a protocol of our own
from scratch (uvicorn's keeps pipelining, keep-alive and 100-continue right).
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

MAX_HEAD: Final = 1 << 20  # bytes; Go's http.DefaultMaxHeaderBytes
HEAD_SECONDS: Final = 32.0  # from a connection's start or a request's first byte; upstream: ReadHeaderTimeout
MAX_UNSENT: Final = 8 << 20  # bytes; a reader further behind than this is dropped
_EARLY_LIMIT: Final = 1 << 16  # bytes kept for a tunnel before anybody takes it


class Peer(Protocol):
    """The other end of a tunnel: gets the bytes that arrive here."""

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""

    def peer_lost(self) -> None:
        """The client is gone."""

    def pause_reading(self) -> None:
        """The client's socket is full: read no more on your side."""

    def resume_reading(self) -> None:
        """The client's socket has room again."""


class ChunkWriter:
    """A chunked response body, written directly; everything written within one tick of the loop leaves in one write."""

    def __init__(self, protocol: "SkiffProtocol", cycle: RequestResponseCycle) -> None:
        self._protocol = protocol
        self._cycle = cycle
        self._pending: list[bytes] = []

    @property
    def gone(self) -> bool:
        """Whether nothing can be written any more."""
        return self._protocol.transport.is_closing()

    def write(self, data: bytes) -> None:
        """Queue one chunk; a client that reads too slowly is disconnected (a watcher lists again)."""
        if not data or self.gone:
            return
        if not self._pending:
            self._protocol.loop.call_soon(self.flush)
        self._pending += (b"%x\r\n" % len(data), data, b"\r\n")

    def flush(self) -> None:
        """Write what has gathered."""
        if not self._pending or self.gone:
            self._pending.clear()
            return
        transport = self._protocol.transport
        transport.write(b"".join(self._pending))
        self._pending.clear()
        if transport.get_write_buffer_size() > MAX_UNSENT:
            transport.abort()

    async def drain(self) -> None:
        """Wait while the client's socket is full."""
        self.flush()
        if self._protocol.flow.write_paused:
            await self._protocol.flow.drain()

    def finish(self) -> None:
        """End the body; the connection can be used for the next request."""
        if self.gone:
            return
        self._pending.append(b"0\r\n\r\n")
        self.flush()
        self._protocol.complete(self._cycle)


class Connection:
    """One client connection, as filters and handlers see it."""

    def __init__(self, protocol: "SkiffProtocol") -> None:
        self._protocol = protocol
        self._certificate: tuple[Mapping[str, Any], bytes] | None = None
        self._on_lost: list[Callable[[], object]] = []
        self._on_stop: list[Callable[[], object]] = []
        self.stopping = False
        ssl_object = protocol.transport.get_extra_info("ssl_object")
        if ssl_object is not None and (der := ssl_object.getpeercert(True)):
            self._certificate = ssl_object.getpeercert(), der

    def client_certificate(self) -> tuple[Mapping[str, Any], bytes] | None:
        """The verified client certificate as ssl's dict and as DER, if the client sent one."""
        return self._certificate

    @property
    def lost(self) -> bool:
        """Whether the client is gone."""
        return self._protocol.transport.is_closing()

    def on_lost(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back when the client goes; answers a function that takes the wish back."""
        self._on_lost.append(callback)
        return lambda: self._on_lost.remove(callback) if callback in self._on_lost else None

    def on_stop(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back when the server stops: what would last for ever has to end. Answers how to take it back."""
        self._on_stop.append(callback)
        return lambda: self._on_stop.remove(callback) if callback in self._on_stop else None

    def was_lost(self) -> None:
        """The protocol says that the client is gone."""
        callbacks, self._on_lost = self._on_lost, []
        for callback in callbacks:
            callback()

    def stop(self) -> None:
        """The protocol says that the server stops."""
        self.stopping = True
        callbacks, self._on_stop = self._on_stop, []
        for callback in callbacks:
            callback()

    def start_chunked(
        self, scope: Mapping[str, Any], status: int, headers: list[tuple[bytes, bytes]]
    ) -> ChunkWriter | None:
        """Send the head of a chunked response; None where chunks cannot be sent (HTTP/1.0, HEAD, client gone)."""
        return self._protocol.start_chunked(scope["extensions"]["skiff.cycle"], status, headers)

    def respond(self, scope: Mapping[str, Any], status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> bool:
        """Send a whole answer in one write; whether it could be sent (a client that is gone needs none)."""
        return self._protocol.respond(scope["extensions"]["skiff.cycle"], status, headers, body)

    @property
    def wants_upgrade(self) -> bool:
        """Whether the request's head asked for another protocol."""
        return self._protocol.upgrading

    def take_over(self, peer: Peer) -> asyncio.Transport:
        """Leave HTTP: early bytes and all later ones go to `peer`; answers the transport to write to."""
        return self._protocol.take_over(peer)


class SkiffProtocol(HttpToolsProtocol):
    """See the module's head."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.upgrading = False
        self._peer: Peer | None = None
        self._early = bytearray()
        self._head_size = 0
        self._in_head = True
        self._head_timer: asyncio.TimerHandle | None = None
        self._extensions: dict[str, Any] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client connected."""
        super().connection_made(transport)
        self._extensions = {"skiff": Connection(self)}
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone: streams and tunnels hear of it."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()
        self._in_head = False
        self._watch_head()
        if self._peer is not None:
            self._peer.peer_lost()
        self._extensions["skiff"].was_lost()

    def shutdown(self) -> None:
        """The server stops: idle connections and tunnels close, streams end, other requests may finish."""
        super().shutdown()
        self._extensions["skiff"].stop()

    def data_received(self, data: bytes) -> None:
        """Bytes from the client: HTTP, or a tunnel's."""
        if self._peer is not None:
            self._peer.data_received(data)
        elif self.upgrading:
            self._keep_early(data)
        elif self.parser is not None:
            self._feed(data)

    def _feed(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self.upgrading = True
            if self.cycle is not None:
                self.cycle.keep_alive = False
            self._keep_early(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse()
        self._watch_head()

    def _watch_head(self) -> None:
        """A timer runs while a head is incomplete: whole requests, all but few, never start one."""
        if self._in_head and self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self.transport.close)
        elif not self._in_head and self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self) -> None:
        if self.transport.is_closing():
            return
        status = 431 if self._head_size > MAX_HEAD else 400
        head = STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n"
        self.transport.write(head)
        self.transport.close()

    def _keep_early(self, data: bytes) -> None:
        self._early += data
        if len(self._early) > _EARLY_LIMIT:
            self.flow.pause_reading()

    def on_message_begin(self) -> None:
        """A request begins: its head is counted from zero."""
        super().on_message_begin()
        self._head_size = 0
        self._in_head = True

    def on_url(self, url: bytes) -> None:
        """Part of the request line."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > MAX_HEAD:
            raise ValueError("the request's head is too large")  # the parser turns it into its own error

    def on_headers_complete(self) -> None:
        """The head is whole: the request's task is made, and will find its own cycle when it runs."""
        super().on_headers_complete()
        self._in_head = False
        self.scope["extensions"] = self._extensions | {"skiff.cycle": self.cycle}

    def start_chunked(
        self, cycle: RequestResponseCycle, status: int, headers: list[tuple[bytes, bytes]]
    ) -> ChunkWriter | None:
        """See Connection.start_chunked. `cycle` is the request's own: pipelining may have moved self.cycle on."""
        if cycle.disconnected or self.transport.is_closing():
            return None
        if cycle.scope["http_version"] != "1.1" or cycle.scope["method"] == "HEAD":
            return None
        self.transport.write(self._head(cycle, status, headers) + b"transfer-encoding: chunked\r\n\r\n")
        return ChunkWriter(self, cycle)

    def respond(
        self, cycle: RequestResponseCycle, status: int, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> bool:
        """See Connection.respond: one write is one TLS record and one system call, where ASGI makes two of each."""
        if cycle.disconnected or self.transport.is_closing():
            return False
        head = b"%bcontent-length: %d\r\n\r\n" % (self._head(cycle, status, headers), len(body))
        self.transport.write(head + body if cycle.scope["method"] != "HEAD" else head)
        self.complete(cycle)
        return True

    def _head(self, cycle: RequestResponseCycle, status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
        cycle.response_started = True
        cycle.waiting_for_100_continue = False
        lines = [STATUS_LINE[status]]
        for name, value in self.server_state.default_headers + headers:
            lines += [name, b": ", value, b"\r\n"]
        if not cycle.keep_alive:
            lines.append(b"connection: close\r\n")
        return b"".join(lines)

    def complete(self, cycle: RequestResponseCycle) -> None:
        """The response was written past uvicorn's cycle: do what it does at the end of one."""
        cycle.response_complete = True
        cycle.message_event.set()
        if not cycle.keep_alive:
            self.transport.close()
        cycle.on_response()

    def take_over(self, peer: Peer) -> asyncio.Transport:
        """See Connection.take_over."""
        self.cycle.response_started = self.cycle.response_complete = True
        self._unset_keepalive_if_required()
        self._peer = peer
        if self._early:
            peer.data_received(bytes(self._early))
            self._early.clear()
        self.flow.resume_reading()
        return self.transport

    def pause_writing(self) -> None:
        """The client's socket is full."""
        super().pause_writing()
        if self._peer is not None:
            self._peer.pause_reading()

    def resume_writing(self) -> None:
        """The client's socket has room again."""
        super().resume_writing()
        if self._peer is not None:
            self._peer.resume_reading()
