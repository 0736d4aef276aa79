"""The order in which credentials are tried, and a short memory of tokens. filters/authentication reads the headers."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from apiserver.authn import x509
from apiserver.authn.front_proxy import FrontProxy, Headers
from apiserver.authn.tokens import Found, InvalidToken, TokenAuthenticator
from apiserver.request import ANONYMOUS, User
from machinery.aio.clock import REAL, Clock
from machinery.api import errors

logger = logging.getLogger(__name__)

AUTHENTICATED: Final = "system:authenticated"
REMEMBER_SECONDS: Final = 10.0  # upstream's token success cache TTL
_REMEMBER_AT_MOST: Final = 4096


@dataclass(slots=True)
class Authenticator:
    """A proxy's word, certificate, bearer token, anonymous; a bad token is refused even where anonymous is allowed."""

    tokens: Sequence[TokenAuthenticator] = ()
    anonymous: bool = True
    front_proxy: FrontProxy | None = None
    clock: Clock = REAL
    _remembered: dict[str, tuple[float, User]] = field(default_factory=dict)

    async def authenticate(
        self, certificate: tuple[Mapping[str, Any], bytes] | None, token: str | None, headers: Headers = ()
    ) -> User:
        """Who asks; raises Unauthorized."""
        if certificate is not None:
            user = self._by_certificate(certificate, headers)
            if user is not None:
                return with_group(user)
        if token:
            return await self._by_token(token)
        if token is None and self.anonymous:
            return ANONYMOUS
        raise errors.Unauthorized("Unauthorized")

    def _by_certificate(self, certificate: tuple[Mapping[str, Any], bytes], headers: Headers) -> User | None:
        if self.front_proxy is not None:
            named = self.front_proxy.user_of(*certificate, headers)
            if named is not None or self.front_proxy.is_proxy_only(certificate[1]):
                return named
        return x509.user_of(*certificate)

    async def review(self, token: str, audiences: Sequence[str]) -> Found | None:
        """For TokenReview: the user and the audiences both sides know, or None; raises InvalidToken.

        As upstream's union does, every authenticator is asked until one knows the token, whatever the others say.
        """
        problems: list[str] = []
        for authenticator in self.tokens:
            try:
                found = await authenticator.verify(token, audiences)
            except InvalidToken as problem:
                problems.append(str(problem))
                continue
            if found is not None:
                return with_group(found[0]), found[1]
        if problems:
            raise InvalidToken(", ".join(problems))
        return None

    async def _by_token(self, token: str) -> User:
        now = self.clock.monotonic()
        until, user = self._remembered.get(token, (0.0, ANONYMOUS))
        if until > now:
            return user
        try:
            found = await self.review(token, ())
        except InvalidToken as problem:
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
