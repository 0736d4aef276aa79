"""Real kubectl, oldest and newest, against the server: what people do every day."""

import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.integration.apiserver_process import ApiserverProcess
from tests.kubectls import kubectl_of

VERSIONS = ("1.27", "1.33")
MANIFEST = """
apiVersion: v1
kind: Namespace
metadata: {{name: {ns}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings, namespace: {ns}, labels: {{tier: web}}}}
data: {{color: "{color}"}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web, namespace: {ns}}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      containers:
      - {{name: main, image: "nginx:{color}", ports: [{{containerPort: 80}}]}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: {ns}}}
spec:
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 80}}]
"""


@pytest.mark.parametrize("version", VERSIONS)
def test_apply_creates_changes_and_leaves_alone(server: ApiserverProcess, version: str) -> None:
    namespace = f"apply-{version.replace('.', '-')}"

    def apply(color: str) -> list[str]:
        text = MANIFEST.format(ns=namespace, color=color)
        return server.kubectl("apply", "-f", "-", version=version, stdin=text).ok().splitlines()

    assert all(line.endswith(" created") for line in apply("red"))
    assert all(line.endswith(" unchanged") for line in apply("red"))
    changed = apply("blue")
    assert "configmap/settings configured" in changed
    assert "deployment.apps/web configured" in changed
    assert "service/web unchanged" in changed
    color = server.kubectl("get", "cm", "settings", "-n", namespace, "-o", "jsonpath={.data.color}", version=version)
    assert color.ok() == "blue"


@pytest.mark.parametrize("version", VERSIONS)
def test_get_prints_upstreams_columns(server: ApiserverProcess, version: str) -> None:
    lines = server.kubectl("get", "namespaces", version=version).ok().splitlines()
    assert lines[0].split() == ["NAME", "STATUS", "AGE"]
    assert [line.split()[:2] for line in lines[1:3]] != []
    wide = server.kubectl("get", "svc", "kubernetes", "-o", "wide", version=version).ok().splitlines()
    assert wide[0].split() == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE", "SELECTOR"]
    assert wide[1].split()[:4] == ["kubernetes", "ClusterIP", "10.96.0.1", "<none>"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_three_patches_of_kubectl_patch(server: ApiserverProcess, version: str) -> None:
    name = f"patched-{version}"
    body = f'{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}},"data":{{"a":"1"}}}}'
    server.kubectl("create", "-f", "-", version=version, stdin=body).ok()
    patches = (
        ("merge", '{"data":{"a":"2"}}'),
        ("strategic", '{"data":{"b":"3"}}'),
        ("json", '[{"op":"add","path":"/data/c","value":"4"}]'),
    )
    for kind, patch in patches:
        server.kubectl("patch", "cm", name, "--type", kind, "-p", patch, version=version).ok()
    data = server.kubectl("get", "cm", name, "-o", "jsonpath={.data}", version=version).ok()
    assert data == '{"a":"2","b":"3","c":"4"}'
    assert "deleted" in server.kubectl("delete", "cm", name, version=version).ok()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(("get", "pod", "ghost"), 'Error from server (NotFound): pods "ghost" not found', id="no-such-pod"),
        pytest.param(
            ("get", "ghosts"), 'error: the server doesn\'t have a resource type "ghosts"', id="no-such-resource"
        ),
        pytest.param(("logs", "ghost"), '(NotFound): pods "ghost" not found', id="logs-of-nothing"),
    ],
)
@pytest.mark.parametrize("version", VERSIONS)
def test_errors_read_as_upstreams(
    server: ApiserverProcess, version: str, arguments: tuple[str, ...], message: str
) -> None:
    found = server.kubectl(*arguments, version=version)
    assert found.code == 1
    assert message in found.err


@pytest.mark.parametrize("version", VERSIONS)
def test_unknown_fields_are_refused_by_name(server: ApiserverProcess, version: str) -> None:
    body = '{"apiVersion":"v1","kind":"Service","metadata":{"name":"typo"},"spec":{"prots":[{"port":1}]}}'
    found = server.kubectl("apply", "-f", "-", version=version, stdin=body)
    assert found.code == 1
    assert 'unknown field "spec.prots"' in found.err


@pytest.mark.parametrize("version", VERSIONS)
def test_explain_knows_the_fields(server: ApiserverProcess, version: str) -> None:
    text = server.kubectl("explain", "deployment.spec.replicas", version=version).ok()
    assert "Number of desired pods" in text
    assert "<integer>" in text


@pytest.mark.parametrize("version", VERSIONS)
def test_a_watch_prints_changes_as_they_come(server: ApiserverProcess, version: str) -> None:
    name = f"watched-{version}"
    command = [kubectl_of(version), "--kubeconfig", str(server.kubeconfig), "get", "cm", "-w", "-o", "name"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as watch:
        lines: list[str] = []
        assert watch.stdout is not None
        reader = threading.Thread(target=lambda stream: lines.extend(iter(stream.readline, "")), args=(watch.stdout,))
        reader.start()
        body = f'{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{name}"}}}}'
        server.kubectl("create", "-f", "-", version=version, stdin=body).ok()
        deadline = time.monotonic() + 10
        while f"configmap/{name}\n" not in lines and time.monotonic() < deadline:
            time.sleep(0.05)
        watch.terminate()
        reader.join(10)
    assert f"configmap/{name}\n" in lines


@pytest.mark.parametrize("version", VERSIONS)
def test_diff_and_dry_run_change_nothing(server: ApiserverProcess, version: str, tmp_path: Path) -> None:
    path = tmp_path / "cm.yaml"
    path.write_text(f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: dry-{version}}}\n")
    found = server.kubectl("apply", "-f", str(path), "--dry-run=server", version=version).ok()
    assert found == f"configmap/dry-{version} created (server dry run)\n"
    assert server.kubectl("get", "cm", f"dry-{version}", version=version).code == 1
    assert server.kubectl("diff", "-f", str(path), version=version).code == 1  # there is a difference


@pytest.mark.parametrize("version", VERSIONS)
def test_api_resources_and_versions(server: ApiserverProcess, version: str) -> None:
    names = server.kubectl("api-resources", "-o", "name", version=version).ok().split()
    assert {"pods", "deployments.apps", "clusterroles.rbac.authorization.k8s.io"} <= set(names)
    assert "apps/v1" in server.kubectl("api-versions", version=version).ok().split()
    assert '"gitVersion": "v1.37.0+skiff.0.1.0"' in server.kubectl("version", "-o", "json", version=version).ok()


@pytest.mark.parametrize("version", VERSIONS)
def test_create_makes_objects_of_many_kinds(server: ApiserverProcess, version: str) -> None:
    """kubectl sends these as JSON up to 1.31 and as protobuf since."""
    suffix = version.replace(".", "-")

    def create(*arguments: str) -> str:
        return server.kubectl("create", *arguments, version=version).ok().strip()

    assert create("namespace", f"made-{suffix}") == f"namespace/made-{suffix} created"
    assert create("deployment", f"d-{suffix}", "--image=nginx", "--replicas=3").endswith("created")
    assert create("secret", "generic", f"s-{suffix}", "--from-literal=password=geheim").endswith("created")
    assert create("service", "clusterip", f"v-{suffix}", "--tcp=80:8080").endswith("created")
    assert create("role", f"r-{suffix}", "--verb=get,list", "--resource=pods,deployments.apps").endswith("created")
    assert create("rolebinding", f"b-{suffix}", f"--role=r-{suffix}", "--serviceaccount=default:nobody")
    assert len(create("token", "default").split(".")) == 3
    assert get(server, f"deploy/d-{suffix}", "{.spec.replicas} {.spec.template.spec.containers[0].image}") == "3 nginx"
    assert get(server, f"secret/s-{suffix}", "{.data.password}") == "Z2VoZWlt"
    assert get(server, f"svc/v-{suffix}", "{.spec.ports[0].targetPort}") == "8080"
    assert get(server, f"role/r-{suffix}", "{.rules[1].resources[0]}") == "deployments"


def get(server: ApiserverProcess, what: str, template: str) -> str:
    """One value of one object."""
    return server.kubectl("get", what, "-o", f"jsonpath={template}").ok()
