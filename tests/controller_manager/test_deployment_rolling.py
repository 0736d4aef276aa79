"""The arithmetic of rollouts. Numbers are upstream's (pkg/controller/deployment tests and documentation)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller_manager import deployment_rolling as rolling
from controller_manager.deployment_revisions import DESIRED_REPLICAS, MAX_REPLICAS
from machinery.api import meta
from machinery.api.codec import Json
from tests.controller_manager.objects import deployment, replica_set


def _rolling(replicas: int, surge: Any, unavailable: Any, **more: Any) -> Json:
    update = {"maxSurge": surge, "maxUnavailable": unavailable}
    return deployment(replicas, spec={"strategy": {"type": "RollingUpdate", "rollingUpdate": update}}, **more)


def _sizes(steps: list[rolling.Resize]) -> dict[str, int]:
    return {meta.name_of(step.replica_set): step.replicas for step in steps}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        pytest.param(10, "25%", "25%", (3, 2), id="surge-up-unavailable-down"),
        pytest.param(1, "25%", "25%", (1, 0), id="one-replica"),
        pytest.param(10, 0, 0, (0, 1), id="both-zero-would-stall"),
        pytest.param(3, "0%", "10%", (0, 1), id="both-rounded-to-zero"),
        pytest.param(2, 1, 5, (1, 2), id="no-more-unavailable-than-there-are"),
        pytest.param(0, 1, 1, (1, 0), id="no-replicas"),
    ],
)
def test_surge_and_unavailability(replicas: int, surge: Any, unavailable: Any, expected: tuple[int, int]) -> None:
    wanted = _rolling(replicas, surge, unavailable)
    assert (rolling.max_surge(wanted), rolling.max_unavailable(wanted)) == expected


def test_recreate_has_neither() -> None:
    wanted = deployment(4, spec={"strategy": {"type": "Recreate"}})
    assert (rolling.max_surge(wanted), rolling.max_unavailable(wanted)) == (0, 0)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param((10, 10), (0, 0), {"new": 3}, id="the-surge-first"),
        pytest.param((10, 10), (3, 0), {"old": 8}, id="then-as-many-old-as-may-be-missing"),
        pytest.param((8, 8), (3, 0), {"new": 5}, id="room-again"),
        pytest.param((8, 8), (5, 0), {}, id="waiting-for-new-pods"),
        pytest.param((8, 8), (5, 5), {"old": 3}, id="new-ones-are-available"),
        pytest.param((8, 5), (5, 0), {}, id="unhealthy-old-pods-must-wait-when-new-ones-are-not-available"),
        pytest.param((10, 4), (0, 0), {"new": 3}, id="unhealthy-old-still-the-surge-first"),
        pytest.param((10, 4), (3, 0), {"old": 8}, id="unhealthy-old-go-before-healthy-ones"),
        pytest.param((1, 1), (10, 10), {"old": 0}, id="the-last-one"),
        pytest.param((0, 0), (10, 10), {}, id="done"),
        pytest.param((0, 0), (12, 12), {"new": 10}, id="too-many-new-ones"),
    ],
)
def test_the_next_step_of_a_rolling_update_of_ten(
    old: tuple[int, int], new: tuple[int, int], expected: dict[str, int]
) -> None:
    steps = rolling.plan_rolling(
        _rolling(10, "25%", "25%"),
        replica_set("new", new[0], available=new[1]),
        [replica_set("old", old[0], available=old[1])],
    )
    assert _sizes(steps) == expected


@given(
    replicas=st.integers(0, 20),
    surge=st.integers(0, 5),
    unavailable=st.integers(0, 5),
    ready=st.lists(st.booleans(), min_size=60, max_size=60),
)
def test_a_rollout_ends_within_its_bounds(replicas: int, surge: int, unavailable: int, ready: list[bool]) -> None:
    """Pods become available at random moments; at none are there too many pods or too few available ones."""
    wanted = _rolling(replicas, surge, unavailable)
    most = replicas + rolling.max_surge(wanted)
    least = replicas - rolling.max_unavailable(wanted)
    sizes, available = {"new": 0, "old": replicas}, {"new": 0, "old": replicas}
    for is_ready in [*ready, *([True] * 80)]:
        new = replica_set("new", sizes["new"], available=available["new"])
        steps = rolling.plan_rolling(wanted, new, [replica_set("old", sizes["old"], available=available["old"])])
        sizes |= _sizes(steps)
        available["old"] = min(available["old"], sizes["old"])
        available["new"] = min(available["new"], sizes["new"]) + (is_ready and available["new"] < sizes["new"])
        assert sum(sizes.values()) <= most
        assert sum(available.values()) >= least
    assert sizes == {"new": replicas, "old": 0}


def _sized(desired: int, maximum: int) -> dict[str, str]:
    return {DESIRED_REPLICAS: str(desired), MAX_REPLICAS: str(maximum)}


@pytest.mark.parametrize(
    ("replicas", "sizes", "expected"),
    [
        pytest.param(12, {"new": 10}, {"new": 12}, id="up-alone"),
        pytest.param(6, {"new": 10}, {"new": 6}, id="down-alone"),
        pytest.param(20, {"new": 5, "old": 5}, {"new": 14, "old": 9}, id="up-with-the-leftover-to-the-newer"),
        pytest.param(4, {"new": 5, "old": 5}, {"new": 4, "old": 3}, id="down-older-first"),
        pytest.param(0, {"new": 5, "old": 5}, {"new": 0, "old": 0}, id="down-to-nothing"),
        pytest.param(10, {"new": 8, "old": 2}, {"new": 11, "old": 2}, id="leftovers-to-the-largest"),
        pytest.param(7, {"new": 0, "old": 10}, {"old": 7}, id="only-the-old-one-is-active"),
    ],
)
def test_scaling_is_spread_in_proportion(replicas: int, sizes: dict[str, int], expected: dict[str, int]) -> None:
    wanted = _rolling(replicas, 3, 2)
    sets = {
        name: replica_set(
            name, size, annotations=_sized(10, 13), created=f"2026-01-01T00:00:0{'1' if name == 'new' else '0'}Z"
        )
        for name, size in sizes.items()
    }
    old = [sets["old"]] if "old" in sets else []
    assert _sizes(rolling.plan_scaling(wanted, sets["new"], old)) == expected


def test_a_saturated_deployment_scales_its_old_replica_sets_to_zero() -> None:
    new = replica_set("new", 10, annotations=_sized(10, 13))
    old = replica_set("old", 2, annotations=_sized(9, 12))
    assert _sizes(rolling.plan_scaling(_rolling(10, 3, 2), new, [old])) == {"old": 0}


@pytest.mark.parametrize(
    ("desired", "replicas", "expected"),
    [("3", 3, False), ("3", 5, True), ("", 5, False), ("x", 5, False)],
)
def test_scaling_is_noticed_by_what_a_replica_set_remembers(desired: str, replicas: int, expected: bool) -> None:
    rs = replica_set("new", 3, annotations={DESIRED_REPLICAS: desired} if desired else {})
    assert rolling.is_scaling(deployment(replicas), [rs]) is expected


def test_a_size_reached_by_chance_is_still_remembered() -> None:
    rs = replica_set("new", 2, annotations=_sized(3, 4))
    wanted = _rolling(2, 1, 0)
    assert rolling.is_scaling(wanted, [rs])
    assert _sizes(rolling.plan_scaling(wanted, rs, [])) == {"new": 2}
