"""When a request's turn comes: seats of priority levels, queues of flows, turns of the loop. No requests are here.

Theory of operation
-------------------
A level has seats: at most so many of its requests are under way. Seats that a level does not use are lent to others, as
far as its lendablePercent goes. What finds no seat waits in a queue of the level, or is refused where the queue is
full or the level has none. A flow has a hand of queues, chosen by its name, and takes the shortest of them: a flow that
fills its hand leaves most queues to others, whoever they are (upstream: KEP-1040, shuffle sharding).

Seats alone are not fair here, for all requests run on one thread: how many begin in a turn of the event loop, and
whether a client has enough under way, `company` says; the others wait in the same queues. When little is going on every
request begins at once, for no price but a counter.

Who begins is decided twice by virtual time (start-time fair queueing): between levels in proportion to their seats,
between the queues of a level equally; of queues at the same time, the shorter one comes first, so that who asks once
passes who fills a hand of queues. A queue that was empty joins at the present time: it can neither save up turns nor is
it behind.

Exempt levels wait for nothing.

Refused: upstream's periodic adjustment of borrowed seats (what is free now is known now); estimating the work of a
request beforehand; a fixed number of requests under way, which would waste the time that a slow etcd takes.
"""

import asyncio
import zlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from apiserver.fairness.company import PACE_BESIDE_FEW, WINDOW_SECONDS, Company


@dataclass(frozen=True, slots=True)
class Limits:
    """What a PriorityLevelConfiguration says, its shares turned into seats."""

    name: str
    uid: str = ""
    exempt: bool = False
    seats: int = 1
    lendable: int = 0
    #: seats it may have beyond its own; None: all that are lent
    borrowing: int | None = None
    #: 0: nothing waits, it is refused
    queues: int = 0
    hand: int = 1
    length: int = 50


class Refused(Exception):
    """There is no room, or the wait was too long; the text is upstream's word for the reason."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """One request that waits for its turn."""

    turn: asyncio.Future[None]
    client: str
    queue: "_Queue"


@dataclass(slots=True, eq=False)
class _Queue:
    """Requests of a few flows."""

    requests: deque[_Waiting] = field(default_factory=deque)
    virtual: float = 0.0


class Level:
    """One priority level at work."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.executing = 0
        self.waiting = 0
        self.dispatched = 0
        self.refused: dict[str, int] = {}
        self.virtual = 0.0
        self._now = 0.0  # virtual time of the queue that was last served
        self._queues = [_Queue() for _ in range(limits.queues)]
        self._active: dict[int, _Queue] = {}

    def configure(self, limits: Limits) -> None:
        """New limits for what comes from now on; what waits goes on waiting."""
        if limits.queues != self.limits.queues:
            self._queues = [_Queue() for _ in range(limits.queues)]
        self.limits = limits

    def enqueue(self, flow: str, client: str, turn: asyncio.Future[None]) -> _Waiting:
        """Wait in the shortest queue of a flow's hand; raises Refused."""
        if not self._queues:
            raise self.refuse("concurrency-limit")
        queue = min((self._queues[place] for place in self._hand(flow)), key=lambda one: len(one.requests))
        if len(queue.requests) >= self.limits.length:
            raise self.refuse("queue-full")
        if not queue.requests:
            queue.virtual = max(queue.virtual, self._now)
            self._active[id(queue)] = queue
        waiting = _Waiting(turn, client, queue)
        queue.requests.append(waiting)
        self.waiting += 1
        return waiting

    def next(self, may_begin: Callable[[str], bool]) -> _Waiting | None:
        """The request whose turn it is, of those whose clients may begin another."""
        able = (queue for queue in self._active.values() if may_begin(queue.requests[0].client))
        queue = min(able, key=lambda one: (one.virtual, len(one.requests)), default=None)
        if queue is None:
            return None
        self._now = max(self._now, queue.virtual)  # a queue that could not begin is behind the others
        queue.virtual += 1.0
        waiting = queue.requests.popleft()
        self._settle(queue)
        return waiting

    def forget(self, waiting: _Waiting) -> None:
        """A request that waits no longer; its turn may have come and found it gone."""
        if waiting in waiting.queue.requests:
            waiting.queue.requests.remove(waiting)
            self._settle(waiting.queue)

    def refuse(self, reason: str) -> Refused:
        """Count a refusal."""
        self.refused[reason] = self.refused.get(reason, 0) + 1
        return Refused(reason)

    def _settle(self, queue: _Queue) -> None:
        self.waiting -= 1
        if not queue.requests:
            del self._active[id(queue)]

    def _hand(self, flow: str) -> Iterable[int]:
        """Different queues, the same for a flow each time: cards dealt by its hash (upstream: shufflesharding)."""
        deck, hashed = list(range(len(self._queues))), _hash(flow)
        for _ in range(min(self.limits.hand, len(deck))):
            hashed, card = divmod(hashed, len(deck))
            yield deck.pop(card)


def _hash(flow: str) -> int:
    raw = flow.encode()
    return zlib.crc32(raw) << 32 | zlib.crc32(raw, 0x9E3779B9)


class Dispatcher:
    """All levels, and whose turn it is."""

    def __init__(self, company: Company | None = None) -> None:
        self.levels: dict[str, Level] = {}
        self._company = company or Company()
        self._begun = 0  # in this turn of the loop
        self._ticking = False
        self._looking: asyncio.TimerHandle | None = None

    def configure(self, limits: Iterable[Limits]) -> None:
        """Take over what the levels should be; those that are gone end what they have begun."""
        wanted = {one.name: one for one in limits}
        for name, level in list(self.levels.items()):
            if name not in wanted and not level.waiting:
                del self.levels[name]
        for name, one in wanted.items():
            if name in self.levels:
                self.levels[name].configure(one)
            else:
                self.levels[name] = Level(one)
        self._wake()

    def enter_at_once(self, level: Level, client: str) -> bool:
        """Begin a client's request now, if nothing has to wait; to be ended with `leave`."""
        limits, company = level.limits, self._company
        if limits.queues:
            company.asks(client, asyncio.get_running_loop().time())
            if self._begun >= company.pace or not company.may_begin(client) or not self._has_seat(level):
                return False
            if level.waiting and (company.pace != PACE_BESIDE_FEW or level.executing + 1 >= limits.seats):
                return False  # the last seat is for those who wait
            self._begun += 1
            if not self._ticking:
                self._tick_soon()
        elif not limits.exempt and not self._has_seat(level):
            return False
        self._begin(level, client)
        return True

    def _begin(self, level: Level, client: str) -> None:
        level.executing += 1
        level.dispatched += 1
        self._company.begins(client)

    async def enter(self, level: Level, flow: str, client: str, seconds: float) -> None:
        """Wait for a turn at most so long; raises Refused. To be ended with `leave`."""
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        waiting = level.enqueue(flow, client, turn)
        if level.waiting == 1:
            level.virtual = max(level.virtual, self._least_virtual(level))
        if not self._ticking:
            self._tick_soon()
        timer = loop.call_later(seconds, _give_up, turn)
        try:
            await turn
        except TimeoutError as problem:
            level.forget(waiting)
            raise level.refuse("time-out") from problem
        except asyncio.CancelledError:
            if turn.cancelled() or turn.exception() is not None:
                level.forget(waiting)
            else:
                self.leave(level, client)  # its turn came just when the client went
            raise
        finally:
            timer.cancel()

    def leave(self, level: Level, client: str) -> None:
        """A client's request has ended: its seat is free."""
        level.executing -= 1
        self._company.ends(client)
        self._wake()

    def _is_anybody_waiting(self) -> bool:
        return any(one.waiting for one in self.levels.values())

    def _has_seat(self, level: Level) -> bool:
        limits = level.limits
        if level.executing < limits.seats:
            return True
        borrowed = level.executing - limits.seats
        if limits.borrowing is not None and borrowed >= limits.borrowing:
            return False
        return borrowed < sum(_lent_by(other) for other in self.levels.values() if other is not level)

    def _least_virtual(self, level: Level) -> float:
        return min((one.virtual for one in self.levels.values() if one.waiting and one is not level), default=0.0)

    def _wake(self) -> None:
        """Somebody who waits may begin now."""
        if not self._ticking and self._is_anybody_waiting():
            self._tick_soon()

    def _tick_soon(self) -> None:
        self._ticking = True
        asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        """A new turn of the loop: the next requests begin."""
        self._begun, self._ticking = 0, False
        loop = asyncio.get_running_loop()
        self._company.look(loop.time())
        while self._begun < self._company.pace and (found := self._next()) is not None:
            level, waiting = found
            if waiting.turn.done():
                continue  # it has given up
            level.virtual += 1.0 / level.limits.seats
            self._begun += 1
            self._begin(level, waiting.client)
            waiting.turn.set_result(None)
        if self._begun:
            self._tick_soon()
        elif self._looking is None and self._is_anybody_waiting():  # what is under way may end late
            self._looking = loop.call_later(WINDOW_SECONDS, self._look_again)

    def _look_again(self) -> None:
        self._looking = None
        self._wake()

    def _next(self) -> tuple[Level, _Waiting] | None:
        able = [level for level in self.levels.values() if level.waiting and self._has_seat(level)]
        for level in sorted(able, key=lambda one: one.virtual):
            if (waiting := level.next(self._company.may_begin)) is not None:
                return level, waiting
        return None


def _lent_by(level: Level) -> int:
    limits = level.limits
    return 0 if limits.exempt else max(0, min(limits.lendable, limits.seats - level.executing))


def _give_up(turn: asyncio.Future[None]) -> None:
    if not turn.done():
        turn.set_exception(TimeoutError())
