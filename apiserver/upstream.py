"""Connections to kubelets and pods: TLS, tunnels, streamed answers. Who asks is handlers.connect and handlers.proxy.

Theory of operation of a tunnel: the client's socket (left by HTTP, see `protocol`) and a new socket to the kubelet
become each other's peer. The request's head is written anew, with the kubelet's path and the client's own headers;
after it every byte is passed on as it comes, the kubelet's answer with its 101 included. Each side's full socket
stops the reading of the other.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final, Protocol
from urllib.parse import urlencode

import httpx

from machinery.api.codec import Json

logger = logging.getLogger(__name__)

KUBELET_PORT: Final = 10250
DIAL_SECONDS: Final = 10.0
#: headers that are for this hop only, or are credentials for this server
_NOT_FORWARDED: Final = frozenset((b"host", b"authorization", b"content-length", b"transfer-encoding", b"expect"))
_IMPERSONATION: Final = b"impersonate-"


class Unreachable(Exception):
    """The kubelet cannot be dialled; the text is as Go's dialler would say it."""


class NoAddress(Exception):
    """The node has no address of the preferred types."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str
    port: int
    scheme: str = "https"
    #: kubelets are shown the server's client certificate and are verified; pods' servers are neither
    is_kubelet: bool = True

    @property
    def authority(self) -> str:
        """`host:port`, IPv6 in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class KubeletTLS:
    """Files in PEM; without a CA the kubelet's certificate is not verified, as upstream does by default."""

    certificate: str = ""
    key: str = ""
    ca: str = ""

    def context(self) -> ssl.SSLContext:
        """A client context."""
        if self.ca:
            context = ssl.create_default_context(cafile=self.ca)
        else:  # not the default context, which reads a hundred authorities that nobody would ask
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            context.load_cert_chain(self.certificate, self.key or None)
        return context


class ClientSide(Protocol):
    """The client's connection, ready to leave HTTP (protocol.Connection)."""

    def take_over(self, peer: "Splice") -> asyncio.Transport:
        """Bytes from the client go to `peer` from now on; answers the transport towards the client."""


class Leaving(Protocol):
    """A client's connection that tells when the client goes (protocol.Connection)."""

    def on_lost(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call back then; answers how to take the wish back."""


@contextmanager
def while_there(client: Leaving) -> Iterator[None]:
    """Within: a client that goes away cancels the task. Nobody would wait for an answer that may never come."""
    task = asyncio.current_task()
    assert task is not None
    forget = client.on_lost(task.cancel)
    try:
        yield
    finally:
        forget()


class Splice:
    """The kubelet's side of a tunnel."""

    def __init__(self) -> None:
        self.ended = asyncio.get_running_loop().create_future()
        self._kubelet: asyncio.Transport | None = None
        self._client: asyncio.Transport | None = None

    def connect(self, kubelet: asyncio.Transport, client: ClientSide, head: bytes) -> None:
        """Start to pass bytes on, the request's head first."""
        self._kubelet = kubelet
        kubelet.write(head)
        self._client = client.take_over(self)
        if self._client.is_closing():
            self.peer_lost()

    # the client's bytes

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self._kubelet is not None and not self._kubelet.is_closing():
            self._kubelet.write(data)

    def peer_lost(self) -> None:
        """The client is gone."""
        if self._kubelet is not None and not self._kubelet.is_closing():
            self._kubelet.close()
        self.end()

    def pause_reading(self) -> None:
        """The client's socket is full."""
        if self._kubelet is not None and not self._kubelet.is_closing():
            self._kubelet.pause_reading()

    def resume_reading(self) -> None:
        """The client's socket has room."""
        if self._kubelet is not None and not self._kubelet.is_closing():
            self._kubelet.resume_reading()

    # the kubelet's bytes

    def from_kubelet(self, data: bytes) -> None:
        """Bytes from the kubelet."""
        if self._client is not None and not self._client.is_closing():
            self._client.write(data)

    def kubelet_lost(self) -> None:
        """The kubelet is gone: what is under way to the client still arrives."""
        if self._client is not None and not self._client.is_closing():
            self._client.close()
        self.end()

    def client_reading(self, wanted: bool) -> None:
        """Read from the client, or stop: the kubelet's socket is full."""
        if self._client is None or self._client.is_closing():
            return
        if wanted:
            self._client.resume_reading()
        else:
            self._client.pause_reading()

    def end(self) -> None:
        """The tunnel is over."""
        if not self.ended.done():
            self.ended.set_result(None)


class _KubeletProtocol(asyncio.Protocol):
    """The socket towards the kubelet; everything is the splice's."""

    def __init__(self, splice: Splice) -> None:
        self._splice = splice

    def data_received(self, data: bytes) -> None:
        self._splice.from_kubelet(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._splice.kubelet_lost()

    def pause_writing(self) -> None:
        self._splice.client_reading(False)

    def resume_writing(self) -> None:
        self._splice.client_reading(True)


class Kubelets:
    """All kubelets, as this server reaches them."""

    def __init__(self, tls: KubeletTLS, address_types: Sequence[str], port: int = KUBELET_PORT) -> None:
        self._tls = tls.context()
        self._address_types = address_types
        self._port = port
        self._foreign_tls = KubeletTLS().context()
        self._http = _client(self._tls)
        self._foreign = _client(self._foreign_tls)

    async def close(self) -> None:
        """Give the kept connections back."""
        await self._http.aclose()
        await self._foreign.aclose()

    def address_of(self, node: Json) -> Address:
        """Where the node's kubelet listens; raises NoAddress (upstream: pkg/util/node.GetPreferredNodeAddress)."""
        status = node.get("status") or {}
        endpoint = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or self._port
        for wanted in self._address_types:
            for address in status.get("addresses") or ():
                if address.get("type") == wanted and address.get("address"):
                    return Address(address["address"], endpoint)
        raise NoAddress(f"no preferred addresses found; known addresses: {status.get('addresses') or []}")

    async def tunnel(self, address: Address, head: bytes, client: ClientSide) -> None:
        """Dial, hand the client over, and wait until either side is done; raises Unreachable before the hand-over."""
        splice = Splice()
        context = self._tls if address.is_kubelet else self._foreign_tls
        tls = context if address.scheme == "https" else None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(DIAL_SECONDS):
                transport, _ = await loop.create_connection(
                    lambda: _KubeletProtocol(splice), address.host, address.port, ssl=tls
                )
        except (OSError, TimeoutError) as problem:
            raise Unreachable(_dial_text(address, problem)) from problem
        splice.connect(transport, client, head)
        await splice.ended

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        url: str,
        headers: Iterable[tuple[bytes, bytes]] = (),
        body: AsyncIterator[bytes] | None = None,
        *,
        ours: bool = True,
    ) -> AsyncIterator[httpx.Response]:
        """An answer whose body is read by the caller; `ours`: it is a kubelet's. Raises Unreachable."""
        client = self._http if ours else self._foreign
        request = client.build_request(method, url, headers=list(headers), content=body)
        try:
            response = await client.send(request, stream=True)
        except httpx.TransportError as problem:
            raise Unreachable(f'{method.capitalize()} "{url}": {_reason(problem)}') from problem
        try:
            yield response
        finally:
            await response.aclose()


def _client(tls: ssl.SSLContext) -> httpx.AsyncClient:
    """A client that adds nothing of its own to a request, and follows as many logs as there are."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
    timeout = httpx.Timeout(DIAL_SECONDS, read=None, write=None)
    client = httpx.AsyncClient(verify=tls, timeout=timeout, limits=limits, trust_env=False)
    client.headers.clear()
    return client


async def chunks_of(answer: httpx.Response, stack: AsyncExitStack, *, raw: bool = False) -> AsyncIterator[bytes]:
    """An answer's body as it comes, `raw` in its content encoding; `stack` is closed at the end of it."""
    async with stack:
        try:
            async for chunk in answer.aiter_raw() if raw else answer.aiter_bytes():
                yield chunk
        except httpx.TransportError as problem:
            logger.info("the stream from %s broke off: %s", answer.url, problem)


def forwarded(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The client's headers as they may go on to another server: without credentials and hop-by-hop ones."""
    return [
        (name, value) for name, value in headers if name not in _NOT_FORWARDED and not name.startswith(_IMPERSONATION)
    ]


def tunnel_head(method: str, address: Address, target: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The head of a request that asks for an upgrade: the client's method and headers, the kubelet's path."""
    lines = [f"{method} {target} HTTP/1.1\r\nhost: {address.authority}\r\n".encode()]
    lines += [name + b": " + value + b"\r\n" for name, value in _without_tokens(forwarded(headers))]
    if method in ("POST", "PUT"):
        lines.append(b"content-length: 0\r\n")
    return b"".join([*lines, b"\r\n"])


def _without_tokens(headers: Iterable[tuple[bytes, bytes]]) -> Iterable[tuple[bytes, bytes]]:
    """A WebSocket may carry its bearer token as a subprotocol: it ends here."""
    for name, value in headers:
        if name == b"sec-websocket-protocol":
            kept = [part for part in value.split(b",") if not part.strip().startswith(b"base64url.bearer.")]
            value = b",".join(kept).strip()
        yield name, value


def target_of(path: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Path and query of a request."""
    query = urlencode(list(parameters))
    return f"{path}?{query}" if query else path


def _dial_text(address: Address, problem: Exception) -> str:
    return f"dial tcp {address.authority}: {_reason(problem)}"


def _reason(problem: BaseException) -> str:
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, ConnectionRefusedError):
            return "connect: connection refused"
        cause = cause.__cause__ or cause.__context__
    if isinstance(problem, TimeoutError | httpx.TimeoutException):
        return "i/o timeout"
    return str(problem) or type(problem).__name__
