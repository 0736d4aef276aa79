"""What storage can answer besides a value. `registry` turns these into Status errors; nothing here knows HTTP."""

from apiserver.storage.interface import KeyValue


class StorageError(Exception):
    """The root of all that the storage layer raises."""


class KeyExists(StorageError):
    """A create met a key that is already there."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key {key} exists")
        self.key = key


class KeyNotFound(StorageError):
    """An update or a delete met no key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"key {key} not found")
        self.key = key


class RevisionConflict(StorageError):
    """The key is at another revision than the caller thought; `current` is what is there now."""

    def __init__(self, current: KeyValue) -> None:
        super().__init__(f"key {current.key} is at revision {current.revision}")
        self.current = current


class Compacted(StorageError):
    """The revision asked for is no longer kept; `oldest` is the oldest that is (0: not known)."""

    def __init__(self, oldest: int = 0) -> None:
        super().__init__(f"the revision asked for was compacted, the oldest kept is {oldest}")
        self.oldest = oldest


class FutureRevision(StorageError):
    """The revision asked for is not reached yet; `current` is where the store is."""

    def __init__(self, asked: int, current: int) -> None:
        super().__init__(f"revision {asked} is in the future, the store is at {current}")
        self.asked = asked
        self.current = current


class Unavailable(StorageError):
    """etcd did not answer in time. What was `sent` may or may not have happened."""

    def __init__(self, message: str, *, sent: bool = True) -> None:
        super().__init__(message)
        self.sent = sent


class Refused(StorageError):
    """etcd answered that it will not: no space, too large a request, no permission."""
