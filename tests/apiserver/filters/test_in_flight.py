"""Limits and deadlines."""

import asyncio

import pytest

from apiserver.filters import exchange
from apiserver.filters.exchange import Receive, Scope, Send
from apiserver.filters.in_flight import InFlightFilter, Limits
from apiserver.request import User
from machinery.api import errors
from tests.apiserver.filters.chain import drop, nothing, scope_of


class _Stuck:
    """An application that waits until it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.entered = asyncio.Semaphore(0)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.entered.release()
        await self.go.wait()


async def test_the_second_of_one_allowed_reader_is_429_but_a_writer_passes() -> None:
    stuck = _Stuck()
    limited = InFlightFilter(stuck, Limits(reading=1, changing=1))
    async with asyncio.TaskGroup() as group:
        group.create_task(limited(scope_of("GET", "/api/v1/pods"), nothing, drop))
        await stuck.entered.acquire()
        with pytest.raises(errors.TooManyRequests) as problem:
            await limited(scope_of("GET", "/api/v1/pods"), nothing, drop)
        assert problem.value.details == {"retryAfterSeconds": 1}
        group.create_task(limited(scope_of("POST", "/api/v1/namespaces/n/pods"), nothing, drop))
        await stuck.entered.acquire()
        stuck.go.set()
    assert (limited.reading, limited.changing) == (0, 0)


async def test_watches_and_masters_are_not_limited() -> None:
    stuck = _Stuck()
    limited = InFlightFilter(stuck, Limits(reading=1))
    master = scope_of("GET", "/api/v1/pods")
    exchange.of(master).user = User("root", groups=("system:masters",))
    async with asyncio.TaskGroup() as group:
        for scope in (scope_of("GET", "/api/v1/pods"), master, scope_of("GET", "/api/v1/pods", query="watch=true")):
            group.create_task(limited(scope, nothing, drop))
            await stuck.entered.acquire()
        stuck.go.set()


async def test_what_takes_too_long_is_504() -> None:
    limited = InFlightFilter(_Stuck(), Limits(seconds=0.01))
    with pytest.raises(errors.Timeout, match="request did not complete within the allotted timeout"):
        await limited(scope_of("GET", "/api/v1/pods"), nothing, drop)
    assert limited.reading == 0


async def test_a_client_may_set_a_nearer_deadline() -> None:
    limited = InFlightFilter(_Stuck(), Limits(seconds=3600))
    with pytest.raises(errors.Timeout):
        await limited(scope_of("GET", "/api/v1/pods", query="timeout=10ms"), nothing, drop)


async def test_a_deadline_that_is_none_is_refused() -> None:
    limited = InFlightFilter(_Stuck(), Limits())
    with pytest.raises(errors.BadRequest) as refusal:
        await limited(scope_of("GET", "/api/v1/pods", query="timeout=soon"), nothing, drop)
    text = 'invalid timeout specified in the request URL - time: invalid duration "soon"'
    assert refusal.value.message == text
    assert (limited.reading, limited.changing) == (0, 0)
