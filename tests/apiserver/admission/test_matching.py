"""Which requests a rule means."""

from typing import Any

import pytest

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.matching import Criteria, Rule
from apiserver.request import ANONYMOUS
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.fakes.reader import NoObjects

RULE: Json = {"operations": ["CREATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["deployments"]}


def _attributes(kind: Kind = kinds.DEPLOYMENTS, subresource: str = "", **more: Any) -> Attributes:
    namespace = "web" if kind.namespaced else ""
    return Attributes(Operation.CREATE, kind, ANONYMOUS, namespace, "x", subresource, **more)


@pytest.mark.parametrize(
    ("change", "kind", "subresource", "expected"),
    [
        pytest.param({}, kinds.DEPLOYMENTS, "", True, id="all-named"),
        pytest.param({"operations": ["UPDATE"]}, kinds.DEPLOYMENTS, "", False, id="other-operation"),
        pytest.param({"operations": ["*"]}, kinds.DEPLOYMENTS, "", True, id="any-operation"),
        pytest.param({"apiGroups": [""]}, kinds.DEPLOYMENTS, "", False, id="other-group"),
        pytest.param({"apiVersions": ["v2"]}, kinds.DEPLOYMENTS, "", False, id="other-version"),
        pytest.param({"resources": ["*"]}, kinds.DEPLOYMENTS, "", True, id="any-resource"),
        pytest.param({"resources": ["*"]}, kinds.DEPLOYMENTS, "scale", False, id="any-resource-is-no-subresource"),
        pytest.param({"resources": ["*/*"]}, kinds.DEPLOYMENTS, "scale", True, id="everything"),
        pytest.param({"resources": ["*/*"]}, kinds.DEPLOYMENTS, "", True, id="everything-is-the-resource-too"),
        pytest.param({"resources": ["deployments/*"]}, kinds.DEPLOYMENTS, "scale", True, id="all-its-subresources"),
        pytest.param({"resources": ["*/scale"]}, kinds.DEPLOYMENTS, "scale", True, id="a-subresource-of-all"),
        pytest.param({"resources": ["*/scale"]}, kinds.DEPLOYMENTS, "status", False, id="another-subresource"),
        pytest.param({"scope": "Namespaced"}, kinds.DEPLOYMENTS, "", True, id="namespaced"),
        pytest.param({"scope": "Cluster"}, kinds.DEPLOYMENTS, "", False, id="not-of-the-cluster"),
        pytest.param({"resourceNames": ["y"]}, kinds.DEPLOYMENTS, "", False, id="another-name"),
        pytest.param({"resourceNames": ["x"]}, kinds.DEPLOYMENTS, "", True, id="its-name"),
    ],
)
def test_a_rule(change: Json, kind: Kind, subresource: str, expected: bool) -> None:
    assert Rule.of({**RULE, **change}).matches(_attributes(kind, subresource), kind) is expected


class Namespaces(NoObjects):
    """One namespace with labels, and one equivalent version."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The namespace."""
        return {"metadata": {"name": name, "labels": {"team": "web"}}}

    def equivalents(self, kind: Kind) -> list[Kind]:
        """v1beta9."""
        return [Kind(kind.group, "v1beta9", kind.kind, kind.plural)]


def _criteria(**more: Any) -> Criteria:
    return Criteria.of({"resourceRules": [RULE], **more})


@pytest.mark.parametrize(
    ("criteria", "obj", "expected"),
    [
        pytest.param({}, {}, True, id="no-selectors"),
        pytest.param({"namespaceSelector": {"matchLabels": {"team": "web"}}}, {}, True, id="its-namespace"),
        pytest.param({"namespaceSelector": {"matchLabels": {"team": "db"}}}, {}, False, id="another-namespace"),
        pytest.param({"objectSelector": {"matchLabels": {"a": "b"}}}, {"labels": {"a": "b"}}, True, id="its-labels"),
        pytest.param({"objectSelector": {"matchLabels": {"a": "b"}}}, {"labels": {"a": "c"}}, False, id="other-labels"),
        pytest.param({"excludeResourceRules": [RULE]}, {}, False, id="an-exception"),
    ],
)
async def test_criteria(criteria: Json, obj: Json, expected: bool) -> None:
    attributes = _attributes(obj={"metadata": obj})
    found = await _criteria(**criteria).match(attributes, Namespaces())
    assert (found == kinds.DEPLOYMENTS) is expected


async def test_an_object_that_is_relabelled_out_of_a_selector_is_still_seen() -> None:
    criteria = Criteria.of(
        {"resourceRules": [{**RULE, "operations": ["UPDATE"]}], "objectSelector": {"matchLabels": {"a": "b"}}}
    )
    attributes = _attributes(obj={"metadata": {}}, old={"metadata": {"labels": {"a": "b"}}})
    attributes.operation = Operation.UPDATE
    assert await criteria.match(attributes, Namespaces()) == kinds.DEPLOYMENTS


async def test_another_version_matches_unless_the_policy_is_exact() -> None:
    rules = [{**RULE, "apiVersions": ["v1beta9"]}]
    found = await Criteria.of({"resourceRules": rules}).match(_attributes(), Namespaces())
    assert found is not None and found.version == "v1beta9"
    exact = Criteria.of({"resourceRules": rules, "matchPolicy": "Exact"})
    assert await exact.match(_attributes(), Namespaces()) is None


async def test_a_namespace_is_selected_by_its_own_labels() -> None:
    rule = {**RULE, "apiGroups": [""], "resources": ["namespaces"]}
    criteria = Criteria.of({"resourceRules": [rule], "namespaceSelector": {"matchLabels": {"new": "yes"}}})
    attributes = _attributes(kinds.NAMESPACES, obj={"metadata": {"labels": {"new": "yes"}}})
    assert await criteria.match(attributes, Namespaces()) == kinds.NAMESPACES
    attributes = _attributes(kinds.NAMESPACES, obj={"metadata": {}})
    assert await criteria.match(attributes, Namespaces()) is None
