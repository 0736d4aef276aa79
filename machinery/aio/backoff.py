"""Exponential back-off: one delay that grows, and one per key."""

import random
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


@dataclass(slots=True)
class Backoff:
    """Delays in seconds: initial, times factor each time, at most maximum, plus up to `jitter` of itself."""

    initial: float = 0.5
    factor: float = 2.0
    maximum: float = 30.0
    jitter: float = 0.2
    _current: float = 0.0

    def next(self) -> float:
        """The delay before the next attempt."""
        self._current = min(self._current * self.factor, self.maximum) if self._current else self.initial
        return self._current * (1 + self.jitter * random.random())

    def reset(self) -> None:
        """After a success: start again from initial."""
        self._current = 0.0


class PerKeyBackoff(Generic[K]):
    """How often each key failed in a row, and the delay that follows from it."""

    def __init__(self, initial: float = 0.005, maximum: float = 1000.0) -> None:
        self._initial = initial
        self._maximum = maximum
        self._failures: dict[K, int] = {}

    def next(self, key: K) -> float:
        """The delay in seconds after one more failure (upstream: ItemExponentialFailureRateLimiter)."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        return min(self._initial * 2.0 ** min(failures, 60), self._maximum)

    def failures(self, key: K) -> int:
        """Failures in a row."""
        return self._failures.get(key, 0)

    def forget(self, key: K) -> None:
        """The key succeeded."""
        self._failures.pop(key, None)
