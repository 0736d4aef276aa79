"""ValidatingAdmissionPolicies against a real server."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from machinery.api.codec import Json
from tests.integration.apiserver_process import ApiserverProcess

GROUP = "/apis/admissionregistration.k8s.io/v1"
RULE = {"operations": ["CREATE", "UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}
TEMPLATE = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


class Cluster:
    """A namespace of its own, and policies that count only there."""

    def __init__(self, server: ApiserverProcess, namespace: str) -> None:
        self.server, self.namespace = server, namespace
        self.made: list[str] = []

    def post(self, path: str, body: Json, expected: int = 201) -> Json:
        """Create something."""
        with self.server.client() as client:
            answer = client.post(path, json=body)
            assert answer.status_code == expected, answer.text
            self.made.append(f"{path}/{body['metadata']['name']}")
            found: Json = answer.json()
            return found

    def policy(self, name: str, *validations: Json, **spec: Any) -> None:
        """A policy about deployments."""
        constraints = {"resourceRules": [RULE]}
        body = {"matchConstraints": constraints, "validations": list(validations), **spec}
        self.post(f"{GROUP}/validatingadmissionpolicies", {"metadata": {"name": name}, "spec": body})

    def bind(self, policy: str, *actions: str, name: str = "", **spec: Any) -> None:
        """A binding for this namespace."""
        selector = {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}
        resources = {"namespaceSelector": selector}
        body = {"policyName": policy, "validationActions": list(actions or ("Deny",)), "matchResources": resources}
        meta = {"name": name or f"{policy}-here"}
        self.post(f"{GROUP}/validatingadmissionpolicybindings", {"metadata": meta, "spec": {**body, **spec}})
        time.sleep(0.1)

    def deploy(self, name: str = "d", replicas: int = 3, **metadata: Any) -> tuple[int, Json, list[str]]:
        """A Deployment: code, body, warnings."""
        spec = {"replicas": replicas, "selector": {"matchLabels": {"a": "b"}}, "template": TEMPLATE}
        with self.server.client() as client:
            path = f"/apis/apps/v1/namespaces/{self.namespace}/deployments"
            answer = client.post(path, json={"metadata": {"name": name, **metadata}, "spec": spec})
            return answer.status_code, answer.json(), answer.headers.get_list("warning")

    def close(self) -> None:
        """Nothing of it stays."""
        with self.server.client() as client:
            for path in reversed(self.made):
                client.delete(path)
        time.sleep(0.1)


@pytest.fixture
def cluster(server: ApiserverProcess, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One for each test."""
    namespace = f"policies-{abs(hash(request.node.name)) % 10**8}"
    with server.client() as client:
        metadata = {"name": namespace, "labels": {"tier": "gold"}}
        assert client.post("/api/v1/namespaces", json={"metadata": metadata}).status_code == 201
    made = Cluster(server, namespace)
    try:
        yield made
    finally:
        made.close()


def test_a_policy_denies_in_upstreams_words(cluster: Cluster) -> None:
    cluster.policy("few", {"expression": "object.spec.replicas <= 5"})
    cluster.bind("few")
    assert cluster.deploy("small", 5)[0] == 201
    code, status, _ = cluster.deploy("large", 6)
    why = "ValidatingAdmissionPolicy 'few' with binding 'few-here' denied request: "
    why += "failed expression: object.spec.replicas <= 5"
    assert (code, status["reason"]) == (422, "Invalid")
    assert status["message"] == f'deployments.apps "large" is forbidden: {why}'
    assert status["details"]["causes"] == [{"message": why}]


def test_without_a_binding_a_policy_does_nothing(cluster: Cluster) -> None:
    cluster.policy("idle", {"expression": "false"})
    time.sleep(0.1)
    assert cluster.deploy()[0] == 201


def test_messages_reasons_and_variables(cluster: Cluster) -> None:
    validation = {
        "expression": "variables.replicas <= variables.most",
        "messageExpression": "'at most ' + string(variables.most) + ', not ' + string(variables.replicas)",
        "reason": "Forbidden",
    }
    variables = [
        {"name": "replicas", "expression": "object.spec.replicas"},
        {"name": "most", "expression": "namespaceObject.metadata.labels['tier'] == 'gold' ? 4 : 2"},
        {"name": "unused", "expression": "object.nothing.here"},
    ]
    cluster.policy("most", validation, variables=variables)
    cluster.bind("most")
    assert cluster.deploy("a", 4)[0] == 201
    code, status, _ = cluster.deploy("b", 5)
    assert (code, status["reason"]) == (403, "Forbidden")
    assert status["message"].endswith("denied request: at most 4, not 5")


def test_parameters_come_from_objects(cluster: Cluster) -> None:
    config_maps = f"/api/v1/namespaces/{cluster.namespace}/configmaps"
    cluster.post(config_maps, {"metadata": {"name": "limits"}, "data": {"most": "2"}})
    cluster.policy(
        "limited",
        {"expression": "object.spec.replicas <= int(params.data.most)", "message": "too many"},
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
    )
    cluster.bind("limited", paramRef={"name": "limits", "parameterNotFoundAction": "Deny"})
    assert cluster.deploy("a", 2)[0] == 201
    assert cluster.deploy("b", 3)[1]["message"].endswith("denied request: too many")
    with cluster.server.client() as client:
        client.delete(f"{config_maps}/limits")
        time.sleep(0.1)
    text = "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
    assert cluster.deploy("c", 1)[1]["message"].endswith(text)


def test_missing_parameters_may_be_fine(cluster: Cluster) -> None:
    kind = {"apiVersion": "v1", "kind": "ConfigMap"}
    cluster.policy("loose", {"expression": "false"}, paramKind=kind)
    cluster.bind("loose", paramRef={"name": "gone", "parameterNotFoundAction": "Allow"})
    assert cluster.deploy()[0] == 201


def test_a_binding_may_only_warn(cluster: Cluster) -> None:
    cluster.policy("soft", {"expression": "object.spec.replicas < 3", "message": "many"})
    cluster.bind("soft", "Warn", "Audit")
    code, _, warnings = cluster.deploy()
    assert code == 201
    text = "Validation failed for ValidatingAdmissionPolicy 'soft' with binding 'soft-here': many"
    assert warnings == [f'299 - "{text}"']


@pytest.mark.parametrize(("policy", "expected"), [("Fail", 422), ("Ignore", 201)])
def test_an_expression_without_a_value(cluster: Cluster, policy: str, expected: int) -> None:
    cluster.policy("broken", {"expression": "object.spec.nothing == 1"}, failurePolicy=policy)
    cluster.bind("broken")
    code, status, _ = cluster.deploy()
    assert code == expected
    if expected == 422:
        text = "expression 'object.spec.nothing == 1' resulted in error: no such key: nothing"
        assert status["message"].endswith(text)


def test_conditions_and_exceptions(cluster: Cluster) -> None:
    conditions = [{"name": "not-exempt", "expression": "!('exempt' in object.metadata.?labels.orValue({}))"}]
    exception = {**RULE, "resourceNames": ["special"]}
    constraints = {"resourceRules": [RULE], "excludeResourceRules": [exception]}
    cluster.policy("none", {"expression": "false"}, matchConditions=conditions, matchConstraints=constraints)
    cluster.bind("none")
    assert cluster.deploy("a")[0] == 422
    assert cluster.deploy("b", labels={"exempt": "yes"})[0] == 201
    assert cluster.deploy("special")[0] == 201


def test_the_authorizer_can_be_asked(cluster: Cluster) -> None:
    check = "authorizer.serviceAccount('default', 'nobody').group('apps').resource('deployments')"
    cluster.policy("power", {"expression": f"{check}.namespace('default').check('create').allowed()"})
    cluster.bind("power")
    assert cluster.deploy()[0] == 422


def test_expressions_that_do_not_compile_are_refused(cluster: Cluster) -> None:
    validations = [{"expression": "object.spec.replicas +"}, {"expression": "1 + 1"}, {"expression": "params.x == 1"}]
    body = {"matchConstraints": {"resourceRules": [RULE]}, "validations": validations}
    body["variables"] = [{"name": "a", "expression": "variables.b"}, {"name": "b", "expression": "1"}]
    path = f"{GROUP}/validatingadmissionpolicies"
    status = cluster.post(path, {"metadata": {"name": "bad"}, "spec": body}, 422)
    fields = {cause["field"]: cause["message"] for cause in status["details"]["causes"]}
    assert set(fields) == {
        "spec.validations[0].expression",
        "spec.validations[1].expression",
        "spec.validations[2].expression",
        "spec.variables[0].expression",
    }
    assert "Syntax error" in fields["spec.validations[0].expression"]
    assert "must evaluate to bool" in fields["spec.validations[1].expression"]
    assert "undeclared reference to 'params" in fields["spec.validations[2].expression"]
    assert "undeclared reference to 'variables.b'" in fields["spec.variables[0].expression"]


def test_an_endless_expression_ends(cluster: Cluster) -> None:
    endless = "[1,2,3,4,5,6,7,8,9].all(a, " * 8 + "true" + ")" * 8
    for depth, name in enumerate("abcdefgh"):
        endless = endless.replace("all(a,", f"all({name}{depth},", 1)
    cluster.policy("endless", {"expression": endless})
    cluster.bind("endless")
    code, status, _ = cluster.deploy()
    assert code == 422 and "operation cancelled: actual cost limit exceeded" in status["message"]
