"""The work queue's contract, on a clock that tests move."""

import asyncio

import pytest

from machinery.aio.backoff import Backoff, PerKeyBackoff
from machinery.aio.clock import FakeClock
from machinery.aio.tasks import every, first_of, keep_running
from machinery.aio.workqueue import QueueShutDown, WorkQueue


async def test_keys_come_out_in_the_order_they_went_in() -> None:
    queue: WorkQueue[str] = WorkQueue()
    for key in ("b", "a", "c"):
        queue.add(key)
    assert [await queue.get() for _ in range(3)] == ["b", "a", "c"]


async def test_a_key_added_twice_is_worked_on_once() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.add("a")
    assert len(queue) == 1


async def test_a_key_added_while_worked_comes_back_only_after_done() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    key = await queue.get()
    queue.add("a")
    assert len(queue) == 0
    queue.done(key)
    assert await queue.get() == "a"


async def test_a_delayed_key_comes_when_its_time_has_come() -> None:
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add_after("late", 10)
    waiting = asyncio.ensure_future(queue.get())
    await clock.advance(9.9)
    assert not waiting.done()
    await clock.advance(0.2)
    assert waiting.result() == "late"


async def test_the_earliest_of_several_delays_wins() -> None:
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock)
    queue.add_after("a", 10)
    queue.add_after("a", 1)
    queue.add_after("a", 5)
    waiting = asyncio.ensure_future(queue.get())
    await clock.advance(1)
    assert waiting.result() == "a"
    queue.done("a")
    again = asyncio.ensure_future(queue.get())
    await clock.advance(20)
    assert not again.done()
    again.cancel()


async def test_a_failing_key_waits_longer_each_time_until_forgotten() -> None:
    backoff: PerKeyBackoff[str] = PerKeyBackoff(initial=1, maximum=5)
    assert [backoff.next("a") for _ in range(4)] == [1, 2, 4, 5]
    assert backoff.failures("a") == 4
    backoff.forget("a")
    assert backoff.next("a") == 1


async def test_rate_limited_keys_use_the_back_off() -> None:
    clock = FakeClock()
    queue: WorkQueue[str] = WorkQueue(clock, PerKeyBackoff(initial=1, maximum=60))
    queue.add_rate_limited("a")
    assert queue.num_requeues("a") == 1
    waiting = asyncio.ensure_future(queue.get())
    await clock.advance(1)
    assert waiting.result() == "a"


async def test_shutting_down_lets_the_rest_be_taken_and_then_raises() -> None:
    queue: WorkQueue[str] = WorkQueue()
    queue.add("a")
    queue.shut_down()
    queue.add("b")
    assert await queue.get() == "a"
    with pytest.raises(QueueShutDown):
        await queue.get()


async def test_all_waiting_workers_are_served() -> None:
    queue: WorkQueue[int] = WorkQueue()
    workers = [asyncio.ensure_future(queue.get()) for _ in range(5)]
    await asyncio.sleep(0)
    for number in range(5):
        queue.add(number)
    assert sorted(await asyncio.gather(*workers)) == [0, 1, 2, 3, 4]


def test_backoff_grows_to_its_maximum_and_starts_anew_after_reset() -> None:
    backoff = Backoff(initial=1, factor=2, maximum=5, jitter=0)
    assert [backoff.next() for _ in range(4)] == [1, 2, 4, 5]
    backoff.reset()
    assert backoff.next() == 1


async def test_a_loop_survives_what_it_does_not_expect() -> None:
    clock = FakeClock()
    calls = 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        if calls < 3:
            raise RuntimeError("unexpected")
        await clock.sleep(1000)

    loop = asyncio.ensure_future(keep_running("test", work, clock=clock))
    await clock.advance(60)
    assert calls == 3
    loop.cancel()


async def test_periodic_work_goes_on_after_a_failure() -> None:
    clock = FakeClock()
    calls = 0

    async def work() -> None:
        nonlocal calls
        calls += 1
        raise RuntimeError("each time")

    loop = asyncio.ensure_future(every(10, "test", work, clock=clock))
    await clock.advance(35)
    assert calls == 4
    loop.cancel()


@pytest.mark.parametrize(("problem", "traces"), [(RuntimeError("broken"), 1), (ConnectionRefusedError("away"), 0)])
async def test_a_failure_that_stays_is_logged_once_and_a_peer_that_is_away_without_a_trace(
    problem: Exception, traces: int, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()

    async def work() -> None:
        raise problem

    loop = asyncio.ensure_future(every(10, "test", work, clock=clock))
    await clock.advance(35)
    loop.cancel()
    assert caplog.text.count(f"test: {type(problem).__name__}: {problem}; again in 10 s") == 1
    assert caplog.text.count("Traceback") == traces


async def test_the_first_to_end_cancels_the_others() -> None:
    forever = asyncio.Event()
    cancelled = []

    async def wait() -> None:
        try:
            await forever.wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def fail() -> None:
        raise ValueError("first")

    with pytest.raises(ValueError, match="first"):
        await first_of(wait(), fail())
    assert cancelled == [True]
