"""pods/log, exec, attach, portforward and the proxies: what another server answers. Sockets are `apiserver.upstream`.

Choices and texts are upstream's (pkg/registry/core/pod/strategy.go, pod/rest/subresources.go, core/node, core/service).
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from typing import Final
from urllib.parse import urlencode

import httpx

from apiserver.request import Answer, Request, Response, StreamResponse
from apiserver.upstream import (
    Address,
    Kubelets,
    NoAddress,
    Unreachable,
    forwarded,
    target_of,
    tunnel_head,
)
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind

logger = logging.getLogger(__name__)

_STREAM_FLAGS: Final = (("stdin", "input"), ("stdout", "output"), ("stderr", "error"), ("tty", "tty"))
_TRUE: Final = frozenset(("1", "t", "T", "true", "True", "TRUE"))
_LOG_FLAGS: Final = ("follow", "previous", "timestamps")
_LOG_VALUES: Final = ("sinceSeconds", "sinceTime", "tailLines", "limitBytes", "stream")
_HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"transfer-encoding", b"content-length", b"upgrade", b"te", b"trailer", b"date")
)


#: (kind, namespace, name) → the object as it is now; raises NotFound
Read = Callable[[Kind, str, str], Awaitable[Json]]


class Connect:
    """The handlers that need another server."""

    def __init__(self, read: Read, kubelets: Kubelets) -> None:
        self._read = read
        self._kubelets = kubelets

    def table(self) -> Mapping[tuple[str, str, str], Callable[[Request], Awaitable[Answer | None]]]:
        """(group, resource, subresource) → handler."""
        return {
            ("", "pods", "log"): self.log,
            ("", "pods", "exec"): self.exec,
            ("", "pods", "attach"): self.exec,
            ("", "pods", "portforward"): self.port_forward,
            ("", "pods", "proxy"): self.proxy_pod,
            ("", "nodes", "proxy"): self.proxy_node,
            ("", "services", "proxy"): self.proxy_service,
        }

    async def log(self, request: Request) -> Answer:
        """A container's log, as the kubelet streams it."""
        if request.info.verb not in ("get", "list", "watch"):
            raise _not_allowed()
        pod = await self._pod(request)
        _check_log_options(request)
        container = choose_container(request.param("container"), pod)
        if not pod["spec"].get("nodeName"):
            return Response(200, b"", "text/plain")
        address = await self._kubelet_of(pod)
        path = f"/containerLogs/{request.info.namespace}/{request.info.name}/{container}"
        url = f"https://{address.authority}{target_of(path, _log_parameters(request))}"
        stack = AsyncExitStack()
        try:
            answer = await stack.enter_async_context(self._kubelets.stream("GET", url))
        except Unreachable as problem:
            raise errors.InternalError(str(problem)) from problem
        if answer.status_code != 200:
            async with stack:
                raise await _error_of(answer, request)
        return StreamResponse(_chunks(answer, stack), 200, "text/plain")

    async def exec(self, request: Request) -> Answer | None:
        """Exec and attach: a tunnel to the kubelet."""
        pod = await self._pod(request)
        container = choose_container(request.param("container"), pod)
        self._check_assigned(pod)
        action = request.info.subresource
        path = f"/{action}/{request.info.namespace}/{request.info.name}/{container}"
        parameters = [(kubelet, "1") for ours, kubelet in _STREAM_FLAGS if request.param(ours) in _TRUE]
        if action == "exec":
            parameters += [("command", word) for word in request.query.get("command", ())]
        return await self._tunnel(request, await self._kubelet_of(pod), target_of(path, parameters))

    async def port_forward(self, request: Request) -> Answer | None:
        """Port forwarding: a tunnel to the kubelet."""
        pod = await self._pod(request)
        self._check_assigned(pod)
        path = f"/portForward/{request.info.namespace}/{request.info.name}"
        parameters = [("port", ",".join(request.query["ports"]))] if request.query.get("ports") else []
        return await self._tunnel(request, await self._kubelet_of(pod), target_of(path, parameters))

    async def proxy_node(self, request: Request) -> Answer | None:
        """nodes/NAME/proxy/…: the kubelet's own pages."""
        name = request.info.name.split(":")[0]
        node = await self._read(kinds.NODES, "", name)
        return await self._proxy(request, self._address_of(node, name))

    async def proxy_pod(self, request: Request) -> Answer | None:
        """pods/[scheme:]NAME[:port]/proxy/…: the pod's server."""
        scheme, name, port = split_target(request.info.name)
        pod = await self._read(kinds.PODS, request.info.namespace, name)
        host = ((pod.get("status") or {}).get("podIP")) or ""
        if not host:
            raise errors.BadRequest("address not allowed")
        ports = (port for container in pod["spec"]["containers"] for port in container.get("ports") or ())
        first = next((str(entry["containerPort"]) for entry in ports), "")
        return await self._proxy(request, Address(host, _number(port or first, scheme), scheme or "http"))

    async def proxy_service(self, request: Request) -> Answer | None:
        """services/[scheme:]NAME[:port]/proxy/…: one ready endpoint of the service."""
        scheme, name, port = split_target(request.info.name)
        service = await self._read(kinds.SERVICES, request.info.namespace, name)
        endpoints = await self._endpoints(request.info.namespace, name)
        address = service_address(service, endpoints, port, scheme or "http")
        if address is None:
            raise errors.ServiceUnavailable(f'no endpoints available for service "{name}"')
        return await self._proxy(request, address)

    async def _tunnel(self, request: Request, address: Address, target: str) -> Answer | None:
        connection = request.scope["extensions"]["skiff"]
        if not connection.wants_upgrade:
            raise errors.BadRequest("Upgrade request required")
        head = tunnel_head(request.method, address, target, request.scope["headers"])
        try:
            await self._kubelets.tunnel(address, head, connection)
        except Unreachable as problem:
            raise errors.StatusError(f"error dialing backend: {problem}") from problem
        return None

    async def _proxy(self, request: Request, address: Address) -> Answer | None:
        rest = "/" + "/".join(request.info.parts)
        if request.path.endswith("/") and rest != "/":
            rest += "/"
        query = urlencode([(key, value) for key, values in request.query.items() for value in values])
        target = f"{rest}?{query}" if query else rest
        if request.scope["extensions"]["skiff"].wants_upgrade:
            return await self._tunnel(request, address, target)
        headers = [(name, value) for name, value in forwarded(request.scope["headers"]) if name not in _HOP_BY_HOP]
        body = await request.body() if request.method in ("POST", "PUT", "PATCH") else b""
        stack = AsyncExitStack()
        url = f"{address.scheme}://{address.authority}{target}"
        try:
            answer = await stack.enter_async_context(
                self._kubelets.stream(request.method, url, headers, _once(body) if body else None)
            )
        except Unreachable as problem:
            raise errors.ServiceUnavailable(f"error trying to reach service: {problem}") from problem
        kept = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() not in _HOP_BY_HOP]
        kept = [(name, value) for name, value in kept if name != b"content-type"]
        media = answer.headers.get("content-type", "application/octet-stream")
        return StreamResponse(_chunks(answer, stack, raw=True), answer.status_code, media, kept)

    async def _pod(self, request: Request) -> Json:
        return await self._read(kinds.PODS, request.info.namespace, request.info.name)

    async def _endpoints(self, namespace: str, name: str) -> Json | None:
        try:
            return await self._read(kinds.ENDPOINTS, namespace, name)
        except errors.NotFound:
            return None

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


def choose_container(wanted: str, pod: Json) -> str:
    """The container asked for, or the only one; raises BadRequest in upstream's words."""
    pod_name, spec = pod["metadata"]["name"], pod["spec"]
    names = [
        container["name"]
        for field in ("initContainers", "containers", "ephemeralContainers")
        for container in spec.get(field) or ()
    ]
    if wanted:
        if wanted not in names:
            raise errors.BadRequest(f"container {wanted} is not valid for pod {pod_name}")
        return wanted
    main: list[Json] = spec.get("containers") or []
    if len(main) == 1:
        return str(main[0]["name"])
    choices = f", choose one of: [{' '.join(names)}]" if main else ""
    raise errors.BadRequest(f"a container name must be specified for pod {pod_name}{choices}")


def service_address(service: Json, endpoints: Json | None, port: str, scheme: str) -> Address | None:
    """A ready endpoint of a service for a port given by name or number ("": the only one)."""
    ports = service["spec"].get("ports") or ()
    wanted = next((entry for entry in ports if port in ("", entry.get("name", ""), str(entry["port"]))), None)
    if wanted is None:
        return None
    for subset in (endpoints or {}).get("subsets") or ():
        named = (entry for entry in subset.get("ports") or () if entry.get("name", "") == wanted.get("name", ""))
        numbers = [entry["port"] for entry in named]
        if numbers and subset.get("addresses"):
            return Address(subset["addresses"][0]["ip"], numbers[0], scheme)
    return None


def split_target(text: str) -> tuple[str, str, str]:
    """`[scheme:]name[:port]` apart; raises BadRequest (upstream: utilnet.SplitSchemeNamePort)."""
    parts = text.split(":")
    scheme = parts.pop(0) if len(parts) > 2 else ""
    name, port = parts[0], parts[1] if len(parts) > 1 else ""
    if len(parts) > 2 or scheme not in ("", "http", "https") or not name:
        raise errors.BadRequest(f'invalid request "{text}"')
    return scheme, name, port


def _number(port: str, scheme: str) -> int:
    if not port:
        return 443 if scheme == "https" else 80
    if not port.isdigit():
        raise errors.BadRequest(f'invalid port "{port}"')
    return int(port)


def _check_log_options(request: Request) -> None:
    causes = []
    for name, least in (("tailLines", 0), ("limitBytes", 1), ("sinceSeconds", 1)):
        text = request.param(name)
        if text and not text.lstrip("-").isdigit():
            raise errors.BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax')
        if text and int(text) < least:
            detail = f"must be greater than {'or equal to ' if not least else ''}0"
            causes.append(errors.invalid_value(name, int(text), detail))
    if request.param("sinceSeconds") and request.param("sinceTime"):
        causes.append(errors.forbidden_field("", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
    if causes:
        raise errors.invalid(Kind("", "v1", "PodLogOptions", "podlogoptions"), request.info.name, causes)


def _log_parameters(request: Request) -> Iterator[tuple[str, str]]:
    for name in _LOG_FLAGS:
        if request.param(name) in _TRUE:
            yield name, "true"
    for name in _LOG_VALUES:
        if request.param(name):
            yield name, request.param(name)


async def _chunks(answer: httpx.Response, stack: AsyncExitStack, *, raw: bool = False) -> AsyncIterator[bytes]:
    async with stack:
        try:
            async for chunk in answer.aiter_raw() if raw else answer.aiter_bytes():
                yield chunk
        except httpx.TransportError as problem:
            logger.info("the stream from %s broke off: %s", answer.url, problem)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _error_of(answer: httpx.Response, request: Request) -> errors.StatusError:
    text = (await answer.aread()).decode(errors="replace").strip()
    if answer.status_code == 404:
        resource = f"{request.info.resource}/{request.info.subresource}"
        details = {"name": request.info.name, "kind": resource}
        message = f"the server could not find the requested resource ( {resource} {request.info.name})"
        return errors.NotFound(message, details)
    if answer.status_code == 400:
        return errors.BadRequest(text)
    message = f"an error on the server ({text!r}) has prevented the request from succeeding"
    return errors.InternalError(message.replace("'", '"'), code=answer.status_code)


def _not_allowed() -> errors.MethodNotSupported:
    return errors.MethodNotSupported("the server does not allow this method on the requested resource")
