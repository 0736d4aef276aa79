"""One leader among several processes, by a Lease.

Theory of operation (upstream: client-go/tools/leaderelection/leaderelection.go).
- The holder renews the Lease every `retry` seconds; whoever sees a Lease unchanged for `lease_seconds` **of its own
  clock** (never comparing clocks of two machines) may take it over, by an update on the resourceVersion it saw.
- A leader that could not renew for `renew_deadline` seconds stops working before others may start: deadline < lease.
- Leadership lost cancels the work and raises LeadershipLost: the process exits and is started anew, with empty caches.
- A leader that stops in good order gives the Lease up, so that the next need not wait.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from machinery.aio.clock import REAL, Clock
from machinery.api import errors, times
from machinery.api.codec import Json
from machinery.api.kinds import LEASES
from machinery.client.rest import Client, ConnectionProblem

logger = logging.getLogger(__name__)


class LeadershipLost(Exception):
    """Another process may be the leader now: stop working."""


@dataclass(frozen=True, slots=True)
class LeaderElection:
    """Which Lease, who we are, and the times in seconds."""

    name: str
    identity: str
    namespace: str = "kube-system"
    lease_seconds: float = 15.0
    renew_deadline: float = 10.0
    retry: float = 2.0


async def run_as_leader(
    client: Client, election: LeaderElection, work: Callable[[], Awaitable[None]], *, clock: Clock = REAL
) -> None:
    """Wait for leadership, then run `work` while it lasts; raises LeadershipLost when it ends first."""
    elector = _Elector(client, election, clock)
    await elector.acquire()
    logger.info("became leader of %s/%s as %s", election.namespace, election.name, election.identity)
    worker = asyncio.ensure_future(work())
    renewer = asyncio.ensure_future(elector.keep())
    try:
        await asyncio.wait((worker, renewer), return_when=asyncio.FIRST_COMPLETED)
        (worker if worker.done() else renewer).result()
    finally:
        worker.cancel()
        renewer.cancel()
        await asyncio.gather(worker, renewer, return_exceptions=True)
        await asyncio.shield(elector.release())


class _Elector:
    def __init__(self, client: Client, election: LeaderElection, clock: Clock) -> None:
        self._client = client
        self._election = election
        self._clock = clock
        self._seen: Json | None = None  # the Lease's spec as last seen
        self._seen_at = 0.0
        self._lease: Json | None = None

    async def acquire(self) -> None:
        """Try until the Lease is ours."""
        while not await self._try():
            await self._clock.sleep(self._election.retry * (1 + 0.2 * random.random()))

    async def keep(self) -> None:
        """Renew for ever; raises LeadershipLost."""
        renewed = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._election.retry)
            if await self._try():
                renewed = self._clock.monotonic()
            elif self._clock.monotonic() - renewed > self._election.renew_deadline or self._held_by_other():
                raise LeadershipLost(f"lost the lease {self._election.namespace}/{self._election.name}")

    async def release(self) -> None:
        """Give the Lease up if it is ours; failing that it runs out by itself."""
        if self._lease is None or self._held_by_other():
            return
        spec = self._lease["spec"] | {"holderIdentity": "", "leaseDurationSeconds": 1}
        try:
            async with asyncio.timeout(2):
                await self._client.update(LEASES, self._lease | {"spec": spec})
        except (errors.StatusError, ConnectionProblem, TimeoutError):
            logger.info("the lease %s was not released; it runs out by itself", self._election.name)

    async def _try(self) -> bool:
        try:
            async with asyncio.timeout(self._election.renew_deadline / 2):
                return await self._acquire_or_renew()
        except (errors.StatusError, ConnectionProblem, TimeoutError) as problem:
            logger.debug("lease %s: %s", self._election.name, problem)
            return False

    async def _acquire_or_renew(self) -> bool:
        try:
            lease = await self._client.get(LEASES, self._election.name, self._election.namespace)
        except errors.NotFound:
            metadata = {"name": self._election.name, "namespace": self._election.namespace}
            lease = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata}
            self._lease = await self._client.create(LEASES, lease | {"spec": self._spec({})})
            self._observe(self._lease)
            return True
        self._observe(lease)
        if self._held_by_other() and not self._ran_out():
            return False
        self._lease = await self._client.update(LEASES, lease | {"spec": self._spec(lease.get("spec") or {})})
        self._observe(self._lease)
        return True

    def _spec(self, old: Json) -> Json:
        now = times.micro(self._clock.now())
        mine = old.get("holderIdentity") == self._election.identity
        transitions = old.get("leaseTransitions") or 0
        return {
            "holderIdentity": self._election.identity,
            "leaseDurationSeconds": int(self._election.lease_seconds),
            "acquireTime": old.get("acquireTime", now) if mine else now,
            "renewTime": now,
            "leaseTransitions": transitions if mine or not old else transitions + 1,
        }

    def _observe(self, lease: Json) -> None:
        spec = lease.get("spec") or {}
        if spec != self._seen:
            self._seen, self._seen_at = spec, self._clock.monotonic()

    def _held_by_other(self) -> bool:
        holder = (self._seen or {}).get("holderIdentity") or ""
        return holder not in ("", self._election.identity)

    def _ran_out(self) -> bool:
        seconds = (self._seen or {}).get("leaseDurationSeconds") or self._election.lease_seconds
        return self._clock.monotonic() - self._seen_at > seconds
