"""Restart policies and rules of containers, in upstream's words."""

from typing import Any

import pytest

from apiserver.resources.core.pods.defaults import pod_spec_defaults
from apiserver.validation import pod_spec
from machinery.api.codec import Json

C = "spec.containers[0]"
RULE: Json = {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}


def _problems(spec: Json) -> list[str]:
    pod_spec_defaults(spec)
    return [error.message() for error in pod_spec.check(spec, "spec")]


def _main(**fields: Any) -> Json:
    return {"containers": [{"name": "c", "image": "x", **fields}]}


def _init(**fields: Any) -> Json:
    return {**_main(), "initContainers": [{"name": "i", "image": "x", **fields}]}


def _codes(**codes: Any) -> Json:
    return _main(restartPolicy="Never", restartPolicyRules=[{"action": "Restart", "exitCodes": codes}])


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        pytest.param(_main(restartPolicy="OnFailure"), [], id="policy"),
        pytest.param(_main(restartPolicy="Never", restartPolicyRules=[RULE]), [], id="rules"),
        pytest.param(_init(restartPolicy="Never"), [], id="policy-of-an-init-container"),
        pytest.param(
            _init(restartPolicy="Always", restartPolicyRules=[{**RULE, "action": "RestartAllContainers"}]),
            [],
            id="rules-of-a-sidecar",
        ),
        pytest.param(
            _main(restartPolicy="Maybe"),
            [f'{C}.restartPolicy: Unsupported value: "Maybe": supported values: "Always", "Never", "OnFailure"'],
            id="no-such-policy",
        ),
        pytest.param(
            _init(restartPolicyRules=[RULE]),
            [
                "spec.initContainers[0].restartPolicy: Required value: "
                "must specify restartPolicy when restart rules are used"
            ],
            id="rules-without-policy",
        ),
        pytest.param(
            _main(restartPolicy="Never", restartPolicyRules=[{"action": "Stop"}]),
            [
                f'{C}.restartPolicyRules[0].action: Unsupported value: "Stop": supported values: "Restart", '
                '"RestartAllContainers"',
                f"{C}.restartPolicyRules[0].exitCodes: Required value: must be specified",
            ],
            id="no-such-action",
        ),
        pytest.param(
            _codes(operator="Is", values=[1]),
            [f'{C}.restartPolicyRules[0].exitCodes.operator: Unsupported value: "Is": supported values: "In", "NotIn"'],
            id="no-such-operator",
        ),
        pytest.param(
            _codes(operator="In", values=list(range(256))),
            [f"{C}.restartPolicyRules[0].exitCodes.values: Too many: 256: must have at most 255 items"],
            id="too-many-codes",
        ),
        pytest.param(
            _main(restartPolicy="Never", restartPolicyRules=[RULE] * 21),
            [f"{C}.restartPolicyRules: Too many: 21: must have at most 20 items"],
            id="too-many-rules",
        ),
    ],
)
def test_what_is_wrong_with_restarts(spec: Json, texts: list[str]) -> None:
    assert _problems(spec) == texts
