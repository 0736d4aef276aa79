"""Types of policies' expressions, checked against schemas."""

from typing import Any

from controller_manager.policy_types import types_of, warnings_of
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind

RULE: Json = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": ["deployments"]}
SERVED = (kinds.DEPLOYMENTS, kinds.REPLICA_SETS, kinds.PODS, kinds.CONFIG_MAPS)


def _policy(*expressions: str, **more: Any) -> Json:
    validations = [{"expression": text} for text in expressions]
    spec = {"matchConstraints": {"resourceRules": [RULE]}, "validations": validations, **more}
    return {"metadata": {"name": "p", "generation": 1}, "spec": spec}


def test_what_fits_is_not_warned_of() -> None:
    fitting = (
        "object.spec.replicas <= 5",
        "object.metadata.labels['a'] == 'b'",
        "object.spec.template.spec.containers.all(c, c.image.startsWith('x'))",
        "object.spec.strategy.rollingUpdate.maxSurge == '25%'",
        "oldObject == null || has(oldObject.spec.replicas)",
        "object.spec.template.spec.containers[0].resources.limits['cpu'] == '1'",
        "namespaceObject.metadata.name == 'x' && request.userInfo.username == 'y'",
    )
    assert warnings_of(_policy(*fitting), SERVED) == []


def test_a_field_that_is_not_there_and_a_type_that_does_not_fit_are() -> None:
    first, second = warnings_of(_policy("object.spec.replicass <= 5", "object.spec.replicas == 'a'"), SERVED)
    assert first["fieldRef"] == "spec.validations[0].expression"
    assert first["warning"].startswith("apps/v1, Kind=Deployment: ERROR: <input>:1:12: undefined field 'replicass'\n")
    assert second["fieldRef"] == "spec.validations[1].expression"
    assert "found no matching overload for '_==_' applied to '(int, string)'" in second["warning"]


def test_every_kind_that_is_named_is_looked_at() -> None:
    rules = [{**RULE, "resources": ["deployments", "replicasets"]}]
    (found,) = warnings_of(
        _policy("object.spec.strategy.type == 'x'", matchConstraints={"resourceRules": rules}), SERVED
    )
    assert found["warning"].startswith("apps/v1, Kind=ReplicaSet: ERROR")


def test_variables_and_parameters_have_types_too() -> None:
    variables = [{"name": "n", "expression": "object.spec.replicas"}, {"name": "d", "expression": "params.data"}]
    param_kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    policy = _policy("variables.n == 'a'", "variables.d['x'] == 'a'", "params.dat == 1", variables=variables)
    policy["spec"]["paramKind"] = param_kind
    assert [one["fieldRef"] for one in warnings_of(policy, SERVED)] == [
        "spec.validations[0].expression",
        "spec.validations[2].expression",
    ]


def test_wildcards_subresources_and_unknown_kinds_are_left_alone() -> None:
    for change in (
        {"resources": ["*"]},
        {"apiVersions": ["*"]},
        {"resources": ["deployments/scale"]},
        {"apiGroups": ["x"]},
    ):
        assert types_of({"matchConstraints": {"resourceRules": [{**RULE, **change}]}}, SERVED) == []
    custom = Kind("example.com", "v1", "Widget", "widgets")
    rule = {**RULE, "apiGroups": ["example.com"], "resources": ["widgets"]}
    policy = _policy("object.spec.any == 1", matchConstraints={"resourceRules": [rule]})
    assert warnings_of(policy, [custom]) == []
