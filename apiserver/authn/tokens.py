"""What every authenticator of bearer tokens has in common. Each kind of token is a module of its own."""

from collections.abc import Callable, Sequence
from typing import Protocol

from apiserver.request import User
from machinery.api.codec import Json
from machinery.api.kinds import Kind

#: (kind, namespace, name) → the object as the cache has it
Lookup = Callable[[Kind, str, str], Json | None]
#: whose a token is, and the audiences that both it and who asks know
Found = tuple[User, list[str]]


class InvalidToken(Exception):
    """The token claims to be ours and is not good; the text says why, for the log."""


class TokenAuthenticator(Protocol):
    """Knows one kind of token."""

    async def verify(self, token: str, audiences: Sequence[str] = ()) -> Found | None:
        """Whose the token is; None for what is none of this kind; raises InvalidToken for a bad one of this kind."""
        ...
