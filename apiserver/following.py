"""Keeps an index in step with a collection of the watch cache: all of it first, then each change. No index is here."""

import asyncio
import logging
from collections.abc import Callable

from apiserver.storage.cacher import Cacher
from apiserver.storage.collection import Collection, Event
from apiserver.storage.objects import Entry, Selection
from machinery.api.names import ObjectKey

logger = logging.getLogger(__name__)

#: takes in one change, decoding the object if it must; None: it is gone
Apply = Callable[[ObjectKey, Entry | None], None]


class Follower:
    """One index and the collection it follows."""

    def __init__(self, cacher: Cacher, collection: Collection, apply: Apply) -> None:
        self._cacher = cacher
        self._collection = collection
        self._apply = apply
        self._known: set[ObjectKey] = set()
        self.loaded = asyncio.Event()

    async def run(self) -> None:
        """Feed the index for ever. When the watch breaks off all is compared again, so that nothing stays behind."""
        while True:
            await self._cacher.wait_until_filled()
            watcher = self._collection.watch(Selection(), self._load())
            self.loaded.set()
            try:
                while batch := await watcher.fetch():
                    for type_, event in batch:
                        if isinstance(event, Event):
                            self._change(event.subject(type_), event.entry if type_ != "DELETED" else None)
            finally:
                self._collection.unwatch(watcher)
            logger.info("following %s anew", self._collection.schema.prefix)

    def _load(self) -> int:
        entries = list(self._collection.select(Selection()))
        present = {ObjectKey(entry.namespace, entry.name) for entry in entries}
        for key in self._known - present:
            self._apply(key, None)
        self._known &= present
        for entry in entries:
            self._change(entry, entry)
        return self._collection.changed

    def _change(self, subject: Entry, entry: Entry | None) -> None:
        key = ObjectKey(subject.namespace, subject.name)
        if entry is None:
            self._known.discard(key)
            self._apply(key, None)
        else:
            self._known.add(key)
            self._apply(key, entry)
