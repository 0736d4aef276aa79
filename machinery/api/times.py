"""Times as the wire writes them: RFC 3339 in UTC, whole seconds (Time) or microseconds (MicroTime)."""

from datetime import UTC, datetime


def now() -> datetime:
    """The current time, aware, UTC. What decides by time takes a clock instead of calling this."""
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """`2026-01-02T03:04:05Z`: metav1.Time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro(moment: datetime) -> str:
    """`2026-01-02T03:04:05.000000Z`: metav1.MicroTime."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse(text: str) -> datetime:
    """An aware datetime in UTC from any RFC 3339 text; nanoseconds are cut. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)
