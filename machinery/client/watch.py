"""One watch request as a stream of events. Reconnecting and relisting are the informer's."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from machinery.api import codec, errors
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.client.rest import Client

_SILENCE_ALLOWED: Final = 60.0  # seconds on top of the asked timeout before the connection counts as dead


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """ADDED, MODIFIED, DELETED or BOOKMARK, with the object. ERROR is raised instead."""

    type: str
    object: Json


@dataclass(frozen=True, slots=True)
class Scope:
    """What part of a kind is listed and watched."""

    kind: Kind
    namespace: str = ""
    label_selector: str = ""
    field_selector: str = ""


async def watch(
    client: Client, scope: Scope, resource_version: str, *, timeout_seconds: int = 300
) -> AsyncIterator[WatchEvent]:
    """Events after a revision, until the server ends the watch; raises Expired when the revision is too old."""
    params = {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": resource_version,
        "timeoutSeconds": str(timeout_seconds),
        "labelSelector": scope.label_selector,
        "fieldSelector": scope.field_selector,
    }
    path = scope.kind.path(scope.namespace)
    async with client.stream(path, params=params, read_timeout=timeout_seconds + _SILENCE_ALLOWED) as response:
        async for line in _lines(response.aiter_bytes()):
            event = codec.loads(line)
            if event["type"] == "ERROR":
                raise errors.from_status(event["object"])
            yield WatchEvent(event["type"], event["object"])


async def _lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    # Events are newline-delimited JSON; a chunk holds many, or a part of one.
    rest: list[bytes] = []
    async for chunk in chunks:
        first, newline, tail = chunk.partition(b"\n")
        rest.append(first)
        if not newline:
            continue
        yield b"".join(rest)
        *whole, last = tail.split(b"\n")
        for line in whole:
            if line:
                yield line
        rest = [last] if last else []
