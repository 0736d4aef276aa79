"""The words and layouts all descriptions share: labels, times, ages, events. Lines carry tabs; `layout` makes columns.

Upstream: kubectl/pkg/describe/describe.go, for all of this package; people and scripts know these labels.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from kubectl.apply.last_applied import ANNOTATION
from kubectl.printers.tabwriter import TabWriter
from machinery.api import meta, times
from machinery.api.codec import Json
from machinery.api.selectors import LabelSelector

NONE: Final = "<none>"
UNSET: Final = "<unset>"
UNKNOWN: Final = "<unknown>"
_LONGEST_ANNOTATION: Final = 140
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def layout(lines: Iterable[str]) -> str:
    """The whole text, columns two spaces apart."""
    return TabWriter(padding=2).layout("".join(f"{line}\n" for line in lines))


def labels(title: str, values: Mapping[str, str] | None) -> Iterator[str]:
    """`Labels:  a=b`, one to a line, sorted."""
    pairs = [f"{key}={value}" for key, value in sorted((values or {}).items())]
    yield from column(title, pairs)


def column(title: str, values: Sequence[str]) -> Iterator[str]:
    """A title and its values under each other; `<none>` when there are none."""
    yield f"{title}:\t{values[0] if values else NONE}"
    yield from (f"\t{value}" for value in values[1:])


def annotations(title: str, values: Mapping[str, str] | None) -> Iterator[str]:
    """Sorted, without what `apply` remembers; long ones on lines of their own, cut."""
    lines: list[str] = []
    for key, given in sorted((values or {}).items()):
        value = given.removesuffix("\n")
        if key == ANNOTATION:
            continue
        if len(key) + len(value) + 2 > _LONGEST_ANNOTATION or "\n" in value:
            lines.append(f"{key}:")
            lines += [f"  {_cut(line)}" for line in value.split("\n")]
        else:
            lines.append(f"{key}: {value}")
    yield from column(title, lines)


def _cut(line: str) -> str:
    return line[: _LONGEST_ANNOTATION - 2] + "..." if len(line) > _LONGEST_ANNOTATION - 2 else line


def head(obj: Json, *, namespaced: bool = True) -> Iterator[str]:
    """Name, namespace, labels, annotations: how most descriptions begin."""
    yield f"Name:\t{meta.name_of(obj)}"
    if namespaced:
        yield f"Namespace:\t{meta.namespace_of(obj)}"
    yield from labels("Labels", meta.labels_of(obj))
    yield from annotations("Annotations", meta.annotations_of(obj))


def controlled_by(obj: Json) -> Iterator[str]:
    """The line about the managing controller, if there is one."""
    if owner := meta.controller_of(obj):
        yield f"Controlled By:\t{owner['kind']}/{owner['name']}"


def selector(given: Json | None) -> str:
    """A label selector as text."""
    return str(LabelSelector.from_dict(given)) or NONE


def joined_labels(values: Mapping[str, str] | None) -> str:
    """`a=b,c=d`, or `<none>`."""
    return ",".join(f"{key}={value}" for key, value in sorted((values or {}).items())) or NONE


def yes_no(value: Any) -> str:
    """True or False, as Python and upstream both write it."""
    return "True" if value else "False"


def lower(value: Any) -> str:
    """true or false, as Go prints a boolean."""
    return "true" if value else "false"


def moment(text: str | None) -> str:
    """`Mon, 02 Jan 2006 15:04:05 +0000` in local time, without the locale's names."""
    if not text:
        return "Mon, 01 Jan 0001 00:00:00 +0000"
    when = times.parse(text).astimezone()
    date = f"{_DAYS[when.weekday()]}, {when.day:02} {_MONTHS[when.month - 1]} {when.year}"
    return f"{date} {when:%H:%M:%S %z}"


def age(text: str | None, now: datetime) -> str:
    """How long ago, in upstream's short form: `5s`, `3m20s`, `2d`."""
    return human_duration((now - times.parse(text)).total_seconds()) if text else UNKNOWN


def human_duration(seconds: float) -> str:
    """Two significant units at most (upstream: apimachinery/pkg/util/duration/duration.go)."""
    if seconds < 0:
        return "0s" if seconds >= -1 else "<invalid>"
    whole = int(seconds)
    if whole < 120:
        return f"{whole}s"
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if minutes < 10:
        return _two(minutes, "m", whole % 60, "s")
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if hours < 192:
        return _two(days, "d", hours % 24, "h")
    if days < 730:
        return f"{days}d"
    years = days // 365
    return _two(years, "y", days % 365, "d") if years < 8 else f"{years}y"


def _two(large: int, unit: str, small: int, small_unit: str) -> str:
    return f"{large}{unit}{small}{small_unit}" if small else f"{large}{unit}"


def conditions(status: Json) -> Iterator[str]:
    """Type, status and reason, as workloads show them."""
    if found := status.get("conditions"):
        yield from ("Conditions:", "  Type\tStatus\tReason", "  ----\t------\t------")
        for one in found:
            yield f"  {one.get('type')} \t{one.get('status')}\t{one.get('reason', '')}"


def events(found: list[Json] | None, now: datetime) -> Iterator[str]:
    """The Events section; nothing when events were not wanted."""
    if found is None:
        return
    if not found:
        yield f"Events:\t{NONE}"
        return
    yield from ("Events:", "  Type\tReason\tAge\tFrom\tMessage", "  ----\t------\t----\t----\t-------")
    for event in sorted(found, key=_event_time):
        source = (event.get("source") or {}).get("component") or event.get("reportingComponent") or ""
        message = (event.get("message") or "").strip()
        yield f"  {event.get('type', '')}\t{event.get('reason', '')}\t{_interval(event, now)}\t{source}\t{message}"


def _event_time(event: Json) -> str:
    series = event.get("series") or {}
    last = series.get("lastObservedTime") or event.get("lastTimestamp")
    return last or event.get("eventTime") or event.get("firstTimestamp") or ""


def _interval(event: Json, now: datetime) -> str:
    first = age(event.get("eventTime") or event.get("firstTimestamp"), now)
    if series := event.get("series"):
        return f"{age(series.get('lastObservedTime'), now)} (x{series.get('count', 0)} over {first})"
    if (event.get("count") or 0) > 1:
        return f"{age(event.get('lastTimestamp'), now)} (x{event['count']} over {first})"
    return first
