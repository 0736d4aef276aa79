"""Limits on events: of whom, how many, until when."""

from typing import Any

import pytest

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.event_rate_limit import EventRateLimit, limits_of
from apiserver.request import User
from machinery.aio.clock import FakeClock
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.fakes.reader import NoObjects


def _event(namespace: str = "web", user: str = "jane", about: str = "a", **more: Any) -> Attributes:
    obj: Json = {"source": {"component": "kubelet"}, "involvedObject": {"kind": "Pod", "name": about}}
    return Attributes(Operation.CREATE, kinds.EVENTS, User(user), namespace, "e", obj=obj, **more)


def _plugin(type_: str, clock: FakeClock, burst: int = 2) -> EventRateLimit:
    return EventRateLimit(limits_of({"limits": [{"type": type_, "qps": 1, "burst": burst}]}), clock)


async def _taken(plugin: EventRateLimit, *events: Attributes) -> list[bool]:
    found = []
    for event in events:
        try:
            await plugin.validate(event, NoObjects())
        except errors.TooManyRequests:
            found.append(False)
        else:
            found.append(True)
    return found


@pytest.mark.parametrize(
    ("type_", "other", "shares"),
    [
        pytest.param("Server", _event("db", "joe", "b"), True, id="all-share"),
        pytest.param("Namespace", _event("db"), False, id="another-namespace"),
        pytest.param("Namespace", _event(user="joe"), True, id="another-user-of-the-namespace"),
        pytest.param("User", _event(user="joe"), False, id="another-user"),
        pytest.param("SourceAndObject", _event(about="b"), False, id="another-object"),
        pytest.param("SourceAndObject", _event(user="joe"), True, id="the-same-object"),
    ],
)
async def test_who_shares_a_limit(type_: str, other: Attributes, shares: bool) -> None:
    plugin = _plugin(type_, FakeClock())
    assert await _taken(plugin, _event(), _event(), _event(), other) == [True, True, False, not shares]


async def test_time_gives_tokens_back_up_to_the_burst() -> None:
    clock = FakeClock()
    plugin = _plugin("Server", clock)
    assert await _taken(plugin, *[_event()] * 3) == [True, True, False]
    await clock.advance(1.0)
    assert await _taken(plugin, *[_event()] * 2) == [True, False]
    await clock.advance(100.0)
    assert await _taken(plugin, *[_event()] * 3) == [True, True, False]


async def test_a_refusal_names_the_limit() -> None:
    plugin = _plugin("Namespace", FakeClock(), burst=1)
    await plugin.validate(_event(), NoObjects())
    with pytest.raises(errors.TooManyRequests, match="limit reached on type Namespace for key web"):
        await plugin.validate(_event(), NoObjects())


async def test_dry_runs_and_other_kinds_cost_nothing() -> None:
    plugin = _plugin("Server", FakeClock(), burst=1)
    pod = Attributes(Operation.CREATE, kinds.PODS, User("jane"), "web", "p", obj={})
    assert await _taken(plugin, _event(dry_run=True), pod, _event()) == [True, True, True]
    newer = Kind("events.k8s.io", "v1", "Event", "events")
    event = Attributes(Operation.CREATE, newer, User("jane"), "web", "p", obj={})
    assert await _taken(plugin, event) == [False]


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"limits": []}, "must not be empty"),
        ({"limits": [{"type": "Cluster", "qps": 1, "burst": 1}]}, 'limits[0].type: Unsupported value: "Cluster"'),
        ({"limits": [{"type": "User", "qps": 0, "burst": 1}]}, "limits[0].qps: Invalid value: 0: must be positive"),
    ],
)
def test_a_bad_configuration_says_where(config: Json, text: str) -> None:
    with pytest.raises(ValueError) as problem:
        limits_of(config)
    assert text in str(problem.value)
