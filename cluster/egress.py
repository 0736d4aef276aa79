"""How nodes that have no way out get images: an HTTP proxy on this machine's end of their cable. It routes no pod.

`python -m cluster.egress --listen ADDRESS:PORT [--forward PORT=HOST:PORT]`. Only CONNECT (what a pull over https is)
and plain GETs in absolute form are served; `--forward` makes a registry on this machine's loopback reachable. Chosen
over masquerading because it needs no firewall rule, no forwarding and no resolver inside the namespaces.
What resolves to loopback or link-local is refused: a node must not reach what only listens for this machine's own.
"""

import argparse
import asyncio
import contextlib
import ipaddress
import socket
import sys
from collections.abc import Sequence
from typing import Final

HEADER_LIMIT: Final = 32 << 10
CHUNK: Final = 64 << 10
CONNECT_SECONDS: Final = 20.0


class Refused(Exception):
    """The target may not be reached by nodes; the text says why."""


def target_of(request_line: bytes) -> tuple[str, str, int, bytes]:
    """Method, host, port and the request line to send on; raises Refused for what is no request to a proxy."""
    try:
        method, url, version = request_line.decode("latin-1").split()
    except ValueError as problem:
        raise Refused("not a request") from problem
    if method == "CONNECT":
        host, port = _authority(url, 443)
        return method, host, port, b""
    if method not in ("GET", "HEAD") or not url.startswith("http://"):
        raise Refused("only CONNECT, and GET and HEAD of http URLs")
    authority, _, path = url.removeprefix("http://").partition("/")
    host, port = _authority(authority, 80)
    return method, host, port, f"{method} /{path} {version}\r\n".encode("latin-1")


def _authority(text: str, default_port: int) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text.strip("[]"), default_port
    if not port.isdigit():
        raise Refused(f"no port in {text!r}")
    return host.strip("[]"), int(port)


def allowed(address: str) -> bool:
    """Whether nodes may reach that address."""
    target = ipaddress.ip_address(address)
    return not (target.is_loopback or target.is_link_local or target.is_unspecified or target.is_multicast)


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host that nodes may reach; raises Refused when there is none, OSError when it is unknown."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found if allowed(str(entry[4][0]))]
    if not addresses:
        raise Refused(f"{host} is only this machine's own")
    return addresses


async def connect(host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to the first address that answers; raises Refused or OSError."""
    problem: OSError = OSError(f"{host} has no address")
    for address in await resolve(host, port):
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                return await asyncio.open_connection(address, port)
        except OSError as failed:
            problem = failed
    raise problem


async def serve_proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One client: read its request, connect, and pass bytes both ways until either side is done."""
    with contextlib.closing(writer):
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            request_line, _, headers = head.partition(b"\r\n")
            method, host, port, first = target_of(request_line)
            far_reader, far_writer = await connect(host, port)
        except (Refused, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as problem:
            status = "403 Forbidden" if isinstance(problem, Refused) else "502 Bad Gateway"
            await _answer(writer, f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n{problem}\n")
            return
        with contextlib.closing(far_writer):
            if method == "CONNECT":
                await _answer(writer, "HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                far_writer.write(first + b"Connection: close\r\n" + without_hop_headers(headers))
            await pass_on((reader, writer), (far_reader, far_writer))


def without_hop_headers(headers: bytes) -> bytes:
    """The header block without what is meant for the proxy itself."""
    lines = headers.split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith((b"proxy-", b"connection:", b"keep-alive:"))]
    return b"\r\n".join(kept)


async def _answer(writer: asyncio.StreamWriter, text: str) -> None:
    with contextlib.suppress(OSError):
        writer.write(text.encode())
        await writer.drain()


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def pass_on(near: Stream, far: Stream) -> None:
    """Copy both ways until both have ended."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_copy(near[0], far[1]))
        group.create_task(_copy(far[0], near[1]))


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # one side hung up: the other copy ends by itself
        while data := await source.read(CHUNK):
            sink.write(data)
            await sink.drain()
    with contextlib.suppress(OSError):
        if sink.can_write_eof():
            sink.write_eof()


async def serve_forward(target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One client of a forwarded port."""
    host, _, port = target.rpartition(":")
    with contextlib.closing(writer), contextlib.suppress(OSError):
        far = await asyncio.open_connection(host, int(port))
        with contextlib.closing(far[1]):
            await pass_on((reader, writer), far)


async def serve(listen: str, forwards: Sequence[str]) -> None:
    """Listen until cancelled; raises OSError where the address cannot be had."""
    address, _, port = listen.rpartition(":")
    async with contextlib.AsyncExitStack() as stack:
        servers = [await asyncio.start_server(serve_proxy, address, int(port), limit=HEADER_LIMIT)]
        for forward in forwards:
            own_port, _, target = forward.partition("=")
            servers.append(await asyncio.start_server(_forwarder(target), address, int(own_port)))
        for server in servers:
            await stack.enter_async_context(server)
        await asyncio.gather(*(server.serve_forever() for server in servers))


def _forwarder(target: str) -> "asyncio.streams._ClientConnectedCallback":
    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve_forward(target, reader, writer)

    return forward


def main(argv: Sequence[str]) -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="cluster.egress", description=__doc__.splitlines()[0])
    parser.add_argument("--listen", required=True, help="address and port of the proxy")
    parser.add_argument("--forward", action="append", default=[], help="PORT=HOST:PORT")
    options = parser.parse_args(argv)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.listen, options.forward))


if __name__ == "__main__":
    main(sys.argv[1:])
