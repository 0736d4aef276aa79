"""The container runtime over gRPC: one typed coroutine per call, errors as `RuntimeProblem`. No pod logic.

`Runtime` is what the rest of the kubelet asks for; `CriClient` is the real one, `kubelet.runtime_fake` the other.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

import grpc
import grpc.aio
from google.protobuf.message import Message

from kubelet.cri import api_pb2 as api

POD_UID_LABEL: Final = "io.kubernetes.pod.uid"
_RUNTIME: Final = "/runtime.v1.RuntimeService/"
_IMAGES: Final = "/runtime.v1.ImageService/"
_QUICK: Final = 120.0  # seconds: upstream's --runtime-request-timeout is 2 minutes
_MAX_MESSAGE: Final = 16 << 20

Answer = TypeVar("Answer", bound=Message)


class RuntimeProblem(Exception):
    """The runtime refused or failed a call."""

    def __init__(self, call: str, code: str, details: str) -> None:
        super().__init__(f"rpc error: code = {code} desc = {details}")
        self.call = call
        self.code = code
        self.details = details


class RuntimeNotFound(RuntimeProblem):
    """No such sandbox, container or image."""


class RuntimeDown(RuntimeProblem):
    """Nobody answers on the socket."""


class RuntimeTimeout(RuntimeProblem):
    """The call did not end in its time."""


class NotImplementedByRuntime(RuntimeProblem):
    """The runtime does not know the call."""


_CLASSES: Final = {
    grpc.StatusCode.NOT_FOUND: RuntimeNotFound,
    grpc.StatusCode.UNAVAILABLE: RuntimeDown,
    grpc.StatusCode.DEADLINE_EXCEEDED: RuntimeTimeout,
    grpc.StatusCode.UNIMPLEMENTED: NotImplementedByRuntime,
}


class Runtime(Protocol):
    """The calls the kubelet makes. All raise RuntimeProblem."""

    async def version(self) -> api.VersionResponse: ...
    async def conditions(self) -> Sequence[api.RuntimeCondition]: ...
    async def run_sandbox(self, config: api.PodSandboxConfig, handler: str = "") -> str: ...
    async def stop_sandbox(self, sandbox_id: str) -> None: ...
    async def remove_sandbox(self, sandbox_id: str) -> None: ...
    async def sandbox_status(self, sandbox_id: str) -> api.PodSandboxStatus: ...
    async def list_sandboxes(self, pod_uid: str = "") -> Sequence[api.PodSandbox]: ...
    async def create_container(
        self, sandbox_id: str, config: api.ContainerConfig, sandbox: api.PodSandboxConfig
    ) -> str: ...
    async def start_container(self, container_id: str) -> None: ...
    async def stop_container(self, container_id: str, grace_seconds: int) -> None: ...
    async def remove_container(self, container_id: str) -> None: ...
    async def container_status(self, container_id: str) -> api.ContainerStatus: ...
    async def list_containers(self, pod_uid: str = "") -> Sequence[api.Container]: ...
    async def reopen_log(self, container_id: str) -> None: ...
    async def exec_sync(self, container_id: str, command: Sequence[str], timeout: int) -> api.ExecSyncResponse: ...
    async def exec_url(self, request: api.ExecRequest) -> str: ...
    async def attach_url(self, request: api.AttachRequest) -> str: ...
    async def port_forward_url(self, sandbox_id: str, ports: Sequence[int]) -> str: ...
    async def container_stats(self) -> Sequence[api.ContainerStats]: ...
    def events(self) -> AsyncIterator[api.ContainerEventResponse]: ...
    async def list_images(self) -> Sequence[api.Image]: ...
    async def image_status(self, image: str) -> api.Image | None: ...
    async def pull_image(
        self, image: str, auth: api.AuthConfig | None, sandbox: api.PodSandboxConfig | None
    ) -> str: ...
    async def remove_image(self, image: str) -> None: ...
    async def image_filesystems(self) -> Sequence[api.FilesystemUsage]: ...
    async def close(self) -> None: ...


class CriClient:
    """CRI v1 over a unix socket."""

    def __init__(self, endpoint: str) -> None:
        """`endpoint` as upstream's flag takes it: `unix:///path`, or a bare path."""
        target = endpoint if "://" in endpoint else "unix://" + endpoint
        # gRPC's C core would send the escaped socket path as :authority, which Go's HTTP/2 refuses.
        options = [("grpc.default_authority", "localhost"), ("grpc.max_receive_message_length", _MAX_MESSAGE)]
        # After a restart of the runtime a quick reconnect matters more than sparing a local socket.
        options += [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000)]
        self._channel = grpc.aio.insecure_channel(target, options=options)
        self._calls: dict[str, Callable[..., Any]] = {}
        # The runtime forks for each of these: beyond a few at a time all of them only get slower.
        self._forking = asyncio.Semaphore(2 * (os.cpu_count() or 1) + 2)

    async def close(self) -> None:
        """Drop the connection."""
        await self._channel.close(None)

    async def _call(self, path: str, request: Message, answer: type[Answer], timeout: float | None = _QUICK) -> Answer:
        call = self._calls.get(path)
        if call is None:
            call = self._channel.unary_unary(
                path, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
            )
            self._calls[path] = call
        try:
            result: Answer = await call(request, timeout=timeout)
        except grpc.aio.AioRpcError as problem:
            raise _translate(path, problem) from None
        return result

    async def version(self) -> api.VersionResponse:
        """Name and version of the runtime."""
        return await self._call(_RUNTIME + "Version", api.VersionRequest(version="0.1.0"), api.VersionResponse, 10)

    async def conditions(self) -> Sequence[api.RuntimeCondition]:
        """RuntimeReady and NetworkReady."""
        answer = await self._call(_RUNTIME + "Status", api.StatusRequest(), api.StatusResponse, 10)
        return list(answer.status.conditions)

    async def run_sandbox(self, config: api.PodSandboxConfig, handler: str = "") -> str:
        """Make the pod's network and its pause container; returns the sandbox's id."""
        request = api.RunPodSandboxRequest(config=config, runtime_handler=handler)
        async with self._forking:
            answer = await self._call(_RUNTIME + "RunPodSandbox", request, api.RunPodSandboxResponse, 240)
        return answer.pod_sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        """Stop what still runs in it and give its network back."""
        async with self._forking:
            await self._call(_RUNTIME + "StopPodSandbox", api.SandboxId(pod_sandbox_id=sandbox_id), api.Empty)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        """Forget the sandbox and its containers; a running one is killed."""
        await self._call(_RUNTIME + "RemovePodSandbox", api.SandboxId(pod_sandbox_id=sandbox_id), api.Empty)

    async def sandbox_status(self, sandbox_id: str) -> api.PodSandboxStatus:
        """State and addresses of one sandbox."""
        request = api.PodSandboxStatusRequest(pod_sandbox_id=sandbox_id)
        return (await self._call(_RUNTIME + "PodSandboxStatus", request, api.PodSandboxStatusResponse)).status

    async def list_sandboxes(self, pod_uid: str = "") -> Sequence[api.PodSandbox]:
        """All sandboxes, or those of one pod."""
        request = api.ListPodSandboxRequest()
        if pod_uid:
            request.filter.label_selector[POD_UID_LABEL] = pod_uid
        return list((await self._call(_RUNTIME + "ListPodSandbox", request, api.ListPodSandboxResponse)).items)

    async def create_container(
        self, sandbox_id: str, config: api.ContainerConfig, sandbox: api.PodSandboxConfig
    ) -> str:
        """Make a container in a sandbox; returns its id."""
        request = api.CreateContainerRequest(pod_sandbox_id=sandbox_id, config=config, sandbox_config=sandbox)
        return (await self._call(_RUNTIME + "CreateContainer", request, api.ContainerId)).container_id

    async def start_container(self, container_id: str) -> None:
        """Start a created container."""
        async with self._forking:
            await self._call(_RUNTIME + "StartContainer", api.ContainerId(container_id=container_id), api.Empty)

    async def stop_container(self, container_id: str, grace_seconds: int) -> None:
        """TERM, wait at most that long, KILL."""
        request = api.StopContainerRequest(container_id=container_id, timeout=grace_seconds)
        await self._call(_RUNTIME + "StopContainer", request, api.Empty, _QUICK + grace_seconds)

    async def remove_container(self, container_id: str) -> None:
        """Forget a container; one that is gone already is no error."""
        await self._call(_RUNTIME + "RemoveContainer", api.ContainerId(container_id=container_id), api.Empty)

    async def container_status(self, container_id: str) -> api.ContainerStatus:
        """State, times and exit code of one container."""
        request = api.ContainerStatusRequest(container_id=container_id)
        return (await self._call(_RUNTIME + "ContainerStatus", request, api.ContainerStatusResponse)).status

    async def list_containers(self, pod_uid: str = "") -> Sequence[api.Container]:
        """All containers, or those of one pod."""
        request = api.ListContainersRequest()
        if pod_uid:
            request.filter.label_selector[POD_UID_LABEL] = pod_uid
        return list((await self._call(_RUNTIME + "ListContainers", request, api.ListContainersResponse)).containers)

    async def reopen_log(self, container_id: str) -> None:
        """After its log file was renamed: write to a new one."""
        await self._call(_RUNTIME + "ReopenContainerLog", api.ContainerId(container_id=container_id), api.Empty)

    async def exec_sync(self, container_id: str, command: Sequence[str], timeout: int) -> api.ExecSyncResponse:
        """Run a command to its end; `timeout` in seconds, 0 for none. Raises RuntimeTimeout."""
        request = api.ExecSyncRequest(container_id=container_id, cmd=command, timeout=timeout)
        wait = timeout + _QUICK if timeout else None
        return await self._call(_RUNTIME + "ExecSync", request, api.ExecSyncResponse, wait)

    async def exec_url(self, request: api.ExecRequest) -> str:
        """A URL, good once, that streams a command."""
        return (await self._call(_RUNTIME + "Exec", request, api.StreamingUrl)).url

    async def attach_url(self, request: api.AttachRequest) -> str:
        """A URL, good once, that streams a container's main process."""
        return (await self._call(_RUNTIME + "Attach", request, api.StreamingUrl)).url

    async def port_forward_url(self, sandbox_id: str, ports: Sequence[int]) -> str:
        """A URL, good once, that streams to ports of a pod."""
        request = api.PortForwardRequest(pod_sandbox_id=sandbox_id, port=ports)
        return (await self._call(_RUNTIME + "PortForward", request, api.StreamingUrl)).url

    async def container_stats(self) -> Sequence[api.ContainerStats]:
        """CPU, memory and disk of the running containers."""
        answer = await self._call(_RUNTIME + "ListContainerStats", api.Empty(), api.ListContainerStatsResponse)
        return list(answer.stats)

    async def events(self) -> AsyncIterator[api.ContainerEventResponse]:
        """What happens to containers, as it happens; raises NotImplementedByRuntime where only listing works."""
        path = _RUNTIME + "GetContainerEvents"
        stream = self._channel.unary_stream(
            path,
            request_serializer=api.Empty.SerializeToString,
            response_deserializer=api.ContainerEventResponse.FromString,
        )
        try:
            async for event in stream(api.Empty()):
                yield event
        except grpc.aio.AioRpcError as problem:
            raise _translate(path, problem) from None

    async def list_images(self) -> Sequence[api.Image]:
        """All images of the runtime."""
        return list((await self._call(_IMAGES + "ListImages", api.Empty(), api.ListImagesResponse)).images)

    async def image_status(self, image: str) -> api.Image | None:
        """The image if it is here."""
        request = api.ImageStatusRequest(image=api.ImageSpec(image=image))
        answer = await self._call(_IMAGES + "ImageStatus", request, api.ImageStatusResponse)
        return answer.image if answer.HasField("image") and answer.image.id else None

    async def pull_image(self, image: str, auth: api.AuthConfig | None, sandbox: api.PodSandboxConfig | None) -> str:
        """Fetch an image; returns its reference."""
        request = api.PullImageRequest(image=api.ImageSpec(image=image), auth=auth, sandbox_config=sandbox)
        return (await self._call(_IMAGES + "PullImage", request, api.PullImageResponse, None)).image_ref

    async def remove_image(self, image: str) -> None:
        """Forget an image."""
        request = api.RemoveImageRequest(image=api.ImageSpec(image=image))
        await self._call(_IMAGES + "RemoveImage", request, api.Empty)

    async def image_filesystems(self) -> Sequence[api.FilesystemUsage]:
        """Where images lie, and how much of it they use."""
        answer = await self._call(_IMAGES + "ImageFsInfo", api.Empty(), api.ImageFsInfoResponse)
        return list(answer.image_filesystems)


def _translate(path: str, problem: grpc.aio.AioRpcError) -> RuntimeProblem:
    code = problem.code()
    name = "".join(word.capitalize() for word in code.name.split("_"))
    return _CLASSES.get(code, RuntimeProblem)(path.rpartition("/")[2], name, problem.details() or "")
