"""The four RBAC kinds."""

from typing import Any

import pytest

from apiserver.registry.resource import Resource
from apiserver.registry.strategy import Context
from apiserver.request import ANONYMOUS
from apiserver.resources.rbac.clusterrolebindings import CLUSTER_ROLE_BINDINGS
from apiserver.resources.rbac.clusterroles import CLUSTER_ROLES
from apiserver.resources.rbac.rolebindings import ROLE_BINDINGS
from apiserver.resources.rbac.roles import ROLES
from machinery.api.codec import Json

CONTEXT = Context(ANONYMOUS, "default", "x")
GROUP = "rbac.authorization.k8s.io"


def _obj(row: Resource, name: str = "system:x", **fields: Any) -> Json:
    namespace = {"namespace": "default"} if row.kind.namespaced else {}
    obj = {"metadata": {"name": name, **namespace}, **fields}
    row.strategy.defaults(obj)
    return obj


ROLE = {"kind": "ClusterRole", "name": "admin"}


@pytest.mark.parametrize(
    ("row", "fields", "texts"),
    [
        pytest.param(ROLES, {"rules": [{"verbs": ["*"], "apiGroups": [""], "resources": ["*"]}]}, [], id="role"),
        pytest.param(ROLES, {"name": "a/b"}, ["metadata.name: Invalid value: \"a/b\": may not contain '/'"], id="name"),
        pytest.param(
            ROLES,
            {"rules": [{}]},
            [
                "rules[0].verbs: Required value: verbs must contain at least one value",
                "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
                "rules[0].resources: Required value: resource rules must supply at least one resource",
            ],
            id="empty-rule",
        ),
        pytest.param(
            ROLES,
            {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]},
            ['rules[0].nonResourceURLs: Invalid value: ["/x"]: namespaced rules cannot apply to non-resource URLs'],
            id="url-in-a-role",
        ),
        pytest.param(CLUSTER_ROLES, {"rules": [{"verbs": ["get"], "nonResourceURLs": ["/x"]}]}, [], id="url"),
        pytest.param(ROLE_BINDINGS, {"roleRef": ROLE, "subjects": [{"kind": "User", "name": "u"}]}, [], id="binding"),
        pytest.param(
            CLUSTER_ROLE_BINDINGS,
            {"roleRef": {"kind": "Role", "name": "r"}},
            ['roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"'],
            id="cluster-binding-to-a-role",
        ),
        pytest.param(
            CLUSTER_ROLE_BINDINGS,
            {"roleRef": ROLE, "subjects": [{"kind": "ServiceAccount", "name": "a"}]},
            ["subjects[0].namespace: Required value"],
            id="account-without-namespace",
        ),
        pytest.param(
            ROLE_BINDINGS,
            {"roleRef": ROLE, "subjects": [{"kind": "Robot", "name": "a"}]},
            ['subjects[0].kind: Unsupported value: "Robot": supported values: "Group", "ServiceAccount", "User"'],
            id="unknown-subject",
        ),
    ],
)
def test_what_is_wrong_with_an_rbac_object(row: Resource, fields: Json, texts: list[str]) -> None:
    assert [error.message() for error in row.strategy.validate(_obj(row, **fields), CONTEXT)] == texts


def test_groups_follow_from_kinds() -> None:
    subjects = [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "a", "namespace": "n"}]
    binding = _obj(ROLE_BINDINGS, roleRef=dict(ROLE), subjects=subjects)
    assert binding["roleRef"]["apiGroup"] == GROUP
    assert [subject.get("apiGroup") for subject in binding["subjects"]] == [GROUP, None]


def test_a_bindings_role_stays() -> None:
    old = _obj(ROLE_BINDINGS, roleRef=dict(ROLE))
    new = _obj(ROLE_BINDINGS, roleRef={**ROLE, "name": "view"})
    (error,) = ROLE_BINDINGS.strategy.validate_update(new, old, CONTEXT)
    assert (error.field, error.detail) == ("roleRef", "cannot change roleRef")


def test_a_bindings_row() -> None:
    subjects = [
        {"kind": "User", "name": "u"},
        {"kind": "User", "name": "v"},
        {"kind": "ServiceAccount", "name": "a", "namespace": "n"},
    ]
    binding = _obj(ROLE_BINDINGS, roleRef=dict(ROLE), subjects=subjects)
    cells = {column.name: column.cell(binding) for column in ROLE_BINDINGS.columns}
    assert (cells["Role"], cells["Users"], cells["Groups"]) == ("ClusterRole/admin", "u, v", "")
    assert cells["ServiceAccounts"] == "n/a"
