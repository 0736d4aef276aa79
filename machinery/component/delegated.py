"""Who asks a component's own server, and whether they may: the API server knows, and its answers are remembered.

Upstream: k8s.io/apiserver's delegating authentication and authorization (authenticatorfactory, authorizerfactory):
client certificates of the authority that the API server trusts, TokenReview, SubjectAccessReview.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from machinery.aio.clock import REAL, Clock
from machinery.api import codec, errors, kinds
from machinery.api.codec import Json
from machinery.client.rest import Client, ConnectionProblem

logger = logging.getLogger(__name__)

#: where the connection's client certificate stands in an ASGI scope's extensions, as ssl's dict
CERTIFICATE: Final = "skiff.certificate"

_TOKEN_SECONDS: Final = 120.0
_ALLOWED_SECONDS: Final = 300.0
_DENIED_SECONDS: Final = 30.0
_MOST_REMEMBERED: Final = 1000
_VERBS: Final = {"GET": "get", "HEAD": "head", "POST": "post", "PUT": "put", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True)
class User:
    """Who asks."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()


ANONYMOUS: Final = User("system:anonymous", groups=("system:unauthenticated",))


@dataclass(slots=True)
class _Remembered:
    value: Any
    until: float


class Reviews:
    """Asks the API server, and remembers its answers for a while."""

    def __init__(self, client: Client, clock: Clock = REAL) -> None:
        self._client = client
        self._clock = clock
        self._memory: dict[bytes, _Remembered] = {}

    async def user_of_token(self, token: str) -> User | None:
        """Whose token it is, None for nobody's; raises StatusError, ConnectionProblem."""
        key = _digest(b"token " + token.encode())
        known = self._recall(key)
        if known is not None:
            user: User = known.value
            return user
        review: Json = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        answer = await self._client.create(kinds.TOKEN_REVIEWS, {**review, "metadata": {}})
        status = answer.get("status") or {}
        if not status.get("authenticated"):
            return None
        found = status.get("user") or {}
        user = User(found.get("username") or "", found.get("uid") or "", tuple(found.get("groups") or ()))
        self._remember(key, user, _TOKEN_SECONDS)
        return user

    async def may(self, user: User, attributes: Json) -> bool:
        """Whether a user may do what resourceAttributes or nonResourceAttributes say; raises as `user_of_token`."""
        spec: Json = {"user": user.name, "uid": user.uid, "groups": list(user.groups), **attributes}
        key = _digest(codec.dumps(spec))
        known = self._recall(key)
        if known is not None:
            return bool(known.value)
        review: Json = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}}
        answer = await self._client.create(kinds.SUBJECT_ACCESS_REVIEWS, {**review, "spec": spec})
        allowed = bool((answer.get("status") or {}).get("allowed"))
        self._remember(key, allowed, _ALLOWED_SECONDS if allowed else _DENIED_SECONDS)
        return allowed

    def _recall(self, key: bytes) -> _Remembered | None:
        known = self._memory.get(key)
        return known if known is not None and self._clock.monotonic() < known.until else None

    def _remember(self, key: bytes, value: Any, seconds: float) -> None:
        if len(self._memory) >= _MOST_REMEMBERED:
            self._memory.clear()
        self._memory[key] = _Remembered(value, self._clock.monotonic() + seconds)


def _digest(question: bytes) -> bytes:
    """Questions are as long as a stranger likes, and tokens are secrets: neither is kept."""
    return hashlib.sha256(question).digest()


def user_of_certificate(certificate: Mapping[str, Any]) -> User | None:
    """CN is the user, each O a group; TLS has verified the chain already."""
    fields = [pair for relative in certificate.get("subject") or () for pair in relative]
    name = next((value for key, value in fields if key == "commonName"), "")
    groups = tuple(value for key, value in fields if key == "organizationName")
    return User(name, groups=(*groups, "system:authenticated")) if name else None


@dataclass(frozen=True, slots=True)
class Delegation:
    """How a component's server decides who may read what."""

    reviews: Reviews
    authorities: str = ""  # PEM; empty where client certificates do not count
    open_paths: frozenset[str] = frozenset()  # that anybody may read


class DelegationFlags(BaseModel):
    """The flags about it, by upstream's names."""

    client_ca_file: str = Field(
        "", description="PEM of the authority of client certificates (default: what the API server publishes)."
    )
    authentication_kubeconfig: str = Field("", description="Accepted as upstream does; --kubeconfig is used.")
    authorization_kubeconfig: str = Field("", description="Accepted as upstream does; --kubeconfig is used.")
    authorization_always_allow_paths: list[str] = Field(
        default_factory=lambda: ["/healthz", "/readyz", "/livez"], description="Paths that anybody may read."
    )


async def delegation(flags: DelegationFlags, client: Client) -> Delegation:
    """As the flags say; raises OSError for a file that cannot be read."""
    authorities = await _trusted_authorities(client, flags.client_ca_file)
    return Delegation(Reviews(client), authorities, frozenset(flags.authorization_always_allow_paths))


class Guard:
    """An ASGI application that lets through who may read the path."""

    def __init__(self, app: ASGIApp, delegation: Delegation) -> None:
        self._app = app
        self._reviews = delegation.reviews
        self._open = delegation.open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse in upstream's words."""
        if scope["type"] == "http" and scope["path"] not in self._open:
            refusal = await self._refusal(Request(scope))
            if refusal is not None:
                body = codec.dumps(refusal.status())
                await Response(body, refusal.status_code, media_type="application/json")(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _refusal(self, request: Request) -> errors.StatusError | None:
        try:
            user = await self._user_of(request)
            if user is None:
                return errors.Unauthorized("Unauthorized")
            verb, path = _VERBS.get(request.method, request.method.lower()), request.scope["path"]
            if await self._reviews.may(user, {"nonResourceAttributes": {"path": path, "verb": verb}}):
                return None
        except (errors.StatusError, ConnectionProblem) as problem:
            logger.warning("the API server does not say who may read %s: %s", request.scope["path"], problem)
            return errors.InternalError("Internal error occurred: the API server cannot be asked who may do this")
        return errors.Forbidden(f'forbidden: User "{user.name}" cannot {verb} path "{path}"', {})

    async def _user_of(self, request: Request) -> User | None:
        certificate = (request.scope.get("extensions") or {}).get(CERTIFICATE)
        user = user_of_certificate(certificate) if certificate else None
        if user is not None:
            return user
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return await self._reviews.user_of_token(token.strip())
        return ANONYMOUS


async def _trusted_authorities(client: Client, file: str) -> str:
    """PEM of whose client certificates count: a file's, else what the API server publishes for the purpose.

    Empty where neither is there: then tokens are all that count. Raises OSError for a file that cannot be read.
    """
    if file:
        return Path(file).read_text()
    try:
        published = await client.get(kinds.CONFIG_MAPS, "extension-apiserver-authentication", "kube-system")
    except (errors.StatusError, ConnectionProblem) as problem:
        logger.warning("client certificates do not count at this server's own port: %s", problem)
        return ""
    authorities: str = (published.get("data") or {}).get("client-ca-file") or ""
    return authorities
