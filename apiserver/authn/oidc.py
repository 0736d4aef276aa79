"""ID tokens of an OpenID Connect issuer: who they are for, by whom signed, which claims make a user.

Upstream: staging/src/k8s.io/apiserver/plugin/pkg/authenticator/token/oidc/oidc.go. The issuer's discovery document and
keys are fetched when a token first needs them, and the keys again when a token names one that is not known: then at
most every few seconds, so that forged tokens cannot make this server hammer the issuer.
"""

import asyncio
import logging
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import jwt

from apiserver.authn.tokens import Found, InvalidToken
from apiserver.request import User
from machinery.aio.clock import REAL, Clock
from machinery.api.codec import Json

logger = logging.getLogger(__name__)

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "PS256", "PS384", "PS512")
_DISCOVERY: Final = "/.well-known/openid-configuration"
_FETCH_SECONDS: Final = 10.0
_FETCH_EVERY: Final = 5.0
_NOT_BEFORE_LEEWAY: Final = 300  # seconds, go-oidc's; expiry has none


@dataclass(frozen=True, slots=True)
class Settings:
    """The --oidc-… flags; `username_prefix` "-" is no prefix, "" the default one."""

    issuer: str
    client_id: str
    ca_file: str = ""
    username_claim: str = "sub"
    username_prefix: str = ""
    groups_claim: str = ""
    groups_prefix: str = ""
    required_claims: Mapping[str, str] = field(default_factory=dict)
    algorithms: Sequence[str] = ("RS256",)

    def check(self) -> None:
        """Raises ValueError, in upstream's words where it has any."""
        if not self.issuer.startswith("https://"):
            raise ValueError(f'oidc-issuer-url: "{self.issuer}": URL scheme must be https')
        if not self.client_id:
            raise ValueError("oidc-issuer-url and oidc-client-id must be specified together")
        unknown = [name for name in self.algorithms if name not in ALGORITHMS]
        if unknown:
            raise ValueError(f"oidc-signing-algs: unsupported signing algorithm: {unknown[0]!r}")

    @property
    def prefix(self) -> str:
        """What stands before user names: the issuer, so that two issuers' `sub`s differ; nothing before an email."""
        if self.username_prefix == "-":
            return ""
        if self.username_prefix or self.username_claim == "email":
            return self.username_prefix
        return f"{self.issuer}#"


class OIDC:
    """Tells whose an ID token is."""

    def __init__(self, settings: Settings, clock: Clock = REAL) -> None:
        settings.check()
        self._settings = settings
        self._tls = ssl.create_default_context(cafile=settings.ca_file or None)
        self._clock = clock
        self._keys: list[jwt.PyJWK] = []
        self._fetched = float("-inf")
        self._fetching = asyncio.Lock()

    async def verify(self, token: str, audiences: Sequence[str] = ()) -> Found | None:
        """See TokenAuthenticator."""
        try:
            header = jwt.get_unverified_header(token)
            claims: Json = jwt.decode(token, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return None
        if claims.get("iss") != self._settings.issuer:
            return None
        await self._check(token, header)
        return user_of(claims, self._settings), list(audiences)

    async def _check(self, token: str, header: Mapping[str, Any]) -> None:
        """Signature, audience and times; raises InvalidToken."""
        if header.get("alg") not in self._settings.algorithms:
            raise InvalidToken(f"oidc: id token signed with unsupported algorithm {header.get('alg')!r}")
        candidates = await self._candidates(header.get("kid"))
        problem = "no key of the issuer has this id"
        for key in candidates:
            try:
                claims = jwt.decode(
                    token,
                    key.key,
                    [header["alg"]],
                    audience=self._settings.client_id,
                    options={"require": ["exp"], "verify_nbf": False, "verify_iat": False},
                )
                self._check_begin(claims)
            except (jwt.InvalidTokenError, jwt.InvalidKeyError) as found:
                problem = str(found)
            else:
                return
        raise InvalidToken(f"oidc: verify token: {problem}")

    def _check_begin(self, claims: Json) -> None:
        begin = claims.get("nbf")
        if isinstance(begin, int | float) and begin > self._clock.now().timestamp() + _NOT_BEFORE_LEEWAY:
            raise jwt.ImmatureSignatureError("The token is not yet valid (nbf)")

    async def _candidates(self, key_id: str | None) -> list[jwt.PyJWK]:
        found = self._with_id(key_id)
        if not found:
            await self._fetch(key_id)
            found = self._with_id(key_id)
        return found

    def _with_id(self, key_id: str | None) -> list[jwt.PyJWK]:
        return [key for key in self._keys if not key_id or key.key_id == key_id]

    async def _fetch(self, key_id: str | None) -> None:
        """Get the issuer's keys, unless somebody just did; raises InvalidToken when the issuer cannot be asked."""
        async with self._fetching:
            if self._with_id(key_id) or self._clock.monotonic() < self._fetched + _FETCH_EVERY:
                return
            self._fetched = self._clock.monotonic()
            try:
                self._keys = await self._download()
            except (httpx.HTTPError, ValueError, KeyError, jwt.PyJWTError) as problem:
                logger.warning("oidc: the issuer %s cannot be asked for its keys: %s", self._settings.issuer, problem)
                raise InvalidToken(f"oidc: authenticator not initialized: {problem}") from problem

    async def _download(self) -> list[jwt.PyJWK]:
        async with httpx.AsyncClient(verify=self._tls, timeout=_FETCH_SECONDS, trust_env=False) as client:
            document = (await client.get(self._settings.issuer.rstrip("/") + _DISCOVERY)).raise_for_status().json()
            if document["issuer"] != self._settings.issuer:
                raise ValueError(f"the discovery document is that of {document['issuer']!r}")
            answer = (await client.get(document["jwks_uri"])).raise_for_status()
            return [key for key in jwt.PyJWKSet.from_dict(answer.json()).keys if key.public_key_use in (None, "sig")]


def user_of(claims: Json, settings: Settings) -> User:
    """The user a token's claims stand for; raises InvalidToken where a claim is missing or not as required."""
    name = _text(claims, settings.username_claim, "username")
    if settings.username_claim == "email" and claims.get("email_verified", True) is not True:
        raise InvalidToken("oidc: email not verified")
    for claim, wanted in settings.required_claims.items():
        if claims.get(claim) != wanted:
            raise InvalidToken(f"oidc: required claim {claim} value does not match. Got = {claims.get(claim)!r}")
    groups = _groups(claims, settings.groups_claim) if settings.groups_claim else []
    return User(settings.prefix + name, groups=tuple(settings.groups_prefix + group for group in groups))


def _text(claims: Json, claim: str, what: str) -> str:
    value = claims.get(claim)
    if not isinstance(value, str) or not value:
        raise InvalidToken(f'oidc: parse {what} claims "{claim}": claim not present')
    return value


def _groups(claims: Json, claim: str) -> list[str]:
    value = claims.get(claim)
    if value is None:
        return []
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(group, str) for group in listed):
        raise InvalidToken(f'oidc: parse groups claim "{claim}": it is neither a text nor a list of texts')
    return listed
