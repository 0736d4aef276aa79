"""exec and attach over a WebSocket: standard streams, terminal size and exit code. Choosing the container is not here.

Frames are a channel byte and data (`v5.channel.k8s.io`, `v4.channel.k8s.io`): 0 stdin, 1 stdout, 2 stderr, 3 the
outcome as a Status, 4 the terminal's size; with v5, 255 and a channel closes that channel (KEP-4006).
"""

import asyncio
import contextlib
import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import aiohttp

from kubectl.problems import CliError, refused
from kubectl.session import Session
from machinery.api import codec, errors
from machinery.api.codec import Json

V5: Final = "v5.channel.k8s.io"
V4: Final = "v4.channel.k8s.io"
_STDIN, _STDOUT, _STDERR, _OUTCOME, _RESIZE, _CLOSE = 0, 1, 2, 3, 4, 255
_CHUNK: Final = 32 * 1024


@dataclass(frozen=True, slots=True)
class Wiring:
    """Which of our streams are connected."""

    stdin: bool = False
    tty: bool = False

    def params(self) -> dict[str, str]:
        """The query's part; a terminal has no separate stderr."""
        flags = {"stdin": self.stdin, "stdout": True, "stderr": not self.tty, "tty": self.tty}
        return {name: "true" for name, on in flags.items() if on}


async def connect(session: Session, path: str, params: list[tuple[str, str]], wiring: Wiring) -> int:
    """Run until the other side is done; gives the command's exit code; raises CliError or StatusError."""
    async with open_socket(session, path, [*params, *wiring.params().items()], (V5, V4)) as socket:
        return await _Terminal(socket, wiring).run()


@asynccontextmanager
async def open_socket(
    session: Session, path: str, params: list[tuple[str, str]], protocols: tuple[str, ...]
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A WebSocket to the API server; raises CliError when it cannot be reached, StatusError when it refuses."""
    config = (await session.client()).config
    url = f"{config.server.replace('http', 'ws', 1)}{path}?{urlencode(params)}"
    async with aiohttp.ClientSession() as http:
        try:
            socket = await http.ws_connect(
                url,
                protocols=protocols,
                headers=_headers(config.bearer_token(), config.impersonate),
                ssl=config.ssl_context() or True,
                max_msg_size=0,
                heartbeat=30,
            )
        except aiohttp.WSServerHandshakeError as problem:
            status = {"message": f"unable to upgrade connection: {problem.message}"}
            raise errors.from_status(status, problem.status) from problem
        except aiohttp.ClientConnectionError as problem:
            raise CliError(refused(config.server), bare=True) from problem
        async with socket:
            yield socket


def _headers(token: str, user: str) -> Mapping[str, str]:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return headers | ({"impersonate-user": user} if user else {})


class _Terminal:
    """Our side of one connection."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, wiring: Wiring) -> None:
        self._socket = socket
        self._wiring = wiring
        self._outcome: Json = {}

    async def run(self) -> int:
        """Copy until the socket closes; the exit code."""
        with _raw_mode() if self._wiring.tty else contextlib.nullcontext():
            async with asyncio.TaskGroup() as group:
                senders = []
                if self._wiring.stdin:
                    senders.append(group.create_task(self._send_input()))
                if self._wiring.tty:
                    senders.append(group.create_task(self._send_sizes()))
                await self._receive()
                for sender in senders:
                    sender.cancel()
        return exit_code(self._outcome)

    async def _receive(self) -> None:
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel == _OUTCOME:
                self._outcome = codec.loads(data)
            elif channel in (_STDOUT, _STDERR) and data:
                _write_all(channel, data)

    async def _send_input(self) -> None:
        async for data in _input():
            await self._socket.send_bytes(bytes([_STDIN]) + data)
        if self._socket.protocol == V5:
            await self._socket.send_bytes(bytes([_CLOSE, _STDIN]))

    async def _send_sizes(self) -> None:
        changed = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, changed.set)
        try:
            while True:
                size = os.get_terminal_size(sys.stdin.fileno())
                body = codec.dumps({"Width": size.columns, "Height": size.lines})
                await self._socket.send_bytes(bytes([_RESIZE]) + body)
                await changed.wait()
                changed.clear()
        finally:
            loop.remove_signal_handler(signal.SIGWINCH)


def exit_code(outcome: Json) -> int:
    """The command's exit code from the Status at the end; raises CliError when there was no command to have one."""
    if not outcome or outcome.get("status") == "Success":
        return 0
    for cause in (outcome.get("details") or {}).get("causes") or ():
        if cause.get("reason") == "ExitCode":
            return int(cause.get("message") or 1)
    if outcome.get("reason"):
        raise errors.from_status(outcome)
    raise CliError(str(outcome.get("message") or "the connection broke"))


def _write_all(channel: int, data: bytes) -> None:
    stream = sys.stdout if channel == _STDOUT else sys.stderr
    stream.buffer.write(data)
    stream.flush()


@contextlib.contextmanager
def _raw_mode() -> Iterator[None]:
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    tty.setraw(descriptor, termios.TCSANOW)  # what was typed ahead stays
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


async def _input() -> AsyncIterator[bytes]:
    # A thread of its own, never joined: a read from a terminal cannot be cancelled, and must not hold up our end.
    loop = asyncio.get_running_loop()
    chunks: asyncio.Queue[bytes] = asyncio.Queue(maxsize=0)

    def read() -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody wants more
            while data := os.read(sys.stdin.fileno(), _CHUNK):
                loop.call_soon_threadsafe(chunks.put_nowait, data)
            loop.call_soon_threadsafe(chunks.put_nowait, b"")

    threading.Thread(target=read, daemon=True).start()
    while data := await chunks.get():
        yield data
