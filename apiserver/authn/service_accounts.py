"""Service-account tokens: signing them, and telling whose one is. TokenRequest's own rules are handlers/token.

Claims, checks and extras are upstream's (pkg/serviceaccount/claims.go, jwt.go, legacy.go). A token is good while its
service account, and the pod, secret or node it is bound to, exist with the same uid: the watch cache is asked.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jwt

from apiserver.authn.keys import PrivateKey, VerificationKey, algorithm_of, verification_key
from apiserver.authn.tokens import Found, InvalidToken, Lookup
from apiserver.authn.x509 import CREDENTIAL_ID
from apiserver.request import User
from machinery.api import kinds, meta, times
from machinery.api.codec import Json
from machinery.api.kinds import Kind

LEGACY_ISSUER: Final = "kubernetes/serviceaccount"
_EXTRA: Final = "authentication.kubernetes.io/"
_BOUND: Final = {"pod": kinds.PODS, "secret": kinds.SECRETS, "node": kinds.NODES}
#: a pod may still use its tokens this long after its deletion time (upstream: jwt.DefaultLeeway, 60 s)
_LEEWAY_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Binding:
    """What a token is made for: the object's uid is checked whenever the token is used."""

    service_account: Json
    pod: Json | None = None
    secret: Json | None = None
    node: Json | None = None


@dataclass(frozen=True, slots=True)
class Lifetime:
    """Unix seconds; `warn_after` marks a token whose life was extended past what was asked for."""

    issued: int
    expires: int
    warn_after: int = 0


class Signer:
    """Makes tokens with the one private key."""

    def __init__(self, key: PrivateKey, issuer: str) -> None:
        self._key = key
        self.issuer = issuer
        self._key_id = verification_key(key.public_key()).key_id
        self._algorithm = algorithm_of(key)

    def sign(self, bound: Binding, audiences: Sequence[str], life: Lifetime) -> str:
        """A bound token."""
        account = bound.service_account
        namespace, name = meta.namespace_of(account), meta.name_of(account)
        private: Json = {"namespace": namespace, "serviceaccount": _reference(account)}
        for key, obj in (("pod", bound.pod), ("secret", bound.secret), ("node", bound.node)):
            if obj is not None:
                private[key] = _reference(obj)
        if life.warn_after:
            private["warnafter"] = life.warn_after
        claims = {
            "aud": list(audiences),
            "exp": life.expires,
            "iat": life.issued,
            "iss": self.issuer,
            "jti": str(uuid.uuid4()),
            "kubernetes.io": private,
            "nbf": life.issued,
            "sub": f"system:serviceaccount:{namespace}:{name}",
        }
        return jwt.encode(claims, self._key, algorithm=self._algorithm, headers={"kid": self._key_id, "typ": None})


def _reference(obj: Json) -> Json:
    return {"name": meta.name_of(obj), "uid": meta.uid_of(obj)}


@dataclass(slots=True)
class Verifier:
    """Tells whose a token is."""

    keys: Sequence[VerificationKey]
    issuers: Sequence[str]
    audiences: Sequence[str]
    lookup: Lookup
    _legacy: frozenset[str] = field(default=frozenset((LEGACY_ISSUER,)))

    async def verify(self, token: str, audiences: Sequence[str] = ()) -> Found | None:
        """The user and the audiences both sides know; None for what is no token of ours; raises InvalidToken."""
        try:
            header = jwt.get_unverified_header(token)
            claims = jwt.decode(token, options={"verify_signature": False})
        except jwt.InvalidTokenError:
            return None
        if claims.get("iss") not in (*self.issuers, *self._legacy):
            return None
        self._check_signature(token, header)
        if claims["iss"] in self._legacy:
            return self._legacy_user(token, claims), list(audiences or self.audiences)
        common = [audience for audience in _listed(claims.get("aud")) if audience in (audiences or self.audiences)]
        if not common:
            raise InvalidToken(f"token audiences {_listed(claims.get('aud'))} are none of ours")
        return self._bound_user(claims), common

    def _check_signature(self, token: str, header: dict[str, Any]) -> None:
        wanted = header.get("kid")
        candidates = [key for key in self.keys if not wanted or key.key_id == wanted] or list(self.keys)
        problem = "no key"
        for key in candidates:
            try:
                jwt.decode(token, key.key, [key.algorithm], options={"verify_aud": False})
                return
            except jwt.InvalidTokenError as found:
                problem = str(found)
        raise InvalidToken(problem)

    def _bound_user(self, claims: Json) -> User:
        private = claims.get("kubernetes.io") or {}
        namespace, account = private.get("namespace", ""), private.get("serviceaccount") or {}
        if claims.get("sub") != f"system:serviceaccount:{namespace}:{account.get('name')}":
            raise InvalidToken("subject and private claims differ")
        self._check_reference(kinds.SERVICE_ACCOUNTS, namespace, account)
        extra: dict[str, list[str]] = {CREDENTIAL_ID: [f"JTI={claims['jti']}"]} if claims.get("jti") else {}
        for key, kind in _BOUND.items():
            if key not in private:
                continue
            # A pod's token also names the pod's node; that is told, not required: the node may be registering anew.
            if key != "node" or "pod" not in private:
                self._check_reference(kind, namespace if kind.namespaced else "", private[key])
            if key != "secret":
                extra[f"{_EXTRA}{key}-name"] = [private[key]["name"]]
                extra[f"{_EXTRA}{key}-uid"] = [private[key]["uid"]]
        return service_account_user(namespace, account["name"], account["uid"], extra)

    def _check_reference(self, kind: Kind, namespace: str, reference: Json) -> None:
        found = self.lookup(kind, namespace, reference.get("name", ""))
        if found is None:
            raise InvalidToken(f"{kind.singular} {namespace}/{reference.get('name')} is not there")
        if meta.uid_of(found) != reference.get("uid"):
            raise InvalidToken(f"{kind.singular} {namespace}/{reference.get('name')} has another uid")
        deleted = meta.metadata_of(found).get("deletionTimestamp")
        if deleted and _seconds_since(deleted) > _LEEWAY_SECONDS:
            raise InvalidToken(f"{kind.singular} {namespace}/{reference.get('name')} is being deleted")

    def _legacy_user(self, token: str, claims: Json) -> User:
        prefix = "kubernetes.io/serviceaccount/"
        namespace, secret = claims.get(f"{prefix}namespace", ""), claims.get(f"{prefix}secret.name", "")
        reference = {
            "name": claims.get(f"{prefix}service-account.name", ""),
            "uid": claims.get(f"{prefix}service-account.uid", ""),
        }
        self._check_reference(kinds.SERVICE_ACCOUNTS, namespace, reference)
        if self.lookup(kinds.SECRETS, namespace, secret) is None:
            raise InvalidToken(f"secret {namespace}/{secret} of the token is not there")
        return service_account_user(namespace, reference["name"], reference["uid"], {})


def service_account_user(namespace: str, name: str, uid: str, extra: dict[str, list[str]]) -> User:
    """The user a service account acts as (upstream: apiserver/pkg/authentication/serviceaccount/util.go)."""
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
    return User(f"system:serviceaccount:{namespace}:{name}", uid, groups, extra)


def _listed(audiences: Any) -> list[str]:
    return [audiences] if isinstance(audiences, str) else list(audiences or ())


def _seconds_since(timestamp: str) -> float:
    return (times.now() - times.parse(timestamp)).total_seconds()
