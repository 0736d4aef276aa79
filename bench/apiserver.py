"""What is measured of an API server, one function per row or group of rows. Which server that is, it does not know.

CPU is what the server's processes used between a row's first and last request, divided by the requests (or objects, or
deliveries); etcd's and the load's own are not in it.
"""

import asyncio
import itertools
import sys
import urllib.error
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from bench import client, objects
from bench.client import Load, Request
from bench.processes import Target, call
from bench.report import Report, Row

_LISTED: Final = "bench-listed"
_OTHERS: Final = "bench-others"
_MAPS: Final = "bench-maps"
_WATCHED: Final = "bench-watched"
_CONNECTIONS: Final = 32
_NOISY_CONNECTIONS: Final = 100
_NOISE_SECONDS: Final = 1.0  # until it is as loud as it gets
_GROUP_SECONDS: Final = 300.0  # a server that stops answering ends the run
_TABLE: Final = "application/json;as=Table;v=v1;g=meta.k8s.io"
_MERGE: Final = "application/merge-patch+json"


@dataclass(frozen=True, slots=True)
class Scale:
    """How much of everything."""

    listed: int = 5000  # pods in the list
    pods: int = 10_000  # in all, when memory is looked at
    own: int = 1000  # pods that have a spec of their own
    maps: int = 4000
    gets: int = 10_000
    patches: int = 3000
    lists: int = 20
    watchers: int = 200
    changes: int = 200


FULL: Final = Scale()
SMALL: Final = Scale(listed=60, pods=100, own=20, maps=40, gets=60, patches=30, lists=2, watchers=5, changes=10)


class Benchmark:
    """One server, one run."""

    def __init__(self, target: Target, scale: Scale, report: Report) -> None:
        self._target = target
        self._scale = scale
        self._report = report
        self._made = dict.fromkeys((_LISTED, _OTHERS), 0)

    async def run(self, wanted: Callable[[str], bool]) -> None:
        """All rows whose group is wanted; what a row needs is made first, measured or not."""
        self._prepare()
        groups = {
            "start": self._start,
            "create-pod": self._create_pod,
            "list": self._list,
            "delay": self._delay,
            "memory": self._memory,
            "get": self._get,
            "patch": self._patch,
            "create-configmap": self._create_config_map,
            "watch": self._watch,
            "noise": self._noise,
        }
        for name, group in groups.items():
            if wanted(name):
                async with asyncio.timeout(_GROUP_SECONDS):
                    await group()

    def clean(self) -> None:
        """Remove what was made, from a server that goes on."""
        for namespace in (_LISTED, _OTHERS, _MAPS, _WATCHED):
            for path in (f"/api/v1/namespaces/{namespace}/pods", f"/api/v1/namespaces/{namespace}/configmaps"):
                call(self._target.address, "DELETE", path)
            call(self._target.address, "DELETE", f"/api/v1/namespaces/{namespace}")

    def _prepare(self) -> None:
        for namespace in (_LISTED, _OTHERS, _MAPS, _WATCHED):
            self._make("/api/v1/namespaces", objects.named("Namespace", namespace))
            self._make(f"/api/v1/namespaces/{namespace}/serviceaccounts", objects.named("ServiceAccount", "default"))

    def _make(self, path: str, body: bytes) -> None:
        try:
            call(self._target.address, "POST", path, body)
        except urllib.error.HTTPError as problem:
            if problem.code != 409:  # it is there: a controller was quicker
                raise

    # rows

    async def _start(self) -> None:
        if self._target.start_seconds is not None:
            self._report.figure("start to ready", self._target.start_seconds, "s")
        self._report.figure("memory, idle", self._target.memory() / 1e6, "MB")

    async def _create_pod(self) -> None:
        missing = self._scale.listed - self._made[_LISTED]
        await self._measured("create pod (replicas)", self._pods(_LISTED, missing), _CONNECTIONS)
        await self._measured(
            "create pod (each its own spec)", self._pods(_OTHERS, self._scale.own, "own"), _CONNECTIONS
        )

    async def _list(self) -> None:
        await self._have_pods(_LISTED, self._scale.listed)
        path = f"/api/v1/namespaces/{_LISTED}/pods"
        kinds = {
            "LIST, per pod, JSON": Request("GET", path),
            "LIST, per pod, JSON, from cache": Request("GET", f"{path}?resourceVersion=0"),
            "LIST, per pod, JSON, gzip": Request("GET", path, gzip=True),
            "LIST, per pod, JSON, gzip, from cache": Request("GET", f"{path}?resourceVersion=0", gzip=True),
            "LIST, per pod, Table": Request("GET", path, accept=_TABLE),
            "LIST, per pod, Table, gzip": Request("GET", path, accept=_TABLE, gzip=True),
        }
        for name, request in kinds.items():
            await self._measured(name, itertools.repeat(request, self._scale.lists), 1, per=self._scale.listed)

    async def _delay(self) -> None:
        """How much longer other requests take while a large list is under way, over and over."""
        await self._have_pods(_LISTED, self._scale.listed)
        number = max(self._scale.gets // 10, 20)
        alone = await client.run(self._target.address, self._gets(number), 1)
        usual = Row.of("alone", alone, 0.0).p99
        self._report.figure("p99 of a GET", usual, "ms")
        path = f"/api/v1/namespaces/{_LISTED}/pods"
        for name, request in {
            "LIST": Request("GET", path, gzip=True),
            "plain LIST": Request("GET", path),
            "Table LIST": Request("GET", path, accept=_TABLE, gzip=True),
        }.items():
            beside = Row.of(name, await self._gets_beside(request, number), 0.0).p99
            self._report.figure(f"p99 of a GET beside {name}s", beside, "ms")
            self._report.figure(f"delay by a {name}, p99", beside - usual, "ms")

    async def _gets_beside(self, request: Request, number: int) -> Load:
        others = asyncio.create_task(client.run(self._target.address, itertools.repeat(request), 1))
        await asyncio.sleep(0.1)
        found = await client.run(self._target.address, self._gets(number), 1)
        if others.done():
            others.result()  # refused: nothing was beside
        others.cancel()
        await asyncio.gather(others, return_exceptions=True)
        return found

    async def _memory(self) -> None:
        await self._have_pods(_LISTED, self._scale.listed)
        await self._have_pods(_OTHERS, self._scale.pods - self._made[_LISTED])
        self._report.figure(f"memory, {self._scale.pods:,} pods", self._target.memory() / 1e6, "MB")

    async def _get(self) -> None:
        await self._have_pods(_LISTED, self._scale.listed)
        await self._measured("GET pod, 1 connection", self._gets(self._scale.gets // 5), 1)
        await self._measured("GET pod", self._gets(self._scale.gets), _CONNECTIONS)

    async def _patch(self) -> None:
        await self._have_pods(_LISTED, self._scale.listed)
        listed = self._scale.listed
        requests = (
            Request("PATCH", f"{_pod(number % listed)}/status", objects.status(number), _MERGE)
            for number in range(self._scale.patches)
        )
        await self._measured("patch pod status", requests, _CONNECTIONS)

    async def _create_config_map(self) -> None:
        await self._measured("create ConfigMap", self._maps(_MAPS, self._scale.maps), _CONNECTIONS)

    async def _watch(self) -> None:
        """Deliveries: what the changes cost without anybody watching is taken off."""
        scale, address = self._scale, self._target.address
        before = self._target.cpu()
        await client.run(address, self._maps(_WATCHED, scale.changes, "alone"), 8)
        alone = self._target.cpu() - before
        watchers = [_Watcher(scale.changes) for _ in range(scale.watchers)]
        connections = [await client.connect(address) for _ in watchers]
        path = f"/api/v1/namespaces/{_WATCHED}/configmaps?watch=1&resourceVersion=0"
        try:
            for connection, watcher in zip(connections, watchers, strict=True):
                connection.watch(Request("GET", path).encoded(address), watcher.received)
            await asyncio.gather(*(watcher.caught_up.wait() for watcher in watchers))
            before = self._target.cpu()
            load = await client.run(address, self._maps(_WATCHED, scale.changes, "watched"), 8)
            await asyncio.gather(*(watcher.done.wait() for watcher in watchers))
            cost = self._target.cpu() - before - alone
        finally:
            for connection in connections:
                connection.close()
        deliveries = scale.changes * scale.watchers
        self._report.row(Row("watch, per delivery", deliveries / load.seconds, 0.0, 0.0, cost / deliveries * 1e6))

    async def _noise(self) -> None:
        """What a client feels of another one that asks for all it can get."""
        address, other, number = self._target.address, self._target.other, self._scale.own // 4
        if other is None:
            return
        alone = Row.of("alone", await client.run(address, self._maps(_MAPS, number, "alone"), 1), 0.0)
        path = f"/api/v1/namespaces/{_OTHERS}/configmaps"
        words = ("-m", "bench.noise", other.url, other.token, str(other.ca), path, str(_NOISY_CONNECTIONS))
        noise = await asyncio.create_subprocess_exec(sys.executable, *words)
        try:
            await asyncio.sleep(_NOISE_SECONDS)
            beside = Row.of("beside", await client.run(address, self._maps(_MAPS, number, "quiet"), 1), 0.0)
        finally:
            noise.terminate()
            await noise.wait()
        self._report.figure("p50 of a create, one client alone", alone.p50, "ms")
        self._report.figure("p50 of a create beside a noisy client", beside.p50, "ms")
        self._report.figure("times slower beside a noisy client, p50", beside.p50 / alone.p50, "")

    # how

    async def _measured(self, name: str, requests: Iterator[Request], connections: int, per: int = 1) -> Load:
        before = self._target.cpu()
        load = await client.run(self._target.address, requests, connections)
        cost = self._target.cpu() - before
        self._report.row(Row.of(name, load, cost / (len(load.latencies) * per) * 1e6))
        return load

    async def _have_pods(self, namespace: str, number: int) -> None:
        missing = number - self._made[namespace]
        if missing > 0:
            await client.run(self._target.address, self._pods(namespace, missing), _CONNECTIONS)

    def _pods(self, namespace: str, number: int, own: str = "") -> Iterator[Request]:
        first = self._made[namespace]
        self._made[namespace] += number
        for index in range(first, first + number):
            body = objects.pod(f"web-{index}", f"{own}-{index}" if own else "")
            yield Request("POST", f"/api/v1/namespaces/{namespace}/pods", body)

    def _gets(self, number: int) -> Iterator[Request]:
        return (Request("GET", _pod(index % self._scale.listed)) for index in range(number))

    def _maps(self, namespace: str, number: int, prefix: str = "map") -> Iterator[Request]:
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        return (Request("POST", path, objects.config_map(f"{prefix}-{index}")) for index in range(number))


def _pod(index: int) -> str:
    return f"/api/v1/namespaces/{_LISTED}/pods/web-{index}"


class _Watcher:
    """Counts the events of one watch: those that were there before, then as many again."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._seen = 0
        self._last = b""
        self.caught_up, self.done = asyncio.Event(), asyncio.Event()

    def received(self, data: bytes) -> None:
        """Part of the stream; an event ends with a brace and a newline."""
        self._seen += (self._last + data).count(b"}\n")
        self._last = data[-1:]
        if self._seen >= self._number:
            self.caught_up.set()
        if self._seen >= 2 * self._number:
            self.done.set()
