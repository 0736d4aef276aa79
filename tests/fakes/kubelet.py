"""A kubelet's server without a kubelet: container logs, and tunnels that say back what they hear in capitals."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from machinery.component.tls import TLSFiles


@dataclass(slots=True)
class FakeKubelet:
    """What it was asked, and the port it listens on."""

    port: int = 0
    heads: list[str] = field(default_factory=list)
    #: one for each connection that is being answered
    answering: set[asyncio.Task[None]] = field(default_factory=set)

    @asynccontextmanager
    async def serving(self, files: TLSFiles) -> AsyncIterator["FakeKubelet"]:
        """Listen on a free loopback port with TLS."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=files.server_context())
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self
            await self.wait_until_idle()

    async def wait_until_idle(self) -> None:
        """Until all connections have ended; the API server is given 5 s to end them."""
        if self.answering:
            await asyncio.wait_for(asyncio.gather(*self.answering), 5)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.answering.add(task)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.heads.append(head)
            path = head.split(" ")[1]
            if path.startswith("/containerLogs/") and "previous=true" in path:
                body = b'previous terminated container "c" in pod "p" not found'
                writer.write(
                    b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
                )
            elif path.startswith("/containerLogs/"):
                await self._log(writer, follows="follow=true" in path)
            elif path.startswith("/healthz"):
                writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\nx-kubelet: yes\r\ncontent-length: 2\r\n\r\nok")
            else:
                await self._tunnel(reader, writer, head)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the API server went away: so do we
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()
            self.answering.discard(task)

    async def _log(self, writer: asyncio.StreamWriter, *, follows: bool) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: text/plain\r\n")
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        number = 0
        while number < 3 or follows:
            line = b"line %d\n" % number
            writer.write(b"%x\r\n%b\r\n" % (len(line), line))
            await writer.drain()
            number += 1
            await asyncio.sleep(0.01)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: str) -> None:
        protocol = next(line for line in head.split("\r\n") if line.lower().startswith("upgrade:")).partition(":")[2]
        writer.write(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade:{protocol}\r\n\r\n".encode())
        while data := await reader.read(65536):
            writer.write(data.upper())
            await writer.drain()
