"""What containers do when their resources change, in upstream's words."""

from typing import Any

import pytest

from apiserver.resources.core.pods.defaults import pod_spec_defaults
from apiserver.validation import pod_spec
from machinery.api.codec import Json

P = "spec.containers[0].resizePolicy"


def _problems(spec: Json) -> list[str]:
    pod_spec_defaults(spec)
    return [error.message() for error in pod_spec.check(spec, "spec")]


def _policy(resource: str, policy: str = "NotRequired") -> Json:
    return {"resourceName": resource, "restartPolicy": policy}


def _spec(*policies: Json, **fields: Any) -> Json:
    return {"containers": [{"name": "c", "image": "x", "resizePolicy": list(policies)}], **fields}


def _init(policy: str, **fields: Any) -> Json:
    init = {"name": "i", "image": "x", "resizePolicy": [_policy("cpu"), _policy("memory", policy)], **fields}
    return _spec(initContainers=[init])


NEVER = "must be 'NotRequired' when pod `restartPolicy` is 'Never'"


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        pytest.param(_spec(_policy("cpu"), _policy("memory", "RestartContainer")), [], id="fine"),
        pytest.param(_spec(_policy("cpu"), restartPolicy="Never"), [], id="fine-once"),
        pytest.param(_spec(_policy("cpu"), _policy("cpu")), [f'{P}[1]: Duplicate value: "cpu"'], id="twice"),
        pytest.param(
            _spec(_policy("disk", "Perhaps")),
            [
                f'{P}: Unsupported value: "disk": supported values: "cpu", "memory"',
                f'{P}: Unsupported value: "Perhaps": supported values: "NotRequired", "RestartContainer"',
            ],
            id="unknown",
        ),
        pytest.param(_spec({}), [f"{P}: Required value"] * 2, id="empty"),
        pytest.param(
            _spec(_policy("cpu", "RestartContainer"), restartPolicy="Never"),
            [f'{P}: Invalid value: "RestartContainer": {NEVER}'],
            id="restarted-in-a-pod-that-is-not",
        ),
        pytest.param(_init("NotRequired"), [], id="init"),
        pytest.param(_init("RestartContainer", restartPolicy="Always"), [], id="sidecar"),
        pytest.param(
            _init("RestartContainer"),
            [
                'spec.initContainers[0].resizePolicy[1].restartPolicy: Invalid value: "RestartContainer": '
                "must not be set to 'RestartContainer' for non-sidecar initContainers"
            ],
            id="restarted-init",
        ),
    ],
)
def test_what_is_wrong_with_a_resize_policy(spec: Json, texts: list[str]) -> None:
    assert _problems(spec) == texts
