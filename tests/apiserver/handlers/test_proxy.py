"""The proxies of pods, services and nodes, in front of a real web server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import pytest_asyncio

from apiserver.handlers.html_links import rewritten
from apiserver.handlers.proxy import Proxy, candidates, is_proxyable, rewritten_url, split_target
from apiserver.request import Request, Response, StreamResponse
from apiserver.upstream import Kubelets, KubeletTLS
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.apiserver.handlers.calls import request
from tests.fakes.web_server import WebServer

POD = "/api/v1/namespaces/n/pods/web/proxy"


class Connection:
    """A client that asks for no upgrade."""

    wants_upgrade = False

    def __init__(self) -> None:
        self.lost: list[Callable[[], object]] = []

    def on_lost(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Remember."""
        self.lost.append(callback)
        return lambda: self.lost.remove(callback)


class World:
    """A cluster with one pod, one service and one node, all of them one web server."""

    def __init__(self, server: WebServer, proxy: Proxy, objects: Mapping[tuple[str, str], Json]) -> None:
        self.server, self.proxy, self.objects = server, proxy, dict(objects)
        self.connection = Connection()

    async def ask(
        self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer."""
        asked = self.request(method, url, body, headers)
        handler = self.proxy.table()["", asked.info.resource, "proxy"]
        answer = await handler(asked)
        assert isinstance(answer, Response | StreamResponse)
        found = {name.decode(): value.decode() for name, value in answer.headers}
        found["content-type"] = answer.content_type
        if isinstance(answer, Response):
            return answer.status, found, answer.body
        return answer.status, found, b"".join([chunk async for chunk in answer.chunks])

    def request(self, method: str, url: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Request:
        """As the server makes it."""
        given = {"host": "api:6443", **(headers or {})} | ({"content-length": str(len(body))} if body else {})
        made = request(method, url, body, given)
        made.scope = {
            "extensions": {"skiff": self.connection},
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "query_string": url.partition("?")[2].encode(),
            "client": ("192.0.2.9", 1234),
        }
        return made


@pytest_asyncio.fixture
async def world() -> AsyncIterator[World]:
    """One web server behind everything."""
    async with WebServer().serving() as server:
        target = {"kind": "Pod", "name": "web", "namespace": "n"}
        subset = {
            "addresses": [{"ip": "127.0.0.1", "targetRef": target}],
            "ports": [{"port": server.port, "name": "h"}],
        }
        objects: dict[tuple[str, str], Json] = {
            ("pods", "web"): {
                "metadata": {"name": "web"},
                "spec": {"containers": [{"name": "c", "ports": [{"containerPort": server.port}]}]},
                "status": {"podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]},
            },
            ("services", "web"): {"metadata": {"name": "web"}, "spec": {"ports": [{"name": "h", "port": 80}]}},
            ("endpoints", "web"): {"subsets": [subset]},
            ("nodes", "node"): {
                "metadata": {"name": "node"},
                "status": {
                    "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                    "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}},
                },
            },
        }

        async def read(kind: Kind, _: str, name: str) -> Json:
            try:
                return made.objects[kind.plural, name]
            except KeyError as problem:
                raise errors.not_found(kind, name) from problem

        kubelets = Kubelets(KubeletTLS(), ["InternalIP"])
        made = World(server, Proxy(read, kubelets, allowed=lambda host: bool(host)), objects)
        yield made
        await kubelets.close()


async def test_method_path_query_headers_and_body_go_on(world: World) -> None:
    headers = {"x-own": "1", "authorization": "Bearer secret", "impersonate-user": "root", "connection": "keep-alive"}
    url = f"{POD}/a b/c%?x=1&y=%2F"
    status, _, body = await world.ask("PUT", url, b"hello", headers)
    assert (status, body) == (200, b"ok")
    head = world.server.head.lower()
    assert head.startswith("put /a%20b/c%25?x=1&y=%2f http/1.1\r\n")
    assert "\r\nhost: api:6443\r\n" in head
    assert "x-own: 1" in head
    assert "x-forwarded-for: 192.0.2.9" in head
    assert f"x-forwarded-uri: {POD}/a%20b/c%25".lower() in head
    for word in ("secret", "impersonate", "user-agent", "accept-encoding"):
        assert word not in head
    assert world.server.asked[-1].endswith(b"\r\n\r\nhello")


async def test_without_a_path_one_is_sent_to_the_slash(world: World) -> None:
    status, headers, _ = await world.ask("GET", f"{POD}?q=1")
    assert (status, headers["location"]) == (301, f"{POD}/?q=1")
    await world.ask("GET", f"{POD}/?q=1")
    assert world.server.head.startswith("GET /?q=1 HTTP/1.1")
    await world.ask("GET", f"{POD}/deep/")
    assert world.server.head.startswith("GET /deep/ HTTP/1.1")


@pytest.mark.parametrize("name", ["web:h", "http:web:h", "web:80"])
async def test_a_service_is_reached_by_port_name_or_number(world: World, name: str) -> None:
    status, _, _ = await world.ask("GET", f"/api/v1/namespaces/n/services/{name}/proxy/x")
    assert status == 200


@pytest.mark.parametrize(
    ("path", "refusal", "message"),
    [
        ("services/web/proxy/", errors.ServiceUnavailable, 'no endpoints available for service "web"'),
        ("services/web:81/proxy/", errors.ServiceUnavailable, 'no service port 81 found for service "web"'),
        ("services/ftp:web:h/proxy/", errors.BadRequest, 'invalid service request "ftp:web:h"'),
        ("pods/a:b:c:d/proxy/", errors.BadRequest, 'invalid pod request "a:b:c:d"'),
        ("pods/none/proxy/", errors.NotFound, 'pods "none" not found'),
        (
            "pods/web:1/proxy/",
            errors.ServiceUnavailable,
            'error trying to reach service: Get "http://127.0.0.1:1/": connect: connection refused',
        ),
    ],
)
async def test_what_cannot_be_reached_is_told_as_upstream_tells_it(
    world: World, path: str, refusal: type[errors.StatusError], message: str
) -> None:
    with pytest.raises(refusal) as problem:
        await world.ask("GET", f"/api/v1/namespaces/n/{path}")
    assert problem.value.message == message


async def test_endpoints_that_are_no_pods_are_not_gone_to(world: World) -> None:
    del world.objects["endpoints", "web"]["subsets"][0]["addresses"][0]["targetRef"]
    with pytest.raises(errors.ServiceUnavailable, match="no endpoints available"):
        await world.ask("GET", "/api/v1/namespaces/n/services/web:h/proxy/")


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "::1", "fe80::1", "0.0.0.0", "224.0.0.1", "", "host"])
def test_no_address_of_the_server_itself_can_be_a_pods(host: str) -> None:
    assert not is_proxyable(host)


@pytest.mark.parametrize("host", ["10.0.0.1", "192.168.1.1", "203.0.113.7", "fd00::1"])
def test_a_pods_address_can_be(host: str) -> None:
    assert is_proxyable(host)


async def test_another_port_of_a_node_is_no_kubelet(world: World) -> None:
    status, _, _ = await world.ask("GET", f"/api/v1/nodes/node:{world.server.port}/proxy/metrics")
    assert status == 200
    assert world.server.head.startswith("GET /metrics HTTP/1.1")


async def test_redirects_and_links_lead_through_the_proxy(world: World) -> None:
    world.server.answer = b"HTTP/1.1 302 Found\r\nlocation: /login?a=1\r\ncontent-length: 0\r\n\r\n"
    _, headers, _ = await world.ask("GET", f"{POD}/x")
    assert headers["location"] == f"{POD}/login?a=1"
    page = b'<a href="/next">n</a>'
    world.server.answer = b"HTTP/1.1 200 OK\r\ncontent-type: text/html; charset=utf-8\r\n"
    world.server.answer += b"access-control-allow-origin: *\r\ncontent-length: %d\r\n\r\n%b" % (len(page), page)
    _, headers, body = await world.ask("GET", f"{POD}/x")
    assert body == f'<a href="{POD}/next">n</a>'.encode()
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("/a/", "/p/a/"),
        ("/a?x=1#y", "/p/a?x=1#y"),
        ("a", "a"),
        ("http://own:80/a", "/p/a"),
        ("http://other/a", "http://other/a"),
        ("//other/a", "//other/a"),
        ("/p/a", "/p/a"),
        ("", ""),
        ("http://[", "http://["),
    ],
)
def test_only_links_to_the_server_itself_are_changed(url: str, found: str) -> None:
    assert rewritten_url(url, "/p", {"own:80"}) == found


@pytest.mark.parametrize(
    ("page", "found"),
    [
        (b"<A HREF='/x' class=/y>", b"<A HREF='</x>' class=/y>"),
        (b'<img src=/x longdesc="/y">', b'<img src=</x> longdesc="</y>">'),
        (
            b"<script src=\"/x\">if (a</x/ && b>c) d('/e')</script>",
            b"<script src=\"</x>\">if (a</x/ && b>c) d('/e')</script>",
        ),
        (b"<p title=/x>\xff", b"<p title=/x>\xff"),
    ],
)
def test_links_are_found_in_pages(page: bytes, found: bytes) -> None:
    assert rewritten(page, lambda url: f"<{url}>") == found


async def test_an_answer_without_body_has_none(world: World) -> None:
    world.server.answer = b"HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n"
    status, headers, body = await world.ask("GET", f"{POD}/x")
    assert (status, headers["etag"], body) == (304, "x", b"")


async def test_a_client_that_leaves_does_not_wait_for_the_answer(world: World) -> None:
    world.server.answer = b""
    task = asyncio.create_task(world.ask("GET", f"{POD}/x"))
    async with asyncio.timeout(5):
        while not (world.server.asked and world.connection.lost):
            await asyncio.sleep(0)
        world.connection.lost[0]()
        with pytest.raises(asyncio.CancelledError):
            await task
        await world.server.left.wait()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("web", ("", "web", "")),
        ("web:80", ("", "web", "80")),
        ("https:web:443", ("https", "web", "443")),
        ("https:web:", ("https", "web", "")),
    ],
)
def test_a_target_comes_apart(text: str, wanted: tuple[str, str, str]) -> None:
    assert split_target(text, "pod") == wanted


def test_the_search_for_an_endpoint_begins_anywhere_and_sees_all() -> None:
    def subset(*ips: str) -> Any:
        return {"addresses": [{"ip": ip} for ip in ips], "ports": [{"port": 1, "name": "h"}]}

    endpoints = {"subsets": [subset("a", "b"), subset("c")]}
    assert [found["ip"] for found, _ in candidates(endpoints, "h", lambda count: count - 1)] == ["c", "b", "a"]
    assert candidates(endpoints, "other", lambda _: 0) == []
