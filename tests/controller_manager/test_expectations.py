"""Expectations hold a key back until its writes are seen, and not for ever."""

from controller_manager.expectations import LIFETIME, Expectations
from machinery.aio.clock import FakeClock
from machinery.api.names import ObjectKey

KEY = ObjectKey("ns", "web")


def test_a_key_nothing_is_expected_of_is_satisfied() -> None:
    assert Expectations(FakeClock()).satisfied(KEY)


def test_creations_are_counted_down() -> None:
    expectations = Expectations(FakeClock())
    expectations.expect_creations(KEY, 2)
    expectations.creation_observed(KEY)
    assert not expectations.satisfied(KEY)
    expectations.creation_observed(KEY)
    assert expectations.satisfied(KEY)


def test_more_sights_than_expected_do_not_count_for_the_next_time() -> None:
    expectations = Expectations(FakeClock())
    expectations.expect_creations(KEY, 1)
    for _ in range(3):
        expectations.creation_observed(KEY)
    expectations.expect_creations(KEY, 1)
    assert not expectations.satisfied(KEY)


def test_the_same_deletion_seen_twice_counts_once() -> None:
    expectations = Expectations(FakeClock())
    expectations.expect_deletions(KEY, ["a", "b"])
    expectations.deletion_observed(KEY, "a")
    expectations.deletion_observed(KEY, "a")
    assert not expectations.satisfied(KEY)
    expectations.deletion_observed(KEY, "b")
    assert expectations.satisfied(KEY)


async def test_an_event_that_never_comes_holds_a_key_back_for_a_while_only() -> None:
    clock = FakeClock()
    expectations = Expectations(clock)
    expectations.expect_creations(KEY, 1)
    await clock.advance(LIFETIME)
    assert not expectations.satisfied(KEY)
    await clock.advance(1)
    assert expectations.satisfied(KEY)
