"""The one loop: informer → work queue → reconcile(key). What a key means is the controller's."""

import asyncio
import logging
from collections.abc import Awaitable
from typing import Protocol

from machinery.aio.workqueue import QueueShutDown, WorkQueue
from machinery.api import errors, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.informer import Informers, OnChange
from machinery.client.rest import ConnectionProblem

logger = logging.getLogger(__name__)


class Controller(Protocol):
    """A queue of keys and what to do with one."""

    name: str
    queue: WorkQueue[ObjectKey]

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Bring the world in line for one key; returns seconds until another look, or None."""


async def run_controller(controller: Controller, informers: Informers, workers: int = 5) -> None:
    """Reconcile what comes out of the queue, `workers` keys at a time, once the caches are filled. For ever."""
    await informers.wait_for_sync()
    logger.info("%s: caches are synced, %d workers start", controller.name, workers)
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(workers):
                group.create_task(_work(controller), name=f"{controller.name} {number}")
    finally:
        controller.queue.shut_down()


async def _work(controller: Controller) -> None:
    while True:
        try:
            key = await controller.queue.get()
        except QueueShutDown:
            return
        try:
            await _reconcile_one(controller, key)
        finally:
            controller.queue.done(key)


async def _reconcile_one(controller: Controller, key: ObjectKey) -> None:
    queue = controller.queue
    try:
        again = await controller.reconcile(key)
    except errors.Conflict as problem:  # the cache was behind; the event that brings it up to date is on its way
        logger.debug("%s: %s: %s", controller.name, key, problem)
        queue.add_rate_limited(key)
    except (errors.StatusError, ConnectionProblem) as problem:
        level = logging.WARNING if queue.num_requeues(key) == 0 else logging.DEBUG
        logger.log(level, "%s: %s: %s; trying again", controller.name, key, problem)
        queue.add_rate_limited(key)
    except Exception:  # one bad object must not stop the controller for all others
        if queue.num_requeues(key) == 0:
            logger.exception("%s: %s: reconcile failed; trying again", controller.name, key)
        queue.add_rate_limited(key)
    else:
        queue.forget(key)
        if again is not None:
            queue.add_after(key, again)


def enqueue_itself(queue: WorkQueue[ObjectKey]) -> OnChange:
    """A handler that enqueues the key of the object that changed."""

    def on_change(old: Json | None, new: Json | None) -> None:
        queue.add(meta.key_of(new or old or {}))

    return on_change


def enqueue_owner(owner_kind: str, queue: WorkQueue[ObjectKey]) -> OnChange:
    """A handler that enqueues the managing controller of a kind; both the old and the new one where it changed."""

    def on_change(old: Json | None, new: Json | None) -> None:
        for obj in (old, new):
            owner = meta.controller_of(obj) if obj else None
            if obj and owner and owner.get("kind") == owner_kind:
                queue.add(ObjectKey(meta.namespace_of(obj), owner["name"]))

    return on_change


async def ignore_not_found(work: Awaitable[Json]) -> Json | None:
    """The result, or None when the object is already gone: success for a delete."""
    try:
        return await work
    except errors.NotFound:
        return None
