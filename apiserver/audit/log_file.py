"""Audit events as JSON lines in a file that is rotated by size, or on standard output for `-`.

Upstream: apiserver/plugin/pkg/audit/log, which rotates with lumberjack; so do names and limits here.
"""

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import IO, Final

from machinery.aio.clock import REAL, Clock
from machinery.api import codec
from machinery.api.codec import Json

logger = logging.getLogger(__name__)

_MEGABYTE: Final = 1 << 20
_DEFAULT_MEGABYTES: Final = 100
_STAMP: Final = "%Y-%m-%dT%H-%M-%S.%f"


@dataclass(frozen=True, slots=True)
class Limits:
    """--audit-log-maxsize (megabytes; 0: 100), -maxbackup (files; 0: all), -maxage (days; 0: for ever)."""

    megabytes: int = 0
    backups: int = 0
    days: int = 0


class LogFile:
    """Where events go. Each is written and flushed before its request goes on: what happened is in the log."""

    def __init__(self, path: str, limits: Limits, clock: Clock = REAL) -> None:
        self._path = None if path == "-" else Path(path)
        self._limits = limits
        self._clock = clock
        self._most = (limits.megabytes or _DEFAULT_MEGABYTES) * _MEGABYTE
        self._file: IO[bytes] = sys.stdout.buffer if self._path is None else self._open(self._path)
        self._size = 0 if self._path is None else self._path.stat().st_size

    def write(self, events: Sequence[Json]) -> None:
        """Add events; a disk that is full costs events, not requests, and is logged."""
        data = b"".join(codec.dumps(event) + b"\n" for event in events)
        try:
            if self._path is not None and self._size and self._size + len(data) > self._most:
                self._rotate(self._path)
            self._file.write(data)
            self._file.flush()
            self._size += len(data)
        except OSError as problem:
            logger.error("%d audit events could not be written: %s", len(events), problem)

    def close(self) -> None:
        """No more will come."""
        if self._path is not None:
            self._file.close()

    def _open(self, path: Path) -> IO[bytes]:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "ab")  # noqa: SIM115 - stays open
        path.chmod(0o600)
        return file

    def _rotate(self, path: Path) -> None:
        self._file.close()
        path.rename(path.with_name(f"{path.stem}-{self._clock.now().strftime(_STAMP)[:-3]}{path.suffix}"))
        self._file, self._size = self._open(path), 0
        for old in self._superfluous(path):
            old.unlink(missing_ok=True)

    def _superfluous(self, path: Path) -> list[Path]:
        found = sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"), reverse=True)
        stamped = [(old, moment) for old in found if (moment := self._moment(path, old)) is not None]
        too_many = [old for old, _ in stamped[self._limits.backups :]] if self._limits.backups else []
        oldest = self._clock.now().replace(tzinfo=None) - timedelta(days=self._limits.days)
        too_old = [old for old, moment in stamped if moment < oldest] if self._limits.days else []
        return list(dict.fromkeys([*too_many, *too_old]))

    def _moment(self, path: Path, old: Path) -> datetime | None:
        """When a file was set aside, by its name; None for what is not one of ours."""
        try:
            return datetime.strptime(old.stem.removeprefix(f"{path.stem}-"), _STAMP)
        except ValueError:
            return None
