"""Permit plugins that let pods wait: the page's gang, refusals, time, and what happens to a pod meanwhile."""

import re
from pathlib import Path
from typing import ClassVar

import pytest

from scheduler.config import Profile, build
from scheduler.framework import CycleState, Handle, Status, wait
from scheduler.plugins.default_binder import DefaultBinder
from scheduler.pods import Pod
from scheduler.queue import Place
from scheduler.runtime import Enabled, Runtime
from scheduler.waiting import WaitingPod
from tests.scheduler.objects import key, pod
from tests.scheduler.test_scheduler import running

PAGE = Path(__file__).parents[2] / "docs" / "scheduling.md"


class Slow:
    """Lets every pod wait."""

    name: ClassVar[str] = "Slow"

    def permit(self, state: CycleState, pod: Pod, node: str) -> Status:
        """Ten seconds."""
        return wait(10)


def _slow(shared: Handle) -> Runtime:
    return Runtime("default-scheduler", {"permit": [Enabled(Slow())], "bind": [Enabled(DefaultBinder(shared))]})


def _gang(folder: Path, shared: Handle) -> Runtime:
    [text] = [block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "Gang" in block]
    (folder / "gang.py").write_text(text)
    profile = Profile.model_validate(
        {
            "plugins": {"multiPoint": {"enabled": [{"name": "Gang"}]}},
            "pluginConfig": [{"name": "Gang", "args": {"module": str(folder / "gang.py")}}],
        }
    )
    return build(profile, shared)


async def test_a_gang_is_bound_together_and_others_do_not_wait(tmp_path: Path) -> None:
    async with running(lambda shared: _gang(tmp_path, shared)) as setup:
        gang = {"gang": "a", "gang-size": "3"}
        for name in ("one", "two"):
            setup.add_pod(name, labels=gang)
        setup.add_pod("alone")
        await setup.clock.advance(1)
        assert setup.client.bindings == {"alone": "n1"}
        assert setup.used() == [300]
        setup.add_pod("three", labels=gang)
        await setup.clock.advance(0)
        assert set(setup.client.bindings) == {"alone", "one", "two", "three"}
        assert not list(setup.waiting)


async def test_time_is_up_and_the_node_is_given_back() -> None:
    async with running(_slow) as setup:
        setup.add_pod("p")
        await setup.clock.advance(9)
        assert (setup.used(), setup.client.bindings) == ([100], {})
        await setup.clock.advance(1)
        assert (setup.used(), setup.client.bindings) == ([0], {})
        assert setup.client.conditions["p"]["reason"] == "Unschedulable"
        assert setup.recorder.events[-1] == (
            "FailedScheduling",
            "rejected due to timeout after waiting 10s at plugin Slow",
        )


async def test_a_refused_pod_is_queued_again() -> None:
    async with running(_slow) as setup:
        setup.add_pod("p")
        await setup.clock.advance(0)
        [waiting] = setup.waiting
        waiting.reject("Slow", "not today")
        waiting.allow("Slow")
        await setup.clock.advance(0)
        assert setup.recorder.events[-1] == ("FailedScheduling", "not today")
        assert setup.scheduler.queue.place_of(key("p")) is not Place.IN_FLIGHT
        assert setup.used() == [0]


async def test_a_pod_deleted_while_it_waits_holds_nothing_and_is_not_bound() -> None:
    async with running(_slow) as setup:
        doomed = setup.add_pod("p")
        await setup.clock.advance(1)
        setup.informers.tell("pods", doomed, None)
        await setup.clock.advance(20)
        assert (setup.used(), setup.client.bindings, list(setup.waiting)) == ([0], {}, [])
        assert setup.scheduler.queue.place_of(key("p")) is None


@pytest.mark.parametrize(("wanted", "granted"), [(10.0, 10.0), (1e9, 900.0)])
async def test_nobody_waits_longer_than_a_quarter_of_an_hour(wanted: float, granted: float) -> None:
    assert WaitingPod(pod("p"), "n1", {"Slow": wanted}).seconds == {"Slow": granted}
