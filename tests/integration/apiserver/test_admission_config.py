"""--admission-control-config-file on a real server: defaults, exemptions, limits."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from machinery.api.codec import Json
from tests.integration.apiserver.conftest import service_account
from tests.integration.apiserver.metrics import value_of
from tests.integration.apiserver_process import ApiserverProcess, start_apiserver

CONFIG = """
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {enforce: baseline, enforce-version: latest}
    exemptions: {namespaces: [free], usernames: [], runtimeClasses: []}
- name: EventRateLimit
  path: events.yaml
- name: ResourceQuota
  configuration:
    apiVersion: apiserver.config.k8s.io/v1
    kind: ResourceQuotaConfiguration
    limitedResources:
    - {resource: persistentvolumeclaims, matchContains: [gold.storageclass.storage.k8s.io/requests.storage]}
"""
EVENTS = """
apiVersion: eventratelimit.admission.k8s.io/v1alpha1
kind: Configuration
limits: [{type: Namespace, qps: 1, burst: 5}]
"""
PRIVILEGED: Json = {"containers": [{"name": "c", "image": "i", "securityContext": {"privileged": True}}]}


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiserverProcess]:
    """A server with a configuration file."""
    directory = tmp_path_factory.mktemp("configured")
    (directory / "admission.yaml").write_text(CONFIG)
    (directory / "events.yaml").write_text(EVENTS)
    flags = ("--admission-control-config-file", str(directory / "admission.yaml"))
    with start_apiserver(directory, *flags, "--enable-admission-plugins", "EventRateLimit") as server:
        with server.client() as client:
            client.post("/api/v1/namespaces", json={"metadata": {"name": "free"}})
        for namespace in ("default", "free"):
            service_account(server, namespace)
        yield server


def test_pods_keep_to_the_defaults_unless_their_namespace_is_exempt(configured: ApiserverProcess) -> None:
    pod = {"metadata": {"name": "p"}, "spec": PRIVILEGED}
    with configured.client() as client:
        refused = client.post("/api/v1/namespaces/default/pods", json=pod)
        assert refused.status_code == 403
        assert 'violates PodSecurity "baseline:latest": privileged' in refused.json()["message"]
        assert client.post("/api/v1/namespaces/free/pods", json=pod).status_code == 201
    request = 'request_operation="create",resource="pod",subresource=""'
    policy = f'decision="deny",mode="enforce",policy_level="baseline",policy_version="latest",{request}'
    assert value_of(configured, f"pod_security_evaluations_total{{{policy}}}") == 1
    assert value_of(configured, f"pod_security_exemptions_total{{{request}}}") == 1


def test_events_are_limited(configured: ApiserverProcess) -> None:
    about = {"kind": "Pod", "name": "p", "namespace": "default"}
    with configured.client() as client:
        codes = []
        for number in range(8):
            event = {"metadata": {"name": f"e{number}"}, "involvedObject": about, "reason": "r", "type": "Normal"}
            answer = client.post("/api/v1/namespaces/default/events", json=event)
            codes.append(answer.status_code)
    assert codes[:5] == [201] * 5 and 429 in codes[5:]
    assert answer.json()["message"] == "limit reached on type Namespace for key default"


def test_what_is_limited_needs_a_quota(configured: ApiserverProcess) -> None:
    resources = {"requests": {"storage": "1Gi"}}
    spec = {"accessModes": ["ReadWriteOnce"], "resources": resources, "storageClassName": "gold"}
    with configured.client() as client:
        path = "/api/v1/namespaces/default/persistentvolumeclaims"
        refused = client.post(path, json={"metadata": {"name": "c"}, "spec": spec})
        assert refused.status_code == 403
        text = "insufficient quota to consume: gold.storageclass.storage.k8s.io/requests.storage"
        assert refused.json()["message"].endswith(text)
        silver = {**spec, "storageClassName": "silver"}
        assert client.post(path, json={"metadata": {"name": "c"}, "spec": silver}).status_code == 201


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind: Pod\n", "got unexpected config type"),
        (CONFIG.replace("enforce: baseline", "enforce: basic"), "must be one of privileged, baseline, restricted"),
        (CONFIG.replace("name: EventRateLimit", "name: PodSecurity"), "plugins[1].name: Duplicate value"),
    ],
)
def test_a_bad_file_keeps_the_server_from_starting(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "admission.yaml").write_text(text)
    (tmp_path / "events.yaml").write_text(EVENTS)
    command = [sys.executable, "-m", "apiserver", "--etcd-servers", "http://127.0.0.1:1", "--cert-dir", str(tmp_path)]
    command += ["--admission-control-config-file", str(tmp_path / "admission.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and said in done.stderr, done.stderr
