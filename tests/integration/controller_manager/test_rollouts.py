"""Deployments from creation to clean-up, on simulated nodes."""

import asyncio
import signal

from machinery.api import kinds, meta
from machinery.api.codec import Json
from tests.integration.apiserver_process import ApiserverProcess
from tests.integration.controller_manager.process import ControllerManagerProcess
from tests.integration.controller_manager.world import World

REVISION = "deployment.kubernetes.io/revision"


async def _replica_sets(world: World) -> dict[str, Json]:
    """By the image of their template."""
    found = await world.items(kinds.REPLICA_SETS)
    return {rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs for rs in found}


def _condition(obj: Json, type_: str) -> tuple[str, str, str]:
    found = meta.find_condition(obj["status"].get("conditions"), type_) or {}
    return found.get("status", ""), found.get("reason", ""), found.get("message", "")


async def test_a_deployment_gets_its_pods_and_says_so(world: World) -> None:
    await world.deploy(replicas=3)
    deployment = await world.rolled_out()
    (rs,) = await world.items(kinds.REPLICA_SETS)
    name = meta.name_of(rs)
    assert name == f"web-{meta.labels_of(rs)['pod-template-hash']}"
    assert meta.annotations_of(deployment)[REVISION] == "1"
    assert {key.rpartition("/")[2]: value for key, value in meta.annotations_of(rs).items()} == {
        "revision": "1",
        "desired-replicas": "3",
        "max-replicas": "4",
    }
    assert len(await world.running(f"pod-template-hash={meta.labels_of(rs)['pod-template-hash']}")) == 3
    available = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    assert _condition(deployment, "Available") == available

    async def progress_is_reported() -> bool:
        found = await world.client.get(kinds.DEPLOYMENTS, "web", world.namespace)
        text = f'ReplicaSet "{name}" has successfully progressed.'
        return _condition(found, "Progressing") == ("True", "NewReplicaSetAvailable", text)

    await world.eventually(progress_is_reported)

    async def events_are_there() -> bool:
        return len(await world.events("SuccessfulCreate")) == 3 and await world.events("ScalingReplicaSet") == [
            f"Scaled up replica set {name} from 0 to 3"
        ]

    await world.eventually(events_are_there)


async def test_a_rolling_update_keeps_enough_pods_and_never_too_many(world: World) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    await world.deploy(replicas=4, strategy=rolling)
    await world.rolled_out()
    await world.set_image("web:2")
    fewest, most = 99, 0

    async def done() -> bool:
        nonlocal fewest, most
        everyone = [pod for pod in await world.items(kinds.PODS) if not meta.is_being_deleted(pod)]
        fewest, most = min(fewest, len(await world.running())), max(most, len(everyone))
        sets = await _replica_sets(world)
        sizes = {image: (rs["spec"]["replicas"], rs["status"]["replicas"]) for image, rs in sets.items()}
        return sizes == {"web:1": (0, 0), "web:2": (4, 4)}

    await world.eventually(done, seconds=20)
    assert (fewest, most) == (4, 5)


async def test_going_back_to_a_template_reuses_its_replica_set_with_a_new_revision(world: World) -> None:
    await world.deploy(replicas=2)
    await world.rolled_out()
    first = (await _replica_sets(world))["web:1"]
    await world.set_image("web:2")
    await world.rolled_out()
    await world.set_image("web:1")
    deployment = await world.rolled_out()
    again = (await _replica_sets(world))["web:1"]
    assert meta.uid_of(again) == meta.uid_of(first)
    assert meta.annotations_of(deployment)[REVISION] == meta.annotations_of(again)[REVISION] == "3"
    assert meta.annotations_of(again)["deployment.kubernetes.io/revision-history"] == "1"


async def test_scaling_up_and_down_moves_pods_only(world: World) -> None:
    await world.deploy(replicas=2)
    await world.rolled_out()
    before = {meta.name_of(pod) for pod in await world.running()}
    await world.change("web", {"replicas": 5})
    await world.rolled_out()
    assert before < {meta.name_of(pod) for pod in await world.running()}
    await world.change("web", {"replicas": 0})
    await world.rolled_out()

    async def no_pod_is_left() -> bool:
        return not await world.items(kinds.PODS)

    await world.eventually(no_pod_is_left)
    assert len(await world.items(kinds.REPLICA_SETS)) == 1


async def test_recreate_starts_new_pods_only_when_the_old_ones_are_gone(world: World) -> None:
    await world.deploy(replicas=2, strategy={"type": "Recreate"})
    await world.rolled_out()
    await world.set_image("web:2")
    both = False

    async def done() -> bool:
        nonlocal both
        images = {pod["spec"]["containers"][0]["image"] for pod in await world.items(kinds.PODS)}
        both = both or len(images) > 1
        return images == {"web:2"} and len(await world.running()) == 2

    await world.eventually(done)
    assert not both


async def test_a_paused_deployment_scales_and_does_not_roll(world: World) -> None:
    await world.deploy(replicas=1)
    await world.rolled_out()
    await world.change("web", {"paused": True})
    await world.set_image("web:2")
    await world.change("web", {"replicas": 2})

    async def two_old_pods() -> bool:
        sets = await _replica_sets(world)
        return list(sets) == ["web:1"] and sets["web:1"]["status"].get("readyReplicas") == 2

    await world.eventually(two_old_pods)
    found = await world.client.get(kinds.DEPLOYMENTS, "web", world.namespace)
    assert _condition(found, "Progressing") == ("Unknown", "DeploymentPaused", "Deployment is paused")
    await world.change("web", {"paused": False})
    await world.rolled_out()
    assert (await _replica_sets(world))["web:2"]["spec"]["replicas"] == 2


async def test_old_replica_sets_beyond_the_history_limit_go(world: World) -> None:
    await world.deploy(replicas=1, revisionHistoryLimit=1)
    await world.rolled_out()
    for image in ("web:2", "web:3"):
        await world.set_image(image)
        await world.rolled_out()

    async def one_old_one_is_left() -> bool:
        return sorted(await _replica_sets(world)) == ["web:2", "web:3"]

    await world.eventually(one_old_one_is_left)


async def test_a_rollout_that_does_not_progress_is_reported(world: World) -> None:
    world.nodes.makes_ready = False
    await world.deploy(replicas=1, progressDeadlineSeconds=1)

    async def deadline_is_exceeded() -> bool:
        found = await world.client.get(kinds.DEPLOYMENTS, "web", world.namespace)
        return "conditions" in found["status"] and _condition(found, "Progressing")[1] == "ProgressDeadlineExceeded"

    await world.eventually(deadline_is_exceeded)


async def test_a_deleted_pod_is_replaced_and_a_relabelled_one_released(world: World) -> None:
    await world.deploy(replicas=2)
    await world.rolled_out()
    one, two = await world.running()
    await world.client.delete(kinds.PODS, meta.name_of(one), world.namespace)
    patch = {"metadata": {"labels": {"app": "quarantine"}}}
    await world.client.patch(kinds.PODS, meta.name_of(two), world.namespace, patch)

    async def two_new_ones() -> bool:
        fresh = {meta.name_of(pod) for pod in await world.running("app=web")}
        return len(fresh) == 2 and not fresh & {meta.name_of(one), meta.name_of(two)}

    await world.eventually(two_new_ones)
    released = await world.client.get(kinds.PODS, meta.name_of(two), world.namespace)
    assert meta.owners_of(released) == ()


async def test_an_api_server_killed_in_the_middle_of_a_rollout_delays_it_only(
    world: World, server: ApiserverProcess, manager: ControllerManagerProcess
) -> None:
    await world.deploy(replicas=4)
    await world.rolled_out()
    await world.set_image("web:2")
    server.stop(signal.SIGKILL)
    server.start()
    manager.revive()
    await world.rolled_out(seconds=60)


async def test_a_manager_killed_in_the_middle_of_a_rollout_finishes_it_when_it_is_back(
    world: World, manager: ControllerManagerProcess
) -> None:
    await world.deploy(replicas=4)
    await world.rolled_out()
    await world.set_image("web:2")
    manager.stop(signal.SIGKILL)
    manager.start()
    await world.rolled_out(seconds=60)
    assert sorted(await _replica_sets(world)) == ["web:1", "web:2"]


async def test_pods_that_are_refused_are_reported_up_to_the_deployment(world: World) -> None:
    template = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {"containers": [{"name": "web", "image": "web:1"}], "serviceAccountName": "ghost"},
    }
    await world.deploy(replicas=2, template=template)

    async def reported() -> bool:
        found = await world.client.get(kinds.DEPLOYMENTS, "web", world.namespace)
        status, reason, message = _condition(found, "ReplicaFailure") if found.get("status") else ("", "", "")
        said = await world.events("FailedCreate")
        refused = "is forbidden: error looking up service account" in message
        return (status, reason, refused) == ("True", "FailedCreate", True) and (f"Error creating: {message}" in said)

    await world.eventually(reported)
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "ghost", "namespace": world.namespace},
    }
    await world.client.create(kinds.SERVICE_ACCOUNTS, account)
    deployment = await world.rolled_out()
    assert _condition(deployment, "ReplicaFailure") == ("", "", "")


async def test_kubectl_follows_undoes_and_restarts_rollouts(world: World, server: ApiserverProcess) -> None:
    async def kubectl(*arguments: str) -> str:
        found = await asyncio.to_thread(server.kubectl, "-n", world.namespace, *arguments)
        return found.ok()

    await world.deploy(replicas=2)
    assert 'deployment "web" successfully rolled out' in await kubectl("rollout", "status", "deployment/web")
    await kubectl("set", "image", "deployment/web", "web=web:2")
    await kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert "2" in (await kubectl("rollout", "history", "deployment/web")).split()
    await kubectl("rollout", "undo", "deployment/web")
    await kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    assert (await _replica_sets(world))["web:1"]["spec"]["replicas"] == 2
    await kubectl("rollout", "restart", "deployment/web")
    await kubectl("rollout", "status", "deployment/web", "--timeout=30s")
    await kubectl("scale", "deployment/web", "--replicas=3")
    await kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=30s")
    await world.rolled_out()
    assert len(await world.running()) == 3
