"""The process frame: uvloop, signals, exit codes. What the process does is its `__main__`'s TaskGroup."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

import uvloop

logger = logging.getLogger(__name__)


class Stop(Exception):
    """Raised inside a process to end it with a message and an exit code."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> NoReturn:
    """Run `main` until it ends or SIGTERM or SIGINT cancels it; the exit code is 0 unless it raised."""
    gc.set_threshold(50_000, 20, 100)  # caches are large and live long: young collections only
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            code = runner.run(_until_stopped(main))
    except KeyboardInterrupt:
        code = 130
    sys.stderr.flush()
    raise SystemExit(code)


async def _until_stopped(main: Callable[[], Coroutine[Any, Any, None]]) -> int:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(main())
    stopped: list[signal.Signals] = []

    def stop(signum: signal.Signals) -> None:
        logger.info("%s: stopping", signum.name)
        stopped.append(signum)
        task.cancel()

    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop, signum)
    try:
        await task
    except asyncio.CancelledError:
        return 0 if stopped else 1
    except BaseExceptionGroup as group:
        return _report(group)
    except Stop as problem:
        logger.error("%s", problem)
        return problem.code
    except Exception:  # the last place that can say why the process ends
        logger.exception("the process ends because of an unexpected error")
        return 1
    return 0


def _report(group: BaseExceptionGroup[BaseException]) -> int:
    stops = group.subgroup(Stop)
    if stops is not None:
        problem = _first(stops)
        logger.error("%s", problem)
        return problem.code if isinstance(problem, Stop) else 1
    logger.error("the process ends because of an unexpected error", exc_info=group)
    return 1


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
