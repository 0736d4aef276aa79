"""Nodes that fall silent and come back, evictions, pod CIDRs."""

from machinery.api import kinds, meta, nodes, pods
from machinery.api.codec import Json
from tests.integration.controller_manager.process import ControllerManagerProcess
from tests.integration.controller_manager.world import World

SHORT = [
    {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 1}
    for key in ("not-ready", "unreachable")
]


async def _node(world: World, name: str) -> Json:
    return await world.client.get(kinds.NODES, name)


def _taints(node: Json) -> set[tuple[str, str]]:
    return {(taint["key"].partition("/")[2], taint["effect"]) for taint in nodes.taints_of(node)}


async def _deployed(world: World) -> str:
    """A Deployment on both nodes with a short toleration; returns the node to silence."""
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web:1"}], "tolerations": SHORT},
    }
    await world.deploy(replicas=4, template=template)
    await world.rolled_out()
    silent = world.node_names[0]
    assert {pods.node_of(pod) for pod in await world.running()} == set(world.node_names)
    return silent


async def test_a_silent_node_loses_its_pods_to_the_other_and_comes_back(world: World) -> None:
    silent = await _deployed(world)
    world.nodes.alive.discard(silent)

    async def unknown_and_tainted() -> bool:
        found = await _node(world, silent)
        ready = nodes.ready_condition(found) or {}
        text = (ready.get("status"), ready.get("reason"), ready.get("message"))
        expected = {("unreachable", "NoSchedule"), ("unreachable", "NoExecute")}
        return text == ("Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.") and (
            _taints(found) == expected
        )

    await world.eventually(unknown_and_tainted, seconds=30)

    async def pods_moved() -> bool:
        return [pods.node_of(pod) for pod in await world.running()] == [world.node_names[1]] * 4

    await world.eventually(pods_moved, seconds=30)

    leaving = [pod for pod in await world.items(kinds.PODS) if pods.node_of(pod) == silent]

    async def said_so() -> bool:
        said = set(await world.events("TaintManagerEviction"))
        return {f"Marking for deletion Pod {meta.key_of(pod)}" for pod in leaving} <= said

    await world.eventually(said_so)
    assert leaving, "pods on a silent node stay until it is back or gone"
    for pod in leaving:
        target = meta.find_condition(pod["status"]["conditions"], "DisruptionTarget") or {}
        assert (target["reason"], pods.is_ready(pod)) == ("DeletionByTaintManager", False)
    world.nodes.alive.add(silent)

    async def well_again() -> bool:
        found = await _node(world, silent)
        rest = [pod for pod in await world.items(kinds.PODS) if pods.node_of(pod) == silent]
        return nodes.is_ready(found) and not _taints(found) and not rest

    await world.eventually(well_again, seconds=30)


async def test_a_node_that_comes_back_in_time_keeps_its_pods(world: World) -> None:
    await world.deploy(replicas=2)
    await world.rolled_out()
    before = {meta.uid_of(pod) for pod in await world.running()}
    silent = world.node_names[0]
    world.nodes.alive.discard(silent)

    async def tainted() -> bool:
        return ("unreachable", "NoExecute") in _taints(await _node(world, silent))

    await world.eventually(tainted, seconds=30)
    world.nodes.alive.add(silent)

    async def untainted() -> bool:
        return not _taints(await _node(world, silent)) and len(await world.running()) == 2

    await world.eventually(untainted, seconds=30)
    assert {meta.uid_of(pod) for pod in await world.running()} == before


async def test_a_cordoned_node_is_tainted(world: World) -> None:
    name = world.node_names[0]
    await world.client.patch(kinds.NODES, name, "", {"spec": {"unschedulable": True}})

    async def tainted() -> bool:
        return _taints(await _node(world, name)) == {("unschedulable", "NoSchedule")}

    await world.eventually(tainted)
    await world.client.patch(kinds.NODES, name, "", {"spec": {"unschedulable": None}})

    async def untainted() -> bool:
        return not _taints(await _node(world, name))

    await world.eventually(untainted)


async def test_pod_cidrs_stay_unique_over_a_restart(world: World, manager: ControllerManagerProcess) -> None:
    async def all_have_one() -> bool:
        found = await world.client.list(kinds.NODES)
        return all(nodes.pod_cidr_of(node) for node in found["items"])

    await world.eventually(all_have_one)
    manager.stop()
    extra = f"{world.namespace}-c"
    await world.nodes.add(extra)
    manager.start()
    await world.eventually(all_have_one, seconds=40)
    found = await world.client.list(kinds.NODES)
    cidrs = [nodes.pod_cidr_of(node) for node in found["items"]]
    assert len(cidrs) == len(set(cidrs)) >= 3
    world.nodes.alive.discard(extra)
    await world.client.delete(kinds.NODES, extra)
