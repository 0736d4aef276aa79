"""LimitRanger, the default classes, and the two plugins that are off by default."""

from typing import Any

import pytest

from apiserver.admission.always_pull_images import AlwaysPullImages
from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.default_class import DefaultIngressClass, DefaultStorageClass
from apiserver.admission.extended_resource_toleration import ExtendedResourceToleration
from apiserver.admission.limit_ranger import LimitRanger
from apiserver.request import ANONYMOUS
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.fakes.reader import NoObjects


class Listed(NoObjects):
    """A Reader that has a few objects of one kind."""

    def __init__(self, *objects: Json) -> None:
        self._objects = list(objects)

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """None."""
        return None

    def all(self, kind: Kind) -> list[Json]:
        """All of them."""
        return self._objects


def _limits(*limits: Json, namespace: str = "default") -> Listed:
    return Listed({"metadata": {"name": "l", "namespace": namespace}, "spec": {"limits": list(limits)}})


def _pod(*containers: Json, **spec: Any) -> Json:
    named = [{"name": f"c{number}", **container} for number, container in enumerate(containers)]
    return {"metadata": {"name": "web"}, "spec": {"containers": named, **spec}}


def _asks(requests: Json | None = None, limits: Json | None = None) -> Json:
    return {"resources": {"requests": requests or {}, "limits": limits or {}}}


async def _admitted(plugin: Plugin, obj: Json, listed: Listed, kind: Kind = kinds.PODS) -> Json:
    attributes = Attributes(Operation.CREATE, kind, ANONYMOUS, namespace="default", name="web", obj=obj)
    await plugin.mutate(attributes, listed)
    await plugin.validate(attributes, listed)
    return obj


DEFAULTS: Json = {"type": "Container", "default": {"cpu": "1", "memory": "1Gi"}, "defaultRequest": {"cpu": "100m"}}


async def test_containers_get_what_they_leave_out_and_the_pod_says_so() -> None:
    pod = _pod({}, _asks({"cpu": "1"}, {"cpu": "2"}), initContainers=[{"name": "i"}])
    spec = (await _admitted(LimitRanger(), pod, _limits(DEFAULTS)))["spec"]
    assert [container["resources"] for container in (*spec["containers"], *spec["initContainers"])] == [
        {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        {"requests": {"cpu": "1"}, "limits": {"cpu": "2", "memory": "1Gi"}},
        {"requests": {"cpu": "100m"}, "limits": {"cpu": "1", "memory": "1Gi"}},
    ]
    assert pod["metadata"]["annotations"]["kubernetes.io/limit-ranger"] == (
        "LimitRanger plugin set: cpu request for container c0; cpu, memory limit for container c0; "
        "memory limit for container c1; cpu request for init container i; cpu, memory limit for init container i"
    )


async def test_limits_of_another_namespace_are_nobodys_here() -> None:
    pod = _pod({})
    await _admitted(LimitRanger(), pod, _limits(DEFAULTS, namespace="other"))
    assert pod == _pod({})


@pytest.mark.parametrize(
    ("container", "limit", "why"),
    [
        ({}, {"min": {"cpu": "1"}}, "minimum cpu usage per Container is 1.  No request is specified"),
        (_asks({"cpu": "1m"}), {"min": {"cpu": "1"}}, "minimum cpu usage per Container is 1, but request is 1m"),
        ({}, {"max": {"cpu": "1"}}, "maximum cpu usage per Container is 1.  No limit is specified"),
        (
            _asks({"cpu": "1"}, {"cpu": "3"}),
            {"max": {"cpu": "2"}},
            "maximum cpu usage per Container is 2, but limit is 3",
        ),
        (
            _asks({"cpu": "1"}, {"cpu": "3"}),
            {"maxLimitRequestRatio": {"cpu": "2"}},
            "cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000",
        ),
        (
            _asks({"cpu": "1"}),
            {"maxLimitRequestRatio": {"cpu": "2"}},
            "cpu max limit to request ratio per Container is 2, but no limit is specified or limit is 0",
        ),
        (
            _asks({"cpu": "1"}, {"cpu": "1"}),
            {"max": {"cpu": "500m"}, "min": {"memory": "1Mi"}},
            "[minimum memory usage per Container is 1Mi.  No request is specified, "
            "maximum cpu usage per Container is 500m, but limit is 1]",
        ),
    ],
)
async def test_a_container_out_of_bounds_is_forbidden(container: Json, limit: Json, why: str) -> None:
    with pytest.raises(errors.Forbidden) as caught:
        await _admitted(LimitRanger(), _pod(container), _limits({"type": "Container", **limit}))
    assert caught.value.message == f'pods "web" is forbidden: {why}'


async def test_a_pods_containers_count_together() -> None:
    pod = _pod(_asks({"cpu": "600m"}, {"cpu": "600m"}), _asks({"cpu": "600m"}, {"cpu": "600m"}))
    with pytest.raises(errors.Forbidden, match="maximum cpu usage per Pod is 1, but limit is 1200m"):
        await _admitted(LimitRanger(), pod, _limits({"type": "Pod", "max": {"cpu": "1"}}))


async def test_a_sidecar_counts_beside_the_containers_it_serves() -> None:
    sidecar = {"name": "s", "restartPolicy": "Always", **_asks({"cpu": "600m"}, {"cpu": "600m"})}
    pod = _pod(_asks({"cpu": "600m"}, {"cpu": "600m"}), initContainers=[sidecar])
    with pytest.raises(errors.Forbidden, match="maximum cpu usage per Pod is 1, but limit is 1200m"):
        await _admitted(LimitRanger(), pod, _limits({"type": "Pod", "max": {"cpu": "1"}}))


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("500Mi", "minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi"),
        ("20Gi", "maximum storage usage per PersistentVolumeClaim is 10Gi, but request is 20Gi"),
    ],
)
async def test_a_claim_keeps_to_its_bounds(asked: str, why: str) -> None:
    claim: Json = {"metadata": {"name": "web"}, "spec": {"resources": {"requests": {"storage": asked}}}}
    limit = {"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "10Gi"}}
    with pytest.raises(errors.Forbidden, match=why):
        await _admitted(LimitRanger(), claim, _limits(limit), kinds.PERSISTENT_VOLUME_CLAIMS)


def _class(name: str, created: str, mark: str, value: str = "true") -> Json:
    return {"metadata": {"name": name, "creationTimestamp": created, "annotations": {mark: value}}}


@pytest.mark.parametrize(
    ("plugin", "kind", "field", "mark", "old_way"),
    [
        (
            DefaultStorageClass(),
            kinds.PERSISTENT_VOLUME_CLAIMS,
            "storageClassName",
            "storageclass.kubernetes.io/is-default-class",
            "volume.beta.kubernetes.io/storage-class",
        ),
        (
            DefaultIngressClass(),
            kinds.INGRESSES,
            "ingressClassName",
            "ingressclass.kubernetes.io/is-default-class",
            "kubernetes.io/ingress.class",
        ),
    ],
)
async def test_who_names_no_class_gets_the_newest_default(
    plugin: Plugin, kind: Kind, field: str, mark: str, old_way: str
) -> None:
    classes = Listed(
        _class("old", "2026-01-01T00:00:00Z", mark),
        _class("b", "2026-01-02T00:00:00Z", mark),
        _class("a", "2026-01-02T00:00:00Z", mark),
        _class("no", "2026-01-03T00:00:00Z", mark, "false"),
    )
    assert (await _admitted(plugin, {"metadata": {}, "spec": {}}, classes, kind))["spec"] == {field: "a"}
    for named in ({"metadata": {}, "spec": {field: ""}}, {"metadata": {"annotations": {old_way: "x"}}, "spec": {}}):
        before = dict(named["spec"])
        assert (await _admitted(plugin, named, classes, kind))["spec"] == before
    assert (await _admitted(plugin, {"metadata": {}, "spec": {}}, Listed(), kind))["spec"] == {}


async def test_all_images_are_pulled() -> None:
    pod = _pod({"imagePullPolicy": "Never"}, initContainers=[{"name": "i"}])
    spec = (await _admitted(AlwaysPullImages(), pod, Listed()))["spec"]
    assert spec["containers"][0]["imagePullPolicy"] == spec["initContainers"][0]["imagePullPolicy"] == "Always"


async def test_who_asks_for_a_device_tolerates_its_taint() -> None:
    pod = _pod(_asks({"example.com/gpu": "1", "cpu": "1", "kubernetes.io/batch": "1"}))
    spec = (await _admitted(ExtendedResourceToleration(), pod, Listed()))["spec"]
    assert spec["tolerations"] == [{"key": "example.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    before = [dict(toleration) for toleration in spec["tolerations"]]
    assert (await _admitted(ExtendedResourceToleration(), pod, Listed()))["spec"]["tolerations"] == before
