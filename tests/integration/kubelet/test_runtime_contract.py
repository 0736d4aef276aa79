"""What the kubelet relies on in a runtime: the same tests for the fake and for a real containerd."""

import uuid
from collections.abc import AsyncIterator

import pytest

from kubelet.cri import api_pb2 as api
from kubelet.cri.client import CriClient, Runtime, RuntimeDown, RuntimeNotFound
from kubelet.runtime_fake import FakeRuntime
from tests.integration.kubelet.machine import BUSYBOX_IMAGE, Machine

UID = "io.kubernetes.pod.uid"
PLACE = {"cgroup": "", "logs": ""}  # the machine's, once there is one


@pytest.fixture(params=["fake", "containerd"])
async def runtime(request: pytest.FixtureRequest) -> AsyncIterator[Runtime]:
    runtime: Runtime = FakeRuntime()
    if request.param == "containerd":
        machine: Machine = request.getfixturevalue("machine")
        runtime = CriClient(machine.endpoint)
        PLACE["cgroup"], PLACE["logs"] = machine.cgroup_root, str(machine.folder / "logs")
    yield runtime
    for sandbox in await runtime.list_sandboxes():
        await runtime.remove_sandbox(sandbox.id)
    await runtime.close()


def sandbox_config() -> api.PodSandboxConfig:
    uid = str(uuid.uuid4())
    return api.PodSandboxConfig(
        metadata=api.PodSandboxMetadata(name="web", uid=uid, namespace="default"),
        hostname="web",
        log_directory=f"{PLACE['logs']}/{uid}",
        labels={UID: uid},
        linux=api.LinuxPodSandboxConfig(cgroup_parent=f"{PLACE['cgroup']}/kubepods/pod{uid}"),
    )


def container_config(sandbox: api.PodSandboxConfig) -> api.ContainerConfig:
    return api.ContainerConfig(
        metadata=api.ContainerMetadata(name="main"),
        image=api.ImageSpec(image=BUSYBOX_IMAGE),
        command=["sh", "-c", "trap 'exit 0' TERM; while true; do sleep 0.1; done"],
        labels=dict(sandbox.labels),
        annotations={"a": "b"},
    )


async def test_a_sandbox_is_found_by_its_pod_and_has_an_address(runtime: Runtime) -> None:
    config = sandbox_config()
    sandbox_id = await runtime.run_sandbox(config)
    listed = await runtime.list_sandboxes(config.metadata.uid)
    assert [(one.id, one.state) for one in listed] == [(sandbox_id, api.SANDBOX_READY)]
    assert await runtime.list_sandboxes("nobody") == []
    status = await runtime.sandbox_status(sandbox_id)
    assert status.network.ip
    assert status.metadata == config.metadata


async def test_a_container_lives_and_ends(runtime: Runtime) -> None:
    config = sandbox_config()
    sandbox_id = await runtime.run_sandbox(config)
    container_id = await runtime.create_container(sandbox_id, container_config(config), config)
    assert (await runtime.container_status(container_id)).state == api.CONTAINER_CREATED
    await runtime.start_container(container_id)
    status = await runtime.container_status(container_id)
    assert (status.state, status.annotations["a"]) == (api.CONTAINER_RUNNING, "b")
    assert status.created_at <= status.started_at
    await runtime.stop_container(container_id, 5)
    status = await runtime.container_status(container_id)
    assert status.state == api.CONTAINER_EXITED
    assert status.finished_at >= status.started_at
    listed = await runtime.list_containers(config.metadata.uid)
    assert [(one.id, one.pod_sandbox_id, one.state) for one in listed] == [
        (container_id, sandbox_id, api.CONTAINER_EXITED)
    ]


async def test_stopping_a_sandbox_ends_its_containers(runtime: Runtime) -> None:
    config = sandbox_config()
    sandbox_id = await runtime.run_sandbox(config)
    container_id = await runtime.create_container(sandbox_id, container_config(config), config)
    await runtime.start_container(container_id)
    await runtime.stop_sandbox(sandbox_id)
    assert (await runtime.container_status(container_id)).state == api.CONTAINER_EXITED
    assert (await runtime.sandbox_status(sandbox_id)).state == api.SANDBOX_NOTREADY
    await runtime.remove_sandbox(sandbox_id)
    assert await runtime.list_containers(config.metadata.uid) == []


async def test_what_is_gone_is_not_found_but_may_be_removed_again(runtime: Runtime) -> None:
    for call in (runtime.sandbox_status, runtime.stop_sandbox, runtime.container_status):
        with pytest.raises(RuntimeNotFound):
            await call("no-such-id")
    with pytest.raises(RuntimeNotFound):
        await runtime.stop_container("no-such-id", 1)
    await runtime.remove_container("no-such-id")
    await runtime.remove_sandbox("no-such-id")


async def test_an_image_is_found_by_its_name(runtime: Runtime) -> None:
    image = await runtime.image_status(BUSYBOX_IMAGE)
    assert image is not None
    assert image.id


async def test_both_say_they_are_ready(runtime: Runtime) -> None:
    assert {one.type: one.status for one in await runtime.conditions()} == {"RuntimeReady": True, "NetworkReady": True}


async def test_nobody_on_the_socket_is_a_runtime_that_is_down() -> None:
    client = CriClient("unix:///tmp/skk-nobody.sock")
    with pytest.raises(RuntimeDown):
        await client.version()
    await client.close()
