"""What a controller has asked the API server for and not yet seen in its cache. Who asks is not here.

Theory of operation (upstream: pkg/controller/controller_utils.go, UIDTrackingControllerExpectations).
A controller decides from its cache, and its cache lags behind its own writes: a ReplicaSet that has just created three
pods still sees none, and would create three more. So before it writes it notes what the watch will have to show:
- a number of creations (their uids are not known before the answer, and the watch may be faster than the answer);
- the uids of deletions (a pod being deleted may be changed several times; only the first sight of its end counts).
Each sight lowers what is expected. A key is satisfied when nothing is expected any more, or when the expectation is
older than `LIFETIME`: a watch event that never came must not block a key for ever.
Invariants: never below zero; a write that failed is taken back by the writer; expectations of a key are replaced, not
added up, because a key is only worked on when it was satisfied.
Refused: waiting inside reconcile until the cache has caught up (a worker per slow key), and reading from the API server
before every decision (that is what caches are for).
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from machinery.aio.clock import REAL, Clock
from machinery.api.names import ObjectKey

LIFETIME: Final = 300.0
"""Seconds after which an expectation no longer holds a key back."""


@dataclass(slots=True)
class _Expectation:
    since: float
    creations: int = 0
    deletions: set[str] = field(default_factory=set)

    @property
    def fulfilled(self) -> bool:
        return self.creations <= 0 and not self.deletions


class Expectations:
    """Per key: creations still to be seen, and uids whose deletion is still to be seen."""

    def __init__(self, clock: Clock = REAL) -> None:
        self._clock = clock
        self._by_key: dict[ObjectKey, _Expectation] = {}

    def expect_creations(self, key: ObjectKey, count: int) -> None:
        """So many objects of this key are about to be created."""
        self._by_key[key] = _Expectation(self._clock.monotonic(), creations=count)

    def expect_deletions(self, key: ObjectKey, uids: Iterable[str]) -> None:
        """The objects with these uids are about to be deleted."""
        self._by_key[key] = _Expectation(self._clock.monotonic(), deletions=set(uids))

    def creation_observed(self, key: ObjectKey) -> None:
        """One creation was seen, or will never happen."""
        expectation = self._by_key.get(key)
        if expectation is not None and expectation.creations > 0:
            expectation.creations -= 1

    def deletion_observed(self, key: ObjectKey, uid: str) -> None:
        """The deletion of this uid was seen, or will never happen."""
        expectation = self._by_key.get(key)
        if expectation is not None:
            expectation.deletions.discard(uid)

    def satisfied(self, key: ObjectKey) -> bool:
        """Whether the cache shows what was asked for (or has had its time to)."""
        expectation = self._by_key.get(key)
        if expectation is None or expectation.fulfilled:
            return True
        return self._clock.monotonic() - expectation.since > LIFETIME

    def forget(self, key: ObjectKey) -> None:
        """The owner is gone."""
        self._by_key.pop(key, None)
