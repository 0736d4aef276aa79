"""Claims are made from templates, given back by pods that are done, and go when nobody needs them."""

from machinery.api import kinds, meta
from machinery.api.codec import Json
from tests.integration.controller_manager.world import World

FINALIZER = "resource.kubernetes.io/delete-protection"
SPEC = {"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "gpu"}}]}}
ALLOCATION = {"devices": {"results": [{"request": "r", "driver": "d.example.com", "pool": "p", "device": "a"}]}}


async def _pod(world: World, name: str, **source: str) -> Json:
    pod: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": world.namespace}}
    container = {"name": "c", "image": "i", "resources": {"claims": [{"name": "gpu"}]}}
    pod["spec"] = {"containers": [container], "resourceClaims": [{"name": "gpu", **source}], "nodeName": "nowhere"}
    return await world.client.create(kinds.PODS, pod)


async def _template(world: World) -> None:
    body: Json = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate"}
    body["metadata"] = {"name": "t", "namespace": world.namespace}
    body["spec"] = {"metadata": {"labels": {"team": "blue"}}, "spec": SPEC}
    await world.client.create(kinds.RESOURCE_CLAIM_TEMPLATES, body)


async def _allocate(world: World, name: str, *users: Json) -> None:
    """What the scheduler writes."""
    found = await world.client.get(kinds.RESOURCE_CLAIMS, name, world.namespace)
    found["metadata"]["finalizers"] = [FINALIZER]
    found = await world.client.update(kinds.RESOURCE_CLAIMS, found)
    reserved = [{"resource": "pods", "name": meta.name_of(user), "uid": meta.uid_of(user)} for user in users]
    found["status"] = {"allocation": ALLOCATION, "reservedFor": reserved}
    await world.client.update_status(kinds.RESOURCE_CLAIMS, found)


async def _made(world: World, pod: Json) -> str:
    """The name of the claim made for a pod, once the pod has been told."""
    name = ""

    async def is_told() -> bool:
        nonlocal name
        found = await world.client.get(kinds.PODS, meta.name_of(pod), world.namespace)
        statuses = (found.get("status") or {}).get("resourceClaimStatuses") or ()
        name = next((one["resourceClaimName"] for one in statuses if one["name"] == "gpu"), "")
        return bool(name)

    await world.eventually(is_told)
    return name


async def test_a_claim_is_made_from_its_template_and_goes_when_its_pod_is_done(world: World) -> None:
    await _template(world)
    pod = await _pod(world, "user", resourceClaimTemplateName="t")
    name = await _made(world, pod)
    claim = await world.client.get(kinds.RESOURCE_CLAIMS, name, world.namespace)
    assert name.startswith("user-gpu-")
    assert meta.labels_of(claim) == {"team": "blue"}
    assert meta.annotations_of(claim) == {"resource.kubernetes.io/pod-claim-name": "gpu"}
    assert claim["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "name": "user",
            "uid": meta.uid_of(pod),
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    await _allocate(world, name, pod)
    found = await world.client.get(kinds.PODS, "user", world.namespace)
    await world.client.update_status(kinds.PODS, {**found, "status": {**found["status"], "phase": "Succeeded"}})

    async def gone() -> bool:
        return await world.find(kinds.RESOURCE_CLAIMS, name) is None

    await world.eventually(gone)
    assert len(await world.items(kinds.RESOURCE_CLAIMS)) == 0


async def test_a_shared_claim_keeps_its_devices_until_the_last_pod_is_gone(world: World) -> None:
    body: Json = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "spec": SPEC}
    await world.client.create(
        kinds.RESOURCE_CLAIMS, {**body, "metadata": {"name": "shared", "namespace": world.namespace}}
    )
    one = await _pod(world, "one", resourceClaimName="shared")
    two = await _pod(world, "two", resourceClaimName="shared")
    await _allocate(world, "shared", one, two)
    users: list[str] = []

    async def only_two() -> bool:
        nonlocal users
        found = await world.client.get(kinds.RESOURCE_CLAIMS, "shared", world.namespace)
        users = [user["name"] for user in found["status"].get("reservedFor") or ()]
        return users == ["two"] and found["status"]["allocation"] == ALLOCATION

    await world.client.delete(kinds.PODS, "one", world.namespace, grace_period_seconds=0)
    await world.eventually(only_two)

    async def given_back() -> bool:
        found = await world.client.get(kinds.RESOURCE_CLAIMS, "shared", world.namespace)
        return "allocation" not in found["status"] and not meta.finalizers_of(found)

    await world.client.delete(kinds.PODS, "two", world.namespace, grace_period_seconds=0)
    await world.eventually(given_back)


async def test_a_claim_that_is_deleted_goes_once_nobody_uses_it(world: World) -> None:
    body: Json = {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaim", "spec": SPEC}
    await world.client.create(
        kinds.RESOURCE_CLAIMS, {**body, "metadata": {"name": "idle", "namespace": world.namespace}}
    )
    await _allocate(world, "idle")
    await world.client.delete(kinds.RESOURCE_CLAIMS, "idle", world.namespace)

    async def gone() -> bool:
        return await world.find(kinds.RESOURCE_CLAIMS, "idle") is None

    await world.eventually(gone)


async def test_a_template_that_is_not_there_is_told_and_waited_for(world: World) -> None:
    pod = await _pod(world, "user", resourceClaimTemplateName="t")
    text = 'PodResourceClaim gpu: resourceclaimtemplates.resource.k8s.io "t" not found'

    async def told() -> bool:
        return text in await world.events("FailedResourceClaimCreation")

    await world.eventually(told)
    await _template(world)
    assert await _made(world, pod)
    await world.client.delete(kinds.PODS, "user", world.namespace, grace_period_seconds=0)
