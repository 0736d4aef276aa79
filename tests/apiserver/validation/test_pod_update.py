"""What may change on a pod that exists."""

from typing import Any

import pytest

from apiserver.validation import pod_update
from machinery.api.codec import Json

FORBIDDEN = (
    "spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
    "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing "
    "tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n"
)


def _pod(image: str = "a:1", **spec: Any) -> Json:
    return {"spec": {"containers": [{"name": "c", "image": image}], "restartPolicy": "Always", **spec}}


T = {"key": "a", "operator": "Exists", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("new", "old", "texts"),
    [
        pytest.param(_pod("a:2"), _pod(), [], id="image"),
        pytest.param(_pod(tolerations=[T, {"key": "b"}]), _pod(tolerations=[T]), [], id="toleration-added"),
        pytest.param(
            _pod(tolerations=[{**T, "tolerationSeconds": 3}]), _pod(tolerations=[T]), [], id="seconds-changed"
        ),
        pytest.param(
            _pod(),
            _pod(tolerations=[T]),
            ["spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds"],
            id="toleration-removed",
        ),
        pytest.param(_pod(activeDeadlineSeconds=5), _pod(), [], id="deadline-set"),
        pytest.param(
            _pod(activeDeadlineSeconds=9),
            _pod(activeDeadlineSeconds=5),
            ["spec.activeDeadlineSeconds: Invalid value: 9: must be less than or equal to previous value"],
            id="deadline-raised",
        ),
        pytest.param(
            _pod(terminationGracePeriodSeconds=1),
            _pod(terminationGracePeriodSeconds=-1),
            [],
            id="negative-grace-mended",
        ),
        pytest.param(_pod(), _pod(schedulingGates=[{"name": "g"}]), [], id="gate-removed"),
        pytest.param(
            _pod(schedulingGates=[{"name": "g"}]),
            _pod(),
            ["spec.schedulingGates: Forbidden: only deletion is allowed, but found new scheduling gates 'g'"],
            id="gate-added",
        ),
        pytest.param(
            {"spec": {"containers": []}},
            _pod(),
            ["spec.containers: Forbidden: pod updates may not add or remove containers"],
            id="container-removed",
        ),
        pytest.param(
            _pod(nodeName="n2"),
            _pod(nodeName="n1"),
            [FORBIDDEN + '- spec.nodeName: "n1"\n+ spec.nodeName: "n2"\n'],
            id="node",
        ),
        pytest.param(
            _pod(restartPolicy="Never"),
            _pod(),
            [FORBIDDEN + '- spec.restartPolicy: "Always"\n+ spec.restartPolicy: "Never"\n'],
            id="restart-policy",
        ),
    ],
)
def test_a_changed_pod(new: Json, old: Json, texts: list[str]) -> None:
    assert [error.message() for error in pod_update.check(new, old)] == texts


def _status(state: Json, policy: str) -> Json:
    return {"spec": {"restartPolicy": policy}, "status": {"containerStatuses": [{"name": "c", "state": state}]}}


@pytest.mark.parametrize(
    ("policy", "exit_code", "refused"),
    [("Never", 0, True), ("Never", 1, True), ("OnFailure", 0, True), ("OnFailure", 1, False), ("Always", 0, False)],
)
def test_an_ended_container_starts_again_only_where_the_policy_says_so(
    policy: str, exit_code: int, refused: bool
) -> None:
    old = _status({"terminated": {"exitCode": exit_code}}, policy)
    new = _status({"running": {}}, policy)
    text = "status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state"
    assert [error.message() for error in pod_update.check_status(new, old)] == ([text] if refused else [])


def _rule(action: str, code: int) -> Json:
    return {"action": action, "exitCodes": {"operator": "In", "values": [code]}}


@pytest.mark.parametrize(
    ("container", "refused"),
    [
        pytest.param({}, True, id="as-the-pod"),
        pytest.param({"restartPolicy": "Always"}, False, id="always"),
        pytest.param({"restartPolicy": "OnFailure"}, False, id="after-failure"),
        pytest.param({"restartPolicy": "Never"}, True, id="never"),
        pytest.param({"restartPolicy": "Never", "restartPolicyRules": [_rule("Restart", 1)]}, False, id="by-a-rule"),
        pytest.param({"restartPolicy": "Never", "restartPolicyRules": [_rule("Restart", 2)]}, True, id="no-rule-fits"),
        pytest.param(
            {"restartPolicy": "Never", "restartPolicyRules": [_rule("RestartAllContainers", 2)]},
            False,
            id="another-end-may-restart-all",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["containers", "initContainers"])
def test_a_containers_own_policy_comes_before_its_pods(kind: str, container: Json, refused: bool) -> None:
    statuses = {"containers": "containerStatuses", "initContainers": "initContainerStatuses"}[kind]
    spec = {"restartPolicy": "Never", kind: [{"name": "c", **container}]}
    old = {"spec": spec, "status": {statuses: [{"name": "c", "state": {"terminated": {"exitCode": 1}}}]}}
    new = {"spec": spec, "status": {statuses: [{"name": "c", "state": {"running": {}}}]}}
    assert bool(pod_update.check_status(new, old)) == refused
