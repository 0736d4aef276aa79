"""The cached objects of one resource: in key order, with the recent changes and those who watch. `cacher` feeds it."""

import asyncio
import logging
from bisect import bisect_left, insort
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from apiserver.storage.errors import Compacted
from apiserver.storage.interface import KeyValue
from apiserver.storage.objects import Entry, Schema, Selection
from machinery.api.codec import Json

logger = logging.getLogger(__name__)

#: changes kept for watches that start at a revision, and their age in seconds
HISTORY_LENGTH: Final = 10_000
HISTORY_SECONDS: Final = 300.0
#: a watcher that has this many changes before it is dropped; its client lists or watches again
WATCHER_BACKLOG: Final = 10_000
#: of many who watch the same each is written to at most so often: the more there are, the more a write should carry
PACE_PER_WATCHER: Final = 100e-6  # seconds
LONGEST_PACE: Final = 0.05
_SHORTEST_PACE: Final = 0.005  # fewer than fifty do not wait at all
#: how many of the last changes keep their frames: the others are framed again by who still needs them
_FRAMED: Final = 256

_TYPES: Final = {"ADDED": b"ADDED", "MODIFIED": b"MODIFIED", "DELETED": b"DELETED"}


@dataclass(slots=True)
class Event:
    """One change of one object; an entry of None is a deletion. Framed once for all who watch."""

    revision: int
    entry: Entry | None
    previous: Entry | None
    at: float
    frames: dict[str, bytes] = field(default_factory=dict)

    def type_for(self, selection: Selection) -> str:
        """What the change is to somebody with this selection: ADDED, MODIFIED, DELETED or nothing ("")."""
        now = self.entry is not None and selection.matches(self.entry)
        before = self.previous is not None and selection.matches(self.previous)
        if now:
            return "MODIFIED" if before else "ADDED"
        return "DELETED" if before else ""

    def subject(self, type_: str) -> Entry:
        """The object to show: of a deletion (or of what left a selection) the last state that was in it."""
        entry = self.previous if type_ == "DELETED" else self.entry
        assert entry is not None
        return entry

    def frame(self, type_: str) -> bytes:
        """The line of the watch stream."""
        frame = self.frames.get(type_)
        if frame is None:
            frame = framed(_TYPES[type_], self.subject(type_).json(self.revision))
            self.frames[type_] = frame
        return frame


@dataclass(frozen=True, slots=True)
class Bookmark:
    """All changes up to `revision` were delivered; `initial` ends the initial events of a streamed list."""

    revision: int
    initial: bool = False


#: what a watcher receives: a type and the change, or ("BOOKMARK", bookmark)
Delivery = tuple[str, Event | Bookmark]


def framed(type_: bytes, obj: bytes) -> bytes:
    """One line of a watch stream."""
    return b'{"type":"%b","object":%b}\n' % (type_, obj)


class Watcher:
    """One watch: collects what it is told until somebody fetches it. Nothing here waits for a slow client."""

    def __init__(self, selection: Selection, since: int) -> None:
        self.selection = selection
        self.since = since
        self.closed = False
        self.error: Exception | None = None
        #: all who watch the same; the collection's own set
        self.company: Sized = ()
        self._waiting: list[Delivery] = []
        self._ready = asyncio.Event()
        self._next = 0.0  # on the loop's clock: not before then is more fetched

    def offer(self, type_: str, event: Event) -> None:
        """A change that concerns this watch happened; `type_` is what it is to this selection."""
        if event.revision <= self.since:
            return
        if len(self._waiting) >= WATCHER_BACKLOG:
            self.close()
            return
        self._waiting.append((type_, event))
        self._ready.set()

    def bookmark(self, revision: int) -> None:
        """Tell the client how far it is, after all it was told so far."""
        self._waiting.append(("BOOKMARK", Bookmark(revision)))
        self._ready.set()

    def close(self, error: Exception | None = None) -> None:
        """No more will come; what is waiting is still delivered, then the error if there is one."""
        self.closed = True
        self.error = self.error or error
        self._ready.set()

    def waiting(self) -> tuple[Delivery, ...]:
        """What came since the last fetch."""
        return tuple(self._waiting)

    async def fetch(self) -> list[Delivery]:
        """All that came since the last fetch, at least one; the empty list says that the watch is over."""
        while not self._waiting and not self.closed:
            self._ready.clear()
            await self._ready.wait()
        pace = min(PACE_PER_WATCHER * len(self.company), LONGEST_PACE)
        if pace >= _SHORTEST_PACE:
            await self._keep_pace(pace)
        batch, self._waiting = self._waiting, []
        return batch

    async def _keep_pace(self, pace: float) -> None:
        """What comes after a quiet time goes out at once; in a stream of changes several go together."""
        loop = asyncio.get_running_loop()
        if self._next > loop.time() and not self.closed:
            await asyncio.sleep(self._next - loop.time())
        self._next = loop.time() + pace


class Collection:
    """All objects under one prefix. Changed only by `apply`, in the order of revisions."""

    def __init__(self, schema: Schema, revision: int = 0) -> None:
        self.schema = schema
        self.changed = revision  # the revision of the last change
        self.history: deque[Event] = deque()
        self._complete_since = revision  # the history has every change after this revision
        self._entries: dict[str, Entry] = {}
        self._order: list[str] = []
        self._written: dict[str, tuple[bytes, Json]] = {}  # what this server writes now: it need not be decoded
        #: by bucket, and there by selection: what a change is to a selection is found out once for all who share it
        self._watchers: dict[tuple[str, str], dict[Selection, set[Watcher]]] = {}
        self._watched_fields: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._entries)

    # reading

    def get(self, namespace: str, name: str) -> Entry | None:
        """One object, as cached."""
        return self._entries.get(f"{namespace}/{name}" if self.schema.namespaced else name)

    def tails(self) -> list[str]:
        """The relative keys, in order."""
        return self._order

    def at(self, tail: str) -> Entry | None:
        """The object under a relative key."""
        return self._entries.get(tail)

    def select(self, selection: Selection, start: str = "") -> Iterator[Entry]:
        """The selected objects in key order, from the relative key `start` on. Not across awaits."""
        first, end = self.bounds(selection.namespace, start)
        entries, order = self._entries, self._order
        if not selection.selects:
            return (entries[order[index]] for index in range(first, end))
        return (entry for index in range(first, end) if selection.matches(entry := entries[order[index]]))

    def bounds(self, namespace: str, start: str = "") -> tuple[int, int]:
        """Where in the order a namespace's objects from `start` on begin and end."""
        if not namespace:
            return bisect_left(self._order, start) if start else 0, len(self._order)
        first = bisect_left(self._order, max(start, f"{namespace}/"))
        return first, bisect_left(self._order, f"{namespace}0", first)  # "0" follows "/"

    # changing

    def load(self, items: Iterable[KeyValue], revision: int) -> None:
        """The content anew, without a history: no watch may start before `revision`."""
        self._entries.clear()
        self._written.clear()
        self.history.clear()
        for item in items:
            entry = self.parse(item)
            if entry is not None:
                self._entries[item.key[len(self.schema.prefix) :]] = entry
        self._order = sorted(self._entries)
        self.changed = self._complete_since = revision

    @contextmanager
    def writing(self, key: str, raw: bytes, obj: Json) -> Iterator[None]:
        """While this server writes an object, which is the collection's from then on: the watch will bring it back."""
        obj["metadata"].pop("resourceVersion", None)
        self._written[key] = raw, obj
        try:
            yield
        except BaseException:
            self._written.pop(key, None)
            raise

    def parse(self, item: KeyValue) -> Entry | None:
        """An entry, or None (and a line in the log) for what cannot be read."""
        raw, obj = self._written.pop(item.key, _NOTHING_WRITTEN)
        try:
            return self.schema.entry_of(obj, item) if raw == item.value else self.schema.entry(item)
        except (ValueError, AttributeError, TypeError, LookupError) as problem:  # getters on objects of a strange shape
            logger.error("skipping %s at revision %d: %s", item.key, item.revision, problem)
            return None

    def apply(self, tail: str, entry: Entry | None, revision: int, at: float) -> None:
        """One change, at `at` seconds on the monotonic clock: remember it and tell the watchers."""
        previous = self._entries.get(tail)
        if entry is None and previous is None:
            return
        if entry is not None:
            if previous is None:
                insort(self._order, tail)
            self._entries[tail] = entry
        else:
            del self._entries[tail]
            del self._order[bisect_left(self._order, tail)]
        self.changed = revision
        event = Event(revision, entry, previous, at)
        self._remember(event)
        for selection, watchers in self._concerned(event):
            type_ = event.type_for(selection)
            if type_:
                for watcher in watchers:
                    watcher.offer(type_, event)

    def _remember(self, event: Event) -> None:
        history = self.history
        history.append(event)
        if len(history) > _FRAMED:
            history[-_FRAMED - 1].frames.clear()
        while len(history) > HISTORY_LENGTH or history[0].at < event.at - HISTORY_SECONDS:
            self._complete_since = history.popleft().revision

    # watching

    def watch(self, selection: Selection, since: int) -> Watcher:
        """A watcher for what happens after `since`, known changes first; raises Compacted when some are forgotten.

        It must be ended with `unwatch`.
        """
        if since < self._complete_since:
            raise Compacted(self._complete_since)
        watcher = Watcher(selection, since)
        for event in self._since(since):
            type_ = event.type_for(selection)
            if type_:
                watcher.offer(type_, event)
        bucket = _bucket(selection)
        company = self._watchers.setdefault(bucket, {}).setdefault(selection, set())
        company.add(watcher)
        watcher.company = company
        self._watched_fields[bucket[0]] += 1
        return watcher

    def unwatch(self, watcher: Watcher) -> None:
        """The client is gone."""
        bucket = _bucket(watcher.selection)
        selections = self._watchers.get(bucket, {})
        watchers = selections.get(watcher.selection, set())
        if watcher not in watchers:
            return
        watchers.remove(watcher)
        self._watched_fields[bucket[0]] -= 1
        if not watchers:
            del selections[watcher.selection]
        if not selections:
            del self._watchers[bucket]
            self._watched_fields += Counter()  # drops the zeros

    def watchers(self) -> list[Watcher]:
        """All of them."""
        return [one for bucket in self._watchers.values() for watchers in bucket.values() for one in watchers]

    def _since(self, revision: int) -> list[Event]:
        events: list[Event] = []
        for event in reversed(self.history):
            if event.revision <= revision:
                break
            events.append(event)
        return events[::-1]

    def _concerned(self, event: Event) -> Iterator[tuple[Selection, set[Watcher]]]:
        """Only those whose bucket the object is or was in: 5,000 kubelets each watch their own node's pods."""
        yield from self._watchers.get(_ALL, _NOBODY).items()
        sides = [side.fields for side in (event.entry, event.previous) if side is not None]
        for path in self._watched_fields:
            for value in {fields.get(path, "") for fields in sides} if path else ():
                yield from self._watchers.get((path, value), _NOBODY).items()


_NOTHING_WRITTEN: Final[tuple[bytes, Json]] = b"", {}
_ALL: Final = ("", "")
_NOBODY: Final[dict[Selection, set[Watcher]]] = {}


def _bucket(selection: Selection) -> tuple[str, str]:
    """One (field, value) that every object of the selection has, the narrowest that is known; or _ALL."""
    if selection.name:
        return "metadata.name", selection.name
    for term in selection.fields.requirements:
        if term.operator == "=":
            return term.key, next(iter(term.values))
    return ("metadata.namespace", selection.namespace) if selection.namespace else _ALL
