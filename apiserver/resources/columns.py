"""Table cells that kinds share, as upstream prints them. How a Table is built from them is handlers/table.

Upstream: pkg/printers/internalversion/printers.go, apimachinery/pkg/util/duration. Cells that show an age ask
`clock`; a test replaces it with `set_clock`.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from apiserver.registry.resource import Column
from machinery.api import meta, selectors, times
from machinery.api.codec import Json

NONE: Final = "<none>"
UNKNOWN: Final = "<unknown>"
UNSET: Final = "<unset>"

_clock: Callable[[], datetime] = times.now


def set_clock(clock: Callable[[], datetime]) -> None:
    """Replace what ages are counted from (tests)."""
    global _clock
    _clock = clock


_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR
_YEAR: Final = 365 * _DAY
#: below the limit: unit, its letter, the smaller unit shown beside it and its letter (upstream: duration.HumanDuration)
_STEPS: Final = (
    (2 * _MINUTE, 1, "s", 0, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 0, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (2 * _DAY, _HOUR, "h", 0, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", 0, ""),
    (8 * _YEAR, _YEAR, "y", _DAY, "d"),
)


def human_duration(seconds: float) -> str:
    """`5s`, `3m20s`, `47h`, `2d4h`, `400d`: two significant units at most."""
    whole = int(seconds)
    if whole < 0:
        return "0s" if whole >= -1 else "<invalid>"
    for limit, unit, letter, small, small_letter in _STEPS:
        if whole < limit:
            rest = whole % unit // small if small else 0
            return f"{whole // unit}{letter}" + (f"{rest}{small_letter}" if rest else "")
    return f"{whole // _YEAR}y"


def since(moment: str | None) -> str:
    """The age of a wire timestamp; `<unknown>` for none."""
    if not moment:
        return UNKNOWN
    return human_duration((_clock() - times.parse(moment)).total_seconds())


def or_none(value: Any) -> Any:
    """The value, or `<none>` where it is empty."""
    return value or NONE


def joined(values: Iterable[str], *, empty: str = NONE) -> str:
    """Comma-separated, `<none>` where there is nothing."""
    return ",".join(values) or empty


def first_of(values: list[str], *, limit: int = 3, empty: str = NONE) -> str:
    """The first few, and how many more there are."""
    more = f" + {len(values) - limit} more..." if len(values) > limit else ""
    return joined(values[:limit], empty=empty) + more


def labels_text(labels: Mapping[str, str] | None) -> str:
    """`a=b,c=d` sorted by key, `<none>` where there are none."""
    return joined(f"{key}={value}" for key, value in sorted((labels or {}).items()))


def selector_text(selector: Json | None) -> str:
    """A LabelSelector as text, `<none>` for an empty one."""
    return str(selectors.LabelSelector.from_dict(selector or {})) or NONE


def spec_of(obj: Json) -> Json:
    """`spec`, or an empty dict."""
    spec: Json = obj.get("spec") or {}
    return spec


def status_of(obj: Json) -> Json:
    """`status`, or an empty dict."""
    status: Json = obj.get("status") or {}
    return status


def count_of(field: str) -> Callable[[Json], int]:
    """A cell with a number from `status`, 0 where it is absent."""
    return lambda obj: int(status_of(obj).get(field) or 0)


def _template_containers(obj: Json) -> list[Json]:
    template = spec_of(obj).get("template") or {}
    containers: list[Json] = (template.get("spec") or {}).get("containers") or []
    return containers


AGE: Final = Column(
    "Age",
    lambda obj: since(meta.metadata_of(obj).get("creationTimestamp")),
    description="CreationTimestamp is a timestamp representing the server time when this object was created.",
)
CREATED_AT: Final = Column("Created At", lambda obj: meta.metadata_of(obj).get("creationTimestamp"), type="date")
#: what workloads show of their template with -o wide
TEMPLATE_COLUMNS: Final = (
    Column("Containers", lambda obj: ",".join(item["name"] for item in _template_containers(obj)), priority=1),
    Column("Images", lambda obj: ",".join(item.get("image", "") for item in _template_containers(obj)), priority=1),
    Column("Selector", lambda obj: selector_text(spec_of(obj).get("selector")), priority=1),
)
