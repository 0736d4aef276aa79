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
