"""What counts as granting more than one has."""

import pytest

from apiserver.authz.escalation import described, uncovered
from apiserver.authz.rbac import rule_of
from machinery.api.codec import Json


def rule(verbs: str, groups: str, resources: str, names: str = "") -> Json:
    """A PolicyRule from words; `core` is the empty group."""
    made: Json = {
        "verbs": verbs.split(),
        "apiGroups": [group if group != "core" else "" for group in groups.split()],
        "resources": resources.split(),
    }
    return made | {"resourceNames": names.split()} if names else made


@pytest.mark.parametrize(
    ("held", "wanted", "missing"),
    [
        pytest.param([rule("get list", "core", "pods")], rule("get", "core", "pods"), "", id="a-part"),
        pytest.param(
            [rule("get", "core", "pods"), rule("list", "core", "pods")],
            rule("get list", "core", "pods"),
            "",
            id="together",
        ),
        pytest.param([rule("*", "*", "*")], rule("delete", "x", "y/z", "n"), "", id="everything"),
        pytest.param(
            [rule("get", "core", "pods")],
            rule("get delete list", "core", "pods"),
            '{APIGroups:[""], Resources:["pods"], Verbs:["delete" "list"]}',
            id="verbs-it-lacks",
        ),
        pytest.param([rule("get", "core", "*/log")], rule("get", "core", "pods/log"), "", id="any-log"),
        pytest.param(
            [rule("get", "core", "pods")],
            rule("get", "core", "*"),
            '{APIGroups:[""], Resources:["*"], Verbs:["get"]}',
            id="a-star-needs-a-star",
        ),
        pytest.param([rule("get", "core", "pods")], rule("get", "core", "pods", "a"), "", id="one-name-of-all"),
        pytest.param(
            [rule("get", "core", "pods", "a")],
            rule("get", "core", "pods"),
            '{APIGroups:[""], Resources:["pods"], Verbs:["get"]}',
            id="all-names-of-one",
        ),
        pytest.param(
            [{"verbs": ["get"], "nonResourceURLs": ["/a/*"]}],
            {"verbs": ["get"], "nonResourceURLs": ["/a/b", "/c"]},
            '{NonResourceURLs:["/c"], Verbs:["get"]}',
            id="urls",
        ),
    ],
)
def test_what_is_not_held_is_named(held: list[Json], wanted: Json, missing: str) -> None:
    assert described(uncovered([rule_of(own) for own in held], [wanted])) == missing
