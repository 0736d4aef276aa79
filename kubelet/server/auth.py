"""Who asks the kubelet, and whether they may: client certificates, TokenReview, SubjectAccessReview.

Upstream: pkg/kubelet/server/auth.go, KEP-2862 for the fine-grained subresources.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kubelet.server.http import Request
from machinery.aio.clock import REAL, Clock
from machinery.api import codec
from machinery.api.codec import Json
from machinery.api.kinds import SUBJECT_ACCESS_REVIEWS, TOKEN_REVIEWS
from machinery.client.rest import Client

_TOKEN_SECONDS: Final = 120.0
_ALLOWED_SECONDS: Final = 300.0
_DENIED_SECONDS: Final = 30.0
_MOST_REMEMBERED: Final = 1000
_VERBS: Final = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_COARSE: Final = {"stats": "stats", "metrics": "metrics", "logs": "log", "checkpoint": "checkpoint"}
_FINE: Final = {"pods": "pods", "runningpods": "pods", "healthz": "healthz", "configz": "configz"}


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()


ANONYMOUS: Final = User("system:anonymous", groups=("system:unauthenticated",))


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """What the flags say."""

    anonymous: bool = False
    webhook_tokens: bool = True
    webhook_authorization: bool = True


@dataclass(slots=True)
class _Remembered:
    value: Any
    until: float


class Auth:
    """Asks the API server, and remembers its answers for a while."""

    def __init__(self, config: AuthConfig, client: Client | None, node_name: str, clock: Clock = REAL) -> None:
        self._config = config
        self._client = client
        self._node_name = node_name
        self._clock = clock
        self._memory: dict[bytes, _Remembered] = {}

    async def user_of(self, request: Request) -> User | None:
        """Who it is, or None for 401; raises StatusError, ConnectionProblem."""
        user = user_of_certificate(request.certificate)
        if user is not None:
            return user
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token and self._config.webhook_tokens and self._client is not None:
            return await self._review_token(token.strip())
        return ANONYMOUS if self._config.anonymous and not token else None

    async def _review_token(self, token: str) -> User | None:
        key = b"token " + token.encode()
        known = self._recall(key)
        if known is not None:
            user: User = known.value
            return user
        review: Json = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        answer = await self._require_client().create(TOKEN_REVIEWS, {**review, "metadata": {}})
        status = answer.get("status") or {}
        if not status.get("authenticated"):
            return None
        found = status.get("user") or {}
        user = User(found.get("username") or "", found.get("uid") or "", tuple(found.get("groups") or ()))
        self._remember(key, user, _TOKEN_SECONDS)
        return user

    async def may(self, user: User, request: Request) -> bool:
        """Whether the user may do that; raises StatusError, ConnectionProblem."""
        if not self._config.webhook_authorization:
            return True
        verb = _VERBS.get(request.method, request.method.lower())
        for subresource in subresources_of(request.path):
            if await self._review_access(user, verb, subresource):
                return True
        return False

    async def _review_access(self, user: User, verb: str, subresource: str) -> bool:
        spec: Json = {
            "user": user.name,
            "uid": user.uid,
            "groups": list(user.groups),
            "resourceAttributes": {
                "verb": verb,
                "version": "v1",
                "resource": "nodes",
                "subresource": subresource,
                "name": self._node_name,
            },
        }
        key = codec.dumps(spec)
        known = self._recall(key)
        if known is not None:
            return bool(known.value)
        review: Json = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}}
        answer = await self._require_client().create(SUBJECT_ACCESS_REVIEWS, {**review, "spec": spec})
        allowed = bool((answer.get("status") or {}).get("allowed"))
        self._remember(key, allowed, _ALLOWED_SECONDS if allowed else _DENIED_SECONDS)
        return allowed

    def _require_client(self) -> Client:
        if self._client is None:
            raise RuntimeError("there is no API server to ask")
        return self._client

    def _recall(self, key: bytes) -> _Remembered | None:
        known = self._memory.get(key)
        return known if known is not None and self._clock.monotonic() < known.until else None

    def _remember(self, key: bytes, value: Any, seconds: float) -> None:
        if len(self._memory) >= _MOST_REMEMBERED:
            self._memory.clear()
        self._memory[key] = _Remembered(value, self._clock.monotonic() + seconds)


def user_of_certificate(certificate: Mapping[str, Any]) -> User | None:
    """CN is the user, each O a group; TLS has verified the chain already."""
    fields = [pair for relative in certificate.get("subject") or () for pair in relative]
    name = next((value for key, value in fields if key == "commonName"), "")
    groups = tuple(value for key, value in fields if key == "organizationName")
    return User(name, groups=(*groups, "system:authenticated")) if name else None


def subresources_of(path: str) -> tuple[str, ...]:
    """The subresources of nodes that allow a path, any of them."""
    first = path.strip("/").partition("/")[0]
    if first in _COARSE:
        return (_COARSE[first],)
    return (_FINE[first], "proxy") if first in _FINE else ("proxy",)
