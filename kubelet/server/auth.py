"""Who asks the kubelet, and whether they may: client certificates, TokenReview, SubjectAccessReview.

Upstream: pkg/kubelet/server/auth.go, KEP-2862 for the fine-grained subresources.
"""

from dataclasses import dataclass
from typing import Final

from kubelet.server.http import Request
from machinery.aio.clock import REAL, Clock
from machinery.client.rest import Client
from machinery.component.delegated import ANONYMOUS, Reviews, User, user_of_certificate

_VERBS: Final = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_COARSE: Final = {"stats": "stats", "metrics": "metrics", "logs": "log", "checkpoint": "checkpoint"}
_FINE: Final = {"pods": "pods", "runningpods": "pods", "healthz": "healthz", "configz": "configz"}


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """What the flags say."""

    anonymous: bool = False
    webhook_tokens: bool = True
    webhook_authorization: bool = True


class Auth:
    """Client certificates, and what the API server says; without an API server, certificates alone."""

    def __init__(self, config: AuthConfig, client: Client | None, node_name: str, clock: Clock = REAL) -> None:
        self._config = config
        self._reviews = Reviews(client, clock) if client is not None else None
        self._node_name = node_name

    async def user_of(self, request: Request) -> User | None:
        """Who it is, or None for 401; raises StatusError, ConnectionProblem."""
        user = user_of_certificate(request.certificate)
        if user is not None:
            return user
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token and self._config.webhook_tokens and self._reviews is not None:
            return await self._reviews.user_of_token(token.strip())
        return ANONYMOUS if self._config.anonymous and not token else None

    async def may(self, user: User, request: Request) -> bool:
        """Whether the user may do that; raises StatusError, ConnectionProblem."""
        if not self._config.webhook_authorization:
            return True
        if self._reviews is None:
            raise RuntimeError("there is no API server to ask")
        node = {"verb": _VERBS.get(request.method, request.method.lower()), "version": "v1", "resource": "nodes"}
        for subresource in subresources_of(request.path):
            attributes = {**node, "subresource": subresource, "name": self._node_name}
            if await self._reviews.may(user, {"resourceAttributes": attributes}):
                return True
        return False


def subresources_of(path: str) -> tuple[str, ...]:
    """The subresources of nodes that allow a path, any of them."""
    first = path.strip("/").partition("/")[0]
    if first in _COARSE:
        return (_COARSE[first],)
    return (_FINE[first], "proxy") if first in _FINE else ("proxy",)
