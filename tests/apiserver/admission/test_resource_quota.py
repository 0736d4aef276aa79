"""ResourceQuota: what is charged, when, and upstream's words of refusal."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.resource_quota import ResourceQuota
from apiserver.request import ANONYMOUS
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.fakes.reader import NoObjects


class Quotas(NoObjects):
    """Quotas of one namespace, whose statuses are kept."""

    def __init__(self, *found: Json) -> None:
        self.found = {quota["metadata"]["name"]: quota for quota in found}

    def in_namespace(self, kind: Kind, namespace: str) -> list[Json]:
        """All."""
        return [*self.found.values()]

    async def change_status(
        self, kind: Kind, namespace: str, name: str, change: Callable[[Json | None], Awaitable[Json]]
    ) -> None:
        """At once."""
        self.found[name] = await change(self.found.get(name))

    def used(self, name: str = "q") -> Json:
        """What is written of one."""
        used: Json = self.found[name]["status"]["used"]
        return used


def _quota(hard: Json, used: Json, name: str = "q", **spec: Any) -> Json:
    return {"metadata": {"name": name}, "spec": {"hard": hard, **spec}, "status": {"hard": hard, "used": used}}


def _pod(**requests: str) -> Json:
    return {"metadata": {"name": "x"}, "spec": {"containers": [{"name": "a", "resources": {"requests": requests}}]}}


async def _admit(quotas: Quotas, kind: Kind, obj: Json, old: Json | None = None, **more: Any) -> None:
    operation = Operation.CREATE if old is None else Operation.UPDATE
    await ResourceQuota().validate(Attributes(operation, kind, ANONYMOUS, "web", "x", obj=obj, old=old, **more), quotas)


async def test_a_creation_is_charged_to_every_quota_that_counts_it() -> None:
    quotas = Quotas(
        _quota({"pods": "2", "cpu": "1"}, {"pods": "1", "cpu": "500m"}),
        _quota({"pods": "5"}, {"pods": "0"}, "r", scopes=["BestEffort"]),
    )
    await _admit(quotas, kinds.PODS, _pod(cpu="200m"))
    assert quotas.used() == {"pods": "2", "cpu": "700m"}
    assert quotas.used("r") == {"pods": "0"}


@pytest.mark.parametrize(
    ("quota", "message"),
    [
        pytest.param(
            _quota({"pods": "9", "cpu": "1", "memory": "1Gi"}, {"pods": "2", "cpu": "900m", "memory": "512Mi"}),
            "exceeded quota: q, requested: cpu=200m,memory=768Mi, used: cpu=900m,memory=512Mi, "
            "limited: cpu=1,memory=1Gi",
            id="above",
        ),
        pytest.param(
            _quota({"limits.cpu": "1"}, {"limits.cpu": "0"}),
            "failed quota: q: must specify limits.cpu for: a",
            id="says-nothing",
        ),
        pytest.param(
            _quota({"pods": "9", "cpu": "1"}, {"pods": "0"}),
            "status unknown for quota: q, resources: cpu",
            id="unknown",
        ),
    ],
)
async def test_a_refusal_says_why_and_charges_nothing(quota: Json, message: str) -> None:
    quotas = Quotas(quota)
    with pytest.raises(errors.Forbidden) as refused:
        await _admit(quotas, kinds.PODS, _pod(cpu="200m", memory="768Mi"))
    assert refused.value.message == f'pods "x" is forbidden: {message}'
    assert quotas.used() == quota["status"]["used"]


async def test_a_dry_run_is_judged_and_not_charged() -> None:
    quotas = Quotas(_quota({"pods": "1"}, {"pods": "0"}))
    await _admit(quotas, kinds.PODS, _pod(), dry_run=True)
    assert quotas.used() == {"pods": "0"}
    await _admit(quotas, kinds.PODS, _pod())
    with pytest.raises(errors.Forbidden, match="exceeded quota"):
        await _admit(quotas, kinds.PODS, _pod(), dry_run=True)


async def test_an_update_is_charged_for_what_it_adds() -> None:
    def service(of: str) -> Json:
        return {"metadata": {"name": "x"}, "spec": {"type": of, "ports": [{"port": 80}]}}

    quotas = Quotas(_quota({"services": "1", "services.nodeports": "1"}, {"services": "1", "services.nodeports": "0"}))
    await _admit(quotas, kinds.SERVICES, service("NodePort"), service("ClusterIP"))
    assert quotas.used() == {"services": "1", "services.nodeports": "1"}
    await _admit(quotas, kinds.SERVICES, service("ClusterIP"), service("NodePort"))
    assert quotas.used() == {"services": "1", "services.nodeports": "1"}
    await _admit(quotas, kinds.PODS, _pod(), _pod())
    await _admit(quotas, kinds.CONFIG_MAPS, {}, {})


async def test_a_quota_that_has_gone_bounds_nothing() -> None:
    class Gone(Quotas):
        async def change_status(self, *_: Any) -> None:
            raise errors.not_found(kinds.RESOURCE_QUOTAS, "q")

    await _admit(Gone(_quota({"pods": "0"}, {"pods": "0"})), kinds.PODS, _pod())
