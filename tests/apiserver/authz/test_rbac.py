"""Rules, bindings and the index between them."""

from typing import Any

import pytest

from apiserver.authz.attributes import Attributes
from apiserver.authz.rbac import RBAC, allows, rule_of
from apiserver.request import User
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.names import ObjectKey

ANN = User("ann", groups=("devs",))
READ_PODS: Json = {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["pods"]}


def ask(verb: str, resource: str, **more: Any) -> Attributes:
    """May ann?"""
    return Attributes(more.pop("user", ANN), verb, resource=resource, **more)


@pytest.mark.parametrize(
    ("rule", "question", "wanted"),
    [
        pytest.param(READ_PODS, ask("get", "pods"), True, id="verb-and-resource"),
        pytest.param(READ_PODS, ask("delete", "pods"), False, id="another-verb"),
        pytest.param(READ_PODS, ask("get", "pods", group="apps"), False, id="another-group"),
        pytest.param(READ_PODS, ask("get", "pods", subresource="log"), False, id="a-subresource-is-another-resource"),
        pytest.param(READ_PODS | {"resources": ["pods/log"]}, ask("get", "pods", subresource="log"), True, id="log"),
        pytest.param(
            READ_PODS | {"resources": ["*/scale"]}, ask("get", "x", subresource="scale"), True, id="any-scale"
        ),
        pytest.param(READ_PODS | {"resources": ["*"]}, ask("get", "x", subresource="y"), True, id="star-is-everything"),
        pytest.param(READ_PODS | {"resourceNames": ["a"]}, ask("get", "pods", name="a"), True, id="the-name"),
        pytest.param(READ_PODS | {"resourceNames": ["a"]}, ask("get", "pods", name="b"), False, id="another-name"),
        pytest.param(READ_PODS | {"resourceNames": ["a"]}, ask("list", "pods"), False, id="a-list-has-no-name"),
        pytest.param(
            {"verbs": ["get"], "nonResourceURLs": ["/healthz/*"]},
            Attributes(ANN, "get", is_resource=False, path="/healthz/etcd"),
            True,
            id="url-below",
        ),
        pytest.param(
            {"verbs": ["get"], "nonResourceURLs": ["/healthz"]},
            Attributes(ANN, "get", is_resource=False, path="/healthz/etcd"),
            False,
            id="url-is-exact",
        ),
        pytest.param(
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            Attributes(ANN, "get", is_resource=False, path="/metrics"),
            False,
            id="resources-are-not-urls",
        ),
    ],
)
def test_a_rule_allows(rule: Json, question: Attributes, wanted: bool) -> None:
    assert allows(rule_of(rule), question) is wanted


def role(*rules: Json, **fields: Any) -> Json:
    """A role with rules and labels."""
    return {"metadata": {"labels": fields.pop("labels", {})}, "rules": list(rules), **fields}


def binding(kind: str, name: str, *subjects: Json) -> Json:
    """A binding to a role."""
    return {"metadata": {}, "roleRef": {"kind": kind, "name": name}, "subjects": list(subjects)}


def devs() -> Json:
    return {"kind": "Group", "name": "devs"}


@pytest.fixture
def rbac() -> RBAC:
    """An index with a cluster role and one binding of it in namespace n."""
    index = RBAC()
    index.apply(kinds.ROLE_BINDINGS, ObjectKey("n", "b"), binding("ClusterRole", "reader", devs()))
    index.apply(kinds.CLUSTER_ROLES, ObjectKey("", "reader"), role(READ_PODS))
    return index


def test_a_role_binding_counts_in_its_namespace_only(rbac: RBAC) -> None:
    assert rbac.decide(ask("get", "pods", namespace="n")).allowed
    assert not rbac.decide(ask("get", "pods", namespace="m")).allowed
    assert not rbac.decide(ask("list", "pods")).allowed


def test_a_cluster_role_binding_counts_everywhere(rbac: RBAC) -> None:
    rbac.apply(kinds.CLUSTER_ROLE_BINDINGS, ObjectKey("", "b"), binding("ClusterRole", "reader", devs()))
    assert rbac.decide(ask("get", "pods", namespace="m")).allowed
    assert rbac.decide(ask("list", "pods")).allowed


def test_changes_take_effect_one_by_one(rbac: RBAC) -> None:
    question = ask("get", "pods", namespace="n")
    rbac.apply(kinds.CLUSTER_ROLES, ObjectKey("", "reader"), role())
    assert not rbac.decide(question).allowed
    rbac.apply(kinds.CLUSTER_ROLES, ObjectKey("", "reader"), role(READ_PODS))
    assert rbac.decide(question).allowed
    rbac.apply(
        kinds.ROLE_BINDINGS, ObjectKey("n", "b"), binding("ClusterRole", "reader", {"kind": "User", "name": "x"})
    )
    assert not rbac.decide(question).allowed
    assert rbac.decide(ask("get", "pods", namespace="n", user=User("x"))).allowed
    rbac.apply(kinds.ROLE_BINDINGS, ObjectKey("n", "b"), None)
    assert not rbac.decide(ask("get", "pods", namespace="n", user=User("x"))).allowed


def test_a_missing_role_is_the_reason_given(rbac: RBAC) -> None:
    rbac.apply(kinds.CLUSTER_ROLES, ObjectKey("", "reader"), None)
    decision = rbac.decide(ask("get", "pods", namespace="n"))
    assert decision.reason == 'RBAC: clusterrole.rbac.authorization.k8s.io "reader" not found'


def test_a_service_account_without_a_namespace_is_the_bindings() -> None:
    index = RBAC()
    index.apply(kinds.ROLES, ObjectKey("n", "reader"), role(READ_PODS))
    account = {"kind": "ServiceAccount", "name": "robot"}
    index.apply(kinds.ROLE_BINDINGS, ObjectKey("n", "b"), binding("Role", "reader", account))
    robot = User("system:serviceaccount:n:robot")
    assert index.decide(ask("get", "pods", namespace="n", user=robot)).allowed


def test_an_aggregated_role_has_the_rules_of_all_it_selects() -> None:
    index = RBAC()
    selector = {"clusterRoleSelectors": [{"matchLabels": {"to": "big"}}]}
    index.apply(kinds.CLUSTER_ROLES, ObjectKey("", "big"), role(aggregationRule=selector))
    index.apply(kinds.CLUSTER_ROLE_BINDINGS, ObjectKey("", "b"), binding("ClusterRole", "big", devs()))
    assert not index.decide(ask("get", "pods")).allowed
    index.apply(kinds.CLUSTER_ROLES, ObjectKey("", "part"), role(READ_PODS, labels={"to": "big"}))
    assert index.decide(ask("get", "pods")).allowed
    index.apply(kinds.CLUSTER_ROLES, ObjectKey("", "part"), None)
    assert not index.decide(ask("get", "pods")).allowed


def test_roles_that_aggregate_each_other_end() -> None:
    index = RBAC()
    for name, other in (("a", "b"), ("b", "a")):
        selector = {"clusterRoleSelectors": [{"matchLabels": {"is": other}}]}
        obj = role(READ_PODS, labels={"is": name}, aggregationRule=selector)
        index.apply(kinds.CLUSTER_ROLES, ObjectKey("", name), obj)
    index.apply(kinds.CLUSTER_ROLE_BINDINGS, ObjectKey("", "b"), binding("ClusterRole", "a", devs()))
    assert index.decide(ask("get", "pods")).allowed


def test_rules_are_listed_for_a_namespace(rbac: RBAC) -> None:
    rules, incomplete = rbac.rules_for(ANN, "n")
    assert [rule.resources for rule in rules] == [frozenset(["pods"])]
    assert not incomplete
    assert rbac.rules_for(ANN, "m")[0] == []
