"""Whose turn it is: seats, queues, pace."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from apiserver.fairness.company import PACE, PACE_ALONE, PACE_BESIDE_FEW, Company, thread_seconds
from apiserver.fairness.queues import Dispatcher, Level, Limits, Refused

WIDE = Limits("wide", seats=100, queues=64, hand=6, length=50)
NARROW = Limits("narrow", seats=1, queues=8, hand=2, length=3)


def _dispatcher(*limits: Limits, worked: Callable[[], float] = thread_seconds) -> Dispatcher:
    made = Dispatcher(Company(worked))
    made.configure(limits)
    return made


async def _spin(turns: int = 1) -> None:
    for _ in range(turns):
        await asyncio.sleep(0)


class Crowd:
    """Requests that tell when they began."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self.begun: list[str] = []
        self.refused: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    def come(self, level: Level, flow: str, *, seconds: float = 60.0) -> asyncio.Task[None]:
        """One more."""
        task = asyncio.get_running_loop().create_task(self._run(level, flow, seconds))
        self.tasks.append(task)
        return task

    async def _run(self, level: Level, flow: str, seconds: float) -> None:
        try:
            if not self.dispatcher.enter_at_once(level, flow):
                await self.dispatcher.enter(level, flow, flow, seconds)
        except Refused as problem:
            self.refused.append(str(problem))
            return
        self.begun.append(flow)
        self.dispatcher.leave(level, flow)


async def test_an_idle_server_keeps_nobody_waiting() -> None:
    dispatcher = _dispatcher(WIDE)
    level = dispatcher.levels["wide"]
    assert dispatcher.enter_at_once(level, "a")
    dispatcher.leave(level, "a")
    await _spin(2)
    assert dispatcher.enter_at_once(level, "a")


async def test_only_a_few_begin_in_a_turn_of_the_loop() -> None:
    dispatcher = _dispatcher(WIDE)
    level = dispatcher.levels["wide"]
    begun = [dispatcher.enter_at_once(level, f"client {number}") for number in range(PACE_BESIDE_FEW + 1)]
    assert begun == [True] * PACE_BESIDE_FEW + [False]
    await _spin(2)
    assert dispatcher.enter_at_once(level, "a")


async def test_a_client_that_is_alone_may_begin_many_at_once() -> None:
    dispatcher = _dispatcher(WIDE)
    level = dispatcher.levels["wide"]
    assert [dispatcher.enter_at_once(level, "a") for _ in range(PACE_ALONE + 1)] == [True] * PACE_ALONE + [False]


async def test_a_quiet_client_comes_before_what_a_noisy_one_has_waiting() -> None:
    dispatcher = _dispatcher(WIDE)
    level, crowd = dispatcher.levels["wide"], Crowd(dispatcher)
    for _ in range(250):
        crowd.come(level, "noisy")
    await crowd.come(level, "quiet")  # from now on the noisy one is not alone
    await _spin(2)
    assert level.waiting > 100
    before = len(crowd.begun)
    quiet = crowd.come(level, "quiet")
    await quiet
    # at most one round of the noisy client's hand of queues, and those that begin in the same turns
    assert len(crowd.begun) - before <= WIDE.hand + 4 * PACE
    await asyncio.gather(*crowd.tasks)
    assert Counter(crowd.begun) == {"noisy": 250, "quiet": 2}


async def test_who_comes_after_one_that_was_held_back_does_not_pass_who_waits_longer() -> None:
    """Virtual time does not run backwards to the queue of a client that had its share under way."""
    level, loop = Level(WIDE), asyncio.get_running_loop()
    for client in ("held", "long") * 20:
        level.enqueue(client, client, loop.create_future())
    for _ in range(10):
        level.next(lambda client: client != "held")
    level.next(lambda client: client == "held")
    for _ in range(10):
        level.enqueue("new", "new", loop.create_future())
    served = [found.client for _ in range(10) if (found := level.next(lambda client: client != "held"))]
    assert served.count("long") >= 3, served


async def _company(dispatcher: Dispatcher) -> Level:
    """Two clients; one of them has its share under way and more that waits."""
    level = dispatcher.levels["wide"]
    for client in ("quiet", "noisy"):
        assert dispatcher.enter_at_once(level, client)
        await _spin(2)
    dispatcher.leave(level, "quiet")
    assert not dispatcher.enter_at_once(level, "noisy")
    return level


async def test_beside_others_a_client_has_a_share_under_way_while_the_thread_is_busy() -> None:
    dispatcher = _dispatcher(WIDE, worked=asyncio.get_running_loop().time)
    level, crowd = await _company(dispatcher), Crowd(dispatcher)
    noisy = crowd.come(level, "noisy")
    for _ in range(20):
        await crowd.come(level, "quiet")  # passes: it has not its share
    assert (set(crowd.begun), level.waiting) == ({"quiet"}, 1)
    dispatcher.leave(level, "noisy")
    await noisy
    assert crowd.begun[-1] == "noisy"


async def test_who_waits_for_somebody_that_asks_no_more_begins_by_itself() -> None:
    dispatcher = _dispatcher(WIDE, worked=asyncio.get_running_loop().time)
    level, crowd = await _company(dispatcher), Crowd(dispatcher)
    await asyncio.wait_for(crowd.come(level, "noisy"), 10)


async def test_seats_bound_what_is_under_way() -> None:
    dispatcher = _dispatcher(NARROW)
    level = dispatcher.levels["narrow"]
    assert dispatcher.enter_at_once(level, "a")
    crowd = Crowd(dispatcher)
    crowd.come(level, "a")
    await _spin(5)
    assert (crowd.begun, level.waiting, level.executing) == ([], 1, 1)
    dispatcher.leave(level, "a")
    await asyncio.gather(*crowd.tasks)
    assert (crowd.begun, level.waiting, level.executing) == (["a"], 0, 0)


async def test_who_comes_as_a_seat_becomes_free_does_not_pass_those_who_wait_for_it() -> None:
    dispatcher = _dispatcher(NARROW)
    level, crowd = dispatcher.levels["narrow"], Crowd(dispatcher)
    assert dispatcher.enter_at_once(level, "a")
    await _spin(2)
    first = crowd.come(level, "b")
    await _spin(5)
    dispatcher.leave(level, "a")
    second = crowd.come(level, "c")
    assert not dispatcher.enter_at_once(level, "c")
    await asyncio.gather(first, second)
    assert crowd.begun == ["b", "c"]


async def test_new_seats_are_for_those_who_wait() -> None:
    dispatcher = _dispatcher(NARROW)
    level, crowd = dispatcher.levels["narrow"], Crowd(dispatcher)
    assert dispatcher.enter_at_once(level, "a")
    crowd.come(level, "a")
    await _spin(5)
    dispatcher.configure([Limits("narrow", seats=2, queues=8, hand=2, length=3)])
    await _spin(3)
    assert crowd.begun == ["a"]


async def test_a_full_queue_refuses() -> None:
    dispatcher = _dispatcher(NARROW)
    level = dispatcher.levels["narrow"]
    assert dispatcher.enter_at_once(level, "a")
    crowd = Crowd(dispatcher)
    for _ in range(NARROW.hand * NARROW.length + 2):
        crowd.come(level, "a")
    await _spin(3)
    assert crowd.refused == ["queue-full"] * 2 and level.refused == {"queue-full": 2}
    dispatcher.leave(level, "a")
    await asyncio.gather(*crowd.tasks)


async def test_a_level_without_queues_refuses_what_finds_no_seat() -> None:
    dispatcher = _dispatcher(Limits("reject", seats=2))
    level = dispatcher.levels["reject"]
    assert [dispatcher.enter_at_once(level, "a") for _ in range(3)] == [True, True, False]
    with pytest.raises(Refused, match="concurrency-limit"):
        await dispatcher.enter(level, "a", "a", 1.0)


async def test_who_waits_too_long_is_refused() -> None:
    dispatcher = _dispatcher(NARROW)
    level = dispatcher.levels["narrow"]
    assert dispatcher.enter_at_once(level, "a")
    crowd = Crowd(dispatcher)
    await crowd.come(level, "a", seconds=0.0)
    assert (crowd.refused, level.waiting) == (["time-out"], 0)


async def test_a_client_that_goes_leaves_no_trace() -> None:
    dispatcher = _dispatcher(NARROW)
    level = dispatcher.levels["narrow"]
    assert dispatcher.enter_at_once(level, "a")
    crowd = Crowd(dispatcher)
    task = crowd.come(level, "a")
    await _spin(2)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (level.waiting, level.executing) == (0, 1)
    dispatcher.leave(level, "a")
    await _spin(2)
    assert level.executing == 0


async def test_a_client_that_goes_as_its_turn_comes_gives_its_seat_back() -> None:
    dispatcher = _dispatcher(NARROW)
    level = dispatcher.levels["narrow"]
    assert dispatcher.enter_at_once(level, "a")
    task = Crowd(dispatcher).come(level, "a")
    await _spin(2)
    dispatcher.leave(level, "a")
    while level.waiting:
        await _spin()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (level.waiting, level.executing) == (0, 0)


@pytest.mark.parametrize("turns", range(6))
async def test_a_client_that_goes_as_its_time_is_up_takes_no_seat_away(turns: int) -> None:
    dispatcher = _dispatcher(NARROW)
    level = dispatcher.levels["narrow"]
    assert dispatcher.enter_at_once(level, "a")
    task = Crowd(dispatcher).come(level, "a", seconds=0.0)
    await _spin(turns)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert (level.waiting, level.executing) == (0, 1)


@pytest.mark.parametrize(("before", "after"), [(8, 0), (0, 8)])
async def test_shares_are_right_after_a_level_got_or_lost_its_queues(before: int, after: int) -> None:
    """What is counted as it begins is what is counted as it ends."""
    dispatcher = _dispatcher(WIDE, Limits("other", seats=100, queues=before), worked=lambda: 0.0)
    wide, other = dispatcher.levels["wide"], dispatcher.levels["other"]
    for _ in range(70):  # more than the largest share
        assert dispatcher.enter_at_once(other, "a")
        await _spin(2)
    assert dispatcher.enter_at_once(wide, "a")
    dispatcher.configure([WIDE, Limits("other", seats=100, queues=after)])
    for _ in range(70):
        dispatcher.leave(other, "a")
    dispatcher.leave(wide, "a")
    dispatcher.enter_at_once(wide, "b")  # from now on shares count
    await _spin(2)
    assert dispatcher.enter_at_once(wide, "a")
    await _spin(2)
    assert not dispatcher.enter_at_once(wide, "a")


async def test_idle_levels_lend_what_they_may() -> None:
    poor = Limits("poor", seats=1, queues=8)
    rich = Limits("rich", seats=4, lendable=2, queues=8)
    dispatcher = _dispatcher(poor, rich)
    level = dispatcher.levels["poor"]
    entered = 0
    for _ in range(6):
        entered += dispatcher.enter_at_once(level, "a")
        await _spin(2)
    assert entered == 3
    dispatcher.configure([Limits("poor", seats=1, queues=8, borrowing=1), rich])
    dispatcher.leave(level, "a")
    await _spin(2)
    assert not dispatcher.enter_at_once(level, "a")


async def test_levels_take_turns_by_their_shares() -> None:
    large, small = Limits("large", seats=30, queues=8, length=200), Limits("small", seats=10, queues=8, length=200)
    dispatcher = _dispatcher(large, small)
    crowd = Crowd(dispatcher)
    for _ in range(100):
        crowd.come(dispatcher.levels["large"], "large")
        crowd.come(dispatcher.levels["small"], "small")
    while len(crowd.begun) < 80:
        await _spin()
    early = Counter(crowd.begun[:80])
    assert 55 <= early["large"] <= 65, early
    await asyncio.gather(*crowd.tasks)


async def test_exempt_requests_wait_for_nothing() -> None:
    dispatcher = _dispatcher(Limits("exempt", exempt=True))
    assert all(dispatcher.enter_at_once(dispatcher.levels["exempt"], "a") for _ in range(1000))


async def test_a_level_that_is_gone_ends_what_it_has() -> None:
    dispatcher = _dispatcher(NARROW, WIDE)
    level = dispatcher.levels["narrow"]
    assert dispatcher.enter_at_once(level, "a")
    crowd = Crowd(dispatcher)
    crowd.come(level, "a")
    await _spin(3)
    dispatcher.configure([WIDE])
    dispatcher.leave(level, "a")
    await asyncio.gather(*crowd.tasks)
    assert crowd.begun == ["a"]
    dispatcher.configure([WIDE])
    assert set(dispatcher.levels) == {"wide"}
