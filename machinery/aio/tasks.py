"""Loops that go on for ever: what fails is logged once with its context, and tried again after a back-off."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from machinery.aio.backoff import Backoff
from machinery.aio.clock import REAL, Clock

logger = logging.getLogger(__name__)

P = ParamSpec("P")
T = TypeVar("T")


async def keep_running(name: str, work: Callable[[], Awaitable[None]], *, clock: Clock = REAL) -> None:
    """Call `work` again and again; when it raises, log it once per distinct error and back off (0.5 to 30 s)."""
    backoff = Backoff()
    last = ""
    while True:
        started = clock.monotonic()
        try:
            await work()
            last = ""
            backoff.reset()
        except Exception as problem:  # the loop outlives any single failure: nobody would restart it
            if clock.monotonic() - started > backoff.maximum:
                backoff.reset()
            text = f"{type(problem).__name__}: {problem}"
            if text != last:
                trace = logger.isEnabledFor(logging.DEBUG) and not isinstance(problem, OSError)
                logger.warning("%s: %s; trying again", name, text, exc_info=trace)
                last = text
            await clock.sleep(backoff.next())


async def every(seconds: float, name: str, work: Callable[[], Awaitable[None]], *, clock: Clock = REAL) -> None:
    """Call `work` at once and then each so many seconds after it ended; a failure is logged and does not end it."""
    last = ""
    while True:
        try:
            await work()
            last = ""
        except Exception as problem:  # the next round may succeed; the period is the back-off
            text = f"{type(problem).__name__}: {problem}"
            if text != last:  # of a peer that is away, one line says it all
                logger.warning("%s: %s; again in %g s", name, text, seconds, exc_info=not isinstance(problem, OSError))
                last = text
        await clock.sleep(seconds)


async def first_of(*works: Awaitable[object]) -> None:
    """Wait until one of several awaitables ends, then cancel the rest; raises what the first one raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def in_thread(aside: bool, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `work` answers, found in a thread if `aside` says so: pure work on much data, while the loop goes on."""
    return await asyncio.to_thread(work, *args, **kwargs) if aside else work(*args, **kwargs)
