"""WATCH: initial events where they are asked for, then changes line by line. Who is told what is storage.collection's.

Upstream: apiserver/pkg/endpoints/handlers/watch.go, storage/cacher; KEP-3157 (streamed lists), KEP-956 (bookmarks).
"""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from apiserver.handlers import negotiation, options, rendering
from apiserver.handlers.rendering import View
from apiserver.registry.failures import told_to_clients
from apiserver.registry.store import Store
from apiserver.request import Answer, Request, StreamResponse
from apiserver.storage.collection import Bookmark, Delivery, Event, Watcher, framed
from apiserver.storage.errors import Compacted
from apiserver.storage.objects import Entry, Selection, encode, entry_of_own
from machinery.api import codec, errors, protobuf_encode
from machinery.api.codec import Json
from machinery.api.errors import FieldError, StatusError
from machinery.api.kinds import Kind

#: how long a watch lasts where the client does not say, seconds (upstream: --min-request-timeout, up to twice that)
TIMEOUT_SECONDS: Final = 1800.0
#: between two bookmarks, seconds
BOOKMARK_SECONDS: Final = 60.0
_INITIAL_EVENTS_END: Final = "k8s.io/initial-events-end"
_NOT_OLDER_THAN: Final = "NotOlderThan"
_LINES: Final = 500  # per chunk


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """What a watch asks for; `initial`: what is there already comes first."""

    selection: Selection
    revision: int
    from_any: bool
    bookmarks: bool
    initial: bool
    timeout: float


async def handle(request: Request, store: Store) -> Answer:
    """The stream. What goes wrong once it has begun is told as an ERROR event, as upstream does."""
    chosen = watch_options(request, store)
    shown = rendering.view(request, store.resource, watch=True)
    media_type = negotiation.JSON if not shown.is_protobuf else f"{negotiation.PROTOBUF};stream=watch"
    return StreamResponse(_stream(store, chosen, _Lines(shown)), content_type=media_type)


def watch_options(request: Request, store: Store) -> WatchOptions:
    """Read and check the options; raises BadRequest and Invalid."""
    options.integer(request, "limit")
    timeout = options.seconds(request, "timeoutSeconds")
    selection = options.selection(request, store.resource)
    version, match = request.param("resourceVersion"), request.param("resourceVersionMatch")
    initial = options.flag(request, "sendInitialEvents") if "sendInitialEvents" in request.query else None
    if initial is None and not match and version in ("", "0"):
        initial, match = True, _NOT_OLDER_THAN  # upstream: SetListOptionsDefaults
    _check(match, given=initial is not None, continued=bool(request.param("continue")))
    return WatchOptions(
        selection=selection,
        revision=options.parse_version(version),
        from_any=version == "0",
        bookmarks=options.flag(request, "allowWatchBookmarks"),
        initial=bool(initial),
        timeout=timeout if timeout > 0 else TIMEOUT_SECONDS * (1 + random.random()),
    )


def _check(match: str, *, given: bool, continued: bool) -> None:
    path = "resourceVersionMatch"
    problems: list[FieldError] = []
    if given and match != _NOT_OLDER_THAN:
        text = f"sendInitialEvents requires setting resourceVersionMatch to {_NOT_OLDER_THAN}"
        problems.append(errors.forbidden_field(path, text))
    if match and not given:
        text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        problems.append(errors.forbidden_field(path, text))
    if match and match != _NOT_OLDER_THAN:
        problems.append(errors.not_supported(path, match, (_NOT_OLDER_THAN,)))
    if match and continued:
        problems.append(errors.forbidden_field(path, "resourceVersionMatch is forbidden when continue is provided"))
    if problems:
        raise errors.invalid(Kind("meta.k8s.io", "v1", "ListOptions", "listoptions"), "", problems)


async def _begin(store: Store, chosen: WatchOptions) -> tuple[Watcher, list[Entry]]:
    """The watcher, and what was there when it began (nothing where it continues from a revision)."""
    cacher = store.cacher
    with told_to_clients(store.resource.kind):
        if not chosen.revision and not chosen.from_any:
            await cacher.fresh()
        elif chosen.initial:
            await cacher.wait_until(chosen.revision)
    if not chosen.initial and chosen.revision:
        return store.watch(chosen.selection, chosen.revision), []
    # no await from here on: the list and the watch meet without a gap
    watcher = store.watch(chosen.selection, cacher.revision)
    return watcher, list(store.collection.select(chosen.selection)) if chosen.initial else []


async def _stream(store: Store, chosen: WatchOptions, lines: "_Lines") -> AsyncIterator[bytes]:
    try:
        watcher, initial = await _begin(store, chosen)
    except StatusError as problem:
        yield lines.error(problem)
        return
    timers = _Timers(store, watcher, chosen)
    try:
        for start in range(0, len(initial), rendering.CHUNK):
            yield lines.added(initial[start : start + rendering.CHUNK])
            await asyncio.sleep(0)
        if chosen.initial and chosen.bookmarks:
            yield lines.bookmark(Bookmark(watcher.since, initial=True))
        del initial
        while batch := await watcher.fetch():
            for chunk in lines.chunks(batch):
                yield chunk
        if watcher.error is not None:
            yield lines.error(_told(watcher.error))
    finally:
        timers.cancel()
        store.unwatch(watcher)


class _Timers:
    """A watch's bookmarks and its end."""

    def __init__(self, store: Store, watcher: Watcher, chosen: WatchOptions) -> None:
        self._loop = asyncio.get_running_loop()
        self._store = store
        self._watcher = watcher
        self._bookmarks = chosen.bookmarks
        self._end = self._loop.call_later(chosen.timeout, self._finish)
        self._next = self._later() if chosen.bookmarks else None

    def _later(self) -> asyncio.TimerHandle:
        return self._loop.call_later(BOOKMARK_SECONDS * random.uniform(0.75, 1.0), self._bookmark)

    def _bookmark(self) -> None:
        self._watcher.bookmark(self._store.cacher.revision)
        self._next = self._later()

    def _finish(self) -> None:
        if self._bookmarks:
            self._watcher.bookmark(self._store.cacher.revision)
        self._watcher.close()

    def cancel(self) -> None:
        """No more of either."""
        self._end.cancel()
        if self._next is not None:
            self._next.cancel()


class _Lines:
    """Deliveries as lines of the stream, in the form the client asked for."""

    def __init__(self, shown: View) -> None:
        self._shown = shown
        self._plain = shown.accepted.is_plain and shown.resource.conversion is None
        self._headers = True  # a table's column definitions go with the first event only

    def added(self, entries: Sequence[Entry]) -> bytes:
        """Objects that were there already."""
        return b"".join(self._framed("ADDED", self._object(entry, entry.revision)) for entry in entries)

    def chunks(self, batch: Sequence[Delivery]) -> Iterator[bytes]:
        """A batch as one chunk, or as several if it is long."""
        for start in range(0, len(batch), _LINES):
            yield b"".join(self._line(*delivery) for delivery in batch[start : start + _LINES])

    def _line(self, type_: str, what: Event | Bookmark) -> bytes:
        if isinstance(what, Bookmark):
            return self.bookmark(what)
        if self._plain:
            return what.frame(type_)
        return self._framed(type_, self._object(what.subject(type_), what.revision))

    def _framed(self, type_: str, obj: bytes) -> bytes:
        if self._shown.is_protobuf:
            return protobuf_encode.watch_frame(type_, obj)
        return framed(type_.encode(), obj)

    def _object(self, entry: Entry, revision: int) -> bytes:
        shown = self._shown.alone(entry, revision, headers=self._headers)
        self._headers = False
        return shown

    def bookmark(self, mark: Bookmark) -> bytes:
        """An object that has a resourceVersion and nothing else."""
        kind = self._shown.resource.kind
        metadata: Json = {"creationTimestamp": None}
        if mark.initial:
            metadata["annotations"] = {_INITIAL_EVENTS_END: "true"}
        raw = encode({"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata})
        return self._framed("BOOKMARK", self._object(entry_of_own("", "", raw, mark.revision), mark.revision))

    def error(self, problem: StatusError) -> bytes:
        """The event that ends a watch badly."""
        status = problem.status()
        return self._framed("ERROR", protobuf_encode.encode(status) if self._shown.is_protobuf else codec.dumps(status))


def _told(problem: Exception) -> StatusError:
    if isinstance(problem, Compacted):
        return errors.Expired("The resourceVersion for the provided watch is too old.")
    return errors.InternalError(f"Internal error occurred: {problem}")
