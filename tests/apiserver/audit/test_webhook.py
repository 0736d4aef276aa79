"""Events on their way to another server: batches, a server that fails, more events than there is room for."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from apiserver.audit.webhook import Batching, Webhook
from machinery.aio.clock import REAL, FakeClock
from machinery.api.codec import Json
from machinery.client.config import ClientConfig

Answers = Callable[[int], int]


class Receiver:
    """A plain HTTP server that keeps the lists it gets and answers by their number."""

    def __init__(self, answers: Answers = lambda _: 200) -> None:
        self.lists: list[Json] = []
        self.heads: list[bytes] = []
        self.got = asyncio.Event()
        self._answers = answers

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        while head := await _head(reader):
            length = next(int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if b"content-length" in line)
            self.heads.append(head)
            self.lists.append(json.loads(await reader.readexactly(length)))
            writer.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % self._answers(len(self.lists)))
            self.got.set()
        writer.close()

    async def wait_for(self, count: int) -> None:
        """Until so many lists came."""
        async with asyncio.timeout(10):
            while len(self.lists) < count:
                self.got.clear()
                await self.got.wait()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


@asynccontextmanager
async def sending(receiver: Receiver, batching: Batching, clock: FakeClock | None = None) -> AsyncIterator[Webhook]:
    """A webhook backend on its way to the receiver; stopped in the end, as a server stops."""
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        config = ClientConfig(f"http://127.0.0.1:{port}/audit", token="secret")  # noqa: S106
        webhook = Webhook(config, batching, clock or REAL)
        task = asyncio.create_task(webhook.run())
        yield webhook
        task.cancel()
        await asyncio.wait([task])


def events(*numbers: int) -> list[Json]:
    """Events by number."""
    return [{"auditID": str(number)} for number in numbers]


def ids(found: Json) -> list[str]:
    """Which events a list has."""
    return [item["auditID"] for item in found["items"]]


async def settle() -> None:
    """Let other tasks run for a moment."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_full_batch_goes_at_once_and_the_rest_after_the_wait() -> None:
    receiver, clock = Receiver(), FakeClock()
    async with sending(receiver, Batching(most=2, wait=30), clock) as webhook:
        webhook.write(events(1, 2, 3))
        await receiver.wait_for(1)
        assert ids(receiver.lists[0]) == ["1", "2"]
        assert (receiver.lists[0]["kind"], receiver.lists[0]["apiVersion"]) == ("EventList", "audit.k8s.io/v1")
        assert b"authorization: bearer secret" in receiver.heads[0].lower()
        await settle()
        await clock.advance(31)
        await receiver.wait_for(2)
        assert ids(receiver.lists[1]) == ["3"]


async def test_a_server_that_fails_gets_the_same_events_again() -> None:
    receiver = Receiver(lambda number: 503 if number == 1 else 200)
    async with sending(receiver, Batching(most=1, backoff=0.001)) as webhook:
        webhook.write(events(1))
        await receiver.wait_for(2)
    assert [ids(found) for found in receiver.lists] == [["1"], ["1"]]


async def test_what_waits_at_the_end_is_sent() -> None:
    receiver = Receiver()
    async with sending(receiver, Batching(wait=3600)) as webhook:
        webhook.write(events(1, 2))
        await asyncio.sleep(0)
    assert [ids(found) for found in receiver.lists] == [["1", "2"]]


async def test_more_than_there_is_room_for_is_dropped_not_kept() -> None:
    receiver = Receiver()
    async with sending(receiver, Batching(buffer=3, wait=3600)) as webhook:
        webhook.write(events(1, 2))
        webhook.write(events(3, 4, 5))
        await asyncio.sleep(0)
    assert [ids(found) for found in receiver.lists] == [["1", "2", "3"]]
