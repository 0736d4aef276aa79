"""Whether an ended container runs again: one table."""

from typing import Any

import pytest

from machinery.api import restarts
from machinery.api.codec import Json


def _rule(action: str, operator: str, *values: int) -> Json:
    return {"action": action, "exitCodes": {"operator": operator, "values": list(values)}}


ON_42 = _rule("Restart", "In", 42)
NOT_ON_42 = _rule("Restart", "NotIn", 42)
ALL_ON_42 = _rule("RestartAllContainers", "In", 42)


def _container(policy: str = "", *rules: Json) -> Json:
    return {
        "name": "main",
        **({"restartPolicy": policy} if policy else {}),
        **({"restartPolicyRules": list(rules)} if rules else {}),
    }


def _pod(policy: str = "Never", **spec: Any) -> Json:
    return {"spec": {"restartPolicy": policy, **spec}}


@pytest.mark.parametrize(
    ("container", "policy", "exit_code", "again"),
    [
        pytest.param(_container(), "Never", 1, False, id="the-pod-says-never"),
        pytest.param(_container(), "OnFailure", 1, True, id="the-pod-says-on-failure"),
        pytest.param(_container(), "OnFailure", 0, False, id="the-pod-says-on-failure-and-it-succeeded"),
        pytest.param(_container(), "Always", 0, True, id="the-pod-says-always"),
        pytest.param(_container("Always"), "Never", 0, True, id="its-own-always"),
        pytest.param(_container("OnFailure"), "Never", 1, True, id="its-own-on-failure"),
        pytest.param(_container("OnFailure"), "Always", 0, False, id="its-own-on-failure-and-it-succeeded"),
        pytest.param(_container("Never"), "Always", 1, False, id="its-own-never"),
        pytest.param(_container("Never", ON_42), "Never", 42, True, id="a-rule-fits"),
        pytest.param(_container("Never", ON_42), "Always", 1, False, id="no-rule-fits-so-its-own-policy"),
        pytest.param(_container("Never", NOT_ON_42), "Never", 0, True, id="not-in-fits-success-too"),
        pytest.param(_container("Never", NOT_ON_42), "Never", 42, False, id="not-in-does-not-fit"),
        pytest.param(_container("Never", ALL_ON_42), "Never", 42, True, id="all-restart-so-it-does"),
        pytest.param(_container("", ON_42), "Never", 42, False, id="rules-need-a-policy-of-its-own"),
        pytest.param(_container("Never", _rule("Restart", "Near", 42)), "Never", 42, False, id="unknown-operator"),
        pytest.param(_container("Never", _rule("Dance", "In", 42)), "Always", 42, False, id="unknown-action"),
    ],
)
def test_whether_a_container_runs_again(container: Json, policy: str, exit_code: int, again: bool) -> None:
    assert restarts.will_restart(container, _pod(policy), exit_code) == again


@pytest.mark.parametrize(
    ("container", "exit_code", "everyone"),
    [
        pytest.param(_container("Never", ALL_ON_42), 42, True, id="the-rule-fits"),
        pytest.param(_container("Never", ALL_ON_42), 1, False, id="another-code"),
        pytest.param(_container("Never", ON_42, ALL_ON_42), 42, False, id="the-first-that-fits-decides"),
        pytest.param(_container("Always"), 42, False, id="no-rules"),
    ],
)
def test_whether_all_run_again(container: Json, exit_code: int, everyone: bool) -> None:
    assert restarts.restarts_all(container, exit_code) == everyone


@pytest.mark.parametrize(
    ("pod", "possible"),
    [
        pytest.param(_pod(containers=[_container("Never", ALL_ON_42)]), True, id="a-main-container"),
        pytest.param(_pod(initContainers=[_container("Never", ALL_ON_42)]), True, id="an-init-container"),
        pytest.param(_pod(containers=[_container("Never", ON_42)]), False, id="only-itself"),
        pytest.param({}, False, id="nothing"),
    ],
)
def test_whether_all_might_ever_run_again(pod: Json, possible: bool) -> None:
    assert restarts.may_restart_all(pod) == possible
