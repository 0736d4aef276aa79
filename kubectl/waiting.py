"""Waiting for one object: until it is gone, or until something holds of it. What to wait for is the verbs'.

List, then watch from there; when the watch ends, start over. Nothing polls.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from kubectl.builder import Target
from kubectl.problems import Unreachable
from kubectl.session import Session
from machinery.api import errors, meta
from machinery.api.codec import Json

_PAUSE: Final = 1.0  # seconds before a lost server is tried again


async def states(session: Session, target: Target) -> AsyncGenerator[Json | None, None]:
    """The object as it is now and after each change, without end; None while it is not there.

    A server that goes away in between is waited for; one that was never there is an error.
    """
    reached = False
    while True:
        try:
            async with aclosing(_until_interrupted(session, target)) as found:
                async for state in found:
                    reached = True
                    yield state
        except Unreachable:
            if not reached:
                raise
            await asyncio.sleep(_PAUSE)


async def _until_interrupted(session: Session, target: Target) -> AsyncGenerator[Json | None, None]:
    path, params = target.kind.path(target.namespace), {"fieldSelector": f"metadata.name={target.name}"}
    kind = {"apiVersion": target.kind.api_version, "kind": target.kind.kind}
    answer = await session.call("GET", path, params=params)
    items = answer.get("items") or []
    yield kind | items[0] if items else None
    watched = params | {"resourceVersion": meta.resource_version_of(answer)}
    async with aclosing(session.events(path, params=watched)) as events:
        async for event in events:
            if event["type"] == "ERROR":
                if event["object"].get("code") == 410:  # too old: list again
                    return
                raise errors.from_status(event["object"])
            if event["type"] != "BOOKMARK":
                yield None if event["type"] == "DELETED" else event["object"]


async def until(session: Session, target: Target, holds: Callable[[Json | None], bool]) -> Json | None:
    """Wait until `holds` says so of the object (None: not there); gives the object as it was then."""
    async with aclosing(states(session, target)) as found:
        async for state in found:
            if holds(state):
                return state
    raise AssertionError("states never ends")


async def until_gone(session: Session, target: Target, uid: str = "") -> None:
    """Wait until the object is not there any more, or another one of its name is."""
    await until(session, target, lambda state: state is None or bool(uid) and meta.uid_of(state) != uid)
