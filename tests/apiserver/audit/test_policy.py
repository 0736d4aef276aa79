"""Which rule of an audit policy is about a request, and what is wrong with a bad policy."""

from typing import Any

import pytest
import yaml

from apiserver.audit.policy import API_VERSION, Level, Policy, PolicyError, Verdict, load
from apiserver.authz.attributes import Attributes
from apiserver.request import User
from machinery.api.codec import Json

ANN = User("ann", groups=("devs", "system:authenticated"))


def policy(*rules: Json, **more: Any) -> Policy:
    """Read from text, as a file is."""
    return load(yaml.safe_dump({"apiVersion": API_VERSION, "kind": "Policy", "rules": list(rules), **more}))


def pods(**more: Any) -> Attributes:
    """A request for pods."""
    return Attributes(ANN, **({"verb": "get", "resource": "pods", "namespace": "web", "name": "a"} | more))


def page(path: str) -> Attributes:
    """A request for something that is no resource."""
    return Attributes(ANN, "get", is_resource=False, path=path)


@pytest.mark.parametrize(
    ("rule", "asked", "matches"),
    [
        pytest.param({}, pods(), True, id="an-empty-rule-matches-all"),
        pytest.param({}, page("/healthz"), True, id="pages-too"),
        pytest.param({"users": ["ann"]}, pods(), True, id="user"),
        pytest.param({"users": ["bob"]}, pods(), False, id="another-user"),
        pytest.param({"userGroups": ["ops", "devs"]}, pods(), True, id="a-group"),
        pytest.param({"userGroups": ["ops"]}, pods(), False, id="another-group"),
        pytest.param({"verbs": ["get", "list"]}, pods(), True, id="verb"),
        pytest.param({"verbs": ["list"]}, pods(), False, id="another-verb"),
        pytest.param({"namespaces": ["web"]}, pods(), True, id="namespace"),
        pytest.param({"namespaces": [""]}, pods(), False, id="cluster-scoped-only"),
        pytest.param({"namespaces": ["web"]}, page("/healthz"), False, id="namespace-and-page"),
        pytest.param({"resources": [{"group": ""}]}, pods(), True, id="group"),
        pytest.param({"resources": [{"group": "apps"}]}, pods(), False, id="another-group-of-resources"),
        pytest.param({"resources": [{"resources": ["pods"]}]}, pods(), True, id="resource"),
        pytest.param({"resources": [{"resources": ["pods"]}]}, pods(subresource="log"), False, id="not-its-parts"),
        pytest.param({"resources": [{"resources": ["pods/log"]}]}, pods(subresource="log"), True, id="a-part"),
        pytest.param({"resources": [{"resources": ["pods/*"]}]}, pods(subresource="log"), True, id="all-parts"),
        pytest.param({"resources": [{"resources": ["*/scale"]}]}, pods(subresource="scale"), True, id="a-part-of-all"),
        pytest.param({"resources": [{"resources": ["*"]}]}, pods(subresource="log"), True, id="everything"),
        pytest.param({"resources": [{"resources": ["pods"], "resourceNames": ["a"]}]}, pods(), True, id="name"),
        pytest.param({"resources": [{"resources": ["pods"], "resourceNames": ["b"]}]}, pods(), False, id="other-name"),
        pytest.param({"nonResourceURLs": ["/healthz*"]}, page("/healthz/etcd"), True, id="page"),
        pytest.param({"nonResourceURLs": ["/healthz"]}, page("/healthz/etcd"), False, id="not-below-a-page"),
        pytest.param({"nonResourceURLs": ["*"]}, pods(), False, id="pages-are-no-resources"),
    ],
)
def test_a_rule_is_about_what_it_names(rule: Json, asked: Attributes, matches: bool) -> None:
    verdict = policy({"level": "Request", **rule}).verdict(asked)
    assert verdict.level is (Level.REQUEST if matches else Level.NONE)


def test_the_first_rule_that_matches_decides() -> None:
    rules = policy({"level": "None", "users": ["bob"]}, {"level": "Metadata", "users": ["ann"]}, {"level": "Request"})
    assert rules.verdict(pods()).level is Level.METADATA


def test_omissions_of_the_policy_and_of_the_rule_add_up() -> None:
    rule = {"level": "Metadata", "omitStages": ["ResponseStarted"]}
    found = policy(rule, omitStages=["RequestReceived"], omitManagedFields=True).verdict(pods())
    assert found == Verdict(Level.METADATA, frozenset(("RequestReceived", "ResponseStarted")), omit_managed_fields=True)
    kept = policy({**rule, "omitManagedFields": False}, omitManagedFields=True).verdict(pods())
    assert not kept.omit_managed_fields


@pytest.mark.parametrize(
    ("rule", "why"),
    [
        ({}, r"rules\[0\].level: Required value"),
        ({"level": "All"}, 'Unsupported value: "All"'),
        ({"level": "None", "omitStages": ["End"]}, r"omitStages\[0\].*allowed stages are RequestReceived,"),
        ({"level": "None", "nonResourceURLs": ["healthz"]}, "must begin with a '/'"),
        ({"level": "None", "nonResourceURLs": ["/a*b"]}, "must be the final character"),
        ({"level": "None", "nonResourceURLs": ["/a"], "namespaces": ["x"]}, "cannot apply to both"),
        ({"level": "None", "resources": [{"group": "apps/v1"}]}, "group: Invalid value"),
        ({"level": "None", "resources": [{"resourceNames": ["a"]}]}, "requires at least one resource"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_with_its_place(rule: Json, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        policy(rule)


@pytest.mark.parametrize(
    ("text", "why"),
    [("", "empty"), ("{", "failed decoding"), ("kind: Pod\napiVersion: v1", "Kind=Pod")],
)
def test_what_is_no_policy_is_refused(text: str, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        load(text)


def test_a_policy_without_rules_is_refused() -> None:
    with pytest.raises(PolicyError, match="0 rules"):
        policy()
