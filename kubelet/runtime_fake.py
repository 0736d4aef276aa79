"""A container runtime without containers, for simulated nodes and fast tests: CRI's answers, kept in memory.

Containers run until they are stopped; a pod annotated `simulation.skiff.dev/run-seconds` ends by itself after so many,
with the code in `simulation.skiff.dev/exit-code` (0). Everything above the CRI is the kubelet's own code.
"""

import asyncio
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Final

from kubelet.cri import api_pb2 as api
from kubelet.cri.client import POD_UID_LABEL, RuntimeNotFound

RUN_SECONDS: Final = "simulation.skiff.dev/run-seconds"
EXIT_CODE: Final = "simulation.skiff.dev/exit-code"
_KILLED: Final = 143


class FakeRuntime:
    """One simulated node's runtime."""

    def __init__(self, next_ip: Callable[[], str] | None = None) -> None:
        """`next_ip` gives each sandbox its address."""
        numbers = itertools.count(1)
        self._next_ip = next_ip or (lambda: f"10.255.{(number := next(numbers)) // 250}.{number % 250 + 1}")
        self._sandboxes: dict[str, api.PodSandboxStatus] = {}
        self._containers: dict[str, tuple[str, api.ContainerStatus]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._events: asyncio.Queue[api.ContainerEventResponse] = asyncio.Queue()

    async def close(self) -> None:
        """End the timers."""
        for timer in self._timers.values():
            timer.cancel()

    async def version(self) -> api.VersionResponse:
        """A name of its own."""
        return api.VersionResponse(
            version="0.1.0", runtime_name="fake", runtime_version="0.1.0", runtime_api_version="v1"
        )

    async def conditions(self) -> Sequence[api.RuntimeCondition]:
        """Always ready."""
        return [api.RuntimeCondition(type=kind, status=True) for kind in ("RuntimeReady", "NetworkReady")]

    # ---- sandboxes

    async def run_sandbox(self, config: api.PodSandboxConfig, handler: str = "") -> str:
        """A sandbox with an address."""
        host = config.linux.security_context.namespace_options.network == api.NODE
        status = api.PodSandboxStatus(
            id=_new_id(),
            metadata=config.metadata,
            state=api.SANDBOX_READY,
            created_at=time.time_ns(),
            network=api.PodSandboxNetworkStatus(ip="" if host else self._next_ip()),
            linux=api.LinuxPodSandboxStatus(
                namespaces=api.Namespace(options=config.linux.security_context.namespace_options)
            ),
            labels=dict(config.labels),
            annotations=dict(config.annotations),
        )
        self._sandboxes[status.id] = status
        return status.id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Its containers end."""
        sandbox = self._sandbox(sandbox_id)
        for container_id, (home, _) in list(self._containers.items()):
            if home == sandbox_id:
                self._exit(container_id, 137)
        if sandbox.state != api.SANDBOX_NOTREADY:
            sandbox.state = api.SANDBOX_NOTREADY
            self._say(sandbox_id, sandbox_id, api.CONTAINER_STOPPED_EVENT)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """It and its containers are forgotten."""
        if sandbox_id in self._sandboxes:
            await self.stop_sandbox(sandbox_id)
            del self._sandboxes[sandbox_id]
            for container_id in [key for key, (home, _) in self._containers.items() if home == sandbox_id]:
                await self.remove_container(container_id)

    async def sandbox_status(self, sandbox_id: str) -> api.PodSandboxStatus:
        """One sandbox."""
        return self._sandbox(sandbox_id)

    async def list_sandboxes(self, pod_uid: str = "") -> Sequence[api.PodSandbox]:
        """All, or one pod's."""
        return [
            api.PodSandbox(
                id=one.id,
                metadata=one.metadata,
                state=one.state,
                created_at=one.created_at,
                labels=dict(one.labels),
                annotations=dict(one.annotations),
            )
            for one in self._sandboxes.values()
            if pod_uid in ("", one.metadata.uid)
        ]

    # ---- containers

    async def create_container(
        self, sandbox_id: str, config: api.ContainerConfig, sandbox: api.PodSandboxConfig
    ) -> str:
        """A container that is not started yet."""
        self._sandbox(sandbox_id)
        status = api.ContainerStatus(
            id=_new_id(),
            metadata=config.metadata,
            state=api.CONTAINER_CREATED,
            created_at=time.time_ns(),
            image=config.image,
            image_ref=config.image.image,
            labels=dict(config.labels),
            annotations=dict(config.annotations),
        )
        self._containers[status.id] = (sandbox_id, status)
        return status.id

    async def start_container(self, container_id: str) -> None:
        """It runs."""
        home, status = self._container(container_id)
        status.state = api.CONTAINER_RUNNING
        status.started_at = time.time_ns()
        self._say(home, container_id, api.CONTAINER_STARTED_EVENT)
        annotations = self._sandboxes[home].annotations
        if RUN_SECONDS in annotations:
            code = int(annotations.get(EXIT_CODE, "0"))
            loop = asyncio.get_running_loop()
            self._timers[container_id] = loop.call_later(
                float(annotations[RUN_SECONDS]), self._exit, container_id, code
            )

    async def stop_container(self, container_id: str, grace_seconds: int) -> None:
        """It ends at once, as if it had heeded TERM."""
        self._container(container_id)
        self._exit(container_id, _KILLED)

    async def remove_container(self, container_id: str) -> None:
        """It is forgotten."""
        timer = self._timers.pop(container_id, None)
        if timer is not None:
            timer.cancel()
        self._containers.pop(container_id, None)

    async def container_status(self, container_id: str) -> api.ContainerStatus:
        """One container."""
        return self._container(container_id)[1]

    async def list_containers(self, pod_uid: str = "") -> Sequence[api.Container]:
        """All, or one pod's."""
        return [
            api.Container(
                id=one.id,
                pod_sandbox_id=home,
                metadata=one.metadata,
                image=one.image,
                image_ref=one.image_ref,
                state=one.state,
                created_at=one.created_at,
                labels=dict(one.labels),
                annotations=dict(one.annotations),
            )
            for home, one in self._containers.values()
            if pod_uid in ("", one.labels.get(POD_UID_LABEL))
        ]

    async def reopen_log(self, container_id: str) -> None:
        """There is none."""

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout: int) -> api.ExecSyncResponse:
        """Every command succeeds."""
        return api.ExecSyncResponse()

    async def exec_url(self, request: api.ExecRequest) -> str:
        """There is nothing to stream."""
        raise _unimplemented("Exec")

    async def attach_url(self, request: api.AttachRequest) -> str:
        """There is nothing to stream."""
        raise _unimplemented("Attach")

    async def port_forward_url(self, sandbox_id: str, ports: Sequence[int]) -> str:
        """There is nothing to stream."""
        raise _unimplemented("PortForward")

    async def container_stats(self) -> Sequence[api.ContainerStats]:
        """Nothing uses anything."""
        return []

    async def events(self) -> AsyncIterator[api.ContainerEventResponse]:
        """As they happen."""
        while True:
            yield await self._events.get()

    # ---- images

    async def list_images(self) -> Sequence[api.Image]:
        """None are kept."""
        return []

    async def image_status(self, image: str) -> api.Image | None:
        """Every image is here."""
        return api.Image(id=image, repo_tags=[image], size=1)

    async def pull_image(self, image: str, auth: api.AuthConfig | None, sandbox: api.PodSandboxConfig | None) -> str:
        """At once."""
        return image

    async def remove_image(self, image: str) -> None:
        """Nothing to remove."""

    async def image_filesystems(self) -> Sequence[api.FilesystemUsage]:
        """None."""
        return []

    # ---- inside

    def _sandbox(self, sandbox_id: str) -> api.PodSandboxStatus:
        try:
            return self._sandboxes[sandbox_id]
        except KeyError:
            raise RuntimeNotFound("PodSandbox", "NotFound", f"sandbox {sandbox_id!r} not found") from None

    def _container(self, container_id: str) -> tuple[str, api.ContainerStatus]:
        try:
            return self._containers[container_id]
        except KeyError:
            raise RuntimeNotFound("Container", "NotFound", f"container {container_id!r} not found") from None

    def _exit(self, container_id: str, code: int) -> None:
        home, status = self._containers.get(container_id, ("", api.ContainerStatus()))
        if status.state not in (api.CONTAINER_RUNNING, api.CONTAINER_CREATED) or not home:
            return
        status.state = api.CONTAINER_EXITED
        status.exit_code = code
        status.reason = "Completed" if code == 0 else "Error"
        status.finished_at = time.time_ns()
        self._say(home, container_id, api.CONTAINER_STOPPED_EVENT)

    def _say(self, sandbox_id: str, container_id: str, kind: api.ContainerEventType) -> None:
        self._events.put_nowait(
            api.ContainerEventResponse(
                container_id=container_id,
                container_event_type=kind,
                created_at=time.time_ns(),
                pod_sandbox_status=self._sandboxes[sandbox_id],
            )
        )


def _new_id() -> str:
    return uuid.uuid4().hex * 2


def _unimplemented(call: str) -> OSError:
    # No RuntimeProblem: kubectl reads `rpc error: …` as YAML, takes it for an empty Status and shows nothing of it.
    return OSError(f"{call} needs a container, and this node is simulated")
