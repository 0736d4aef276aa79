"""Reads container logs in CRI's format: tail, since, limits, following over rotations. Finding the file is not here.

A line is `<RFC 3339 time with nanoseconds> <stdout|stderr> <F|P> <text>`; P is a part that the next line goes on with.
Upstream: pkg/kubelet/kuberuntime/logs/logs.go (and cri-client's copy).
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from machinery.aio.clock import REAL, Clock

_BLOCK: Final = 65536
_POLL: Final = 0.2


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What of a log is wanted. Counts are -1 for no limit; `since` is nanoseconds since the epoch."""

    follow: bool = False
    timestamps: bool = False
    tail: int = -1
    limit: int = -1
    since: int = 0
    stream: str = ""  # stdout, stderr, or both


def nanoseconds_of(text: str) -> int:
    """Nanoseconds since the epoch of an RFC 3339 time; raises ValueError."""
    head, dot, rest = text.partition(".")
    if not dot:
        return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1_000_000_000
    digits = rest.rstrip("Z")
    zone = "Z"
    for sign in "+-":
        if sign in digits:
            digits, _, offset = digits.partition(sign)
            zone = sign + offset
    seconds = int(datetime.fromisoformat(head + zone.replace("Z", "+00:00")).timestamp())
    return seconds * 1_000_000_000 + int(digits.ljust(9, "0")[:9])


def render(line: bytes, options: LogOptions) -> bytes:
    """What a client sees of one line: empty when it is filtered out or no log line."""
    parts = line.split(b" ", 3)
    if len(parts) < 4 or (options.stream and parts[1].decode("ascii", "replace") != options.stream):
        return b""
    if options.since and _is_before(parts[0], options.since):
        return b""
    text = parts[3]
    is_partial = parts[2].split(b":")[0] == b"P"
    if is_partial and text.endswith(b"\n"):
        text = text[:-1]
    return parts[0] + b" " + text if options.timestamps else text


def _is_before(stamp: bytes, since: int) -> bool:
    try:
        return nanoseconds_of(stamp.decode()) < since
    except ValueError:
        return False


def tail_offset(file: BinaryIO, lines: int) -> int:
    """Where the last so many lines of a file begin."""
    if lines < 0:
        return 0
    end = at = file.seek(0, os.SEEK_END)
    if lines == 0:
        return end
    found = 0
    while at > 0:
        size = min(_BLOCK, at)
        at -= size
        file.seek(at)
        block = file.read(size)
        position = len(block)
        while (position := block.rfind(b"\n", 0, position)) >= 0:
            if at + position + 1 == end:
                continue  # the newline that ends the last line
            found += 1
            if found == lines:
                return at + position + 1
    return 0


async def read_log(
    path: Path, options: LogOptions, is_running: Callable[[], Awaitable[bool]], clock: Clock = REAL
) -> AsyncIterator[bytes]:
    """The log as a client sees it; while following, until `is_running` says no. Raises OSError."""
    left = options.limit
    async for line in _lines(path, options, is_running, clock):
        text = render(line, options)
        if not text:
            continue
        if left >= 0:
            text = text[:left]
            left -= len(text)
        yield text
        if left == 0:
            return


async def _lines(
    path: Path, options: LogOptions, is_running: Callable[[], Awaitable[bool]], clock: Clock
) -> AsyncIterator[bytes]:
    file: BinaryIO = path.open("rb")
    try:
        file.seek(tail_offset(file, options.tail))
        rest = b""
        ended = False
        while True:
            block = file.read(_BLOCK)
            if block:
                *whole, rest = (rest + block).split(b"\n")
                for line in whole:
                    yield line + b"\n"
                continue
            if not options.follow or ended:
                break
            rotated = _rotated(path, file)
            if rotated is not None:
                file.close()
                file = rotated
                continue
            # Once more after the end: the last lines may have come between the read and the question.
            ended = not await is_running()
            await clock.sleep(0 if ended else _POLL)
        if rest:
            yield rest
    finally:
        file.close()


def _rotated(path: Path, file: BinaryIO) -> BinaryIO | None:
    """The new file, once the one we read was renamed away and a new one stands in its place."""
    try:
        if os.fstat(file.fileno()).st_ino == path.stat().st_ino:
            return None
        return path.open("rb")
    except FileNotFoundError:
        return None
