"""What a Job's status may say, and how it may go on, in upstream's words."""

from typing import Any

import pytest

from apiserver.validation import job_status
from machinery.api.codec import Json

C = "status.conditions: Invalid value"
BEGAN, ENDED = "2026-01-02T03:04:05Z", "2026-01-02T04:00:00Z"


def _status(*conditions: str, **fields: Any) -> Json:
    return {"conditions": [{"type": name, "status": "True"} for name in conditions], **fields}


def _row(name: str, before: Json, after: Json, *texts: str, **spec: Any) -> Any:
    return pytest.param(before, after, spec, list(texts), id=name)


RUNNING = _status(startTime=BEGAN, active=2, ready=1)
MET = _status("SuccessCriteriaMet", startTime=BEGAN, active=1)
COMPLETE = _status("SuccessCriteriaMet", "Complete", startTime=BEGAN, completionTime=ENDED, succeeded=2)
FAILED = _status("FailureTarget", "Failed", startTime=BEGAN, failed=3)
INDEXED: Json = {"completionMode": "Indexed", "completions": 2}

STEPS = [
    _row("begins", {}, RUNNING),
    _row("succeeds", RUNNING, MET),
    _row("completes", MET, COMPLETE),
    _row("fails", RUNNING, FAILED),
    _row("stays", COMPLETE, COMPLETE),
    _row("negative", {}, {"active": -1}, "status.active: Invalid value: -1: must be greater than or equal to 0"),
    _row(
        "complete-and-failed",
        RUNNING,
        {**COMPLETE, **_status("SuccessCriteriaMet", "Complete", "Failed", "FailureTarget")},
        f"{C}: cannot set Complete=True and Failed=true conditions",
        f"{C}: cannot set Complete=True and FailureTarget=true conditions",
        f"{C}: cannot set SuccessCriteriaMet=True and Failed=true conditions",
        f"{C}: cannot set SuccessCriteriaMet=True and FailureTarget=true conditions",
    ),
    _row(
        "complete-at-once",
        RUNNING,
        {**COMPLETE, **_status("Complete")},
        f"{C}: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        f"{C}: cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True",
        successPolicy={},
    ),
    _row(
        "fails-at-once",
        RUNNING,
        _status("Failed", startTime=BEGAN),
        f"{C}: cannot set Failed=True condition without the FailureTarget=true condition",
    ),
    _row(
        "complete-without-time",
        MET,
        {**COMPLETE, "completionTime": None},
        "status.completionTime: Required value: completionTime is required for Complete jobs",
    ),
    _row(
        "time-without-complete",
        RUNNING,
        {**RUNNING, "completionTime": ENDED},
        f'status.completionTime: Invalid value: "{ENDED}": cannot set completionTime when there is no Complete=True '
        "condition",
    ),
    _row(
        "ends-before-it-begins",
        {},
        {**COMPLETE, "startTime": ENDED, "completionTime": BEGAN},
        f'status.completionTime: Invalid value: "{BEGAN}": must be equal to or after `startTime`',
    ),
    _row(
        "finished-but-for-everything",
        RUNNING,
        _status("FailureTarget", "Failed", active=1, terminating=2, uncountedTerminatedPods={"failed": ["u"]}),
        "status.active: Invalid value: 1: active>0 is invalid for finished job",
        "status.terminating: Invalid value: 2: terminating>0 is invalid for finished job",
        "status.startTime: Required value: startTime is required for finished job",
        'status.uncountedTerminatedPods: Invalid value: {"failed":["u"]}: must be empty for finished job',
        "status.startTime: Required value: startTime cannot be removed for unsuspended job",
    ),
    _row(
        "uncounted-twice",
        RUNNING,
        {**RUNNING, "uncountedTerminatedPods": {"succeeded": ["u", ""], "failed": ["u"]}},
        'status.uncountedTerminatedPods.succeeded[1]: Invalid value: "": must not be empty',
        'status.uncountedTerminatedPods.failed[0]: Duplicate value: "u"',
    ),
    _row(
        "more-ready-than-active",
        RUNNING,
        {**RUNNING, "ready": 3},
        "status.ready: Invalid value: 3: cannot set more ready pods than active",
    ),
    _row(
        "complete-no-more",
        COMPLETE,
        {**RUNNING, "succeeded": 2},
        f"{C}: cannot disable the terminal Complete=True condition",
        f"{C}: cannot disable the SuccessCriteriaMet=True condition",
    ),
    _row(
        "failed-no-more",
        FAILED,
        _status(startTime=BEGAN, failed=3),
        f"{C}: cannot disable the terminal Failed=True condition",
        f"{C}: cannot disable the terminal FailureTarget=True condition",
    ),
    _row(
        "met-when-complete",
        {**COMPLETE, **_status("Complete")},
        COMPLETE,
        f"{C}: cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions",
    ),
    _row(
        "counted-down",
        {**RUNNING, "failed": 2, "succeeded": 2},
        {**RUNNING, "failed": 1},
        "status.failed: Invalid value: 1: cannot decrease the failed counter",
        "status.succeeded: Invalid value: 0: cannot decrease the succeeded counter",
    ),
    _row("fewer-indexes", {**RUNNING, "succeeded": 2}, {**RUNNING, "succeeded": 1}, parallelism=2, **INDEXED),
    _row(
        "another-end",
        COMPLETE,
        {**COMPLETE, "completionTime": "2026-01-02T04:00:01Z"},
        'status.completionTime: Invalid value: "2026-01-02T04:00:01Z": field is immutable',
    ),
    _row(
        "another-beginning",
        RUNNING,
        {**RUNNING, "startTime": ENDED},
        "status.startTime: Required value: startTime cannot be removed for unsuspended job",
    ),
    _row("suspended", RUNNING, {}, suspend=True),
]


@pytest.mark.parametrize(("before", "after", "spec", "texts"), STEPS)
def test_how_a_status_goes_on(before: Json, after: Json, spec: Json, texts: list[str]) -> None:
    assert [error.message() for error in job_status.check(spec, after, before)] == texts


WRONG = [
    {"active": 1, "ready": 2},
    {**COMPLETE, **_status("Complete"), "completionTime": None, "active": 1},
    _status("Failed", "Complete", terminating=1, uncountedTerminatedPods={"failed": ["u"]}),
    {**COMPLETE, "startTime": ENDED, "completionTime": BEGAN},
]


@pytest.mark.parametrize("status", WRONG, ids=range(len(WRONG)))
def test_what_a_status_said_before_is_not_judged_again(status: Json) -> None:
    assert job_status.check({}, {**status, "failed": 1}, status) == []
    assert job_status.check({}, status, {}) != []
