"""What a kubelet may do."""

from typing import Any

import pytest

from apiserver.authz.attributes import Attributes
from apiserver.authz.node import NodeAuthorizer, NodeGraph, references_of
from apiserver.request import User
from apiserver.storage.interface import KeyValue
from apiserver.storage.objects import Entry, Schema
from machinery.api import codec
from machinery.api.codec import Json
from machinery.api.names import ObjectKey

NODE = User("system:node:n1", groups=("system:nodes",))


def pod(node: str = "n1", **metadata: Any) -> Json:
    """A pod that uses something of each kind."""
    return {
        "metadata": {"name": "web", "namespace": "ns", "uid": "1", **metadata},
        "spec": {
            "nodeName": node,
            "serviceAccountName": "robot",
            "imagePullSecrets": [{"name": "pull"}],
            "initContainers": [{"envFrom": [{"configMapRef": {"name": "init-env"}}]}],
            "containers": [
                {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "env", "key": "k"}}}, {"name": "B"}]}
            ],
            "volumes": [
                {"name": "a", "secret": {"secretName": "mounted"}},
                {"name": "b", "configMap": {"name": "settings"}},
                {
                    "name": "c",
                    "projected": {"sources": [{"secret": {"name": "projected"}}, {"serviceAccountToken": {}}]},
                },
                {"name": "d", "persistentVolumeClaim": {"claimName": "data"}},
                {"name": "e", "csi": {"driver": "x", "nodePublishSecretRef": {"name": "csi"}}},
                {"name": "f", "emptyDir": {}},
                {"name": "g", "ephemeral": {}},
            ],
        },
    }


def test_all_a_pod_needs_is_found() -> None:
    assert {(resource, name) for resource, _, name in references_of(pod())} == {
        ("pods", "web"),
        ("serviceaccounts", "robot"),
        ("configmaps", "init-env"),
        ("configmaps", "settings"),
        ("persistentvolumeclaims", "data"),
        *(("secrets", name) for name in ("pull", "env", "mounted", "projected", "csi")),
    }


def test_a_mirror_pod_opens_nothing() -> None:
    mirror = pod(annotations={"kubernetes.io/config.mirror": "x"})
    assert list(references_of(mirror)) == [("pods", "ns", "web")]


SCHEMA = Schema("/registry/pods/", True, {"spec.nodeName": lambda obj: str(obj["spec"]["nodeName"])})


def entry(obj: Json, created: int = 1) -> Entry:
    """A pod, or what else is on a node, as the cache has it."""
    value = codec.dumps({"kind": "Pod", "apiVersion": "v1"} | obj)
    return SCHEMA.entry(KeyValue("/registry/pods/ns/web", value, created, created))


def a_slice(node: str) -> Json:
    return {"metadata": {"name": f"gpu-{node}"}, "spec": {"nodeName": node}}


def authorizer(*pods: Json) -> NodeAuthorizer:
    graph = NodeGraph()
    for number, obj in enumerate(pods):
        graph.apply(ObjectKey("ns", str(number)), entry(obj))
    for node in ("n1", "n2"):
        graph.apply_slice(ObjectKey("", f"gpu-{node}"), entry(a_slice(node)))
        graph.apply_certificate_request(ObjectKey("ns", f"for-{node}"), entry(a_slice(node)))
    return NodeAuthorizer(graph)


def ask(verb: str, resource: str, name: str = "", **more: Any) -> Attributes:
    more.setdefault("namespace", "ns")
    return Attributes(NODE, verb, resource=resource, name=name, **more)


def slices(verb: str, name: str = "", **more: Any) -> Attributes:
    return ask(verb, "resourceslices", name, group="resource.k8s.io", namespace="", **more)


def certificates(verb: str, name: str = "", **more: Any) -> Attributes:
    return ask(verb, "podcertificaterequests", name, group="certificates.k8s.io", **more)


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        pytest.param(ask("get", "secrets", "mounted"), None, id="its-secret"),
        pytest.param(ask("watch", "secrets", "mounted"), None, id="watch-one-secret"),
        pytest.param(ask("list", "secrets"), "No Object name found", id="all-secrets"),
        pytest.param(
            ask("get", "secrets", "other"),
            "no relationship found between node 'n1' and this object",
            id="another-secret",
        ),
        pytest.param(ask("update", "secrets", "mounted"), "can only read resources of this type", id="write-a-secret"),
        pytest.param(ask("create", "serviceaccounts", "robot", subresource="token"), None, id="token-of-its-account"),
        pytest.param(
            ask("create", "serviceaccounts", "boss", subresource="token"),
            "no relationship found between node 'n1' and this object",
            id="token-of-another-account",
        ),
        pytest.param(ask("get", "pods", "web"), None, id="its-pod"),
        pytest.param(ask("list", "pods", field_values={"spec.nodeName": "n1"}), None, id="its-pods"),
        pytest.param(
            ask("list", "pods", field_values={"spec.nodeName": "n2"}),
            "can only list/watch pods with spec.nodeName field selector",
            id="pods-of-another-node",
        ),
        pytest.param(ask("patch", "pods", "web", subresource="status"), None, id="status-of-a-pod"),
        pytest.param(ask("patch", "pods", "web"), "", id="change-a-pod"),
        pytest.param(ask("get", "nodes", "n1", namespace=""), None, id="itself"),
        pytest.param(
            ask("get", "nodes", "n2", namespace=""),
            "node 'n1' cannot read 'n2', only its own Node object",
            id="another-node",
        ),
        pytest.param(ask("create", "nodes", namespace=""), None, id="register"),
        pytest.param(ask("delete", "nodes", "n1", namespace=""), "", id="delete-itself"),
        pytest.param(
            ask("update", "leases", "n1", group="coordination.k8s.io", namespace="kube-node-lease"),
            None,
            id="its-lease",
        ),
        pytest.param(
            ask("update", "leases", "n2", group="coordination.k8s.io", namespace="kube-node-lease"),
            "can only access node lease with the same name as the requesting node",
            id="another-lease",
        ),
        pytest.param(
            ask("get", "leases", "n1", group="coordination.k8s.io"),
            'can only access leases in the "kube-node-lease" system namespace',
            id="lease-elsewhere",
        ),
        pytest.param(slices("create"), None, id="a-slice-that-admission-will-look-at"),
        pytest.param(slices("update", "gpu-n1"), None, id="its-slice"),
        pytest.param(
            slices("update", "gpu-n2"), "no relationship found between node 'n1' and this object", id="another-slice"
        ),
        pytest.param(slices("deletecollection", field_values={"spec.nodeName": "n1"}), None, id="all-its-slices"),
        pytest.param(
            slices("deletecollection"),
            "can only list/watch/deletecollection resourceslices with nodeName field selector",
            id="all-slices",
        ),
        pytest.param(certificates("create"), None, id="a-pods-certificate-that-admission-will-look-at"),
        pytest.param(certificates("get", "for-n1"), None, id="a-pods-certificate"),
        pytest.param(
            certificates("get", "for-n2"),
            "no relationship found between node 'n1' and this object",
            id="certificate-of-a-pod-elsewhere",
        ),
        pytest.param(certificates("watch", field_values={"spec.nodeName": "n1"}), None, id="its-pods-certificates"),
        pytest.param(
            certificates("list"),
            "can only list/watch podcertificaterequests with nodeName field selector",
            id="all-certificates",
        ),
        pytest.param(
            certificates("update", "for-n1", subresource="status"),
            "cannot authorize PodCertificateRequest subresources",
            id="sign-for-itself",
        ),
        pytest.param(ask("list", "services"), None, id="services-by-rule"),
        pytest.param(ask("delete", "services", "x"), "", id="no-rule"),
    ],
)
def test_a_node_may(question: Attributes, reason: str | None) -> None:
    decision = authorizer(pod()).decide(question)
    assert decision.allowed is (reason is None)
    assert decision.reason == (reason or "")


def test_others_get_no_opinion() -> None:
    decision = authorizer().decide(Attributes(User("ann", groups=("system:nodes",)), "get", resource="secrets"))
    assert (decision.allowed, decision.reason) == (False, "")


def test_access_ends_with_the_last_pod_that_needs_it() -> None:
    graph = NodeGraph()
    secret = ("secrets", "ns", "mounted")
    graph.apply(ObjectKey("ns", "a"), entry(pod(), 1))
    graph.apply(ObjectKey("ns", "b"), entry(pod(), 2))
    assert graph.related("n1", secret)
    assert not graph.related("n2", secret)
    graph.apply(ObjectKey("ns", "a"), None)
    assert graph.related("n1", secret)
    graph.apply(ObjectKey("ns", "b"), entry(pod("n2"), 3))
    assert not graph.related("n1", secret)
    assert graph.related("n2", secret)
    graph.apply(ObjectKey("ns", "b"), None)
    assert not graph.related("n2", secret)


def test_a_slice_is_its_nodes_until_it_is_gone() -> None:
    graph, key, reference = NodeGraph(), ObjectKey("", "gpu"), ("resourceslices", "", "gpu")
    graph.apply_slice(key, entry(a_slice("n1")))
    assert graph.related("n1", reference) and not graph.related("n2", reference)
    graph.apply_slice(key, None)
    assert not graph.related("n1", reference)


def _object(**spec: Any) -> Entry:
    obj = {"kind": "Any", "apiVersion": "v1", "metadata": {"name": "x", "uid": "9"}, "spec": spec}
    return Schema("/registry/x/", False, {}).entry(KeyValue("/registry/x/x", codec.dumps(obj), 1, 1))


def test_a_volume_and_its_secrets_are_read_by_whom_its_claim_is_read() -> None:
    graph, volume = NodeGraph(), ("persistentvolumes", "", "disk")
    graph.apply(ObjectKey("ns", "web"), entry(pod()))
    claim = {"namespace": "ns", "name": "data"}
    csi = {"driver": "d", "nodeStageSecretRef": {"name": "stage", "namespace": "storage"}}
    graph.apply_volume(ObjectKey("", "disk"), _object(claimRef=claim, csi=csi))
    assert graph.related("n1", volume) and graph.related("n1", ("secrets", "storage", "stage"))
    assert not graph.related("n2", volume) and not graph.related("n2", ("secrets", "storage", "stage"))
    graph.apply_volume(ObjectKey("", "disk"), _object(csi=csi))
    assert not graph.related("n1", volume) and not graph.related("n1", ("secrets", "storage", "stage"))


def test_an_attachment_is_its_nodes() -> None:
    graph, reference = NodeGraph(), ("volumeattachments", "", "a")
    graph.apply_attachment(ObjectKey("", "a"), _object(nodeName="n1"))
    assert graph.related("n1", reference) and not graph.related("n2", reference)
    graph.apply_attachment(ObjectKey("", "a"), None)
    assert not graph.related("n1", reference)


def test_claims_for_devices_are_read_by_the_nodes_of_their_pods() -> None:
    made = pod()
    made["spec"]["resourceClaims"] = [{"name": "a", "resourceClaimName": "shared"}]
    made["status"] = {"resourceClaimStatuses": [{"name": "b", "resourceClaimName": "made"}]}
    assert {("resourceclaims", "ns", "shared"), ("resourceclaims", "ns", "made")} <= set(references_of(made))
