"""What a Job's status may say, and how it may go on (upstream: validateJobStatus, ValidateJobStatusUpdate).

Most rules are applied where what they look at changes (upstream: getStatusValidationOptions): what was wrong before, or
became so by a change of the spec, hinders no other update.
"""

from collections.abc import Iterable
from typing import Final

from apiserver.validation import fields, job_indexes
from machinery.api import errors, times
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_COUNTS: Final = ("active", "succeeded", "failed", "ready", "terminating")
_PATH: Final = "status.conditions"
_UNCOUNTED: Final = "status.uncountedTerminatedPods"
_FINAL: Final = ("Failed", "Complete", "FailureTarget")
_LATE: Final = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions"
_WITHOUT_CRITERIA: Final = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True"
_NOT_COMPLETE: Final = "cannot set completionTime when there is no Complete=True condition"


class _Step:
    """A status and the one before: which conditions are true in each, and what changes."""

    def __init__(self, status: Json, before: Json) -> None:
        self.status = status
        self.before = before
        self.true = _true(status)
        self.was_true = _true(before)
        self.is_finished = not self.true.isdisjoint(("Complete", "Failed"))

    def turns(self, *conditions: str) -> bool:
        """Whether one of the conditions becomes true or untrue."""
        return any((name in self.true) != (name in self.was_true) for name in conditions)

    def finishes(self) -> bool:
        """Whether the job ends with this, or would be running again."""
        return self.is_finished == self.was_true.isdisjoint(("Complete", "Failed"))

    def changes(self, *names: str) -> bool:
        """Whether one of the fields does; none at all is as good as 0 or empty."""
        return any((self.status.get(name) or None) != (self.before.get(name) or None) for name in names)


def _true(status: Json) -> set[str]:
    return {item.get("type") or "" for item in status.get("conditions") or () if item.get("status") == "True"}


def check(spec: Json, status: Json, before: Json) -> list[FieldError]:
    """Counts, conditions, times and indexes, by themselves and against those before."""
    step = _Step(status, before)
    found = [error for name in _COUNTS for error in fields.non_negative(status.get(name), f"status.{name}")]
    if status.get("uncountedTerminatedPods"):
        found += _uncounted(status["uncountedTerminatedPods"])
    found += _told(_contradictions(step, spec))
    found += _completion_time(step)
    if step.is_finished:
        found += _finished(step)
    found += _indexes(spec, step)
    ready = status.get("ready")
    if ready is not None and ready > (status.get("active") or 0) and step.changes("ready", "active"):
        found.append(errors.invalid_value("status.ready", ready, "cannot set more ready pods than active"))
    return found + _told(_taken_back(step)) + _counted_down(spec, step) + _other_times(spec, step)


def _told(texts: Iterable[str]) -> list[FieldError]:
    """Upstream does not show the conditions that it complains about."""
    return [errors.invalid_without_value(_PATH, text) for text in texts]


def _uncounted(pods: Json) -> list[FieldError]:
    """Each pod's uid once, among those that failed or those that succeeded."""
    found: list[FieldError] = []
    seen: set[str] = set()
    for name in ("succeeded", "failed"):
        for uid, at in fields.each(pods.get(name), f"{_UNCOUNTED}.{name}"):
            if not uid:
                found.append(errors.invalid_value(at, uid, "must not be empty"))
            elif uid in seen:
                found.append(errors.duplicate(at, uid))
            seen.add(uid)
    return found


def _contradictions(step: _Step, spec: Json) -> Iterable[str]:
    """Conditions that do not go together, or not without another."""
    true = step.true
    if step.turns("Complete", "Failed") and {"Complete", "Failed"} <= true:
        yield "cannot set Complete=True and Failed=true conditions"
    if step.turns("Complete", "FailureTarget") and {"Complete", "FailureTarget"} <= true:
        yield "cannot set Complete=True and FailureTarget=true conditions"
    failed_indexes = step.status.get("failedIndexes") != step.before.get("failedIndexes")
    if (step.turns("Failed") or failed_indexes) and "Failed" in true and "FailureTarget" not in true:
        yield "cannot set Failed=True condition without the FailureTarget=true condition"
    is_met = "SuccessCriteriaMet" in true
    if step.turns("Complete", "SuccessCriteriaMet") and "Complete" in true and not is_met:
        yield "cannot set Complete=True condition without the SuccessCriteriaMet=true condition"
    for other in ("Failed", "FailureTarget"):
        if is_met and other in true:
            yield f"cannot set SuccessCriteriaMet=True and {other}=true conditions"
    if spec.get("successPolicy") is not None and "Complete" in true and not is_met:
        yield _WITHOUT_CRITERIA


def _completion_time(step: _Step) -> list[FieldError]:
    """A complete job has one, no other has, and it is not before the job began."""
    path, began, ended = "status.completionTime", step.status.get("startTime"), step.status.get("completionTime")
    found: list[FieldError] = []
    if step.turns("Complete") or step.changes("completionTime"):
        if ended and "Complete" not in step.true:
            found.append(errors.invalid_value(path, ended, _NOT_COMPLETE))
        elif not ended and "Complete" in step.true:
            found.append(errors.required(path, "completionTime is required for Complete jobs"))
    if began and ended and step.changes("startTime", "completionTime") and times.parse(ended) < times.parse(began):
        found.append(errors.invalid_value(path, ended, "must be equal to or after `startTime`"))
    return found


def _finished(step: _Step) -> list[FieldError]:
    """Nothing of a finished job runs or is still to be counted."""
    status = step.status
    found: list[FieldError] = []
    for name in ("active", "terminating"):
        if (status.get(name) or 0) > 0 and (step.finishes() or step.changes(name)):
            text = f"{name}>0 is invalid for finished job"
            found.append(errors.invalid_value(f"status.{name}", status[name], text))
    if not status.get("startTime") and (step.finishes() or step.changes("startTime")):
        found.append(errors.required("status.startTime", "startTime is required for finished job"))
    pods = status.get("uncountedTerminatedPods") or {}
    if (pods.get("failed") or pods.get("succeeded")) and (step.finishes() or step.changes("uncountedTerminatedPods")):
        found.append(errors.invalid_value(_UNCOUNTED, pods, "must be empty for finished job"))
    return found


def _taken_back(step: _Step) -> Iterable[str]:
    """Verdicts that stay, and one that comes too late."""
    for name in _FINAL:
        if name in step.was_true and name not in step.true:
            yield f"cannot disable the terminal {name}=True condition"
    if not step.turns("SuccessCriteriaMet"):
        return
    if "SuccessCriteriaMet" not in step.true:
        yield "cannot disable the SuccessCriteriaMet=True condition"
    elif "Complete" in step.was_true:
        yield _LATE


def _counted_down(spec: Json, step: _Step) -> list[FieldError]:
    """Pods that ended have ended, but for those of indexes that a smaller job no longer has."""
    is_elastic = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    return [
        errors.invalid_value(f"status.{name}", step.status.get(name) or 0, f"cannot decrease the {name} counter")
        for name in ("failed", *(() if is_elastic else ("succeeded",)))
        if (step.status.get(name) or 0) < (step.before.get(name) or 0)
    ]


def _other_times(spec: Json, step: _Step) -> list[FieldError]:
    """Times are told once; only what is suspended begins anew."""
    found: list[FieldError] = []
    began, ended = step.before.get("startTime"), step.before.get("completionTime")
    if ended and step.status.get("completionTime") not in (None, "", ended):
        found.append(errors.invalid_value("status.completionTime", step.status["completionTime"], fields.IMMUTABLE))
    if began and step.changes("startTime") and not spec.get("suspend"):
        found.append(errors.required("status.startTime", "startTime cannot be removed for unsuspended job"))
    return found


def _indexes(spec: Json, step: _Step) -> list[FieldError]:
    """The indexes that are new."""
    status, before, completions = step.status, step.before, spec.get("completions")
    completed, failed = status.get("completedIndexes") or "", status.get("failedIndexes")
    new = [name for name in ("completedIndexes", "failedIndexes") if status.get(name) != before.get(name)]
    found: list[FieldError] = []
    if "completedIndexes" in new and completed:
        if completions is not None:
            found += job_indexes.named(completed, completions, "status.completedIndexes", "completedIndexes")[1]
        if spec.get("completionMode") != "Indexed":
            text = "cannot set non-empty completedIndexes when non-indexed completion mode"
            found.append(errors.invalid_value("status.completedIndexes", completed, text))
    if not new or failed is None:
        return found
    if "failedIndexes" in new and spec.get("backoffLimitPerIndex") is None:
        text = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        found.append(errors.invalid_value("status.failedIndexes", failed, text))
    elif "failedIndexes" in new and completions is not None:
        found += job_indexes.named(failed, completions, "status.failedIndexes", "failedIndexes")[1]
    both = job_indexes.overlap(completed, failed, completions) if completions is not None else ""
    return [*found, errors.invalid_value("status.failedIndexes", failed, both)] if both else found
