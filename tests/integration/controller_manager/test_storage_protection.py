"""Claims and volumes in use stay until they are not."""

from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.integration.controller_manager.world import World

CONTAINER = {"name": "c", "image": "i"}


async def _is_gone(world: World, kind: Kind, name: str) -> bool:
    try:
        await world.client.get(kind, name, world.namespace if kind.namespaced else "")
    except errors.NotFound:
        return True
    return False


async def test_a_claim_goes_with_the_last_pod_that_uses_it(world: World) -> None:
    claim: Json = {"apiVersion": "v1", "kind": "PersistentVolumeClaim"}
    claim["metadata"] = {"name": "data", "namespace": world.namespace}
    resources = {"requests": {"storage": "1Gi"}}
    claim["spec"] = {"accessModes": ["ReadWriteOnce"], "resources": resources, "storageClassName": ""}
    created = await world.client.create(kinds.PERSISTENT_VOLUME_CLAIMS, claim)
    assert meta.finalizers_of(created) == ["kubernetes.io/pvc-protection"]
    volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
    pod: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "user", "namespace": world.namespace}}
    pod["spec"] = {"containers": [CONTAINER], "volumes": volumes, "nodeName": "nowhere"}
    await world.client.create(kinds.PODS, pod)
    await world.client.delete(kinds.PERSISTENT_VOLUME_CLAIMS, "data", world.namespace)
    waiting = await world.client.get(kinds.PERSISTENT_VOLUME_CLAIMS, "data", world.namespace)
    assert meta.is_being_deleted(waiting)
    await world.client.delete(kinds.PODS, "user", world.namespace, grace_period_seconds=0)

    async def gone() -> bool:
        return await _is_gone(world, kinds.PERSISTENT_VOLUME_CLAIMS, "data")

    await world.eventually(gone)


async def test_a_volume_that_is_bound_stays(world: World) -> None:
    name = f"volume-{world.namespace}"
    volume: Json = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}}
    volume["spec"] = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/x"}}
    created = await world.client.create(kinds.PERSISTENT_VOLUMES, volume)
    assert meta.finalizers_of(created) == ["kubernetes.io/pv-protection"]
    await world.client.update_status(kinds.PERSISTENT_VOLUMES, {**created, "status": {"phase": "Bound"}})
    await world.client.delete(kinds.PERSISTENT_VOLUMES, name)
    bound = await world.client.get(kinds.PERSISTENT_VOLUMES, name)
    assert meta.is_being_deleted(bound)
    await world.client.update_status(kinds.PERSISTENT_VOLUMES, {**bound, "status": {"phase": "Released"}})

    async def gone() -> bool:
        return await _is_gone(world, kinds.PERSISTENT_VOLUMES, name)

    await world.eventually(gone)
