"""serviceaccounts/NAME/token: TokenRequest. How a token is made and checked is `authn.service_accounts`.

Rules and texts are upstream's (pkg/registry/core/serviceaccount/storage/token.go, pkg/apis/authentication/validation).
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from apiserver.admission.chain import Chain
from apiserver.authn.service_accounts import Binding, Lifetime, Signer
from apiserver.handlers import admitting
from apiserver.handlers.body import decode_body
from apiserver.registry.resource import Resource
from apiserver.request import Answer, Request, Response
from machinery.api import codec, errors, kinds, meta, times
from machinery.api.codec import Json
from machinery.api.errors import FieldError
from machinery.api.kinds import Kind

TOKEN_REQUESTS: Final = Kind("authentication.k8s.io", "v1", "TokenRequest", "tokenrequests")
LEAST_SECONDS: Final = 10 * 60
MOST_SECONDS: Final = 1 << 32
DEFAULT_SECONDS: Final = 60 * 60
#: what the kubelet asks for where a token may live longer than it says (upstream: WarnOnlyBoundTokenExpirationPeriod)
WARN_ONLY_SECONDS: Final = 60 * 60 + 7
EXTENDED_SECONDS: Final = 24 * 365 * 60 * 60


#: (kind, namespace, name) → the object as it is now; raises NotFound
Read = Callable[[Kind, str, str], Awaitable[Json]]


class TokenRequests:
    """The handler."""

    def __init__(
        self, read: Read, signer: Signer, audiences: Sequence[str], *, extend: bool = True, chain: Chain | None = None
    ) -> None:
        self._read = read
        self._signer = signer
        self._audiences = list(audiences)
        self._extend = extend
        self._chain = chain

    async def create(self, request: Request) -> Answer:
        """Make a token for a service account, bound to an object if that is asked for."""
        if request.info.verb != "create":
            raise errors.MethodNotSupported("the server does not allow this method on the requested resource")
        body = await decode_body(request, Resource(TOKEN_REQUESTS))
        namespace, name = request.info.namespace, request.info.name
        account = await self._read(kinds.SERVICE_ACCOUNTS, namespace, name)
        await admitting.admit_special(request, self._chain, kinds.SERVICE_ACCOUNTS, TOKEN_REQUESTS, body)
        spec = body.get("spec") or {}
        seconds = spec.get("expirationSeconds") or DEFAULT_SECONDS
        _check(seconds, name)
        bound = await self._bound(account, spec.get("boundObjectRef"))
        audiences = list(spec.get("audiences") or self._audiences)
        now = int(times.now().timestamp())
        token = self._signer.sign(bound, audiences, self._lifetime(now, seconds, bound, audiences))
        expires = times.rfc3339(datetime.fromtimestamp(now + seconds, UTC))
        answer = {
            "kind": "TokenRequest",
            "apiVersion": TOKEN_REQUESTS.api_version,
            "metadata": {"name": name, "namespace": namespace, "creationTimestamp": times.rfc3339(times.now())},
            "spec": spec | {"audiences": audiences, "expirationSeconds": seconds},
            "status": {"token": token, "expirationTimestamp": expires},
        }
        return Response(201, codec.dumps(answer))

    def _lifetime(self, now: int, seconds: int, bound: Binding, audiences: Sequence[str]) -> Lifetime:
        ours = all(audience in self._audiences for audience in audiences)
        if self._extend and seconds == WARN_ONLY_SECONDS and bound.pod is not None and ours:
            return Lifetime(now, now + EXTENDED_SECONDS, warn_after=now + seconds)
        return Lifetime(now, now + seconds)

    async def _bound(self, account: Json, reference: Json | None) -> Binding:
        if not reference:
            return Binding(account)
        kind = {"Pod": kinds.PODS, "Secret": kinds.SECRETS, "Node": kinds.NODES}.get(reference.get("kind") or "")
        if kind is None or reference.get("apiVersion") not in ("v1", "", None):
            group, _, version = (reference.get("apiVersion") or "").rpartition("/")
            raise errors.BadRequest(
                f"cannot bind token to object of type {group}/{version}, Kind={reference.get('kind') or ''}"
            )
        namespace = meta.namespace_of(account) if kind.namespaced else ""
        found = await self._read(kind, namespace, reference.get("name") or "")
        _check_uid(reference, found, kind)
        if kind is not kinds.PODS:
            return Binding(account, **{kind.singular: found})
        used = found["spec"].get("serviceAccountName") or ""
        if used != meta.name_of(account):
            raise errors.BadRequest(
                f'cannot bind token for serviceaccount "{meta.name_of(account)}" '
                f'to pod running with serviceaccount "{used}"'
            )
        node_name = found["spec"].get("nodeName")
        return Binding(account, pod=found, node=await self._node(node_name) if node_name else None)

    async def _node(self, name: str) -> Json:
        try:
            return await self._read(kinds.NODES, "", name)
        except errors.NotFound:
            return {"metadata": {"name": name, "uid": ""}}


def _check(seconds: object, name: str) -> None:
    causes: list[FieldError] = []
    field = "spec.expirationSeconds"
    if not isinstance(seconds, int):
        raise errors.BadRequest(f'TokenRequest in version "v1" cannot be handled: {field} is no integer')
    if seconds < LEAST_SECONDS:
        causes.append(errors.invalid_value(field, seconds, "may not specify a duration less than 10 minutes"))
    if seconds > MOST_SECONDS:
        causes.append(errors.invalid_value(field, seconds, "may not specify a duration larger than 2^32 seconds"))
    if causes:
        raise errors.invalid(TOKEN_REQUESTS, name, causes)


def _check_uid(reference: Json, found: Json, kind: Kind) -> None:
    wanted, actual = reference.get("uid"), meta.uid_of(found)
    if wanted and wanted != actual:
        why = (
            f"the UID in the bound object reference ({wanted}) does not match the UID in record. "
            "The object might have been deleted and then recreated"
        )
        raise errors.conflict(kind, meta.name_of(found), why)
