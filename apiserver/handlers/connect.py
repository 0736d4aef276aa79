"""pods/log, exec, attach and portforward: what a kubelet answers. Sockets are `apiserver.upstream`.

Choices and texts are upstream's (pkg/registry/core/pod/strategy.go, pod/rest/subresources.go, rest/log.go).
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Final

import httpx

from apiserver.admission.chain import Chain
from apiserver.filters.request_info import is_set
from apiserver.handlers import admitting
from apiserver.handlers.options import integer
from apiserver.request import Answer, Request, Response, StreamResponse
from apiserver.upstream import (
    Address,
    Kubelets,
    NoAddress,
    Unreachable,
    chunks_of,
    target_of,
    tunnel_head,
    while_there,
)
from machinery.api import errors, kinds, pods
from machinery.api.codec import Json
from machinery.api.kinds import Kind

_STREAM_FLAGS: Final = (("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty"))
_LOG_FLAGS: Final = ("follow", "previous", "timestamps")
_LOG_NUMBERS: Final = ("tailLines", "limitBytes", "sinceSeconds")
_STREAMS: Final = ("All", "Stderr", "Stdout")
_RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d([.,]\d+)?(Z|[+-]\d\d:\d\d)")
_LOG_VALUES: Final = ("sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream")


#: (kind, namespace, name) → the object as it is now; raises NotFound
Read = Callable[[Kind, str, str], Awaitable[Json]]


class Connect:
    """The handlers that need another server."""

    def __init__(self, read: Read, kubelets: Kubelets, chain: Chain | None = None) -> None:
        self._read = read
        self._kubelets = kubelets
        self._chain = chain

    def table(self) -> Mapping[tuple[str, str, str], Callable[[Request], Awaitable[Answer | None]]]:
        """(group, resource, subresource) → handler."""
        return {
            ("", "pods", "log"): self.log,
            ("", "pods", "exec"): self.exec,
            ("", "pods", "attach"): self.exec,
            ("", "pods", "portforward"): self.port_forward,
        }

    async def log(self, request: Request) -> Answer:
        """A container's log, as the kubelet streams it."""
        if request.method != "GET":
            raise _not_allowed()
        check_log_options(request)
        pod = await self._pod(request)
        container = choose_container(request.param("container"), pod)
        if not pod["spec"].get("nodeName"):
            return Response(200, b"", "text/plain")
        address = await self._kubelet_of(pod)
        path = f"/containerLogs/{request.info.namespace}/{request.info.name}/{container}"
        url = f"https://{address.authority}{target_of(path, _log_parameters(request))}"
        stack = AsyncExitStack()
        try:
            with while_there(request.scope["extensions"]["skiff"]):
                answer = await stack.enter_async_context(self._kubelets.stream("GET", url))
        except Unreachable as problem:
            raise errors.InternalError(str(problem)) from problem
        if answer.status_code != 200:
            async with stack:
                raise await _error_of(answer, request)
        return StreamResponse(chunks_of(answer, stack), 200, "text/plain")

    async def exec(self, request: Request) -> Answer | None:
        """Exec and attach: a tunnel to the kubelet."""
        if request.method not in ("GET", "POST"):
            raise _not_allowed()
        pod = await self._pod(request)
        container = choose_container(request.param("container"), pod)
        self._check_assigned(pod)
        action = request.info.subresource
        options = pod_options(request, "PodExecOptions" if action == "exec" else "PodAttachOptions", container)
        await self._admit(request, options)
        path = f"/{action}/{request.info.namespace}/{request.info.name}/{container}"
        parameters = [(kubelet, "1") for ours, kubelet in _STREAM_FLAGS if is_set(request.query, ours)]
        if action == "exec":
            parameters += [("command", word) for word in request.query.get("command", ())]
        return await self._tunnel(request, await self._kubelet_of(pod), target_of(path, parameters))

    async def port_forward(self, request: Request) -> Answer | None:
        """Port forwarding: a tunnel to the kubelet."""
        if request.method not in ("GET", "POST"):
            raise _not_allowed()
        pod = await self._pod(request)
        self._check_assigned(pod)
        await self._admit(request, pod_options(request, "PodPortForwardOptions", ""))
        path = f"/portForward/{request.info.namespace}/{request.info.name}"
        parameters = [("port", ",".join(request.query["ports"]))] if request.query.get("ports") else []
        return await self._tunnel(request, await self._kubelet_of(pod), target_of(path, parameters))

    async def _admit(self, request: Request, options: Json) -> None:
        kind = Kind("", "v1", options["kind"], "")
        await admitting.admit_special(request, self._chain, kinds.PODS, kind, options, connects=True)

    async def _tunnel(self, request: Request, address: Address, target: str) -> Answer | None:
        connection = request.scope["extensions"]["skiff"]
        if not connection.wants_upgrade:
            raise errors.BadRequest("Upgrade request required")
        head = tunnel_head(request.method, address, target, request.scope["headers"])
        try:
            await self._kubelets.tunnel(address, head, connection)
        except Unreachable as problem:
            raise errors.InternalError(f"error dialing backend: {problem}") from problem
        return None

    async def _pod(self, request: Request) -> Json:
        return await self._read(kinds.PODS, request.info.namespace, request.info.name)

    def _check_assigned(self, pod: Json) -> None:
        if not pod["spec"].get("nodeName"):
            raise errors.BadRequest(f"pod {pod['metadata']['name']} does not have a host assigned")

    async def _kubelet_of(self, pod: Json) -> Address:
        name = pod["spec"]["nodeName"]
        return self._address_of(await self._read(kinds.NODES, "", name), name)

    def _address_of(self, node: Json, name: str) -> Address:
        try:
            return self._kubelets.address_of(node)
        except NoAddress as problem:
            raise errors.InternalError(f"{problem} (node {name})") from problem


def pod_options(request: Request, kind: str, container: str) -> Json:
    """What a connection asks for, as an object: PodExecOptions …"""
    shown: Json = {"kind": kind, "apiVersion": "v1"}
    shown |= {ours: True for ours, _ in _STREAM_FLAGS if is_set(request.query, ours)}
    if container:
        shown["container"] = container
    if request.query.get("command"):
        shown["command"] = list(request.query["command"])
    if request.query.get("ports"):
        shown["ports"] = [int(port) for port in request.query["ports"] if port.isdecimal()]
    return shown


def choose_container(wanted: str, pod: Json) -> str:
    """The container asked for, or the only one; raises BadRequest in upstream's words."""
    pod_name, spec = pod["metadata"]["name"], pod["spec"]
    names = [container["name"] for container in pods.every_container_of(spec)]
    if wanted:
        if wanted not in names:
            raise errors.BadRequest(f"container {wanted} is not valid for pod {pod_name}")
        return wanted
    main: list[Json] = spec.get("containers") or []
    if len(main) == 1:
        return str(main[0]["name"])
    choices = f", choose one of: [{' '.join(names)}]" if main else ""
    raise errors.BadRequest(f"a container name must be specified for pod {pod_name}{choices}")


def check_log_options(request: Request) -> None:
    """Raises BadRequest for what cannot be read, Invalid for what cannot be (upstream: ValidatePodLogOptions)."""
    given = {
        name: integer(request, name) for name in ("tailLines", "limitBytes", "sinceSeconds") if name in request.query
    }
    since = request.param("sinceTime")
    if since and not _RFC_3339.fullmatch(since):
        why = f'cannot parse "{since}" as "2006"'
        raise errors.BadRequest(f'parsing time "{since}" as "2006-01-02T15:04:05Z07:00": {why}')
    causes = []
    if given.get("tailLines", 0) < 0:
        causes.append(errors.invalid_value("tailLines", given["tailLines"], "must be greater than or equal to 0"))
    if given.get("limitBytes", 1) < 1:
        causes.append(errors.invalid_value("limitBytes", given["limitBytes"], "must be greater than 0"))
    if since and "sinceSeconds" in given:
        causes.append(errors.forbidden_field("", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    elif given.get("sinceSeconds", 1) < 1:
        causes.append(errors.invalid_value("sinceSeconds", given["sinceSeconds"], "must be greater than 0"))
    stream = request.param("stream")
    if stream and stream not in _STREAMS:
        causes.append(errors.not_supported("stream", stream, _STREAMS))
    elif stream not in ("", "All") and "tailLines" in given:
        causes.append(errors.forbidden_field("", "`tailLines` and specific `stream` are mutually exclusive for now"))
    if causes:
        raise errors.invalid(Kind("", "v1", "PodLogOptions", "podlogoptions"), request.info.name, causes)


def _log_parameters(request: Request) -> Iterator[tuple[str, str]]:
    for name in _LOG_FLAGS:
        if is_set(request.query, name):
            yield name, "true"
    for name in _LOG_VALUES:
        if request.param(name):
            yield name, request.param(name)


async def _error_of(answer: httpx.Response, request: Request) -> errors.StatusError:
    text = (await answer.aread()).decode(errors="replace").strip()
    if answer.status_code == 404:
        resource = f"{request.info.resource}/{request.info.subresource}"
        details = {"name": request.info.name, "kind": resource}
        message = f"the server could not find the requested resource ( {resource} {request.info.name})"
        return errors.NotFound(message, details)
    if answer.status_code == 400:
        return errors.BadRequest(text)
    if answer.status_code == 500:
        return errors.InternalError(f"Internal error occurred: {text}")
    message = f"an error on the server ({text!r}) has prevented the request from succeeding"
    return errors.InternalError(message.replace("'", '"'), code=answer.status_code)


def _not_allowed() -> errors.MethodNotSupported:
    return errors.MethodNotSupported("the server does not allow this method on the requested resource")
