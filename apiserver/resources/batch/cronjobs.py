"""CronJobs (upstream: pkg/registry/batch/cronjob, pkg/apis/batch/validation). When they run is the controller's."""

import re
import zoneinfo
from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.registry.strategy import Context
from apiserver.resources.base import KindStrategy
from apiserver.resources.batch import jobs
from apiserver.resources.columns import AGE, NONE, selector_text, since, spec_of, status_of
from apiserver.resources.core.pods.defaults import fill, template_defaults
from apiserver.validation import fields, pod_warnings
from machinery.api import errors, kinds, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_POLICIES: Final = ("Allow", "Forbid", "Replace")
_LONGEST_NAME: Final = 52  # a job's name is eleven characters longer
#: robfig/cron's standard parser: name, least, most, words
_FIELDS: Final = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]),
    ("day of week", 0, 6, ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]),
)
_DESCRIPTORS: Final = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
_EVERY: Final = re.compile(r"@every ([0-9.]+(ns|us|µs|ms|s|m|h))+")


class CronJobStrategy(KindStrategy):
    """A job template on a schedule."""

    has_generation = True

    def defaults(self, obj: Json) -> None:
        """Runs may overlap; three that succeeded and one that failed are kept."""
        spec = obj.setdefault("spec", {})
        fill(spec, {"concurrencyPolicy": "Allow", "suspend": False})
        fill(spec, {"successfulJobsHistoryLimit": 3, "failedJobsHistoryLimit": 1})
        job = spec.setdefault("jobTemplate", {}).setdefault("spec", {})
        template_defaults(job.setdefault("template", {}))

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """An empty status."""
        super().prepare_for_create(obj, context)
        obj["status"] = {}

    def warnings(self, obj: Json, old: Json | None) -> list[str]:
        """Time zones within the schedule; what is odd about the template, whenever it is new."""
        spec, before = spec_of(obj), spec_of(old or {})
        found = []
        if "TZ" in (spec.get("schedule") or ""):
            found.append(
                'cannot use TZ or CRON_TZ in schedule, use timeZone instead: "spec.schedule" '
                "set with TZ or CRON_TZ is not officially supported"
            )
        template = _template(spec)
        if old is None or template != _template(before):
            found += pod_warnings.check(template.get("spec") or {}, "spec.jobTemplate.spec.template.spec")
        return found

    def check(self, obj: Json) -> list[FieldError]:
        """Schedule, time zone, policy, history, template."""
        spec = spec_of(obj)
        found = schedule_problems(spec.get("schedule") or "", "spec.schedule")
        zone = spec.get("timeZone")
        if zone is not None:
            found += _zone(zone, "spec.timeZone")
        found += fields.one_of(spec.get("concurrencyPolicy"), _POLICIES, "spec.concurrencyPolicy", needed=True)
        for name in ("startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit"):
            found += fields.non_negative(spec.get(name), f"spec.{name}")
        job, path = (spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec"
        found += jobs.check_spec(job, path)
        for name in ("manualSelector", "selector"):
            if job.get(name):
                text = "`selector` will be auto-generated"
                found.append(errors.invalid_value(f"{path}.{name}", job[name], text))
        return found

    def name_check(self, name: str) -> list[str]:
        """Shorter than others: jobs are named after it."""
        problems = names.is_dns_subdomain(name)
        return problems + ([f"must be no more than {_LONGEST_NAME} characters"] if len(name) > _LONGEST_NAME else [])


def _template(spec: Json) -> Json:
    found: Json = ((spec.get("jobTemplate") or {}).get("spec") or {}).get("template") or {}
    return found


def _zone(zone: str, path: str) -> list[FieldError]:
    if not zone:
        return [errors.invalid_value(path, zone, "timeZone must be nil or non-empty string")]
    if zone.lower() == "local":
        return [
            errors.invalid_value(
                path, zone, "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"
            )
        ]  # noqa: E501
    try:
        zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError):
        return [errors.invalid_value(path, zone, f"unknown time zone {zone}")]
    return []


def schedule_problems(schedule: str, path: str) -> list[FieldError]:
    """What is wrong with a schedule, as upstream's parser words it."""
    if not schedule:
        return [errors.required(path)]
    text = re.sub(r"^(CRON_)?TZ=\S+\s+", "", schedule)
    if text.startswith("@"):
        known = text in _DESCRIPTORS or _EVERY.fullmatch(text)
        return [] if known else [errors.invalid_value(path, schedule, f"unrecognized descriptor: {text}")]
    parts = text.split()
    if len(parts) != len(_FIELDS):
        shown = f"[{' '.join(parts)}]"
        return [errors.invalid_value(path, schedule, f"expected exactly 5 fields, found {len(parts)}: {shown}")]
    for part, (_, least, most, words) in zip(parts, _FIELDS, strict=True):
        for piece in part.split(","):
            problem = _piece_problem(piece, least, most, list(words))
            if problem:
                return [errors.invalid_value(path, schedule, problem)]
    return []


def _piece_problem(piece: str, least: int, most: int, words: list[str]) -> str:
    body, slash, step = piece.partition("/")
    low, dash, high = body.partition("-")
    if piece.count("/") > 1:
        return f"too many slashes: {piece}"
    if body.count("-") > 1:
        return f"too many hyphens: {piece}"
    if slash and not step.isdigit():
        return f'failed to parse int from {step}: strconv.Atoi: parsing "{step}": invalid syntax'
    if slash and int(step) == 0:
        return f"step of range should be a positive number: {piece}"
    if body in ("*", "?"):
        return ""
    bounds = [_number(text, words) for text in (low, high if dash else low)]
    for text, value in zip((low, high), bounds, strict=True):
        if value is None:
            return f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax'
    start, end = bounds[0] or 0, bounds[1] or 0
    if start < least:
        return f"beginning of range ({start}) below minimum ({least}): {piece}"
    if end > most:
        return f"end of range ({end}) above maximum ({most}): {piece}"
    return f"beginning of range ({start}) beyond end of range ({end}): {piece}" if start > end else ""


def _number(text: str, words: list[str]) -> int | None:
    if text.lower() in words:
        return words.index(text.lower()) + (1 if words[0] == "jan" else 0)
    return int(text) if text.isdigit() else None


def _job_template(cron_job: Json) -> Json:
    return _template(spec_of(cron_job))


def _joined(cron_job: Json, field: str) -> str:
    containers = (_job_template(cron_job).get("spec") or {}).get("containers") or ()
    return ",".join(item.get(field) or "" for item in containers)


CRON_JOBS: Final = Resource(
    kind=kinds.CRON_JOBS,
    key="cronjobs",
    strategy=CronJobStrategy(),
    short_names=("cj",),
    categories=("all",),
    columns=(
        Column("Schedule", lambda cj: spec_of(cj).get("schedule") or ""),
        Column("Timezone", lambda cj: spec_of(cj).get("timeZone") or NONE),
        Column("Suspend", lambda cj: str(bool(spec_of(cj).get("suspend")))),
        Column("Active", lambda cj: len(status_of(cj).get("active") or ()), type="integer"),
        Column(
            "Last Schedule",
            lambda cj: since(status_of(cj).get("lastScheduleTime")) if status_of(cj).get("lastScheduleTime") else NONE,
        ),  # noqa: E501
        AGE,
        Column("Containers", lambda cj: _joined(cj, "name"), priority=1),
        Column("Images", lambda cj: _joined(cj, "image"), priority=1),
        Column(
            "Selector",
            lambda cj: selector_text(((spec_of(cj).get("jobTemplate") or {}).get("spec") or {}).get("selector")),
            priority=1,
        ),
    ),
    subresources=("status",),
)
