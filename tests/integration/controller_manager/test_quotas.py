"""Quotas with their controller: charged as pods come, given back as they go."""

from machinery.api import kinds
from machinery.api.codec import Json
from tests.integration.controller_manager.world import World


async def test_a_quota_bounds_a_deployment_and_is_given_back(world: World) -> None:
    metadata = {"name": "small", "namespace": world.namespace}
    hard = {"pods": "2", "count/deployments.apps": "1", "secrets": "9"}
    quota: Json = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}}
    await world.client.create(kinds.RESOURCE_QUOTAS, quota)

    async def used() -> Json:
        found = await world.client.get(kinds.RESOURCE_QUOTAS, "small", world.namespace)
        amounts: Json = (found.get("status") or {}).get("used") or {}
        return amounts

    async def is_counted() -> bool:
        return await used() == {"pods": "0", "count/deployments.apps": "0", "secrets": "0"}

    async def is_full() -> bool:
        return await used() == {"pods": "2", "count/deployments.apps": "1", "secrets": "0"}

    async def is_refused() -> bool:
        found = await world.client.get(kinds.DEPLOYMENTS, "web", world.namespace)
        conditions = (found.get("status") or {}).get("conditions") or []
        told = [one.get("message", "") for one in conditions if one["type"] == "ReplicaFailure"]
        return any("exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2" in text for text in told)

    await world.eventually(is_counted)
    await world.deploy(replicas=3)
    await world.eventually(is_full)
    await world.eventually(is_refused)
    assert len((await world.client.list(kinds.PODS, world.namespace))["items"]) == 2
    await world.client.delete(kinds.DEPLOYMENTS, "web", world.namespace)
    await world.eventually(is_counted)
