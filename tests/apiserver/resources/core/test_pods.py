"""Pods: defaults, strategy, binding."""

from typing import Any

import pytest

from apiserver.registry.strategy import Context
from apiserver.request import ANONYMOUS
from apiserver.resources.core.pods import PODS, binding
from apiserver.resources.core.pods.defaults import container_defaults, pod_spec_defaults, pull_policy, volume_defaults
from machinery.api import codec, errors, pods
from machinery.api.codec import Json

CONTEXT = Context(ANONYMOUS, "default", "web")


def _pod(**spec: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default", "uid": "u"},
        "spec": {"containers": [{"name": "c", "image": "nginx"}], **spec},
    }


@pytest.mark.parametrize(
    ("image", "policy"),
    [
        ("nginx", "Always"),
        ("nginx:latest", "Always"),
        ("nginx:1.27", "IfNotPresent"),
        ("registry:5000/nginx", "Always"),
        ("registry:5000/nginx:1", "IfNotPresent"),
        ("nginx@sha256:abc", "IfNotPresent"),
        ("", "Always"),
    ],
)
def test_the_pull_policy_follows_from_the_tag(image: str, policy: str) -> None:
    assert pull_policy(image) == policy


def test_a_pods_defaults_are_upstreams() -> None:
    pod = _pod()
    PODS.strategy.defaults(pod)
    assert pod["spec"] == {
        "containers": [
            {
                "name": "c",
                "image": "nginx",
                "imagePullPolicy": "Always",
                "resources": {},
                "terminationMessagePath": "/dev/termination-log",
                "terminationMessagePolicy": "File",
            }
        ],
        "dnsPolicy": "ClusterFirst",
        "enableServiceLinks": True,
        "restartPolicy": "Always",
        "schedulerName": "default-scheduler",
        "securityContext": {},
        "terminationGracePeriodSeconds": 30,
    }


def test_a_template_gets_neither_service_links_nor_requests() -> None:
    spec: Json = {"containers": [{"name": "c", "image": "x:1", "resources": {"limits": {"cpu": "1"}}}]}
    pod_spec_defaults(spec)
    assert "enableServiceLinks" not in spec
    assert spec["containers"][0]["resources"] == {"limits": {"cpu": "1"}}


def test_requests_follow_from_limits() -> None:
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m"}}
    pod = _pod(containers=[{"name": "c", "image": "x:1", "resources": resources}])
    PODS.strategy.defaults(pod)
    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}


@pytest.mark.parametrize(
    ("volume", "filled"),
    [
        ({"name": "v"}, {"name": "v", "emptyDir": {}}),
        ({"configMap": {"name": "c"}}, {"configMap": {"name": "c", "defaultMode": 420}}),
        ({"secret": {"secretName": "s", "defaultMode": 0}}, {"secret": {"secretName": "s", "defaultMode": 0}}),
        ({"hostPath": {"path": "/x"}}, {"hostPath": {"path": "/x", "type": ""}}),
        ({"image": {"reference": "x:1"}}, {"image": {"reference": "x:1", "pullPolicy": "IfNotPresent"}}),
        (
            {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}},
            {
                "projected": {
                    "sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3600}}],
                    "defaultMode": 420,
                }
            },
        ),
        (
            {"downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}},
            {
                "downwardAPI": {
                    "items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}}],
                    "defaultMode": 420,
                }
            },
        ),
    ],
)
def test_a_volumes_defaults(volume: Json, filled: Json) -> None:
    volume_defaults(volume)
    assert volume == filled


def test_a_probes_defaults_count_zero_as_unset() -> None:
    container = {"livenessProbe": {"httpGet": {"port": 80}, "periodSeconds": 0, "failureThreshold": 5}}
    container_defaults(container)
    assert container["livenessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 10,
        "successThreshold": 1,
        "failureThreshold": 5,
    }


@pytest.mark.parametrize("field", ["serviceAccount", "serviceAccountName"])
def test_the_old_name_of_the_service_account_is_kept_in_step(field: str) -> None:
    spec = {field: "robot"}
    pod_spec_defaults(spec)
    assert (spec["serviceAccount"], spec["serviceAccountName"]) == ("robot", "robot")


def test_on_the_hosts_network_a_port_is_the_hosts() -> None:
    ports = [{"containerPort": 80}]
    pod = _pod(hostNetwork=True, containers=[{"name": "c", "image": "x:1", "ports": ports}])
    PODS.strategy.defaults(pod)
    assert pod["spec"]["containers"][0]["ports"] == [{"containerPort": 80, "protocol": "TCP", "hostPort": 80}]


def test_a_new_pod_is_pending_whatever_the_client_says() -> None:
    pod = {**_pod(), "status": {"phase": "Running", "podIP": "1.2.3.4"}}
    PODS.strategy.defaults(pod)
    PODS.strategy.prepare_for_create(pod, CONTEXT)
    assert pod["status"] == {"phase": "Pending", "qosClass": "BestEffort"}
    assert pod["metadata"]["generation"] == 1


def test_a_gated_pod_says_so() -> None:
    pod = _pod(schedulingGates=[{"name": "g"}])
    PODS.strategy.prepare_for_create(pod, CONTEXT)
    assert pod["status"]["conditions"][0]["reason"] == "SchedulingGated"


def test_a_status_update_changes_neither_spec_nor_deletion() -> None:
    old = {**_pod(nodeName="n1"), "status": {"phase": "Pending", "qosClass": "BestEffort"}}
    old["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    new = codec.copy_of(_pod(nodeName="n2"))
    new["status"] = {"phase": "Running"}
    PODS.strategy.prepare_for_status_update(new, old, CONTEXT)
    assert new["spec"]["nodeName"] == "n1"
    assert new["status"] == {"phase": "Running", "qosClass": "BestEffort"}
    assert new["metadata"]["deletionTimestamp"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("pod", "asked", "seconds"),
    [
        pytest.param(_pod(nodeName="n"), None, 30, id="default"),
        pytest.param(_pod(nodeName="n", terminationGracePeriodSeconds=5), None, 5, id="as-the-spec-says"),
        pytest.param(_pod(nodeName="n"), 0, 0, id="at-once"),
        pytest.param(_pod(nodeName="n"), -1, 1, id="negative"),
        pytest.param(_pod(), None, 0, id="not-scheduled"),
        pytest.param({**_pod(nodeName="n"), "status": {"phase": "Failed"}}, 10, 0, id="ended"),
    ],
)
def test_the_grace_period(pod: Json, asked: int | None, seconds: int) -> None:
    assert PODS.strategy.grace_seconds(pod, asked) == seconds


BINDING = {"metadata": {"name": "web", "annotations": {"a": "b"}}, "target": {"kind": "Node", "name": "n1"}}


def test_binding_sets_the_node_the_condition_and_the_annotations() -> None:
    pod = _pod()
    binding.bind(pod, BINDING)
    assert pod["spec"]["nodeName"] == "n1"
    assert pod["metadata"]["annotations"] == {"a": "b"}
    (condition,) = pod["status"]["conditions"]
    assert (condition["type"], condition["status"]) == ("PodScheduled", "True")


@pytest.mark.parametrize(
    ("pod", "why"),
    [
        (_pod(nodeName="n0"), 'pod web is already assigned to node "n0"'),
        (_pod(schedulingGates=[{"name": "g"}]), "pod web has non-empty .spec.schedulingGates"),
        (
            {**_pod(), "metadata": {"name": "web", "deletionTimestamp": "2026-01-01T00:00:00Z"}},
            "pod web is being deleted, cannot be assigned to a host",
        ),
    ],
)
def test_a_pod_that_cannot_be_bound_is_a_conflict(pod: Json, why: str) -> None:
    with pytest.raises(errors.Conflict) as caught:
        binding.bind(pod, BINDING)
    assert caught.value.message == f'Operation cannot be fulfilled on pods/binding "web": {why}'


def test_a_binding_for_another_incarnation_is_a_conflict() -> None:
    with pytest.raises(errors.Conflict, match="UID in precondition: other, UID in object meta: u"):
        binding.bind(_pod(), {**BINDING, "metadata": {"uid": "other"}})


@pytest.mark.parametrize(
    ("target", "texts"),
    [
        ({"kind": "Node", "name": "n"}, []),
        ({"name": "n"}, []),
        ({"kind": "Pod", "name": "n"}, ['target.kind: Unsupported value: "Pod": supported values: "<empty>", "Node"']),
        ({}, ["target.name: Required value"]),
    ],
)
def test_a_binding_names_a_node(target: Json, texts: list[str]) -> None:
    assert [error.message() for error in binding.check({"target": target})] == texts


def test_a_static_pod_has_no_claims_on_devices() -> None:
    pod = _pod(resourceClaims=[{"name": "a", "resourceClaimName": "b"}])
    PODS.strategy.defaults(pod)
    assert PODS.strategy.validate(pod, CONTEXT) == []
    pod["metadata"]["annotations"] = {pods.MIRROR_ANNOTATION: "x"}
    assert PODS.strategy.validate(pod, CONTEXT) == [
        errors.forbidden_field("", "static pods do not support resource claims")
    ]
