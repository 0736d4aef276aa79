"""Times as the wire writes them: RFC 3339 in UTC, whole seconds (Time) or microseconds (MicroTime)."""

import re
from datetime import UTC, datetime
from typing import Final

_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION_PART: Final = re.compile(r"([0-9]*\.?[0-9]+|[0-9]+\.)(ns|us|µs|ms|s|m|h)")


def now() -> datetime:
    """The current time, aware, UTC. What decides by time takes a clock instead of calling this."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """`2026-01-02T03:04:05Z`: metav1.Time."""
    # isoformat, not strftime: the latter writes the year 1 without its zeros
    if moment.tzinfo is UTC:
        return f"{moment.isoformat(timespec='seconds')[:19]}Z"
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def micro(moment: datetime) -> str:
    """`2026-01-02T03:04:05.000000Z`: metav1.MicroTime."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse(text: str) -> datetime:
    """An aware datetime in UTC from any RFC 3339 text; nanoseconds are cut. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)


def duration(text: str) -> float:
    """Seconds of a Go duration such as `1m30s`, `500ms`, `0`; raises ValueError (upstream: time.ParseDuration)."""
    rest = text.strip().lstrip("+-")
    parts = _DURATION_PART.findall(rest)
    if rest != "0" and (not parts or "".join(number + unit for number, unit in parts) != rest):
        raise ValueError(f'time: invalid duration "{text}"')
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return -seconds if text.strip().startswith("-") else seconds
