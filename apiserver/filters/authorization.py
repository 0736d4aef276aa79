"""Asks the authorizer about the request, and answers 403 in upstream's words. The rules are `apiserver.authz`."""

from collections.abc import Mapping
from typing import Final

from apiserver.authz import attributes as authz
from apiserver.authz.attributes import Authorizer
from apiserver.filters import exchange
from apiserver.filters.exchange import Application, Exchange, Receive, Scope, Send

_NONE: Final[Mapping[str, str]] = {}


class AuthorizationFilter:
    """Lets through what the authorizer allows."""

    def __init__(self, app: Application, authorizer: Authorizer) -> None:
        self._app = app
        self._authorizer = authorizer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authorize, then go on."""
        trip = exchange.of(scope)
        attributes = authz.of_request(trip.user, trip.info, field_values(trip))
        decision = self._authorizer.decide(attributes)
        if trip.audit is not None:
            trip.audit.decided(allowed=decision.allowed, reason=decision.reason)
        if not decision.allowed:
            raise authz.forbidden(attributes, decision)
        await self._app(scope, receive, send)


def field_values(trip: Exchange) -> Mapping[str, str]:
    """What the field selector requires to be equal; a selector that does not parse requires nothing here."""
    if trip.info.verb not in ("list", "watch", "deletecollection"):
        return _NONE
    selector = trip.param("fieldSelector")
    if not selector:
        return _NONE
    terms = (term.replace("==", "=", 1).partition("=") for term in selector.split(",") if "!=" not in term)
    return {key.strip(): value.strip() for key, separator, value in terms if separator}
