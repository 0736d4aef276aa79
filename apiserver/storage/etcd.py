"""Storage over etcd's gRPC API. Which keys there are and what the bytes mean is for the layers above.

Theory of operation
-------------------
Messages are aetcd's generated ones, the transport is our own (`http2`); aetcd's client is not used, since it has no
TLS, ignores limits and revisions of a range, drops progress responses and does not reconnect.

Writes. Every write is a transaction guarded by the key's mod revision, so it either replaces exactly what the
caller saw or answers with what is there instead. When a connection breaks between request and reply, nobody knows
whether the write happened. An update is then sent again: the guard lets only one of the attempts through. If the
repetition meets another revision, it depends: one that existed before the first attempt cannot be its work, so it
is a plain conflict; a newer one may be, and the caller hears Unavailable. (Comparing the bytes would not tell: two
writers that count up from the same state write the same bytes.) A delete is sent again as well, and finding
nothing is success. A create has no such guard against "created, then deleted by somebody else, then created again
by the repetition"; so it is never repeated once it was sent, only looked up: its bytes hold a fresh uid, so
finding them is success, and otherwise the caller hears Unavailable.

Reads are repeated until OPERATION_SECONDS are over, going round the members.

`current_revision` answers the question "what must a cache have seen to be up to date now". All callers that wait
while a read is on its way share the next read: a read that had started before the call came may be too old for it.
The list of waiters is therefore taken at the moment a read starts, and never while one is running.

Watch. One stream, resumed after the last revision that was handed on completely. A reply to a watcher that is
catching up carries the store's revision in its header and not how far its events go; so progress is taken from the
last event, and from the header only where there are no events. Fragments of one reply are put together again,
since a consumer relies on a revision not being split. Where the stream cannot be resumed (compaction), the watch
ends with Compacted and the consumer lists again.

Refused: a lock or a lease per API server (upstream needs none), retries inside gRPC (they cannot know what is
safe).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, TypeVar

from apiserver.storage import keys
from apiserver.storage.channels import COMPACT, LEASE_GRANT, RANGE, TXN, WATCH, Channels, Endpoints, Method, translated
from apiserver.storage.errors import (
    Compacted,
    FutureRevision,
    KeyExists,
    KeyNotFound,
    Refused,
    RevisionConflict,
    StorageError,
    Unavailable,
)
from apiserver.storage.http2 import Broken, Call, CallError
from apiserver.storage.interface import Change, Changes, KeyValue, Page
from apiserver.storage.leases import Leases
from apiserver.storage.messages import kv, rpc
from machinery.aio.backoff import Backoff
from machinery.aio.clock import REAL, Clock

logger = logging.getLogger(__name__)
T = TypeVar("T")

#: how long one attempt may take, and all attempts of one operation together, seconds
ATTEMPT_SECONDS: Final = 5.0
PAGE_SECONDS: Final = 30.0  # of a range, which may be hundreds of megabytes
OPERATION_SECONDS: Final = 10.0


class Etcd:
    """The Storage of a server. Use `async with connected(endpoints) as etcd`."""

    def __init__(self, channels: Channels, clock: Clock = REAL) -> None:
        self._channels = channels
        self._clock = clock
        self._leases = Leases(self._grant, clock)
        self._seen = 0  # the highest revision etcd ever answered with
        self._revision_waiters: list[asyncio.Future[int]] = []
        self._revision_wanted = asyncio.Event()

    # reads

    async def get(self, key: str) -> KeyValue | None:
        """The newest value of a key (a linearizable read), or None."""
        request = rpc.RangeRequest(key=key.encode())
        reply = await self._repeat(lambda: self._attempt(RANGE, request))
        return _key_value(reply.kvs[0]) if reply.kvs else None

    async def range(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        """The keys under a prefix in order, from `start` on; raises Compacted and FutureRevision."""
        request = rpc.RangeRequest(
            key=start.encode() if start else keys.start_of_prefix(prefix),
            range_end=keys.end_of_prefix(prefix),
            limit=limit,
            revision=revision,
        )
        try:
            reply = await self._repeat(lambda: self._attempt(RANGE, request, PAGE_SECONDS))
        except FutureRevision as problem:
            raise FutureRevision(revision, await self.current_revision()) from problem
        items = [_key_value(item) for item in reply.kvs]
        return Page(items, revision or reply.header.revision, reply.more, reply.count)

    def is_stale(self, key: str) -> bool:
        """Never: values lie here as they were written."""
        return False

    async def current_revision(self) -> int:
        """The store's revision, not older than any write acknowledged before this call began."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._revision_waiters.append(future)
        self._revision_wanted.set()
        return await future

    async def answer_revision_waiters(self) -> None:
        """The loop behind `current_revision`; for ever."""
        while True:
            await self._revision_wanted.wait()
            self._revision_wanted.clear()
            waiters, self._revision_waiters = self._revision_waiters, []
            try:
                revision = await self._read_revision()
            except StorageError as problem:
                for waiter in _still_waiting(waiters):
                    waiter.set_exception(problem)
            else:
                for waiter in _still_waiting(waiters):
                    waiter.set_result(revision)

    async def _read_revision(self) -> int:
        # count_only over a key that does not exist: nothing is read, but the reply's header is linearizable.
        request = rpc.RangeRequest(key=b"/registry", count_only=True)
        reply = await self._repeat(lambda: self._attempt(RANGE, request))
        revision: int = reply.header.revision
        return revision

    # writes

    async def create(self, key: str, value: bytes, *, ttl_seconds: int = 0) -> int:
        """Write a key that must not exist, answer its revision; raises KeyExists."""
        try:
            reply, _ = await self._write(key, 0, lambda: self._put(key, value, ttl_seconds), once=True)
        except Unavailable:
            written = await self.get(key)
            if written is None or written.value != value:
                raise
            return written.revision
        if not reply.succeeded:
            raise KeyExists(key)
        revision: int = reply.header.revision
        return revision

    async def update(self, key: str, value: bytes, revision: int, *, ttl_seconds: int = 0) -> int:
        """Replace a value that must be at `revision`; raises RevisionConflict and KeyNotFound."""
        before = self._seen
        reply, uncertain = await self._write(key, revision, lambda: self._put(key, value, ttl_seconds))
        if reply.succeeded:
            new_revision: int = reply.header.revision
            return new_revision
        current = _current(reply)
        if uncertain and (current is None or current.revision > before):
            raise Unavailable(f"{key} was written, perhaps by an attempt whose answer was lost")
        if current is None:
            raise KeyNotFound(key)
        raise RevisionConflict(current)

    async def delete(self, key: str, revision: int) -> int:
        """Remove a key that must be at `revision`; raises RevisionConflict and KeyNotFound."""
        reply, uncertain = await self._write(key, revision, lambda: _removal(key))
        current = None if reply.succeeded else _current(reply)
        if current is not None:
            raise RevisionConflict(current)
        if not reply.succeeded and not uncertain:
            raise KeyNotFound(key)
        deleted: int = reply.header.revision
        return deleted

    async def _put(self, key: str, value: bytes, ttl_seconds: int) -> Any:
        lease = await self._leases.lease_for(ttl_seconds)
        return rpc.RequestOp(request_put=rpc.PutRequest(key=key.encode(), value=value, lease=lease))

    async def _write(
        self, key: str, revision: int, operation: Callable[[], Awaitable[Any]], *, once: bool = False
    ) -> tuple[Any, bool]:
        """Run the guarded operation. The second value: an earlier attempt was sent and may have succeeded."""
        raw = key.encode()
        guard = rpc.Compare(result=rpc.Compare.EQUAL, target=rpc.Compare.MOD, key=raw, mod_revision=revision)
        look = rpc.RequestOp(request_range=rpc.RangeRequest(key=raw))
        uncertain = False

        async def attempt() -> Any:
            nonlocal uncertain
            request = rpc.TxnRequest(compare=[guard], success=[await operation()], failure=[look])
            try:
                return await self._attempt(TXN, request)
            except Unavailable as problem:
                uncertain = uncertain or problem.sent
                raise

        reply = await self._repeat(attempt, may_repeat=lambda: not (once and uncertain))
        return reply, uncertain

    async def _grant(self, ttl_seconds: int) -> int:
        request = rpc.LeaseGrantRequest(TTL=ttl_seconds)
        reply = await self._repeat(lambda: self._attempt(LEASE_GRANT, request))
        lease: int = reply.ID
        return lease

    # compaction

    async def exchange_compaction(self, version: int, revision: int) -> tuple[bool, int, int, int]:
        """Put `revision` into compact_rev_key at `version`: (succeeded, store's revision, key's version, its value)."""
        key = b"compact_rev_key"
        guard = rpc.Compare(result=rpc.Compare.EQUAL, target=rpc.Compare.VERSION, key=key, version=version)
        put = rpc.RequestOp(request_put=rpc.PutRequest(key=key, value=str(revision).encode()))
        look = rpc.RequestOp(request_range=rpc.RangeRequest(key=key))
        request = rpc.TxnRequest(compare=[guard], success=[put], failure=[look])
        reply = await self._attempt(TXN, request)
        if reply.succeeded:
            return True, reply.header.revision, version + 1, revision
        found = reply.responses[0].response_range.kvs
        if not found:
            return False, reply.header.revision, 0, 0
        return False, reply.header.revision, found[0].version, int(found[0].value)

    async def compact(self, revision: int) -> None:
        """Forget what was before `revision`; compacted already is success."""
        try:
            await self._attempt(COMPACT, rpc.CompactionRequest(revision=revision))
        except Compacted:
            logger.debug("revision %d was compacted by somebody else", revision)

    # watch

    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[Changes, None]:
        """All changes from `revision` on, across reconnects; raises Compacted when that is no longer possible."""
        backoff = Backoff(0.1, 2.0, 2.0)
        broken = False
        while True:
            try:
                async with aclosing(self._stream(prefix, revision)) as stream:
                    async for changes in stream:
                        if broken:
                            logger.info("the etcd watch goes on at revision %d", revision)
                            backoff.reset()
                            broken = False
                        revision = max(revision, changes.revision + 1)
                        yield changes
            except Unavailable as problem:
                level = logging.DEBUG if broken else logging.WARNING
                logger.log(level, "the etcd watch broke, to be resumed at revision %d: %s", revision, problem)
                broken = True
            await self._clock.sleep(backoff.next())

    async def _stream(self, prefix: str, revision: int) -> AsyncGenerator[Changes, None]:
        member = self._channels.member()
        create = rpc.WatchCreateRequest(
            key=keys.start_of_prefix(prefix),
            range_end=keys.end_of_prefix(prefix),
            start_revision=revision,
            progress_notify=True,
            fragment=True,
        )
        call: Call | None = None
        try:
            call = await member.stream(WATCH)
            call.send(rpc.WatchRequest(create_request=create).SerializeToString())
            async for changes in _assembled(call):
                yield changes
        except (CallError, Broken) as problem:
            self._channels.failed(member)
            raise translated(problem) from problem
        finally:
            if call is not None:
                call.cancel()

    # how requests are made

    async def _attempt(self, method: Method[Any], request: Any, seconds: float | None = None) -> Any:
        member = self._channels.member()
        try:
            reply = await member.unary(method, request.SerializeToString(), seconds or ATTEMPT_SECONDS)
        except (CallError, Broken) as problem:
            error = translated(problem)
            if isinstance(error, Unavailable):
                self._channels.failed(member)
            if isinstance(error, Refused) and "lease not found" in str(error):
                self._leases.forget()
                raise Unavailable(str(error), sent=False) from problem
            raise error from problem
        self._seen = max(self._seen, reply.header.revision)
        return reply

    async def _repeat(self, attempt: Callable[[], Awaitable[T]], *, may_repeat: Callable[[], bool] = lambda: True) -> T:
        deadline = self._clock.monotonic() + OPERATION_SECONDS
        backoff = Backoff(0.05, 2.0, 1.0)
        while True:
            try:
                return await attempt()
            except Unavailable:
                if not may_repeat() or self._clock.monotonic() >= deadline:
                    raise
            await self._clock.sleep(backoff.next())


@asynccontextmanager
async def connected(endpoints: Endpoints, clock: Clock = REAL) -> AsyncIterator[Etcd]:
    """An Etcd with what runs beside it. Does not wait for etcd: the first operation does."""
    channels = Channels(endpoints)
    etcd = Etcd(channels, clock)
    try:
        async with asyncio.TaskGroup() as group:
            readers = group.create_task(etcd.answer_revision_waiters(), name="etcd revision reads")
            try:
                yield etcd
            finally:
                readers.cancel()
    finally:
        await channels.close()


def _still_waiting(waiters: list[asyncio.Future[int]]) -> list[asyncio.Future[int]]:
    return [waiter for waiter in waiters if not waiter.done()]  # without those that were cancelled meanwhile


def _key_value(item: Any) -> KeyValue:
    return KeyValue(_key(item), item.value, item.mod_revision, item.create_revision)


async def _removal(key: str) -> Any:
    return rpc.RequestOp(request_delete_range=rpc.DeleteRangeRequest(key=key.encode()))


def _key(item: Any) -> str:
    key: str = item.key.decode(errors="replace")  # somebody else's may be no text; ours are ASCII
    return key


def _current(reply: Any) -> KeyValue | None:
    found = reply.responses[0].response_range.kvs
    return _key_value(found[0]) if found else None


async def _assembled(call: Call) -> AsyncIterator[Changes]:
    """The stream's replies as Changes: fragments joined, other replies left out; raises Compacted, Unavailable."""
    events: list[Any] = []
    while True:
        reply = WATCH.parse(await call.next())
        if reply.canceled:
            raise _cancelled(reply)
        events += reply.events
        if reply.fragment or reply.created:
            continue
        revision = events[-1].kv.mod_revision if events else reply.header.revision
        changes = Changes(revision, [_change(event) for event in events])
        events = []
        yield changes


def _cancelled(reply: Any) -> StorageError:
    if reply.compact_revision:
        return Compacted(reply.compact_revision)
    return Unavailable(f"etcd cancelled the watch: {reply.cancel_reason}")


def _change(event: Any) -> Change:
    item = event.kv
    value = None if event.type == kv.Event.DELETE else item.value
    return Change(_key(item), value, item.mod_revision, item.create_revision)
