"""The life of pods as their workers lead it, on the fake runtime: no containers, no API server, no waiting."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from kubelet.cgroups import NoCgroups
from kubelet.cri import api_pb2 as api
from kubelet.images import ImageManager
from kubelet.lifecycle import Hooks
from kubelet.pleg import Pleg
from kubelet.pod_events import PodEvents
from kubelet.pod_files import NodeFolders
from kubelet.pod_records import PodRecords
from kubelet.pod_runtime import PodRuntime, RuntimeParts
from kubelet.pod_state import PodState
from kubelet.pod_workers import PodWorkers, Stop, WorkerParts
from kubelet.probes import ProbeManager
from kubelet.probing import Prober
from kubelet.runtime_fake import EXIT_CODE, RUN_SECONDS, FakeRuntime
from kubelet.sandbox_config import ClusterDns
from kubelet.simulation import NoVolumes
from kubelet.status_manager import StatusManager
from machinery.api import meta
from machinery.api.codec import Json
from tests.fakes.client import FakeClient
from tests.kubelet.pods import container, pod, rule


class NoObjects:
    async def config_map(self, namespace: str, name: str) -> Json | None:
        return None

    async def secret(self, namespace: str, name: str) -> Json | None:
        return None

    async def token(self, pod: Json, audience: str, seconds: int) -> str:
        return ""


class View:
    def node(self) -> Json:
        return {"metadata": {"name": "n1", "labels": {"disk": "ssd"}}}

    def host_ips(self) -> tuple[str, ...]:
        return ("192.0.2.1",)

    def allocatable(self) -> dict[str, str]:
        return {"cpu": "2", "memory": "1Gi", "pods": "2"}

    def services(self) -> tuple[Json, ...]:
        return ()

    def problem_with_start(self, pod: Json) -> str:
        return ""


class Bench:
    """Workers on a fake runtime; statuses go as far as the status manager."""

    def __init__(self, folder: Path, runtime: FakeRuntime) -> None:
        self.runtime = runtime
        self.events: list[tuple[str, str]] = []
        events = PodEvents(lambda reference, type_, reason, message: self.events.append((reason, message)))
        folders = NodeFolders(folder / "root", folder / "logs")
        prober = Prober(runtime)
        self.probes = ProbeManager(prober, events, lambda uid: self.workers.wake(uid))
        self.records = PodRecords(runtime)
        images = ImageManager(runtime, events)
        parts = RuntimeParts(runtime, self.records, images, Hooks(prober), events, folders, ClusterDns(), 1 << 30)
        self.statuses = StatusManager(FakeClient({}, iter(())))  # type: ignore[arg-type]
        self.workers = PodWorkers(
            WorkerParts(
                runtime=PodRuntime(parts),
                volumes=NoVolumes(),
                probes=self.probes,
                statuses=self.statuses,
                cgroups=NoCgroups(),
                folders=folders,
                objects=NoObjects(),
                events=events,
                node=View(),
            )
        )
        self.pleg = Pleg(runtime, self.workers.wake)

    def status(self, spec: Json) -> Json:
        return self.statuses.latest(spec).get("status") or {}

    def state(self, spec: Json) -> PodState | None:
        worker = self.workers.get(meta.uid_of(spec))
        return worker.state if worker else None

    async def until(self, what: Callable[[], Any]) -> None:
        async with asyncio.timeout(5):
            while not what():
                await asyncio.sleep(0)

    async def until_phase(self, spec: Json, phase: str) -> None:
        await self.until(lambda: self.status(spec).get("phase") == phase)


@asynccontextmanager
async def bench(folder: Path, runtime: FakeRuntime | None = None) -> AsyncIterator[Bench]:
    one = Bench(folder, runtime or FakeRuntime())
    async with asyncio.TaskGroup() as group:
        one.probes.attach(group)
        one.workers.attach(group)
        group.create_task(one.pleg.run_events())
        yield one
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
    await one.runtime.close()


def deleted(spec: Json, grace: int = 5) -> Json:
    metadata = {
        **spec["metadata"],
        "deletionTimestamp": "2026-01-01T00:00:00Z",
        "deletionGracePeriodSeconds": grace,
    }
    return {**spec, "metadata": metadata}


async def test_a_pod_starts_runs_and_goes_through_all_states_when_deleted(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        spec = pod()
        on.workers.update(spec)
        await on.until_phase(spec, "Running")
        assert on.state(spec) is PodState.SYNCING
        on.workers.update(deleted(spec))
        await on.until(lambda: on.state(spec) is PodState.FINISHED)
        assert await on.runtime.list_sandboxes() == []
        assert on.status(spec)["phase"] == "Failed"  # 143: it heeded TERM, but not with success
        on.workers.remove(meta.uid_of(spec))
        await on.until(lambda: not on.workers.uids())


async def test_an_update_after_a_wish_to_stop_starts_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        spec = pod()
        on.workers.update(deleted(spec))
        on.workers.update(spec)
        await on.until(lambda: on.state(spec) is PodState.FINISHED)
        assert [reason for reason, _ in on.events] == []


async def test_a_job_pod_ends_by_itself_and_keeps_its_containers_for_their_logs(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        spec = pod(policy="Never")
        spec["metadata"]["annotations"] = {RUN_SECONDS: "0.01"}
        on.workers.update(spec)
        await on.until_phase(spec, "Succeeded")
        await on.until(lambda: on.state(spec) is PodState.FINISHED)
        assert len(await on.runtime.list_containers()) == 1
        on.workers.update(deleted(spec))
        on.workers.remove(meta.uid_of(spec))
        await on.until(lambda: not on.workers.uids())
        assert await on.runtime.list_containers() == []


async def test_a_failing_container_restarts_at_once_and_then_waits(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        spec = pod()
        spec["metadata"]["annotations"] = {RUN_SECONDS: "0", EXIT_CODE: "1"}
        on.workers.update(spec)

        def one() -> Json:
            statuses: list[Json] = on.status(spec).get("containerStatuses") or [{"state": {}}]
            return statuses[0]

        await on.until(lambda: one()["state"].get("waiting", {}).get("reason") == "CrashLoopBackOff")
        assert one()["restartCount"] == 1
        assert on.status(spec)["phase"] == "Running"
        assert ("BackOff", "Back-off restarting failed container main in pod web_default(uid-1)") in on.events


async def test_a_rule_restarts_a_container_of_a_pod_that_never_does(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        spec = pod(container(restartPolicy="Never", restartPolicyRules=[rule(42)]), policy="Never")
        spec["metadata"]["annotations"] = {RUN_SECONDS: "0", EXIT_CODE: "42"}
        on.workers.update(spec)
        await on.until(lambda: any(reason == "BackOff" for reason, _ in on.events))
        await on.until(lambda: "waiting" in on.status(spec)["containerStatuses"][0]["state"])
        assert on.status(spec)["phase"] == "Running"
        assert on.status(spec)["containerStatuses"][0]["restartCount"] == 1


class Listening(FakeRuntime):
    """Remembers what was executed in containers."""

    def __init__(self) -> None:
        super().__init__()
        self.commands: list[Sequence[str]] = []

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout: int) -> api.ExecSyncResponse:
        self.commands.append(command)
        return await super().exec_sync(container_id, command, timeout)


async def test_all_containers_begin_anew_in_their_sandbox_where_one_asks(tmp_path: Path) -> None:
    runtime = Listening()
    async with bench(tmp_path, runtime) as on:
        everyone = [rule(143, action="RestartAllContainers")]
        hook = {"preStop": {"exec": {"command": ["sleep", "60"]}}}
        source = container("source", restartPolicy="Never", restartPolicyRules=everyone)
        sidecar = container("side", restartPolicy="Always")
        spec = pod(source, container(lifecycle=hook), inits=(sidecar,), policy="Never")

        def running(count: int) -> bool:
            status = on.status(spec)
            every = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
            return bool(every) and all("running" in one["state"] and one["restartCount"] == count for one in every)

        async def end_source() -> None:
            ids = {one.metadata.name: one.id for one in await on.runtime.list_containers()}
            await on.runtime.stop_container(ids["source"], 0)

        on.workers.update(spec)
        await on.until(lambda: running(0))
        sandboxes = [one.id for one in await on.runtime.list_sandboxes()]
        await end_source()
        await on.until(lambda: running(1))
        assert [one.id for one in await on.runtime.list_sandboxes()] == sandboxes
        assert len(await on.runtime.list_containers()) == 3
        assert on.status(spec)["phase"] == "Running"
        assert ("Killing", "Stopping container main") in on.events
        assert runtime.commands == []  # there is no time for hooks
        await end_source()
        await on.until(lambda: any(reason == "BackOff" for reason, _ in on.events))
        await on.until(lambda: "waiting" in on.status(spec)["containerStatuses"][0]["state"])
        assert "running" in on.status(spec)["containerStatuses"][1]["state"]


async def test_init_containers_come_first(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        spec = pod(inits=(container("setup"),))
        on.workers.update(spec)
        await on.until(lambda: on.status(spec).get("initContainerStatuses"))
        await on.until(lambda: "running" in on.status(spec)["initContainerStatuses"][0]["state"])
        assert on.status(spec)["phase"] == "Pending"
        assert len(await on.runtime.list_containers()) == 1


async def test_a_pod_without_room_fails_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        spec = pod(container(resources={"requests": {"cpu": "3"}}))
        on.workers.update(spec)
        await on.until_phase(spec, "Failed")
        assert on.status(spec)["reason"] == "OutOfcpu"
        assert "containerStatuses" not in on.status(spec)
        await on.until(lambda: on.state(spec) is PodState.FINISHED)


async def test_an_evicted_pod_says_why(tmp_path: Path) -> None:
    async with bench(tmp_path) as on:
        spec = pod()
        on.workers.update(spec)
        await on.until_phase(spec, "Running")
        on.workers.stop("uid-1", Stop(grace=0, reason="Evicted", message="The node was low on resource: memory. "))
        await on.until_phase(spec, "Failed")
        assert on.status(spec)["reason"] == "Evicted"


async def test_a_second_kubelet_adopts_what_runs(tmp_path: Path) -> None:
    runtime, spec = FakeRuntime(), pod()
    async with bench(tmp_path, runtime) as first:
        first.workers.update(spec)
        await first.until_phase(spec, "Running")
    before = await runtime.list_containers()
    async with bench(tmp_path, runtime) as second:
        second.workers.update(spec)
        await second.until_phase(spec, "Running")
        assert await runtime.list_containers() == before
        assert second.events == []


async def test_what_only_the_runtime_knows_is_stopped_and_taken_away(tmp_path: Path) -> None:
    runtime, spec = FakeRuntime(), pod()
    async with bench(tmp_path, runtime) as first:
        first.workers.update(spec)
        await first.until_phase(spec, "Running")
    async with bench(tmp_path, runtime) as second:
        for uid, (namespace, name) in (await second.records.uids()).items():
            second.workers.adopt_orphan(uid, namespace, name)
        await second.until(lambda: not second.workers.uids())
        assert await runtime.list_sandboxes() == []


class SlowImages(FakeRuntime):
    """An image that takes for ever to come."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def image_status(self, image: str) -> api.Image | None:
        self.asked.set()
        await asyncio.Event().wait()
        return None


async def test_a_wish_to_stop_cuts_a_pull_short(tmp_path: Path) -> None:
    runtime = SlowImages()
    async with bench(tmp_path, runtime) as on:
        spec = pod()
        on.workers.update(spec)
        async with asyncio.timeout(5):
            await runtime.asked.wait()
        on.workers.update(deleted(spec))
        await on.until(lambda: on.state(spec) is PodState.FINISHED)
        assert on.status(spec)["containerStatuses"][0]["state"]["terminated"]["reason"] == "ContainerStatusUnknown"
