"""`skiff port-forward`: local ports that lead into a pod, one WebSocket to a connection.

The WebSocket form of port forwarding (the kubelet's v4.channel.k8s.io): channel 0 carries the bytes, channel 1 an
error; each begins with the port's number. kubectl's SPDY over WebSocket does the same with more parts.
"""

import asyncio
import contextlib
import socket as sockets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import aiohttp

from kubectl.builder import Target, targets
from kubectl.builder import Wanted as Selection
from kubectl.command import Command
from kubectl.flags import Args, listing, seconds
from kubectl.pods_behind import one_pod
from kubectl.problems import CliError
from kubectl.session import Session
from kubectl.streams import V4, open_socket
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json

_DATA, _ERROR = 0, 1
_BLOCK: Final = 32 * 1024


@dataclass(frozen=True, slots=True)
class Forward:
    """One pair of ports; 0 lets the system choose the local one."""

    local: int
    remote: int


async def run(session: Session, args: Args) -> int | None:
    """Listen until interrupted."""
    if len(args.words) < 2:
        raise CliError(
            "TYPE/NAME and list of ports are required for port-forward\n"
            "See 'skiff port-forward -h' for help and examples"
        )
    word, *texts = args.words
    pod = await one_pod(session, word)
    service = await _service(session, word)
    forwards = [forward_of(text, pod, service) for text in texts]
    phase = (pod.get("status") or {}).get("phase")
    if phase != "Running":
        raise CliError(f"unable to forward port because pod is not running. Current status={phase}")
    path = kinds.PODS.path(meta.namespace_of(pod), meta.name_of(pod), "portforward")
    async with asyncio.TaskGroup() as group:
        for forward in forwards:
            for address in _addresses(args.list("address") or ["localhost"]):
                group.create_task(_Listener(session, path, forward).serve(address))
    return None


async def _service(session: Session, word: str) -> Json | None:
    (target,) = await targets(session, [word] if "/" in word else ["pods", word], Selection())
    if not isinstance(target, Target) or target.kind.kind != "Service":
        return None
    return await session.call("GET", target.path)


def forward_of(text: str, pod: Json, service: Json | None) -> Forward:
    """`8080:80`, `80`, `:80`, `8080:http`; a Service's port is turned into the pod's; raises CliError."""
    local, colon, remote = text.partition(":")
    remote = remote if colon else local
    number = _remote_port(remote, pod, service)
    if colon and not local:
        return Forward(0, number)
    if colon and not local.isdigit():
        raise CliError(f'error parsing local port "{local}": strconv.ParseUint: parsing "{local}": invalid syntax')
    return Forward(int(local) if local.isdigit() else number, number)


def _remote_port(text: str, pod: Json, service: Json | None) -> int:
    wanted: str | int = text
    for port in ((service or {}).get("spec") or {}).get("ports") or ():
        if text in (str(port.get("port")), port.get("name")):
            wanted = port.get("targetPort") or port["port"]
    if str(wanted).isdigit():
        return int(wanted)
    for container in (pod.get("spec") or {}).get("containers") or ():
        for port in container.get("ports") or ():
            if port.get("name") == wanted:
                return int(port["containerPort"])
    raise CliError(f"Pod '{meta.name_of(pod)}' does not have a named port '{wanted}'")


def _addresses(given: list[str]) -> Iterator[str]:
    for address in given:
        yield from ("127.0.0.1", "::1") if address == "localhost" and sockets.has_ipv6 else (address,)


class _Listener:
    def __init__(self, session: Session, path: str, forward: Forward) -> None:
        self._session, self._path, self._forward = session, path, forward
        self._local = forward.local

    async def serve(self, address: str) -> None:
        """Accept connections until cancelled; ::1 may be missing on a machine."""
        try:
            server = await asyncio.start_server(self._handle, address, self._local)
        except OSError as problem:
            if address == "::1":
                return
            raise CliError(f"unable to listen on port {self._local}: {problem.strerror}") from problem
        self._local = server.sockets[0].getsockname()[1]
        shown = f"[{address}]" if ":" in address else address
        self._session.write(f"Forwarding from {shown}:{self._local} -> {self._forward.remote}\n")
        async with server:
            await server.serve_forever()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._session.write(f"Handling connection for {self._local}\n")
        params = [("ports", str(self._forward.remote))]
        try:
            async with open_socket(self._session, self._path, params, (V4,)) as socket, asyncio.TaskGroup() as group:
                sending = group.create_task(_send(reader, socket))
                await self._receive(socket, writer)
                sending.cancel()
        except* (CliError, errors.StatusError, OSError, aiohttp.ClientError) as problems:
            why = problems.exceptions[0]
            self._session.warn(f"error: an error occurred forwarding {self._local} -> {self._forward.remote}: {why}")
        finally:
            writer.close()

    async def _receive(self, socket: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter) -> None:
        begun = set[int]()
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel not in begun:
                begun.add(channel)
                data = data[2:]  # the port's number
            if channel == _DATA and data:
                writer.write(data)
                await writer.drain()
            elif channel == _ERROR and data:
                raise CliError(data.decode(errors="replace"))


async def _send(reader: asyncio.StreamReader, socket: aiohttp.ClientWebSocketResponse) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_BLOCK):
            await socket.send_bytes(bytes([_DATA]) + data)


COMMAND = Command(
    "port-forward (POD | TYPE/NAME) [LOCAL:]REMOTE… [FLAGS]",
    "Forward local ports to a pod until interrupted.",
    (
        listing("address", "Addresses to listen on."),
        seconds("pod-running-timeout", "Accepted for compatibility.", 60.0),
    ),
    run,
)
