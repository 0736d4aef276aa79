"""Connections to etcd's members: endpoints, TLS, whose turn it is, gRPC's errors in storage's words. No requests."""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from apiserver.storage.errors import Compacted, FutureRevision, Refused, StorageError, Unavailable
from apiserver.storage.http2 import Broken, Call, CallError, Connection, head_block
from apiserver.storage.messages import rpc

Reply = TypeVar("Reply")

CONNECT_SECONDS: Final = 2.0  # how long a connection attempt may take, whatever the name says


@dataclass(frozen=True, slots=True)
class Method(Generic[Reply]):
    """One of etcd's calls: its path, and how its answer is read."""

    path: str
    parse: Callable[[bytes], Reply]


RANGE: Final = Method("/etcdserverpb.KV/Range", rpc.RangeResponse.FromString)
TXN: Final = Method("/etcdserverpb.KV/Txn", rpc.TxnResponse.FromString)
COMPACT: Final = Method("/etcdserverpb.KV/Compact", rpc.CompactionResponse.FromString)
LEASE_GRANT: Final = Method("/etcdserverpb.Lease/LeaseGrant", rpc.LeaseGrantResponse.FromString)
WATCH: Final = Method("/etcdserverpb.Watch/Watch", rpc.WatchResponse.FromString)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where etcd is: `--etcd-servers`, and the files of `--etcd-cafile`, `--etcd-certfile`, `--etcd-keyfile`."""

    servers: tuple[str, ...]
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


@dataclass(slots=True)
class Member:
    """One member: its address, and the connection to it while there is one. The next call replaces a broken one."""

    address: str
    tls: ssl.SSLContext | None
    _connection: Connection | None = None
    _connecting: asyncio.Task[Connection] | None = None
    _opened: list[Connection] = field(default_factory=list)  # the one in use, and those still ending their calls
    _blocks: dict[str, bytes] = field(default_factory=dict)

    async def unary(self, method: Method[Reply], request: bytes, seconds: float) -> Reply:
        """Call, wait at most so long; raises CallError and Broken."""
        call = await self._call(method.path)
        timer = call.connection.loop.call_later(seconds, call.cancel, f"no answer within {seconds:g} s")
        try:
            call.send(request, last=True)
            return method.parse(await call.reply())
        finally:
            timer.cancel()
            call.cancel()

    async def stream(self, method: Method[Any]) -> Call:
        """Begin a call of several messages, which ends when the member is cut off from the others; raises Broken."""
        return await self._call(method.path, streaming=True)

    async def close(self) -> None:
        """Close the connections there are: one that nobody waited for in the end, one that etcd was going to end."""
        task = self._connecting
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled() and task.exception() is None:
                await task.result().ended()
        for connection in self._opened:
            await connection.ended()

    async def _call(self, path: str, *, streaming: bool = False) -> Call:
        connection = self._connection
        if connection is None or connection.closed:
            connection = await self._connected()
        block = self._blocks.get(path)
        if block is None:
            metadata = {"hasleader": "true"} if streaming else {}
            block = self._blocks[path] = head_block(self._authority, path, self.tls is not None, metadata)
        return await connection.call(block, streaming=streaming)

    @property
    def _authority(self) -> str:
        parts = urlsplit(self.address)
        return "localhost" if parts.scheme.startswith("unix") else parts.netloc

    async def _connected(self) -> Connection:
        """A new connection; callers that come while one is being made share it."""
        if self._connecting is None:
            self._connecting = asyncio.create_task(self._connect(), name=f"connect to {self.address}")
        task = self._connecting
        try:
            connection = await asyncio.shield(task)
        except (OSError, TimeoutError) as problem:
            raise Broken(f"{self.address}: {problem or 'no connection in time'}", sent=False) from problem
        finally:
            if task.done() and self._connecting is task:
                self._connecting = None
        if connection is not self._connection:
            self._connection = connection
            self._opened = [*(one for one in self._opened if not one.gone), connection]
        return connection

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        parts = urlsplit(self.address)
        async with asyncio.timeout(CONNECT_SECONDS):
            if parts.scheme.startswith("unix"):
                path = parts.netloc + parts.path
                name = "localhost" if self.tls else None
                _, connection = await loop.create_unix_connection(Connection, path, ssl=self.tls, server_hostname=name)
            else:
                host = parts.hostname or "localhost"
                _, connection = await loop.create_connection(Connection, host, parts.port or 2379, ssl=self.tls)
        return connection


class Channels:
    """The members, one of which is used until it fails; then it is the next one's turn."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._members = [_member(server, endpoints) for server in endpoints.servers]
        self._turn = 0

    def member(self) -> Member:
        """The member to talk to now."""
        return self._members[self._turn]

    def failed(self, member: Member) -> None:
        """Go on to the next member, unless somebody else did already."""
        if member is self.member():
            self._turn = (self._turn + 1) % len(self._members)

    async def close(self) -> None:
        """Close all connections."""
        for member in self._members:
            await member.close()


def _member(server: str, endpoints: Endpoints) -> Member:
    address = server if "://" in server else f"http://{server}"
    if urlsplit(address).scheme not in ("https", "unixs"):
        return Member(address.rstrip("/"), None)
    context = ssl.create_default_context(cafile=endpoints.ca_file or None)
    context.set_alpn_protocols(["h2"])
    if endpoints.cert_file:
        context.load_cert_chain(endpoints.cert_file, endpoints.key_file or None)
    return Member(address.rstrip("/"), context)


#: gRPC's codes: invalid argument, not found, permission denied, resource exhausted, failed precondition,
#: unimplemented, unauthenticated
_REFUSALS: Final = frozenset((3, 5, 7, 8, 9, 12, 16))
_OUT_OF_RANGE: Final = 11


def translated(problem: CallError | Broken) -> StorageError:
    """A call's failure in storage's words. What is not clearly a refusal may have happened: unavailable."""
    if isinstance(problem, Broken):
        return Unavailable(str(problem), sent=problem.sent)
    if problem.code == _OUT_OF_RANGE:
        return FutureRevision(0, 0) if "future revision" in problem.details else Compacted()
    if problem.code in _REFUSALS:
        return Refused(problem.details)
    return Unavailable(f"code {problem.code}: {problem.details}")
