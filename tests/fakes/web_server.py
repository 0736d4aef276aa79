"""A web server that tells what it was asked: the far end of a proxy. Contract: it is HTTP, read by a real client."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(slots=True)
class WebServer:
    """Answers every request with `answer`, and keeps what it was asked."""

    answer: bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    port: int = 0
    asked: list[bytes] = field(default_factory=list)
    #: set when a client went away before it was answered
    left: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["WebServer"]:
        """Listen on a free loopback port."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    @property
    def head(self) -> str:
        """The last request's head."""
        return self.asked[-1].partition(b"\r\n\r\n")[0].decode("latin-1")

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = next(
                (line[15:] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b"0"
            )
            self.asked.append(head + await reader.readexactly(int(length)))
            if self.answer:
                writer.write(self.answer)
                await writer.drain()
            else:
                await reader.read()
                self.left.set()
        writer.close()
