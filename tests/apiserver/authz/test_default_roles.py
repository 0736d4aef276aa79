"""The default roles, against facts of upstream that components lean on."""

import pytest

from apiserver.authz import default_roles
from apiserver.authz.attributes import Attributes
from apiserver.authz.rbac import RBAC
from apiserver.bootstrap import complete_binding, complete_role
from apiserver.request import User
from machinery.api import codec, kinds, meta


@pytest.fixture(scope="module")
def rbac() -> RBAC:
    """All default roles and bindings."""
    index = RBAC()
    for kind, objects in (
        (kinds.CLUSTER_ROLES, default_roles.cluster_roles()),
        (kinds.CLUSTER_ROLE_BINDINGS, default_roles.cluster_role_bindings()),
        (kinds.ROLES, default_roles.roles()),
        (kinds.ROLE_BINDINGS, default_roles.role_bindings()),
    ):
        for obj in objects:
            index.apply(kind, meta.key_of(obj), obj)
    return index


def account(name: str) -> User:
    return User(f"system:serviceaccount:kube-system:{name}")


SCHEDULER, MANAGER, PROXY = (User(f"system:kube-{name}") for name in ("scheduler", "controller-manager", "proxy"))


@pytest.mark.parametrize(
    ("user", "verb", "group", "resource", "wanted"),
    [
        (SCHEDULER, "create", "", "pods/binding", True),
        (SCHEDULER, "watch", "", "nodes", True),
        (SCHEDULER, "get", "", "secrets", False),
        (MANAGER, "watch", "apps", "deployments", True),
        (MANAGER, "create", "", "serviceaccounts/token", True),
        (MANAGER, "create", "", "pods", False),
        (PROXY, "watch", "discovery.k8s.io", "endpointslices", True),
        (PROXY, "watch", "", "pods", False),
        (account("replicaset-controller"), "create", "", "pods", True),
        (account("deployment-controller"), "update", "apps", "deployments/status", True),
        (account("generic-garbage-collector"), "delete", "any.group", "things", True),
        (account("root-ca-cert-publisher"), "create", "", "configmaps", True),
        (User("x", groups=("system:masters",)), "anything", "any", "thing", True),
        (
            User("x", groups=("system:authenticated",)),
            "create",
            "authorization.k8s.io",
            "selfsubjectaccessreviews",
            True,
        ),
    ],
)
def test_components_may_do_their_work(
    rbac: RBAC, user: User, verb: str, group: str, resource: str, wanted: bool
) -> None:
    name, _, subresource = resource.partition("/")
    question = Attributes(user, verb, group=group, resource=name, subresource=subresource, namespace="kube-system")
    assert rbac.decide(question).allowed is wanted


def test_every_rule_is_whole() -> None:
    for role in (*default_roles.cluster_roles(), *default_roles.roles()):
        for rule in role["rules"]:
            assert rule["verbs"]
            assert rule.get("resources") or rule.get("nonResourceURLs")
            assert all(" " not in word for words in rule.values() for word in words)


def test_edit_has_what_view_has_and_admin_what_edit_has() -> None:
    rules = {meta.name_of(role): role["rules"] for role in default_roles.cluster_roles()}
    for smaller, larger in (("view", "edit"), ("edit", "admin")):
        assert all(rule in rules[larger] for rule in rules[smaller])
        assert len(rules[larger]) > len(rules[smaller])


def test_a_line_that_is_no_rule_is_an_error() -> None:
    with pytest.raises(ValueError, match="not a rule"):
        default_roles.rules_of("get core pods names too many")


def test_completing_gives_back_and_keeps() -> None:
    wanted = next(role for role in default_roles.cluster_roles() if meta.name_of(role) == "system:basic-user")
    found = codec.copy_of(wanted)
    assert not complete_role(found, wanted)
    own = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
    found["rules"] = [own, *found["rules"][1:]]
    del found["metadata"]["labels"]
    assert complete_role(found, wanted)
    assert own in found["rules"]
    assert wanted["rules"][0] in found["rules"]
    assert meta.labels_of(found) == meta.labels_of(wanted)
    assert not complete_role(found, wanted)


def test_auto_update_can_be_turned_off() -> None:
    wanted = next(default_roles.cluster_roles())
    found = codec.copy_of(wanted) | {"rules": []}
    found["metadata"]["annotations"] = {default_roles.AUTO_UPDATE: "false"}
    assert not complete_role(found, wanted)


def test_a_binding_gets_its_subjects_back_but_another_role_is_left_alone() -> None:
    wanted = next(default_roles.cluster_role_bindings())
    found = codec.copy_of(wanted)
    found["subjects"] = [{"kind": "User", "apiGroup": default_roles.RBAC_GROUP, "name": "ann"}]
    assert complete_binding(found, wanted)
    assert len(found["subjects"]) == 2
    other = codec.copy_of(wanted) | {"subjects": [], "roleRef": {"kind": "ClusterRole", "name": "view"}}
    assert not complete_binding(other, wanted)
