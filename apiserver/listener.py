"""The listening socket: TLS, uvicorn's bookkeeping, and a graceful end. What a connection does is `protocol`."""

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any, Final

from uvicorn.config import Config
from uvicorn.server import ServerState

from apiserver.protocol import SkiffProtocol

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS: Final = 180  # idle connections; Go clients keep theirs for 90
DRAIN_SECONDS: Final = 10.0
BACKLOG: Final = 2048


@dataclass(frozen=True, slots=True)
class TLSSettings:
    """Files in PEM; the least version, and the cipher suites of TLS 1.2 by their OpenSSL names ("": OpenSSL's own)."""

    certificate: str
    key: str
    client_ca: str = ""
    proxy_ca: str = ""  # of authenticating proxies, whose certificates are verified like clients'
    minimum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2
    ciphers: str = ""

    def files(self) -> list[str]:
        """All that are named."""
        return [name for name in (self.certificate, self.key, self.client_ca, self.proxy_ca) if name]


def tls_context(settings: TLSSettings) -> ssl.SSLContext:
    """A server context; client certificates are optional, and must be of a client CA where sent.

    One of another CA ends the handshake, where upstream answers 401: OpenSSL asks for certificates only where it also
    verifies them, and Python's ssl has no callback that could overrule it (CERT_NONE would ask for none at all).

    Raises ValueError, which names the file that is not as it should be.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = settings.minimum
    context.set_alpn_protocols(["http/1.1"])
    if settings.ciphers:
        context.set_ciphers(settings.ciphers)
    try:
        context.load_cert_chain(settings.certificate, settings.key)
    except OSError as problem:
        raise ValueError(f"{settings.certificate}, {settings.key}: {problem}") from problem
    for authority in filter(None, (settings.client_ca, settings.proxy_ca)):
        context.verify_mode = ssl.CERT_OPTIONAL
        try:
            context.load_verify_locations(authority)
        except OSError as problem:
            raise ValueError(f"{authority}: {problem}") from problem
    return context


class ReloadingTLS:
    """A server's TLS that follows its files: certificates are renewed, and authorities replaced, while it runs.

    A listening socket keeps the context it was made with, so that one asks at each handshake for the newest: also a
    client that names no server (an address in its URL) makes OpenSSL ask.
    """

    def __init__(self, settings: TLSSettings) -> None:
        self._settings = settings
        self._seen = self._states()
        self._newest = tls_context(settings)
        self.context = tls_context(settings)
        self.context.sni_callback = self._choose

    def refresh(self) -> None:
        """Look at the files; what cannot be used is logged, and the old one stays until it can."""
        seen = self._states()
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self._newest = tls_context(self._settings)
        except ValueError as problem:
            logger.error("the changed TLS files cannot be used, the old ones stay: %s", problem)
        else:
            logger.info("TLS files have changed and are used from now on")

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        connection.context = self._newest

    def _states(self) -> list[tuple[int, int, int]]:
        return [_state(name) for name in self._settings.files()]


def _state(name: str) -> tuple[int, int, int]:
    try:
        found = os.stat(name)
    except OSError:  # between two steps of a replacement
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


class Listener:
    """Serves one ASGI application on one address."""

    def __init__(self, app: Callable[..., Awaitable[None]], tls: ReloadingTLS | None) -> None:
        self._config = Config(
            app,
            http=SkiffProtocol,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            proxy_headers=False,  # clients' own words about their address are not believed
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
        )
        self._tls = tls
        self._state = ServerState()

    @asynccontextmanager
    async def serving(self, address: str, port: int) -> AsyncIterator[int]:
        """Accept connections while the context lasts; gives the port. On leaving, running requests may finish."""
        self._config.load()
        sock = _bound(address, port)
        server = await asyncio.get_running_loop().create_server(
            self._protocol, sock=sock, ssl=self._tls.context if self._tls else None, backlog=BACKLOG
        )
        ticker = asyncio.create_task(self._tick())
        try:
            yield sock.getsockname()[1]
        finally:
            server.close()
            await self._drain()
            ticker.cancel()

    def _protocol(self) -> asyncio.Protocol:
        return SkiffProtocol(self._config, self._state, {})

    async def _tick(self) -> None:
        while True:
            self._state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
            if self._tls is not None:
                self._tls.refresh()
            await asyncio.sleep(1)

    async def _drain(self) -> None:
        for connection in list(self._state.connections):
            connection.shutdown()
        tasks: list[asyncio.Task[Any]] = [task for task in self._state.tasks if not task.done()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=DRAIN_SECONDS)
            for task in late:
                task.cancel()
            if late:
                logger.warning("%d requests did not end in %g s", len(late), DRAIN_SECONDS)
                await asyncio.wait(late, timeout=1)


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
    except OSError as problem:
        sock.close()
        raise OSError(problem.errno, f"cannot listen on {address}:{port}: {problem.strerror}") from problem
    sock.setblocking(False)
    return sock
