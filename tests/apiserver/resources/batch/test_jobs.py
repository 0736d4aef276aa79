"""Jobs and CronJobs: what is wrong with them, in upstream's words."""

from typing import Any

import pytest

from apiserver.registry.strategy import Context
from apiserver.request import ANONYMOUS
from apiserver.resources.batch.cronjobs import CRON_JOBS
from apiserver.resources.batch.jobs import JOBS
from machinery.api import codec
from machinery.api.codec import Json

CONTEXT = Context(ANONYMOUS, "default", "j")
POD: Json = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1"}]}
INDEXED: Json = {"completionMode": "Indexed", "completions": 3}


def _job(**spec: Any) -> Json:
    obj: Json = codec.copy_of(
        {"metadata": {"name": "j", "namespace": "default", "uid": "u"}, "spec": {"template": {"spec": POD}, **spec}}
    )
    JOBS.strategy.defaults(obj)
    JOBS.strategy.prepare_for_create(obj, CONTEXT)
    return obj


def _texts(obj: Json) -> list[str]:
    return [problem.message() for problem in JOBS.strategy.validate(obj, CONTEXT)]


def _policy(**rule: Any) -> Json:
    return {"podFailurePolicy": {"rules": [rule]}}


def _success(*rules: Json) -> Json:
    return INDEXED | {"successPolicy": {"rules": list(rules)}}


RULE = "spec.successPolicy.rules[0]"
CODES: Json = {"onExitCodes": {"operator": "In", "values": [1]}}


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        pytest.param({}, [], id="fine"),
        pytest.param({"parallelism": -1}, ["spec.parallelism: Invalid value: -1: must be greater than or equal to 0"]),
        pytest.param(
            {"completionMode": "Indexed", "parallelism": 1},
            ["spec.completions: Required value: when completion mode is Indexed"],
            id="indexed-without-end",
        ),
        pytest.param(
            {"backoffLimitPerIndex": 1},
            ["spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode"],
            id="limit-without-index",
        ),
        pytest.param(
            INDEXED | _policy(action="FailIndex", **CODES),
            [
                'spec.podFailurePolicy.rules[0].action: Invalid value: "FailIndex": requires the '
                "backoffLimitPerIndex to be set"
            ],
            id="fail-index-without-limit",
        ),
        pytest.param(
            _policy(action="Perhaps", **CODES),
            [
                'spec.podFailurePolicy.rules[0].action: Unsupported value: "Perhaps": supported values: "Count", '
                '"FailIndex", "FailJob", "Ignore"'
            ],
            id="no-such-action",
        ),
        pytest.param(
            _policy(action="Ignore"),
            [
                "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is "
                "required"
            ],
            id="failures-of-no-kind",
        ),
        pytest.param(
            {**_policy(action="Ignore", **CODES), "template": {"spec": {**POD, "restartPolicy": "OnFailure"}}},
            [
                'spec.template.spec.restartPolicy: Invalid value: "OnFailure": only "Never" is supported when '
                "podFailurePolicy is specified"
            ],
            id="restarts-that-no-policy-sees",
        ),
        pytest.param(
            {"template": {"spec": {**POD, "restartPolicy": "Always"}}},
            ['spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"'],
            id="for-ever",
        ),
        pytest.param(
            {"successPolicy": {"rules": [{"succeededCount": 1}]}},
            ["spec.successPolicy: Invalid value: {…}: requires indexed completion mode"],
            id="success-without-index",
        ),
        pytest.param(
            INDEXED | {"successPolicy": {"rules": []}},
            [
                "spec.successPolicy.rules: Required value: at least one rules must be specified when the "
                "successPolicy is specified"
            ],
            id="success-without-rules",
        ),
        pytest.param(
            _success({"succeededCount": 3}, {"succeededIndexes": "0,1-2", "succeededCount": 3}), [], id="success"
        ),
        pytest.param(
            _success({}),
            [f"{RULE}: Required value: at least one of succeededCount or succeededIndexes must be specified"],
            id="success-of-nothing",
        ),
        pytest.param(
            _success({"succeededCount": 4}),
            [
                f"{RULE}.succeededCount: Invalid value: 4: must be less than or equal to 3 (the number of specified "
                "completions)"
            ],
            id="more-than-all-succeed",
        ),
        pytest.param(
            _success({"succeededIndexes": "0-1", "succeededCount": 3}),
            [
                f"{RULE}.succeededCount: Invalid value: 3: must be less than or equal to 2 (the number of indexes in "
                "the specified succeededIndexes field)"
            ],
            id="more-than-the-indexes-succeed",
        ),
        pytest.param(
            _success({"succeededIndexes": "0-1-2"}),
            [
                f'{RULE}.succeededIndexes: Invalid value: "0-1-2": error parsing succeededIndexes: the fragment '
                "\"0-1-2\" violates the requirement that an index interval can have at most two parts separated by '-'"
            ],
            id="three-parts",
        ),
        pytest.param(
            _success(*[{"succeededCount": 1}] * 21),
            ["spec.successPolicy.rules: Too many: 21: must have at most 20 items"],
            id="too-many-success-rules",
        ),
        pytest.param(
            {"managedBy": "me"},
            ['spec.managedBy: Invalid value: "me": must be a domain-prefixed path (such as "acme.io/foo")'],
            id="managed-by-somebody",
        ),
    ],
)
def test_what_is_wrong_with_a_job(spec: Json, texts: list[str]) -> None:
    found = _texts(_job(**spec))
    shown = codec.dumps(spec.get("successPolicy") or {}).decode()
    assert [text.replace(shown, "{…}") for text in found] == texts


def test_what_is_wrong_with_a_cron_jobs_job_is_told_at_its_place() -> None:
    job = {"parallelism": -1, "template": {"spec": {**POD, "restartPolicy": "Always"}}}
    spec = {"schedule": "@hourly", "jobTemplate": {"spec": job}}
    obj: Json = {"metadata": {"name": "c", "namespace": "default"}, "spec": spec}
    CRON_JOBS.strategy.defaults(obj)
    texts = [problem.message() for problem in CRON_JOBS.strategy.validate(obj, CONTEXT)]
    assert texts == [
        "spec.jobTemplate.spec.parallelism: Invalid value: -1: must be greater than or equal to 0",
        'spec.jobTemplate.spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never"',
    ]


def _with_status(spec: Json, status: Json) -> Json:
    return _job(**spec) | {"status": status}


NOT_BOTH = "failedIndexes and completedIndexes overlap at index: "


@pytest.mark.parametrize(
    ("spec", "status", "texts"),
    [
        pytest.param({}, {"succeeded": 1}, [], id="no-indexes"),
        pytest.param({}, {"completedIndexes": ""}, [], id="empty"),
        pytest.param(
            {"backoffLimitPerIndex": 1}, {"completedIndexes": "0,2-4,9", "failedIndexes": "1,5-8"}, [], id="fine"
        ),
        pytest.param(
            {"completionMode": "NonIndexed"},
            {"completedIndexes": "0"},
            [
                'status.completedIndexes: Invalid value: "0": '
                "cannot set non-empty completedIndexes when non-indexed completion mode"
            ],
            id="completed-without-indexes",
        ),
        pytest.param(
            {},
            {"failedIndexes": ""},
            [
                'status.failedIndexes: Invalid value: "": '
                "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
            ],
            id="failed-without-a-limit-per-index",
        ),
        pytest.param(
            {"backoffLimitPerIndex": 1},
            {"completedIndexes": "2-5,8", "failedIndexes": "0,5-6"},
            [f'status.failedIndexes: Invalid value: "0,5-6": {NOT_BOTH}5'],
            id="both",
        ),
        pytest.param(
            {"backoffLimitPerIndex": 1},
            {"failedIndexes": "x"},
            [
                'status.failedIndexes: Invalid value: "x": error parsing failedIndexes: '
                'cannot convert string to integer for index: "x"'
            ],
            id="failed-malformed",
        ),
    ],
)
def test_indexes_of_a_status(spec: Json, status: Json, texts: list[str]) -> None:
    spec = {"completionMode": "Indexed", "completions": 10, **spec}
    found = JOBS.strategy.validate_status_update(_with_status(spec, status), _with_status(spec, {}), CONTEXT)
    assert [problem.message() for problem in found] == texts
    # what a status said before is not judged again
    found = JOBS.strategy.validate_status_update(_with_status(spec, status), _with_status(spec, status), CONTEXT)
    assert found == []


@pytest.mark.parametrize(
    ("indexes", "text"),
    [
        ("1,,2", 'cannot convert string to integer for index: ""'),
        ("1-", 'cannot convert string to integer for index: ""'),
        ("-1", 'cannot convert string to integer for index: ""'),
        (" 1", 'cannot convert string to integer for index: " 1"'),
        ("10", 'too large index: "10"'),
        ("8-10", 'too large index: "10"'),
        ("3-3", "non-increasing order, previous: 3, current: 3"),
        ("1-3,3", "non-increasing order, previous: 3, current: 3"),
        ("4,2", "non-increasing order, previous: 4, current: 2"),
    ],
)
def test_malformed_indexes(indexes: str, text: str) -> None:
    spec = {"completionMode": "Indexed", "completions": 10}
    new, old = _with_status(spec, {"completedIndexes": indexes}), _with_status(spec, {})
    (problem,) = JOBS.strategy.validate_status_update(new, old, CONTEXT)
    assert problem.message() == (
        f'status.completedIndexes: Invalid value: "{indexes}": error parsing completedIndexes: {text}'
    )
