"""When the proxier writes, on a clock that stands still and tables that only remember."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from machinery.aio.clock import FakeClock
from machinery.aio.process import CommandFailed
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.client.informer import OnChange
from proxy.iptables import Iptables
from proxy.proxier import Proxier, Timing
from proxy.rules import Jump, RuleConfig, RuleSet
from tests.proxy.test_endpoints import endpoint_slice
from tests.proxy.test_services import service

ONE, TWO = ({"addresses": [f"10.1.0.{number}"]} for number in (1, 2))


class RememberingTables(Iptables):
    """Keeps what it was given; fails while `broken`."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.broken = False
        self.leftovers: list[str] = []

    async def apply(self, rules: RuleSet, stale: Iterable[str]) -> None:
        """Keep the text."""
        if self.broken:
            raise CommandFailed("iptables-restore: no")
        self.texts.append(rules.text(stale))

    async def ensure_jumps(self, jumps: Sequence[Jump]) -> None:
        """Nothing to do."""

    async def chains(self, table: str) -> list[str]:
        """What an earlier proxy left."""
        return self.leftovers


class HandFed:
    """Informers whose events the test makes."""

    def __init__(self) -> None:
        self.handlers: dict[str, OnChange] = {}

    def watch(self, kind: Kind, *, on_change: OnChange, **_: Any) -> None:
        """Remember the handler."""
        self.handlers[kind.plural] = on_change

    async def wait_for_sync(self) -> None:
        """Nothing to wait for."""


class Setup:
    """A proxier and everything around it."""

    def __init__(self) -> None:
        self.clock, self.tables, self.informers = FakeClock(), RememberingTables(), HandFed()
        informers: Any = self.informers
        self.proxier = Proxier(informers, "here", RuleConfig(), Timing(30, 1), self.tables, self.clock)

    def tell(self, plural: str, old: Json | None, new: Json | None) -> None:
        """An event."""
        self.informers.handlers[plural](old, new)


@asynccontextmanager
async def running() -> AsyncIterator[Setup]:
    """A proxier that runs and has written once."""
    setup = Setup()
    setup.tell("services", None, service())
    task = asyncio.ensure_future(setup.proxier.run())
    await setup.clock.advance(0)
    assert len(setup.tables.texts) == 1
    try:
        yield setup
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_change_after_a_quiet_time_is_written_at_once_and_the_next_after_a_second() -> None:
    async with running() as setup:
        await setup.clock.advance(5)
        assert len(setup.tables.texts) == 1
        setup.tell("endpointslices", None, endpoint_slice(ONE))
        await setup.clock.advance(0)
        assert "10.1.0.1" in setup.tables.texts[-1]
        setup.tell("endpointslices", endpoint_slice(ONE), endpoint_slice(ONE, TWO))
        setup.tell("endpointslices", endpoint_slice(ONE, TWO), endpoint_slice(TWO))
        await setup.clock.advance(0.9)
        assert len(setup.tables.texts) == 2
        await setup.clock.advance(0.2)
        assert len(setup.tables.texts) == 3
        assert "10.1.0.2" in setup.tables.texts[-1]


async def test_an_event_that_changes_nothing_is_not_written() -> None:
    async with running() as setup:
        await setup.clock.advance(5)
        setup.tell("services", service(), service(externalName="whatever"))
        await setup.clock.advance(5)
        assert len(setup.tables.texts) == 1


async def test_everything_is_written_anew_each_period() -> None:
    async with running() as setup:
        setup.tables.leftovers = ["KUBE-SVC-FROM-BEFORE", "DOCKER"]
        await setup.clock.advance(31)
        assert len(setup.tables.texts) == 2
        assert "-X KUBE-SVC-FROM-BEFORE" in setup.tables.texts[-1]
        assert "DOCKER" not in setup.tables.texts[-1]


async def test_chains_of_a_service_that_goes_are_deleted_with_it() -> None:
    async with running() as setup:
        setup.tell("endpointslices", None, endpoint_slice(ONE))
        await setup.clock.advance(2)
        setup.tell("endpointslices", endpoint_slice(ONE), None)
        await setup.clock.advance(2)
        assert "-X KUBE-SEP-" in setup.tables.texts[-1]
        assert "-X KUBE-SVC-" in setup.tables.texts[-1]


async def test_a_failure_is_tried_again_and_makes_it_ill_only_after_two_periods() -> None:
    async with running() as setup:
        await setup.clock.advance(5)
        setup.tables.broken = True
        setup.tell("endpointslices", None, endpoint_slice(ONE))
        await setup.clock.advance(50)
        assert setup.proxier.health.is_healthy()
        await setup.clock.advance(20)
        assert not setup.proxier.health.is_healthy()
        setup.tables.broken = False
        await setup.clock.advance(40)
        assert setup.proxier.health.is_healthy()
        assert "10.1.0.1" in setup.tables.texts[-1]


async def test_a_node_that_is_about_to_go_is_not_eligible() -> None:
    async with running() as setup:
        setup.tell("nodes", None, {"metadata": {"name": "here"}})
        assert setup.proxier.health.eligible
        taints = [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]
        setup.tell("nodes", None, {"metadata": {"name": "here"}, "spec": {"taints": taints}})
        assert not setup.proxier.health.eligible
