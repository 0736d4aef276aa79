"""Finds the credentials in a request and asks the authenticator. Credentials go no further than here."""

import binascii
from base64 import urlsafe_b64decode
from typing import Final

from apiserver.audit.auditor import Auditor
from apiserver.authn.authenticator import Authenticator
from apiserver.filters import audit, exchange
from apiserver.filters.exchange import Application, Exchange, Receive, Scope, Send
from machinery.api import errors

_WEBSOCKET_TOKEN: Final = "base64url.bearer.authorization.k8s.io."


class AuthenticationFilter:
    """Sets the exchange's user, or answers 401."""

    def __init__(self, app: Application, authenticator: Authenticator, auditor: Auditor | None = None) -> None:
        self._app = app
        self._authenticator = authenticator
        self._auditor = auditor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Authenticate, then go on."""
        trip = exchange.of(scope)
        certificate = trip.connection.client_certificate() if trip.connection is not None else None
        try:
            trip.user = await self._authenticator.authenticate(certificate, bearer_token(trip), scope["headers"])
        except errors.Unauthorized as problem:
            if self._auditor is not None:
                audit.unauthenticated(self._auditor, scope, problem)
            raise
        await self._app(scope, receive, send)


def bearer_token(trip: Exchange) -> str | None:
    """The token of the Authorization header, or of a WebSocket's subprotocol; None when there is neither."""
    header = trip.headers.get("authorization")
    if header is not None:
        scheme, _, token = header.strip().partition(" ")
        return token.strip() if scheme.lower() == "bearer" else None
    return _websocket_token(trip.headers.get("sec-websocket-protocol", ""))


def _websocket_token(protocols: str) -> str | None:
    for protocol in protocols.split(","):
        if protocol.strip().startswith(_WEBSOCKET_TOKEN):
            encoded = protocol.strip().removeprefix(_WEBSOCKET_TOKEN)
            try:
                return urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
            except (binascii.Error, UnicodeDecodeError) as problem:
                raise errors.Unauthorized("Unauthorized") from problem
    return None
