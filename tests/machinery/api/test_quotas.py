"""What objects cost a quota and which quotas count them."""

from typing import Any

import pytest

from machinery.api import kinds, quotas
from machinery.api.codec import Json
from machinery.api.kinds import Kind


def _pod(*containers: Json, **spec: Any) -> Json:
    return {"spec": {"containers": [{"name": f"c{n}", **one} for n, one in enumerate(containers)], **spec}}


def _asks(requests: Json | None = None, limits: Json | None = None) -> Json:
    return {"resources": {"requests": requests or {}, "limits": limits or {}}}


@pytest.mark.parametrize(
    ("kind", "obj", "usage"),
    [
        pytest.param(
            kinds.PODS,
            _pod(_asks({"cpu": "100m", "memory": "256Mi"}, {"cpu": "1"}), _asks({"cpu": "0.4", "memory": "256Mi"})),
            {
                **{"count/pods": "1", "pods": "1", "cpu": "500m", "requests.cpu": "500m", "limits.cpu": "1"},
                **{"memory": "512Mi", "requests.memory": "512Mi"},
            },
            id="a-pod",
        ),
        pytest.param(
            kinds.PODS,
            _pod(_asks({"example.com/gpu": "2", "hugepages-2Mi": "4Mi"}), overhead={"memory": "1M"}),
            {
                **{"count/pods": "1", "pods": "1", "requests.example.com/gpu": "2"},
                **{"hugepages-2Mi": "4Mi", "requests.hugepages-2Mi": "4Mi", "memory": "1M", "requests.memory": "1M"},
            },
            id="extended-resources-and-overhead",
        ),
        pytest.param(
            kinds.PODS, {**_pod(_asks({"cpu": "1"})), "status": {"phase": "Succeeded"}}, {"count/pods": "1"}, id="ended"
        ),
        pytest.param(
            kinds.SERVICES,
            {"spec": {"type": "LoadBalancer", "ports": [{"port": 80}, {"port": 443}]}},
            {"count/services": "1", "services": "1", "services.nodeports": "2", "services.loadbalancers": "1"},
            id="a-load-balancer",
        ),
        pytest.param(
            kinds.SERVICES,
            {"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{"port": 80}]}},
            {"count/services": "1", "services": "1", "services.nodeports": "0", "services.loadbalancers": "1"},
            id="a-load-balancer-without-node-ports",
        ),
        pytest.param(
            kinds.PERSISTENT_VOLUME_CLAIMS,
            {"spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}}},
            {
                **{"count/persistentvolumeclaims": "1", "persistentvolumeclaims": "1", "requests.storage": "1Gi"},
                "gold.storageclass.storage.k8s.io/persistentvolumeclaims": "1",
                "gold.storageclass.storage.k8s.io/requests.storage": "1Gi",
            },
            id="a-claim",
        ),
        pytest.param(kinds.SECRETS, {}, {"count/secrets": "1", "secrets": "1"}, id="a-secret"),
        pytest.param(kinds.DEPLOYMENTS, {}, {"count/deployments.apps": "1"}, id="anything-else"),
    ],
)
def test_what_an_object_costs(kind: Kind, obj: Json, usage: quotas.Usage) -> None:
    assert quotas.usage_of(kind, obj) == usage


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("requests.cpu", kinds.PODS),
        ("requests.example.com/gpu", kinds.PODS),
        ("pods", kinds.PODS),
        ("count/pods", kinds.PODS),
        ("services.nodeports", kinds.SERVICES),
        ("count/deployments.apps", kinds.DEPLOYMENTS),
        ("configmaps", kinds.CONFIG_MAPS),
        ("requests.storage", kinds.PERSISTENT_VOLUME_CLAIMS),
        ("gold.storageclass.storage.k8s.io/requests.storage", kinds.PERSISTENT_VOLUME_CLAIMS),
        ("count/widgets.example.com", None),
        ("count/nodes", None),
    ],
)
def test_the_kind_that_a_name_counts(name: str, kind: Kind | None) -> None:
    assert quotas.kind_counted_by(name) == kind


FAR: Json = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["other"]}]}}


@pytest.mark.parametrize(
    ("scope", "more", "pod", "counted"),
    [
        pytest.param("Terminating", {}, _pod(activeDeadlineSeconds=0), True, id="terminating"),
        pytest.param("NotTerminating", {}, _pod(activeDeadlineSeconds=0), False, id="not-terminating"),
        pytest.param("BestEffort", {}, _pod({}), True, id="best-effort"),
        pytest.param("NotBestEffort", {}, _pod(_asks({"cpu": "1"})), True, id="not-best-effort"),
        pytest.param("CrossNamespacePodAffinity", {}, _pod({}, affinity=FAR), True, id="affinity"),
        pytest.param("CrossNamespacePodAffinity", {}, _pod({}), False, id="no-affinity"),
        pytest.param("PriorityClass", {"operator": "In", "values": ["a"]}, _pod(priorityClassName="a"), True, id="in"),
        pytest.param("PriorityClass", {"operator": "NotIn", "values": ["a"]}, _pod(), True, id="not-in"),
        pytest.param("PriorityClass", {"operator": "Exists"}, _pod(), False, id="exists"),
        pytest.param("PriorityClass", {"operator": "DoesNotExist"}, _pod(), True, id="does-not-exist"),
    ],
)
def test_scopes(scope: str, more: Json, pod: Json, *, counted: bool) -> None:
    quota = {"spec": {"scopeSelector": {"matchExpressions": [{"scopeName": scope, "operator": "Exists", **more}]}}}
    assert quotas.counts(quota, kinds.PODS, pod) == counted
    assert not quotas.counts(quota, kinds.SERVICES, {})
    if not more:
        assert quotas.counts({"spec": {"scopes": [scope]}}, kinds.PODS, pod) == counted


def test_sums_keep_the_family_of_suffixes() -> None:
    assert quotas.add({"memory": "512Mi"}, {"memory": "512Mi", "cpu": "1500m"}) == {"memory": "1Gi", "cpu": "1500m"}
    assert quotas.add({"memory": "0"}, {"memory": "1Gi"}) == {"memory": "1Gi"}
    assert quotas.increase({"cpu": "2", "pods": "1"}, {"cpu": "500m", "pods": "1"}) == {"cpu": "1500m"}
    assert quotas.exceeded({"cpu": "2", "pods": "1"}, {"cpu": "1999m", "pods": "1"}) == ["cpu"]


def test_what_containers_leave_open() -> None:
    pod = _pod(_asks({"cpu": "1"}), {}, initContainers=[{"name": "i"}])
    assert quotas.missing_of(pod, ["requests.cpu", "limits.memory", "pods"]) == (
        "must specify limits.memory for: c0,c1,i; requests.cpu for: c1,i"
    )
    assert quotas.missing_of(pod, ["pods", "ephemeral-storage"]) == ""
