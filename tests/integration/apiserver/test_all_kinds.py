"""Every kind through a real server: written, read in each form, where and how it lies in etcd, watched, deleted."""

import base64
import json
import os
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apiserver.registry.resource import Resource
from apiserver.resources import RESOURCES
from machinery.api import kinds, meta
from machinery.api.codec import Json
from tests.integration.apiserver_process import ApiserverProcess

SAMPLES: list[Json] = list(yaml.safe_load_all((Path(__file__).parents[2] / "samples" / "objects.yaml").read_text()))
ROWS = {(row.kind.api_version, row.kind.kind): row for row in RESOURCES}
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
MERGE = {"content-type": "application/merge-patch+json"}
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"
#: kinds without a sample: made by tests of their own, or by nobody but controllers
ELSEWHERE = {
    kinds.CERTIFICATE_SIGNING_REQUESTS,
    kinds.CLUSTER_TRUST_BUNDLES,
    kinds.MUTATING_POLICIES,
    kinds.MUTATING_POLICY_BINDINGS,
    kinds.STORAGE_VERSION_MIGRATIONS,
}


def row_of(obj: Json) -> Resource:
    """The row of a sample's kind."""
    return ROWS[obj["apiVersion"], obj["kind"]]


def stored(server: ApiserverProcess, key: str) -> Json:
    """What etcd has under a key."""
    command = ["etcdctl", "--endpoints", server.etcd.url, "get", "--print-value-only", key]
    out = subprocess.run(command, capture_output=True, check=True, env={**os.environ, "ETCDCTL_API": "3"}).stdout
    found: Json = json.loads(out)
    return found


def test_there_is_a_sample_of_every_kind() -> None:
    assert {row_of(sample).kind for sample in SAMPLES} | ELSEWHERE == {row.kind for row in RESOURCES}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample['apiVersion']}-{sample['kind']}")
def test_a_kind_is_written_read_and_deleted(server: ApiserverProcess, sample: Json) -> None:
    row = row_of(sample)
    kind = row.kind
    namespace = "default" if kind.namespaced else ""
    collection, one = kind.path(namespace), kind.path(namespace, meta.name_of(sample))
    with server.client() as client:
        created = client.post(collection, json=sample)
        assert created.status_code == 201, created.text
        assert not created.headers.get("warning") or kind == kinds.ENDPOINTS
        _check_forms(client, row, one, created.json())
        stored_kind = row.conversion.stored if row.conversion is not None else kind
        lies = stored(server, row.key_of(namespace, meta.name_of(sample)))
        assert (lies["apiVersion"], lies["kind"]) == (stored_kind.api_version, stored_kind.kind)
        assert "resourceVersion" not in lies["metadata"]
        current = client.get(one).json()
        replaced = client.put(one, json=current)
        assert (replaced.status_code, replaced.json()) == (200, current), replaced.text
        if meta.finalizers_of(current):  # of what may be in use: a controller would take it away
            released = client.patch(one, json={"metadata": {"finalizers": None}}, headers=MERGE)
            assert released.status_code == 200, released.text
        if kind != kinds.NAMESPACES:
            gone = client.delete(f"{one}?gracePeriodSeconds=0")
            assert gone.status_code == 200, gone.text
            assert client.get(one).status_code == 404


def _check_forms(client: httpx.Client, row: Resource, one: str, created: Json) -> None:
    read = client.get(one)
    assert read.json() == created
    assert (created["apiVersion"], created["kind"]) == (row.kind.api_version, row.kind.kind)
    managers = created["metadata"].get("managedFields") or ()  # nobody owns what has a name and nothing else
    assert {entry["apiVersion"] for entry in managers} <= {row.kind.api_version}
    table = client.get(one, headers={"accept": TABLE}).json()
    assert len(table["rows"][0]["cells"]) == len(table["columnDefinitions"])
    assert "<invalid>" not in table["rows"][0]["cells"]
    partial = client.get(one, headers={"accept": PARTIAL}).json()
    assert (partial["kind"], partial["metadata"]) == ("PartialObjectMetadata", created["metadata"])
    labels = client.patch(
        one, json={"metadata": {"labels": None}}, headers={"content-type": "application/merge-patch+json"}
    )
    assert labels.status_code == 200, labels.text


def test_one_autoscaler_is_shown_in_both_versions(server: ApiserverProcess) -> None:
    old, new = kinds.HORIZONTAL_POD_AUTOSCALERS_V1, kinds.HORIZONTAL_POD_AUTOSCALERS
    sample = next(sample for sample in SAMPLES if row_of(sample).kind == old)
    sample = {**sample, "metadata": {"name": "both"}}
    with server.client() as client:
        made = client.post(old.path("default"), json=sample).json()
        assert made["spec"]["targetCPUUtilizationPercentage"] == 70
        path = new.path("default", "both")
        shown = client.get(path).json()
        assert shown["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 70
        memory = {"type": "Resource", "resource": {"name": "memory", "target": {"type": "Value", "value": "1Gi"}}}
        shown["spec"]["metrics"].append(memory)
        assert client.put(path, json=shown).status_code == 200
        back = client.get(old.path("default", "both")).json()
        assert json.loads(back["metadata"]["annotations"]["autoscaling.alpha.kubernetes.io/metrics"]) == [memory]
        assert client.put(old.path("default", "both"), json=back).status_code == 200
        assert client.get(path).json()["spec"] == shown["spec"]
        listed = client.get(old.path("default")).json()
        assert {item["apiVersion"] for item in listed["items"]} <= {"autoscaling/v1"}
        with client.stream("GET", f"{old.path('default')}?watch=1&timeoutSeconds=1") as lines:
            types = {json.loads(line)["object"]["apiVersion"] for line in lines.iter_lines()}
        assert types == {"autoscaling/v1"}


def csr(name: str) -> Json:
    """A request for a client certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    pem = base64.b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    spec = {"request": pem, "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}
    kind = kinds.CERTIFICATE_SIGNING_REQUESTS
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name}, "spec": spec}


def test_a_signing_request_is_its_senders_and_approved_by_kubectl(server: ApiserverProcess) -> None:
    path = kinds.CERTIFICATE_SIGNING_REQUESTS.path()
    forged = csr("ann")
    forged["spec"] |= {"username": "root", "groups": ["system:masters"]}
    with server.client() as client:
        made = client.post(path, json=forged)
        assert made.status_code == 201, made.text
        assert made.json()["spec"]["username"] == "admin"
        server.kubectl("certificate", "approve", "ann").ok()
        shown = server.kubectl("get", "csr", "ann").ok()
        assert "Approved" in shown
        refused = server.kubectl("certificate", "deny", "ann")
        assert "already Approved" in refused.err
        bad = csr("bad")
        bad["spec"]["request"] = base64.b64encode(b"nonsense").decode()
        assert client.post(path, json=bad).status_code == 422


def test_what_every_cluster_has_is_there(server: ApiserverProcess) -> None:
    with server.client() as client:
        cidr = client.get(kinds.SERVICE_CIDRS.path(name="kubernetes")).json()
        assert cidr["spec"]["cidrs"] == ["10.96.0.0/16"]
        levels = client.get(kinds.PRIORITY_LEVELS.path()).json()["items"]
        assert {meta.name_of(level) for level in levels} >= {"exempt", "catch-all", "workload-low", "system"}
        local = client.get(kinds.API_SERVICES.path(name="v1.apps")).json()
        assert local["status"]["conditions"][0]["reason"] == "Local"
        classes = client.get(kinds.PRIORITY_CLASSES.path()).json()["items"]
        assert {meta.name_of(item) for item in classes} >= {"system-node-critical", "system-cluster-critical"}
        address = client.get(kinds.IP_ADDRESSES.path(name="10.96.0.1")).json()
        assert address["spec"]["parentRef"]["name"] == "kubernetes"
