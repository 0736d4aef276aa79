"""gzip for large answers, where the client takes it. Which are large is `answers`; watches and logs never pass here.

Over TLS, compressing with isal at level 1 costs less than sending plain; below 128 KiB (upstream's threshold too)
neither matters. Without isal the standard library does it, seven times slower.
"""

import asyncio
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from importlib import import_module
from typing import Any, Final

engine: Any = zlib
with suppress(ImportError):
    engine = import_module("isal.isal_zlib")

THRESHOLD: Final = 128 * 1024
_GZIP: Final = 31  # window bits: 15, with gzip's header
HEADERS: Final = ((b"content-encoding", b"gzip"), (b"vary", b"Accept-Encoding"))


def is_accepted(accept_encoding: str) -> bool:
    """Whether the client takes gzip."""
    for clause in accept_encoding.split(","):
        name, _, parameters = clause.partition(";")
        if name.strip().lower() == "gzip":
            return parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.000")
    return False


async def compress(body: bytes) -> bytes:
    """A whole body compressed, in a thread: the engines let go of the interpreter meanwhile."""
    return await asyncio.to_thread(_compress, body)


def _compress(body: bytes) -> bytes:
    stream = engine.compressobj(1, wbits=_GZIP)
    return bytes(stream.compress(body) + stream.flush())


async def compressed(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The chunks as one gzip stream; each is small enough (some 200 kB) to compress between two turns of the loop."""
    stream = engine.compressobj(1, wbits=_GZIP)
    async for chunk in chunks:
        if data := stream.compress(chunk):
            yield data
    yield stream.flush()
