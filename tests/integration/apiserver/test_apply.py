"""Server-side apply with real kubectl, old and new: conflicts, force, scale, the change from client-side apply."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from machinery.api.codec import Json
from tests.integration.apiserver_process import ApiserverProcess

CONTAINER: Json = {
    "name": "a",
    "image": "x:1",
    "ports": [{"containerPort": 8443}, {"containerPort": 80}],
    "env": [{"name": "A", "value": "b"}],
    "resources": {"limits": {"cpu": "1"}},
}
POD: Json = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "owned", "labels": {"app": "web"}},
    "spec": {"containers": [CONTAINER], "volumes": [{"name": "v", "emptyDir": {}}]},
}
#: what upstream's server says of POD after `kubectl create`
OWNED_POD = (
    '{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{"k:{\\"name\\":\\"a\\"}":{".":{},'
    '"f:env":{".":{},"k:{\\"name\\":\\"A\\"}":{".":{},"f:name":{},"f:value":{}}},"f:image":{},"f:imagePullPolicy":{},'
    '"f:name":{},"f:ports":{".":{},"k:{\\"containerPort\\":80,\\"protocol\\":\\"TCP\\"}":{".":{},"f:containerPort":{},'
    '"f:protocol":{}},"k:{\\"containerPort\\":8443,\\"protocol\\":\\"TCP\\"}":{".":{},"f:containerPort":{},'
    '"f:protocol":{}}},"f:resources":{".":{},"f:limits":{".":{},"f:cpu":{}},"f:requests":{".":{},"f:cpu":{}}},'
    '"f:terminationMessagePath":{},'
    '"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:enableServiceLinks":{},"f:restartPolicy":{},'
    '"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{},"f:volumes":{".":{},'
    '"k:{\\"name\\":\\"v\\"}":{".":{},"f:emptyDir":{},"f:name":{}}}}}'
)


def deployment(name: str, **spec: Any) -> str:
    """A manifest."""
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "x:1"}]}}
    body = {"selector": {"matchLabels": labels}, "template": template, "replicas": 2} | spec
    return yaml.safe_dump({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": body})


@pytest.fixture(params=["1.27", "1.33"])
def version(request: pytest.FixtureRequest) -> Iterator[str]:
    """An old kubectl and a new one."""
    yield request.param


def managers(server: ApiserverProcess, name: str) -> list[tuple[str, str, str]]:
    """(manager, operation, subresource) of a Deployment."""
    shown = server.kubectl("get", "deployment", name, "-n", "default", "-o", "json", "--show-managed-fields").ok()
    entries = json.loads(shown)["metadata"]["managedFields"]
    return [(entry["manager"], entry["operation"], entry.get("subresource", "")) for entry in entries]


def test_a_created_pod_is_owned_as_upstream_owns_it(server: ApiserverProcess) -> None:
    server.kubectl(
        "create", "--field-manager", "kubectl-create", "-n", "default", "-f", "-", stdin=json.dumps(POD)
    ).ok()
    shown = server.kubectl("get", "pod", "owned", "-n", "default", "-o", "json", "--show-managed-fields").ok()
    (entry,) = json.loads(shown)["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["apiVersion"]) == ("kubectl-create", "Update", "v1")
    assert json.dumps(entry["fieldsV1"], separators=(",", ":")) == OWNED_POD


def test_applying_twice_changes_nothing_and_what_is_left_out_goes(server: ApiserverProcess, version: str) -> None:
    name = f"twice-{version.replace('.', '-')}"
    apply = ("apply", "--server-side", "-n", "default", "-f", "-")
    server.kubectl(*apply, stdin=deployment(name, minReadySeconds=5), version=version).ok()
    with server.client() as client:
        url = f"/apis/apps/v1/namespaces/default/deployments/{name}"
        first = client.get(url).json()
        server.kubectl(*apply, stdin=deployment(name, minReadySeconds=5), version=version).ok()
        assert client.get(url).json() == first
        server.kubectl(*apply, stdin=deployment(name), version=version).ok()
        assert "minReadySeconds" not in client.get(url).json()["spec"]


def test_somebody_elses_field_is_a_conflict_until_it_is_forced(server: ApiserverProcess, version: str) -> None:
    name = f"conflict-{version.replace('.', '-')}"
    apply = ("apply", "--server-side", "-n", "default", "-f", "-")
    server.kubectl(*apply, stdin=deployment(name), version=version).ok()
    server.kubectl("scale", "deployment", name, "--replicas=5", "-n", "default", version=version).ok()
    assert [entry for entry in managers(server, name) if entry[2] == "scale"]
    refused = server.kubectl(*apply, stdin=deployment(name), version=version)
    assert refused.code == 1
    assert "Apply failed with 1 conflict: conflict with" in refused.err
    assert 'with subresource "scale" using apps/v1: .spec.replicas' in refused.err
    server.kubectl(*apply, "--force-conflicts", stdin=deployment(name), version=version).ok()
    assert managers(server, name) == [("kubectl", "Apply", "")]
    without = deployment(name).replace("  replicas: 2\n", "")
    server.kubectl(*apply, "--field-manager=other", stdin=without, version=version).ok()
    assert [entry[0] for entry in managers(server, name)] == ["kubectl", "other"]


def test_client_side_apply_becomes_server_side_apply(server: ApiserverProcess, version: str) -> None:
    name = f"csa-{version.replace('.', '-')}"
    server.kubectl("apply", "-n", "default", "-f", "-", stdin=deployment(name), version=version).ok()
    assert managers(server, name) == [("kubectl-client-side-apply", "Update", "")]
    changed = deployment(name).replace("x:1", "x:2")
    server.kubectl("apply", "--server-side", "-n", "default", "-f", "-", stdin=changed, version=version).ok()
    assert ("kubectl", "Apply", "") in managers(server, name)
    server.kubectl("apply", "-n", "default", "-f", "-", stdin=changed, version=version).ok()


def test_status_is_applied_by_itself(server: ApiserverProcess) -> None:
    server.kubectl("apply", "--server-side", "-n", "default", "-f", "-", stdin=deployment("status-apply")).ok()
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "status-apply"}}
    body |= {"spec": {"replicas": 9}, "status": {"observedGeneration": 1, "replicas": 2}}
    url = "/apis/apps/v1/namespaces/default/deployments/status-apply/status?fieldManager=ctl"
    with server.client() as client:
        answer = client.patch(url, json=body, headers={"content-type": "application/apply-patch+yaml"})
        assert answer.status_code == 200, answer.text
        assert (answer.json()["spec"]["replicas"], answer.json()["status"]["replicas"]) == (2, 2)
    assert ("ctl", "Apply", "status") in managers(server, "status-apply")


def test_who_may_not_create_may_not_create_by_applying(server: ApiserverProcess) -> None:
    role = ("create", "clusterrole", "patcher", "--verb=get,patch", "--resource=configmaps")
    server.kubectl(*role).ok()
    server.kubectl("create", "clusterrolebinding", "patcher", "--clusterrole=patcher", "--user=patty").ok()
    manifest = yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made-by-patch"}})
    apply = ("apply", "--server-side", "-n", "default", "-f", "-", "--validate=false")
    refused = server.kubectl(*apply, stdin=manifest, kubeconfig=server.kubeconfig_for("patty"))
    assert 'User "patty" cannot create resource "configmaps"' in refused.err
    server.kubectl(*apply, stdin=manifest).ok()
    server.kubectl(*apply, stdin=manifest, kubeconfig=server.kubeconfig_for("patty")).ok()


APPLY = "application/apply-patch+yaml"
CONFIG_MAP = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bad}\n"


@pytest.mark.parametrize(
    ("query", "body", "code", "message"),
    [
        pytest.param("", CONFIG_MAP, 422, "fieldManager: Required value: is required for apply patch", id="nobody"),
        pytest.param("fieldManager=x", b"{", 400, "error decoding YAML", id="no-yaml"),
        pytest.param("fieldManager=x", b"[]", 400, "error decoding YAML", id="no-object"),
        pytest.param("fieldManager=x", b"metadata: {name: bad}", 400, "invalid object type", id="no-kind"),
        pytest.param("fieldManager=x", CONFIG_MAP.replace(b"bad", b"other"), 400, "does not match the name", id="name"),
        pytest.param("fieldManager=x", CONFIG_MAP.replace(b"v1", b"v9"), 400, "no kind", id="version"),
        pytest.param("fieldManager=x", CONFIG_MAP + b"data: 5\n", 400, ".data: expected map, got", id="type"),
        pytest.param("fieldManager=x", CONFIG_MAP + b"nope: 5\n", 400, ".nope: field not declared in", id="field"),
        pytest.param("fieldManager=x", b"a: " + b"[" * 400 + b"]" * 400, 400, "error decoding YAML", id="deep"),
        pytest.param("fieldManager=" + "x" * 129, CONFIG_MAP, 422, "Too long", id="long-name"),
    ],
)
def test_a_bad_apply_is_refused_in_upstreams_form(
    server: ApiserverProcess, query: str, body: bytes, code: int, message: str
) -> None:
    url = f"/api/v1/namespaces/default/configmaps/bad?{query}"
    with server.client() as client:
        answer = client.patch(url, content=body, headers={"content-type": APPLY})
    assert (answer.status_code, answer.json()["kind"]) == (code, "Status"), answer.text
    assert message in answer.json()["message"]
