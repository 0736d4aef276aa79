"""Logs and tunnels, from a client's socket through the server to a kubelet that tells what it was asked."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from machinery.component import tls
from machinery.component.tls import CertRequest
from tests.fakes.kubelet import FakeKubelet
from tests.integration.apiserver_process import ApiserverProcess, tls_context

PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture
async def kubelet(server: ApiserverProcess) -> AsyncIterator[FakeKubelet]:
    """A node `talker` with a kubelet, and pods on it: `one` container, `two` containers; `loose` is on no node."""
    request = CertRequest("system:node:talker", hosts=("127.0.0.1",), server=True)
    files = tls.issue(server.ca, request).write(server.directory / "pki", "talker")
    async with FakeKubelet().serving(files) as fake:
        with server.client() as admin:
            status = {
                "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": fake.port}},
            }
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "talker"}}
            admin.post("/api/v1/nodes", json=node)
            headers = {"content-type": "application/merge-patch+json"}
            answer = admin.patch("/api/v1/nodes/talker/status", json={"status": status}, headers=headers)
            assert answer.status_code == 200, answer.text
            for name, node_name, containers in (("one", "talker", "c"), ("two", "talker", "ab"), ("loose", "", "c")):
                spec = {"containers": [{"name": letter, "image": "i"} for letter in containers], "nodeName": node_name}
                pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
                assert admin.post(PODS, json=pod).status_code in (201, 409)
        yield fake


async def get(server: ApiserverProcess, path: str) -> httpx.Response:
    """One GET as admin, without blocking the fake kubelet's loop."""
    headers = {"authorization": f"Bearer {server.token}"}
    async with httpx.AsyncClient(verify=tls_context(server.ca_file), trust_env=False, headers=headers) as client:
        return await client.get(server.url + path)


async def test_the_log_is_streamed_from_the_kubelet(server: ApiserverProcess, kubelet: FakeKubelet) -> None:
    answer = await get(server, f"{PODS}/one/log?tailLines=3&timestamps=true")
    assert answer.text == "line 0\nline 1\nline 2\n"
    assert answer.headers["content-type"] == "text/plain"
    assert kubelet.heads[0].startswith("GET /containerLogs/default/one/c?timestamps=true&tailLines=3 HTTP/1.1")


@pytest.mark.parametrize(
    ("path", "code", "message"),
    [
        pytest.param(
            "two/log", 400, "a container name must be specified for pod two, choose one of: [a b]", id="which-container"
        ),
        pytest.param("one/log?container=x", 400, "container x is not valid for pod one", id="no-such-container"),
        pytest.param(
            "one/log?previous=true",
            400,
            'previous terminated container "c" in pod "p" not found',
            id="what-the-kubelet-says",
        ),
        pytest.param("loose/exec?command=ls", 400, "pod loose does not have a host assigned", id="exec-on-no-node"),
        pytest.param("one/exec?command=ls", 400, "Upgrade request required", id="exec-without-upgrade"),
        pytest.param(
            "one/log?tailLines=-1",
            422,
            'PodLogOptions "one" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
            id="negative-lines",
        ),
    ],
)
async def test_refusals_are_upstreams(
    server: ApiserverProcess, kubelet: FakeKubelet, path: str, code: int, message: str
) -> None:
    answer = await get(server, f"{PODS}/{path}")
    assert answer.status_code == code
    assert answer.json()["message"] == message


async def test_a_followed_log_ends_at_the_kubelet_when_the_client_goes(
    server: ApiserverProcess, kubelet: FakeKubelet
) -> None:
    headers = {"authorization": f"Bearer {server.token}"}
    async with httpx.AsyncClient(verify=tls_context(server.ca_file), headers=headers, trust_env=False) as client:
        async with client.stream("GET", f"{server.url}{PODS}/one/log?follow=true") as answer:
            lines = answer.aiter_lines()
            assert [await anext(lines) for _ in range(5)] == [f"line {number}" for number in range(5)]
            assert len(kubelet.answering) == 1
    await kubelet.wait_until_idle()


@pytest.mark.parametrize("protocol", ["SPDY/3.1", "websocket"])
async def test_exec_is_a_tunnel_byte_for_byte(server: ApiserverProcess, kubelet: FakeKubelet, protocol: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=tls_context(server.ca_file))
    method = "POST" if protocol == "SPDY/3.1" else "GET"
    writer.write(
        f"{method} {PODS}/one/exec?command=sh&command=-c&stdin=true&stdout=true&tty=true HTTP/1.1\r\n"
        f"Host: x\r\nAuthorization: Bearer {server.token}\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n"
        "Sec-WebSocket-Protocol: v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.c2VjcmV0\r\n"
        "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\nearly".encode()
    )
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    assert head.startswith("HTTP/1.1 101 Switching Protocols\r\n")
    assert f"Upgrade: {protocol}" in head
    assert await reader.readexactly(5) == b"EARLY"
    block = bytes(range(97, 123)) * 20_000
    writer.write(block)
    assert await reader.readexactly(len(block)) == block.upper()
    writer.close()
    asked = kubelet.heads[-1]
    assert asked.startswith(f"{method} /exec/default/one/c?input=1&output=1&tty=1&command=sh&command=-c HTTP/1.1")
    assert "Bearer" not in asked
    assert "base64url.bearer" not in asked
    assert "v5.channel.k8s.io" in asked
    assert "x-stream-protocol-version: v4.channel.k8s.io" in asked.lower()


async def test_port_forward_goes_to_the_pod(server: ApiserverProcess, kubelet: FakeKubelet) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=tls_context(server.ca_file))
    writer.write(
        f"POST {PODS}/one/portforward HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
        "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\nContent-Length: 0\r\n\r\n".encode()
    )
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101 ")
    assert kubelet.heads[-1].startswith("POST /portForward/default/one HTTP/1.1")
    writer.close()


async def test_an_upgrade_without_permission_is_answered_and_closed(
    server: ApiserverProcess, kubelet: FakeKubelet
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=tls_context(server.ca_file))
    writer.write(
        f"POST {PODS}/one/exec?command=ls HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer jane-token\r\n"
        "Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\r\n".encode()
    )
    answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert b'cannot create resource \\"pods/exec\\" in API group \\"\\"' in answer
    writer.close()
    assert kubelet.heads == []


async def test_a_kubelet_that_is_down_is_told_as_upstream_tells_it(server: ApiserverProcess) -> None:
    with server.client() as admin:
        address = {"type": "InternalIP", "address": "127.0.0.1"}
        status = {"addresses": [address], "daemonEndpoints": {"kubeletEndpoint": {"Port": 1}}}
        admin.post("/api/v1/nodes", json={"apiVersion": "v1", "kind": "Node", "metadata": {"name": "dead"}})
        headers = {"content-type": "application/merge-patch+json"}
        admin.patch("/api/v1/nodes/dead/status", json={"status": status}, headers=headers).raise_for_status()
        spec = {"nodeName": "dead", "containers": [{"name": "c", "image": "i"}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "stranded"}, "spec": spec}
        admin.post(PODS, json=pod).raise_for_status()
    answer = await get(server, f"{PODS}/stranded/log")
    assert answer.status_code == 500
    assert "connect: connection refused" in answer.json()["message"]


async def test_a_nodes_own_pages_are_proxied(server: ApiserverProcess, kubelet: FakeKubelet) -> None:
    answer = await get(server, "/api/v1/nodes/talker/proxy/healthz?verbose=1")
    assert (answer.status_code, answer.text, answer.headers["x-kubelet"]) == (200, "ok", "yes")
    assert kubelet.heads[-1].startswith("GET /healthz?verbose=1 HTTP/1.1")
    assert "Bearer" not in kubelet.heads[-1]
