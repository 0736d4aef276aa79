"""The order in which credentials are tried, and a short memory of tokens. filters/authentication reads the headers."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from apiserver.authn import service_accounts, x509
from apiserver.request import ANONYMOUS, User
from machinery.aio.clock import REAL, Clock
from machinery.api import errors

logger = logging.getLogger(__name__)

AUTHENTICATED: Final = "system:authenticated"
REMEMBER_SECONDS: Final = 10.0  # upstream's token success cache TTL
_REMEMBER_AT_MOST: Final = 4096


@dataclass(slots=True)
class Authenticator:
    """Certificate, then bearer token, then anonymous; a bad token is refused even where anonymous is allowed."""

    tokens: Mapping[str, User] = field(default_factory=dict)
    verifier: service_accounts.Verifier | None = None
    anonymous: bool = True
    clock: Clock = REAL
    _remembered: dict[str, tuple[float, User]] = field(default_factory=dict)

    def authenticate(self, certificate: tuple[Mapping[str, Any], bytes] | None, token: str | None) -> User:
        """Who asks; raises Unauthorized."""
        if certificate is not None:
            user = x509.user_of(*certificate)
            if user is not None:
                return with_group(user)
        if token:
            return self._by_token(token)
        if token is None and self.anonymous:
            return ANONYMOUS
        raise errors.Unauthorized("Unauthorized")

    def review(self, token: str, audiences: Sequence[str]) -> tuple[User, list[str]] | None:
        """For TokenReview: the user and the audiences both sides know, or None; raises InvalidToken."""
        if token in self.tokens:
            return with_group(self.tokens[token]), list(audiences)
        found = self.verifier.verify(token, audiences) if self.verifier else None
        return (with_group(found[0]), found[1]) if found else None

    def _by_token(self, token: str) -> User:
        now = self.clock.monotonic()
        until, user = self._remembered.get(token, (0.0, ANONYMOUS))
        if until > now:
            return user
        try:
            found = self.review(token, ())
        except service_accounts.InvalidToken as problem:
            logger.info("a token was refused: %s", problem)
            found = None
        if found is None:
            raise errors.Unauthorized("Unauthorized")
        if len(self._remembered) >= _REMEMBER_AT_MOST:
            self._remembered.clear()
        self._remembered[token] = (now + REMEMBER_SECONDS, found[0])
        return found[0]


def with_group(user: User) -> User:
    """The user as a member of system:authenticated, which everybody is who was recognised."""
    if AUTHENTICATED in user.groups or user.name == ANONYMOUS.name:
        return user
    return replace(user, groups=(*user.groups, AUTHENTICATED))
