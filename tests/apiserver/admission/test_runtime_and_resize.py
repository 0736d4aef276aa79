"""RuntimeClass and PersistentVolumeClaimResize."""

from typing import Any

import pytest

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.claim_resize import PersistentVolumeClaimResize
from apiserver.admission.runtime_class import RuntimeClass
from apiserver.request import ANONYMOUS
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.fakes.reader import NoObjects

GVISOR: Json = {
    "metadata": {"name": "gvisor"},
    "handler": "runsc",
    "overhead": {"podFixed": {"cpu": "250m"}},
    "scheduling": {"nodeSelector": {"runtime": "gvisor"}, "tolerations": [{"key": "gvisor", "operator": "Exists"}]},
}


class One(NoObjects):
    """A Reader that has one object."""

    def __init__(self, obj: Json) -> None:
        self._obj = obj

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The object, by its name."""
        return self._obj if self._obj["metadata"]["name"] == name else None

    def all(self, kind: Kind) -> list[Json]:
        """It."""
        return [self._obj]


async def _created(**spec: Any) -> Json:
    obj: Json = {"metadata": {"name": "x"}, "spec": spec}
    attributes = Attributes(Operation.CREATE, kinds.PODS, ANONYMOUS, "web", "x", obj=obj)
    await RuntimeClass().mutate(attributes, One(GVISOR))
    await RuntimeClass().validate(attributes, One(GVISOR))
    return spec


async def test_a_pod_gets_what_its_runtime_costs_and_where_it_runs() -> None:
    spec = await _created(runtimeClassName="gvisor", nodeSelector={"disk": "ssd"}, tolerations=[{"key": "a"}])
    assert spec["overhead"] == {"cpu": "250m"}
    assert spec["nodeSelector"] == {"disk": "ssd", "runtime": "gvisor"}
    assert spec["tolerations"] == [{"key": "a"}, {"key": "gvisor", "operator": "Exists"}]
    assert await _created(nodeSelector={"disk": "ssd"}) == {"nodeSelector": {"disk": "ssd"}}
    assert (await _created(runtimeClassName="gvisor", overhead={"cpu": "0.25"}))["overhead"] == {"cpu": "0.25"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param({"runtimeClassName": "kata"}, 'pod rejected: RuntimeClass "kata" not found', id="no-such-class"),
        pytest.param(
            {"runtimeClassName": "gvisor", "overhead": {"cpu": "1"}},
            "pod rejected: Pod's Overhead doesn't match RuntimeClass \"gvisor\" defined Overhead",
            id="another-overhead",
        ),
        pytest.param(
            {"overhead": {"cpu": "1"}},
            "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead",
            id="an-overhead-of-no-class",
        ),
        pytest.param(
            {"runtimeClassName": "gvisor", "nodeSelector": {"runtime": "runc"}},
            "conflict: runtimeClass.scheduling.nodeSelector[runtime] = gvisor; pod.spec.nodeSelector[runtime] = runc",
            id="another-place",
        ),
    ],
)
async def test_a_pod_that_contradicts_its_class_is_refused(spec: Json, message: str) -> None:
    with pytest.raises(errors.Forbidden) as refused:
        await _created(**spec)
    assert refused.value.message == f'pods "x" is forbidden: {message}'


def _claim(size: str, phase: str = "Bound", **spec: Any) -> Json:
    return {"spec": {"resources": {"requests": {"storage": size}}, **spec}, "status": {"phase": phase}}


@pytest.mark.parametrize(
    ("expands", "old", "new", "refused"),
    [
        pytest.param(True, "1Gi", "2Gi", False, id="the-class-can"),
        pytest.param(False, "1Gi", "2Gi", True, id="the-class-cannot"),
        pytest.param(False, "1Gi", "1024Mi", False, id="the-same-size"),
    ],
)
async def test_a_claim_grows_where_its_class_can(*, expands: bool, old: str, new: str, refused: bool) -> None:
    reader = One({"metadata": {"name": "fast"}, "allowVolumeExpansion": expands})
    claims = _claim(new, storageClassName="fast"), _claim(old, storageClassName="fast")
    attributes = Attributes(
        Operation.UPDATE, kinds.PERSISTENT_VOLUME_CLAIMS, ANONYMOUS, "web", "x", obj=claims[0], old=claims[1]
    )
    if not refused:
        await PersistentVolumeClaimResize().validate(attributes, reader)
        return
    with pytest.raises(errors.Forbidden, match="only dynamically provisioned pvc can be resized"):
        await PersistentVolumeClaimResize().validate(attributes, reader)
