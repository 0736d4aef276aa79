"""The proxy by which nodes pull: whom it reaches, and that bytes pass both ways."""

import asyncio

import pytest

from cluster import egress
from cluster.egress import Refused


@pytest.mark.parametrize(
    ("line", "target"),
    [
        pytest.param(b"CONNECT reg.test:443 HTTP/1.1", ("CONNECT", "reg.test", 443, b""), id="tls"),
        pytest.param(b"CONNECT [2001:db8::1]:5000 HTTP/1.1", ("CONNECT", "2001:db8::1", 5000, b""), id="ipv6"),
        pytest.param(b"GET http://r.test/v2/ HTTP/1.1", ("GET", "r.test", 80, b"GET /v2/ HTTP/1.1\r\n"), id="plain"),
        pytest.param(b"HEAD http://r.test:81 HTTP/1.1", ("HEAD", "r.test", 81, b"HEAD / HTTP/1.1\r\n"), id="no-path"),
    ],
)
def test_a_request_names_its_target(line: bytes, target: tuple[str, str, int, bytes]) -> None:
    assert egress.target_of(line) == target


@pytest.mark.parametrize(
    "line", [b"", b"GET /v2/ HTTP/1.1", b"POST http://r.test/ HTTP/1.1", b"CONNECT host:x HTTP/1.1"]
)
def test_what_is_no_request_to_a_proxy_is_refused(line: bytes) -> None:
    with pytest.raises(Refused):
        egress.target_of(line)


@pytest.mark.parametrize(
    ("address", "may"),
    [("192.0.2.7", True), ("127.0.0.1", False), ("::1", False), ("169.254.169.254", False), ("0.0.0.0", False)],
)
def test_nodes_may_not_reach_what_is_this_machines_own(address: str, may: bool) -> None:
    assert egress.allowed(address) is may


def test_headers_for_the_proxy_itself_are_not_passed_on() -> None:
    headers = b"Host: r.test\r\nProxy-Authorization: x\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n"
    assert egress.without_hop_headers(headers) == b"Host: r.test\r\nAccept: */*\r\n\r\n"


async def _shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write((await reader.read()).upper())
    await writer.drain()
    writer.close()


async def test_a_tunnel_carries_bytes_both_ways_and_ends_with_its_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(egress, "allowed", lambda address: True)  # the far end of a test can only be on loopback
    async with await asyncio.start_server(_shout, "127.0.0.1", 0) as far:
        async with await asyncio.start_server(egress.serve_proxy, "127.0.0.1", 0) as proxy:
            reader, writer = await asyncio.open_connection(*proxy.sockets[0].getsockname())
            writer.write(f"CONNECT 127.0.0.1:{far.sockets[0].getsockname()[1]} HTTP/1.1\r\n\r\n".encode())
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 200 Connection established\r\n\r\n"
            writer.write(b"hello")
            writer.write_eof()
            assert await reader.read() == b"HELLO"
            writer.close()


async def test_loopback_is_answered_with_forbidden() -> None:
    async with await asyncio.start_server(egress.serve_proxy, "127.0.0.1", 0) as proxy:
        reader, writer = await asyncio.open_connection(*proxy.sockets[0].getsockname())
        writer.write(b"CONNECT 127.0.0.1:22 HTTP/1.1\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 403 Forbidden")
        writer.close()
