"""Endpoints and EndpointSlices against a real API server."""

from machinery.api import kinds, meta
from machinery.api.codec import Json
from tests.integration.controller_manager.world import World

OF_WEB = "kubernetes.io/service-name=web"


async def _service(world: World, **spec: object) -> None:
    body: Json = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": world.namespace, "labels": {"team": "a"}},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]} | spec,
    }
    await world.client.create(kinds.SERVICES, body)


async def _endpoints(world: World) -> list[Json]:
    """The endpoints of all slices."""
    slices = await world.items(kinds.ENDPOINT_SLICES, OF_WEB)
    return [endpoint for slice_ in slices for endpoint in slice_.get("endpoints") or ()]


async def _ready_names(world: World) -> set[str]:
    return {each["targetRef"]["name"] for each in await _endpoints(world) if each["conditions"]["ready"]}


async def _addresses(world: World, field: str) -> int:
    found = await world.find(kinds.ENDPOINTS, "web") or {}
    return sum(len(subset.get(field) or ()) for subset in found.get("subsets") or ())


async def test_a_service_without_pods_has_an_empty_slice_and_endpoints(world: World) -> None:
    await _service(world)

    async def both_are_there() -> bool:
        slices = await world.items(kinds.ENDPOINT_SLICES, OF_WEB)
        return len(slices) == 1 and await world.find(kinds.ENDPOINTS, "web") is not None

    await world.eventually(both_are_there)
    (slice_,) = await world.items(kinds.ENDPOINT_SLICES, OF_WEB)
    assert meta.labels_of(slice_)["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io"
    assert meta.labels_of(slice_)["team"] == "a"


async def test_ready_pods_are_endpoints_with_node_and_target(world: World) -> None:
    await _service(world)
    await world.deploy(replicas=3)
    await world.rolled_out()
    names = {meta.name_of(pod) for pod in await world.running()}

    async def all_three() -> bool:
        return await _ready_names(world) == names and await _addresses(world, "addresses") == 3

    await world.eventually(all_three)
    assert {each["nodeName"] for each in await _endpoints(world)} <= set(world.node_names)
    (slice_,) = await world.items(kinds.ENDPOINT_SLICES, OF_WEB)
    assert slice_["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]


async def test_a_pod_that_is_not_ready_leaves_the_rotation_and_comes_back(world: World) -> None:
    await _service(world)
    await world.deploy(replicas=2)
    await world.rolled_out()
    world.nodes.makes_ready = False
    name = meta.name_of((await world.running())[0])
    pod = await world.client.get(kinds.PODS, name, world.namespace)
    conditions = meta.set_condition(pod["status"]["conditions"], {"type": "Ready", "status": "False"}, "")
    patch = {"status": {"conditions": [{**each, "lastTransitionTime": None} for each in conditions]}}
    await world.client.patch(kinds.PODS, name, world.namespace, patch, subresource="status")

    async def one_is_out() -> bool:
        return len(await _ready_names(world)) == 1 and await _addresses(world, "notReadyAddresses") == 1

    await world.eventually(one_is_out)
    world.nodes.makes_ready = True

    async def both_are_in() -> bool:
        return len(await _ready_names(world)) == 2 and await _addresses(world, "addresses") == 2

    await world.eventually(both_are_in)


async def test_a_leaving_pod_still_serves_and_says_that_it_terminates(world: World) -> None:
    await _service(world)
    await world.deploy(replicas=1)
    await world.rolled_out()
    (pod,) = await world.running()
    world.nodes.alive.clear()  # nobody ends it
    await world.client.delete(kinds.PODS, meta.name_of(pod), world.namespace)

    async def terminating() -> bool:
        found = [e["conditions"] for e in await _endpoints(world) if e["targetRef"]["uid"] == meta.uid_of(pod)]
        return found == [{"ready": False, "serving": True, "terminating": True}]

    await world.eventually(terminating)
    assert await _addresses(world, "addresses") == 0


async def test_a_service_without_selector_is_left_to_its_owner(world: World) -> None:
    await _service(world, selector=None)
    await world.deploy(replicas=1)
    await world.rolled_out()
    assert await world.items(kinds.ENDPOINT_SLICES, OF_WEB) == []
    assert await world.find(kinds.ENDPOINTS, "web") is None


async def test_a_deleted_service_takes_its_endpoints_and_slices_with_it(world: World) -> None:
    await _service(world)

    async def there() -> bool:
        return (
            len(await world.items(kinds.ENDPOINT_SLICES, OF_WEB)) == 1
            and await world.find(kinds.ENDPOINTS, "web") is not None
        )

    await world.eventually(there)
    await world.client.delete(kinds.SERVICES, "web", world.namespace)

    async def gone() -> bool:
        return not await world.items(kinds.ENDPOINT_SLICES, OF_WEB) and not await world.find(kinds.ENDPOINTS, "web")

    await world.eventually(gone)


async def test_endpoints_written_by_hand_are_mirrored_to_slices(world: World) -> None:
    await _service(world, selector=None)
    subsets = [{"addresses": [{"ip": "192.0.2.7"}], "ports": [{"name": "http", "port": 9000}]}]
    body = {
        "apiVersion": "v1",
        "kind": "Endpoints",
        "metadata": {"name": "web", "namespace": world.namespace},
        "subsets": subsets,
    }
    await world.client.create(kinds.ENDPOINTS, body)

    async def mirrored() -> bool:
        return [each["addresses"] for each in await _endpoints(world)] == [["192.0.2.7"]]

    await world.eventually(mirrored)
    await world.client.delete(kinds.ENDPOINTS, "web", world.namespace)

    async def gone() -> bool:
        return not await world.items(kinds.ENDPOINT_SLICES, OF_WEB)

    await world.eventually(gone)
