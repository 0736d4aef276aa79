"""Real kubectl of the versions that send protobuf (1.32 and later): what they create, ask, delete and evict."""

import json
from collections.abc import Iterator

import httpx
import pytest

from machinery.api import protobuf
from machinery.api.codec import Json
from tests.integration.apiserver.conftest import service_account
from tests.integration.apiserver_process import ApiserverProcess

VERSIONS = ("1.32", "1.33")


class Team:
    """One kubectl in a namespace of its own."""

    def __init__(self, server: ApiserverProcess, version: str) -> None:
        self.server = server
        self.version = version
        self.namespace = f"protobuf-{version.replace('.', '-')}"

    def __call__(self, *arguments: str) -> str:
        """The output of a command that succeeds."""
        return self.server.kubectl("-n", self.namespace, *arguments, version=self.version).ok()

    def get(self, *what: str) -> Json:
        """One object."""
        obj: Json = json.loads(self("get", *what, "-o", "json"))
        return obj


@pytest.fixture(scope="module", params=VERSIONS)
def kubectl(server: ApiserverProcess, request: pytest.FixtureRequest) -> Iterator[Team]:
    team = Team(server, request.param)
    assert team("create", "namespace", team.namespace) == f"namespace/{team.namespace} created\n"
    service_account(server, team.namespace)
    yield team
    assert team("delete", "namespace", team.namespace, "--wait=false") == f'namespace "{team.namespace}" deleted\n'


def test_a_deployment_keeps_the_zero_it_was_given(kubectl: Team) -> None:
    kubectl("create", "deployment", "web", "--image=nginx:1", "--replicas=0", "--port=80")
    spec = kubectl.get("deployment", "web")["spec"]
    assert spec["replicas"] == 0
    assert spec["strategy"]["type"] == "RollingUpdate"  # defaulted: nothing was said
    assert spec["template"]["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP"}]
    assert kubectl("scale", "deployment", "web", "--replicas=2") == "deployment.apps/web scaled\n"
    assert kubectl.get("deployment", "web")["spec"]["replicas"] == 2
    kubectl("delete", "deployment", "web", "--cascade=foreground", "--wait=false")
    assert kubectl.get("deployment", "web")["metadata"]["finalizers"] == ["foregroundDeletion"]


def test_maps_of_text_and_of_bytes(kubectl: Team) -> None:
    kubectl("create", "configmap", "settings", "--from-literal=color=red", "--from-literal=empty=")
    assert kubectl.get("configmap", "settings")["data"] == {"color": "red", "empty": ""}
    kubectl("create", "secret", "generic", "password", "--from-literal=a=b")
    assert kubectl.get("secret", "password")["data"] == {"a": "Yg=="}
    assert kubectl.get("secret", "password")["type"] == "Opaque"


def test_roles_and_who_has_them(kubectl: Team) -> None:
    kubectl("create", "serviceaccount", "robot")
    kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,deployments.apps")
    kubectl("create", "rolebinding", "robot", "--role=reader", f"--serviceaccount={kubectl.namespace}:robot")
    rules = kubectl.get("role", "reader")["rules"]
    assert rules == [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list"]},
    ]
    subject = {"kind": "ServiceAccount", "name": "robot", "namespace": kubectl.namespace}
    assert kubectl.get("rolebinding", "robot")["subjects"] == [subject]
    robot = f"--as=system:serviceaccount:{kubectl.namespace}:robot"
    assert kubectl("auth", "can-i", "list", "pods", robot) == "yes\n"
    refused = kubectl.server.kubectl("auth", "can-i", "create", "pods", robot, version=kubectl.version)
    assert (refused.code, refused.out) == (1, "no\n")
    assert "deployments.apps" in kubectl("auth", "can-i", "--list", robot)


def test_a_token_for_an_account_is_the_accounts(kubectl: Team) -> None:
    kubectl("create", "serviceaccount", "clerk")
    kubectl("create", "secret", "generic", "bound", "--from-literal=a=b")
    bound = ("--bound-object-kind=Secret", "--bound-object-name=bound")
    token = kubectl("create", "token", "clerk", "--duration=1h", *bound).strip()
    clerk = kubectl.server.kubeconfig_with_token(token, f"clerk-{kubectl.version}")
    said = kubectl.server.kubectl("auth", "whoami", version=kubectl.version, kubeconfig=clerk).ok()
    assert f"system:serviceaccount:{kubectl.namespace}:clerk" in said


def test_services_with_numbers_and_names_for_ports(kubectl: Team) -> None:
    kubectl("create", "service", "clusterip", "numbered", "--tcp=80:8080")
    kubectl("create", "service", "nodeport", "named", "--tcp=80:http")
    assert kubectl.get("service", "numbered")["spec"]["ports"][0]["targetPort"] == 8080
    assert kubectl.get("service", "named")["spec"]["ports"][0]["targetPort"] == "http"


def test_cordon_and_drain_with_evictions(kubectl: Team) -> None:
    node, pod = f"node-{kubectl.namespace}", "guest"
    with kubectl.server.client() as client:
        make(client, "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": node}})
        containers = [{"name": "main", "image": "busybox"}]
        spec = {"nodeName": node, "containers": containers, "terminationGracePeriodSeconds": 0}
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod}, "spec": spec}
        make(client, f"/api/v1/namespaces/{kubectl.namespace}/pods", body)
    assert kubectl("cordon", node) == f"node/{node} cordoned\n"
    assert kubectl.get("node", node)["spec"]["unschedulable"] is True
    assert f"node/{node} drained" in kubectl("drain", node, "--force", "--timeout=20s")
    gone = kubectl.server.kubectl("-n", kubectl.namespace, "get", "pod", pod, version=kubectl.version)
    assert f'pods "{pod}" not found' in gone.err
    assert kubectl("uncordon", node) == f"node/{node} uncordoned\n"


def make(client: httpx.Client, path: str, body: Json) -> None:
    """Create what kubectl has no command for."""
    answer = client.post(path, json=body)
    assert answer.status_code == 201, answer.text


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        pytest.param(
            b"{}",
            400,
            "the object provided is unrecognized (must be of type ConfigMap): provided data does not appear to be a "
            "protobuf message, expected prefix [107 56 115 0] ({})",
            id="json",
        ),
        pytest.param(
            protobuf.PREFIX + b"\x12\x05\x0a",
            400,
            "the object provided is unrecognized (must be of type ConfigMap): unexpected EOF (6b38730012050a)",
            id="cut-short",
        ),
        pytest.param(
            protobuf.PREFIX + b"\x0a\x08\x0a\x02v9\x12\x02Ab",
            415,
            "the body of the request was in an unknown format - accepted media types include: "
            "application/json, application/yaml",
            id="no-such-kind",
        ),
    ],
)
def test_what_cannot_be_read_is_told(server: ApiserverProcess, body: bytes, status: int, message: str) -> None:
    with server.client() as client:
        headers = {"content-type": protobuf.MEDIA_TYPE}
        answer = client.post("/api/v1/namespaces/default/configmaps", content=body, headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (status, message)
