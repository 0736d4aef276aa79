"""The proxies of pods, services and nodes: requests passed on to their own servers. Sockets are `apiserver.upstream`.

Choices and texts are upstream's: pkg/registry/core/{pod,node,service} (ResourceLocation), apimachinery/pkg/util/proxy
(upgradeaware.go, transport.go). Only addresses that can be a pod's are dialled: who may write a pod's status must not
reach what listens on the server's own loopback.
"""

import ipaddress
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Final
from urllib.parse import quote, urlsplit, urlunsplit

import httpx

from apiserver.admission.chain import Chain
from apiserver.handlers import admitting
from apiserver.handlers.html_links import rewritten
from apiserver.request import Answer, Request, Response, StreamResponse
from apiserver.upstream import Address, Kubelets, NoAddress, Unreachable, chunks_of, forwarded, tunnel_head, while_there
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind

_HOP_BY_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"te", b"trailer")
)
#: of an answer: ours are written by the server, and no page behind it decides who may read it
_OF_ANSWERS: Final = _HOP_BY_HOP | {b"content-length", b"date", b"content-type"}
_CORS: Final = b"access-control-allow-"
_BODILESS: Final = frozenset((204, 304))
_LARGEST_PAGE: Final = 4 << 20  # bytes of HTML whose links are rewritten; a larger page is passed on as it is
_SCHEMES: Final = ("", "http", "https")

#: (kind, namespace, name) → the object as it is now; raises NotFound
Read = Callable[[Kind, str, str], Awaitable[Json]]


def is_proxyable(host: str) -> bool:
    """Whether an address is a global unicast one, as a pod's is (Go: IP.IsGlobalUnicast)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    special = address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified
    return not special and host != "255.255.255.255"


class Proxy:
    """The handlers of the three."""

    def __init__(
        self,
        read: Read,
        kubelets: Kubelets,
        allowed: Callable[[str], bool] = is_proxyable,
        chain: Chain | None = None,
    ) -> None:
        self._read = read
        self._chain = chain
        self._kubelets = kubelets
        self._allowed = allowed

    def table(self) -> Mapping[tuple[str, str, str], Callable[[Request], Awaitable[Answer | None]]]:
        """(group, resource, subresource) → handler."""
        return {
            ("", "pods", "proxy"): self.pod,
            ("", "nodes", "proxy"): self.node,
            ("", "services", "proxy"): self.service,
        }

    async def node(self, request: Request) -> Answer | None:
        """nodes/[scheme:]NAME[:port]/proxy/…: the kubelet's own pages, or another server of the node."""
        scheme, name, port = split_target(request.info.name, "node")
        await self._admit(request, kinds.NODES, "NodeProxyOptions")
        node = await self._read(kinds.NODES, "", name)
        try:
            kubelet = self._kubelets.address_of(node)
        except NoAddress as problem:
            raise errors.InternalError(f"{problem} (node {name})") from problem
        if port in ("", str(kubelet.port)):
            return await self._pass_on(request, kubelet)
        if not self._allowed(kubelet.host):
            raise errors.BadRequest("address not allowed")
        return await self._pass_on(request, _other(kubelet.host, port, scheme))

    async def pod(self, request: Request) -> Answer | None:
        """pods/[scheme:]NAME[:port]/proxy/…: the pod's server."""
        scheme, name, port = split_target(request.info.name, "pod")
        await self._admit(request, kinds.PODS, "PodProxyOptions")
        pod = await self._read(kinds.PODS, request.info.namespace, name)
        ports = (port for container in pod["spec"]["containers"] for port in container.get("ports") or ())
        port = port or next((str(entry["containerPort"]) for entry in ports), "")
        host = (pod.get("status") or {}).get("podIP") or ""
        if not self._allowed(host):
            raise errors.BadRequest("address not allowed")
        return await self._pass_on(request, _other(host, port, scheme))

    async def service(self, request: Request) -> Answer | None:
        """services/[scheme:]NAME[:port]/proxy/…: one endpoint of the service."""
        scheme, name, port = split_target(request.info.name, "service")
        await self._admit(request, kinds.SERVICES, "ServiceProxyOptions")
        namespace = request.info.namespace
        if port.isdigit():
            port = port_name(await self._read(kinds.SERVICES, namespace, name), int(port))
        endpoints = await self._read(kinds.ENDPOINTS, namespace, name)
        if not endpoints.get("subsets"):
            raise _no_endpoints(name)
        for address, number in candidates(endpoints, port, random.randrange):
            if await self._is_pods(address, namespace):
                return await self._pass_on(request, _other(address["ip"], str(number), scheme))
        raise _no_endpoints(request.info.name)

    async def _admit(self, request: Request, kind: Kind, options_kind: str) -> None:
        options: Json = {"kind": options_kind, "apiVersion": "v1", "path": rest_of(request)}
        about = Kind("", "v1", options_kind, "")
        await admitting.admit_special(request, self._chain, kind, about, options, connects=True)

    async def _is_pods(self, address: Json, namespace: str) -> bool:
        """Endpoints can be written by users: only the address of a pod that has it is gone to."""
        target = address.get("targetRef") or {}
        if target.get("namespace") != namespace or not self._allowed(address["ip"]):
            return False
        try:
            pod = await self._read(kinds.PODS, namespace, target.get("name") or "")
        except errors.NotFound:
            return False
        status = pod.get("status") or {}
        return address["ip"] in {entry.get("ip") for entry in status.get("podIPs") or ()} | {status.get("podIP")}

    async def _pass_on(self, request: Request, address: Address) -> Answer | None:
        query = request.scope["query_string"].decode("latin-1")
        path = rest_of(request)
        target = quote(path, safe="/:@!$&'()*+,;=~") + (f"?{query}" if query else "")
        connection = request.scope["extensions"]["skiff"]
        if connection.wants_upgrade:
            head = tunnel_head(request.method, address, target or "/", request.scope["headers"])
            try:
                await self._kubelets.tunnel(address, head, connection)
            except Unreachable as problem:
                raise _unreachable(problem) from problem
            return None
        if not path:
            where = f"{quote(request.path)}/" + (f"?{query}" if query else "")
            return Response(301, headers=[(b"location", where.encode())])
        return await self._forward(request, address, target)

    async def _forward(self, request: Request, address: Address, target: str) -> Answer:
        prefix = prefix_of(request)
        headers = _with_forwarded(request, quote(request.path, safe="/:@!$&'()*+,;=~"))
        stack = AsyncExitStack()
        url = f"{address.scheme}://{address.authority}{target}"
        try:
            with while_there(request.scope["extensions"]["skiff"]):
                stream = self._kubelets.stream(request.method, url, headers, _body(request), ours=address.is_kubelet)
                answer = await stack.enter_async_context(stream)
        except Unreachable as problem:
            raise _unreachable(problem) from problem
        media = answer.headers.get("content-type", "")
        kept = _answer_headers(answer, prefix, {address.authority, request.headers.get("host", "")})
        if answer.status_code in _BODILESS or request.method == "HEAD":
            async with stack:
                return Response(answer.status_code, b"", media, kept)
        chunks = chunks_of(answer, stack, raw=True)
        if media.partition(";")[0].strip() == "text/html" and "content-encoding" not in answer.headers:
            chunks = _page(chunks, prefix)
        return StreamResponse(chunks, answer.status_code, media or "text/plain; charset=utf-8", kept)


def split_target(text: str, what: str) -> tuple[str, str, str]:
    """`[scheme:]name[:port]` apart; raises BadRequest (upstream: utilnet.SplitSchemeNamePort)."""
    parts = text.split(":")
    scheme = parts.pop(0) if len(parts) > 2 else ""
    name, port = parts[0], parts[1] if len(parts) > 1 else ""
    if len(parts) > 2 or scheme not in _SCHEMES or not name:
        raise errors.BadRequest(f'invalid {what} request "{text}"')
    return scheme, name, port


def port_name(service: Json, number: int) -> str:
    """The name of a service's port; raises ServiceUnavailable."""
    for port in service["spec"].get("ports") or ():
        if port["port"] == number:
            return str(port.get("name") or "")
    raise errors.ServiceUnavailable(f'no service port {number} found for service "{service["metadata"]["name"]}"')


def candidates(endpoints: Json, port: str, choose: Callable[[int], int]) -> list[tuple[Json, int]]:
    """Ready addresses that have a port of that name, from a place that `choose` picks on."""
    return [
        (address, entry["port"])
        for subset in _rotated(endpoints["subsets"], choose)
        for entry in subset.get("ports") or ()
        if (entry.get("name") or "") == port
        for address in _rotated(subset.get("addresses") or (), choose)
    ]


def _rotated(items: Sequence[Json], choose: Callable[[int], int]) -> list[Json]:
    start = choose(len(items)) if items else 0
    return [*items[start:], *items[:start]]


def _no_endpoints(name: str) -> errors.ServiceUnavailable:
    return errors.ServiceUnavailable(f'no endpoints available for service "{name}"')


def _unreachable(problem: Unreachable) -> errors.ServiceUnavailable:
    return errors.ServiceUnavailable(f"error trying to reach service: {problem}")


def _other(host: str, port: str, scheme: str) -> Address:
    scheme = scheme or "http"
    if not port:
        return Address(host, 443 if scheme == "https" else 80, scheme, is_kubelet=False)
    if not port.isdigit() or not 0 < int(port) < 1 << 16:
        text = f"dial tcp: lookup tcp/{port}: unknown port"
        raise errors.ServiceUnavailable(f"error trying to reach service: {text}")
    return Address(host, int(port), scheme, is_kubelet=False)


def rest_of(request: Request) -> str:
    """What stands behind …/proxy in the path: "" or something that begins with a slash."""
    rest = "/".join(request.info.parts)
    if rest:
        return f"/{rest}/" if request.path.endswith("/") else f"/{rest}"
    return "/" if request.path.endswith("/") else ""


def prefix_of(request: Request) -> str:
    """The path up to …/proxy: what links need in front."""
    return quote(request.path.removesuffix(rest_of(request)), safe="/:@!$&'()*+,;=~")


def _with_forwarded(request: Request, uri: str) -> list[tuple[bytes, bytes]]:
    headers = [(name, value) for name, value in forwarded(request.scope["headers"]) if name not in _HOP_BY_HOP]
    headers = [(name, value) for name, value in headers if name not in (b"x-forwarded-for", b"x-forwarded-uri")]
    headers += [(name, value) for name, value in request.scope["headers"] if name in (b"host", b"content-length")]
    client = request.scope.get("client")
    before = request.headers.get("x-forwarded-for", "")
    hops = ", ".join(filter(None, (before, client[0] if client else "")))
    if hops:
        headers.append((b"x-forwarded-for", hops.encode()))
    return [*headers, (b"x-forwarded-uri", uri.encode())]


def _body(request: Request) -> AsyncIterator[bytes] | None:
    """The body as it comes, of any length; None where the head says that there is none."""
    if request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return None
    return _received(request)


async def _received(request: Request) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise errors.BadRequest("the client closed the connection before its request body was complete")
        yield message.get("body", b"")
        more = message.get("more_body", False)


def _answer_headers(answer: httpx.Response, prefix: str, own: set[str]) -> list[tuple[bytes, bytes]]:
    kept = []
    for raw_name, value in answer.headers.raw:
        name = raw_name.lower()
        if name in _OF_ANSWERS or name.startswith(_CORS):
            continue
        if name == b"location":
            value = rewritten_url(value.decode("latin-1"), prefix, own).encode("latin-1", "replace")
        kept.append((name, value))
    return kept


def rewritten_url(url: str, prefix: str, own: set[str]) -> str:
    """A link that leads to the server behind the proxy, so that it leads through it; any other as it is."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url
    if (parts.netloc and parts.netloc not in own) or not parts.path.startswith("/") or parts.path.startswith(prefix):
        return url
    return urlunsplit(("", "", prefix + parts.path, parts.query, parts.fragment))


async def _page(chunks: AsyncIterator[bytes], prefix: str) -> AsyncIterator[bytes]:
    """HTML with its links rewritten."""
    held: list[bytes] = []
    size = 0
    async for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size > _LARGEST_PAGE:
            yield b"".join(held)
            held = []
    if size <= _LARGEST_PAGE:
        yield rewritten(b"".join(held), lambda url: rewritten_url(url, prefix, set()))
    elif held:
        yield b"".join(held)
