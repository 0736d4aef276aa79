"""DeviceTaintRules: how taints and selectors are spelled, and since when a taint counts."""

from typing import Any

import pytest

from apiserver.registry.strategy import Context
from apiserver.request import ANONYMOUS
from apiserver.resources.resource.devicetaintrules import DeviceTaintRuleStrategy
from machinery.api.codec import Json

STRATEGY = DeviceTaintRuleStrategy()
CONTEXT = Context(ANONYMOUS, "", "r")
EARLIER = "2026-01-01T00:00:00Z"


def rule(effect: str = "NoSchedule", added: str = "", selector: Json | None = None, **taint: Any) -> Json:
    """A rule."""
    found: Json = {"key": "example.com/broken", "effect": effect, **taint}
    if added:
        found["timeAdded"] = added
    return {"metadata": {"name": "r", "generation": 1}, "spec": {"deviceSelector": selector or {}, "taint": found}}


@pytest.mark.parametrize(
    ("obj", "fields"),
    [
        pytest.param(rule(), [], id="in-order"),
        pytest.param(
            rule("None", selector={"driver": "gpu.example.com", "pool": "a/b", "device": "d-1"}), [], id="all"
        ),
        pytest.param(rule("PreferNoSchedule"), ["spec.taint.effect"], id="a-nodes-effect"),
        pytest.param(rule(""), ["spec.taint.effect"], id="no-effect"),
        pytest.param(rule(key=""), ["spec.taint.key"], id="no-key"),
        pytest.param(rule(value="a b"), ["spec.taint.value"], id="value"),
        pytest.param(rule(selector={"device": "D_1"}), ["spec.deviceSelector.device"], id="device"),
        pytest.param(rule(selector={"pool": "a//b"}), ["spec.deviceSelector.pool"], id="pool"),
        pytest.param(rule(selector={"driver": "-"}), ["spec.deviceSelector.driver"], id="driver"),
    ],
)
def test_how_rules_are_spelled(obj: Json, fields: list[str]) -> None:
    assert sorted({one.field for one in STRATEGY.check(obj)}) == fields


@pytest.mark.parametrize(
    ("new", "is_kept"),
    [
        pytest.param(rule(), True, id="not-said-again"),
        pytest.param(rule(added=EARLIER, value="x"), True, id="another-value"),
        pytest.param(rule("NoExecute", added=EARLIER), False, id="another-effect"),
        pytest.param(rule("NoExecute"), False, id="another-effect-and-no-time"),
    ],
)
def test_since_when_a_taint_counts(new: Json, is_kept: bool) -> None:
    STRATEGY.prepare_for_update(new, rule(added=EARLIER), CONTEXT)
    assert (new["spec"]["taint"]["timeAdded"] == EARLIER) is is_kept


def test_a_new_rule_counts_from_now_and_has_no_status() -> None:
    obj = {**rule(), "status": {"conditions": []}}
    STRATEGY.prepare_for_create(obj, CONTEXT)
    assert obj["spec"]["taint"]["timeAdded"] > EARLIER
    assert "status" not in obj
