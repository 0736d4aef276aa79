"""Upstream's default schemas, asked about requests."""

import pytest

from apiserver import default_objects
from apiserver.fairness.flow_schemas import Classifier, Schema, flow_of
from apiserver.filters.request_info import request_info
from apiserver.request import User
from machinery.api import kinds

SCHEMAS = [Schema.of(obj) for kind, obj in default_objects.objects("10.0.0.0/24", ()) if kind == kinds.FLOW_SCHEMAS]
AUTHENTICATED = "system:authenticated"
NODE = User("system:node:a", groups=("system:nodes", AUTHENTICATED))
MANAGER = User("system:kube-controller-manager", groups=(AUTHENTICATED,))
POD = User("system:serviceaccount:web:default", groups=("system:serviceaccounts", AUTHENTICATED))
SYSTEM_POD = User("system:serviceaccount:kube-system:dns", groups=("system:serviceaccounts", AUTHENTICATED))
JANE = User("jane", groups=(AUTHENTICATED,))
ADMIN = User("admin", groups=("system:masters", AUTHENTICATED))
NOBODY = User("system:anonymous", groups=("system:unauthenticated",))
PODS = "/api/v1/namespaces/web/pods"
LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x"


@pytest.mark.parametrize(
    ("user", "method", "path", "schema", "flow"),
    [
        pytest.param(ADMIN, "GET", PODS, "exempt", "", id="masters"),
        pytest.param(NOBODY, "GET", "/healthz", "probes", "", id="probes"),
        pytest.param(NOBODY, "GET", "/version", "global-default", "system:anonymous", id="anonymous"),
        pytest.param(NODE, "PUT", "/api/v1/nodes/a/status", "system-node-high", "system:node:a", id="node"),
        pytest.param(NODE, "GET", PODS, "system-nodes", "system:node:a", id="nodes-pods"),
        pytest.param(MANAGER, "PUT", LEASE, "system-leader-election", MANAGER.name, id="lease"),
        pytest.param(MANAGER, "GET", PODS, "kube-controller-manager", "web", id="by-namespace"),
        pytest.param(SYSTEM_POD, "PUT", LEASE, "system-leader-election", SYSTEM_POD.name, id="add-on"),
        pytest.param(SYSTEM_POD, "GET", PODS, "kube-system-service-accounts", "web", id="system"),
        pytest.param(POD, "GET", PODS, "service-accounts", POD.name, id="pod"),
        pytest.param(JANE, "GET", PODS, "global-default", "jane", id="user"),
    ],
)
def test_a_request_is_of_the_flow_that_upstream_puts_it_in(
    user: User, method: str, path: str, schema: str, flow: str
) -> None:
    info = request_info(method, path, {})
    found = Classifier(SCHEMAS).schema_of(user, info)
    assert (found.name, flow_of(found, user, info)) == (schema, f"{schema}/{flow}" if flow else schema)


def test_the_lower_precedence_counts_and_of_equals_the_name() -> None:
    rules = SCHEMAS[-1].rules
    schemas = [Schema(name, "", "x", precedence, "", rules) for name, precedence in (("b", 5), ("a", 5), ("c", 4))]
    info = request_info("GET", PODS, {})
    assert Classifier(schemas).schema_of(JANE, info).name == "c"
    assert Classifier(schemas[:2]).schema_of(JANE, info).name == "a"
