"""ConfigMaps, Secrets and tokens that pods refer to: read by name, remembered shortly. Volumes and env use them.

A node may read only what its pods refer to, so there is no list; upstream's default is a watch per object, its `Get`
and `TTL` strategies are what this does (pkg/kubelet/util/manager). Tokens: pkg/kubelet/token/token_manager.go.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from machinery.aio.clock import REAL, Clock
from machinery.api import errors, meta, times
from machinery.api.codec import Json
from machinery.api.kinds import CONFIG_MAPS, SECRETS, SERVICE_ACCOUNTS, Kind
from machinery.client.rest import Client, ConnectionProblem

_DAY: Final = 86_400.0
_RENEW_AT: Final = 0.8  # of a token's life


@dataclass(slots=True)
class _Known:
    obj: Json | None
    at: float


@dataclass(slots=True)
class _Token:
    text: str
    renew_at: float
    dead_at: float


class ApiObjects:
    """Reads through to the API server."""

    def __init__(self, client: Client, clock: Clock = REAL, remember: float = 10.0) -> None:
        """`remember` is how many seconds an answer is good for."""
        self._client = client
        self._clock = clock
        self._remember = remember
        self._known: dict[tuple[str, str, str], _Known] = {}
        self._tokens: dict[tuple[str, str, int], _Token] = {}

    async def config_map(self, namespace: str, name: str) -> Json | None:
        """The ConfigMap, or None; raises StatusError, ConnectionProblem."""
        return await self._get(CONFIG_MAPS, namespace, name)

    async def secret(self, namespace: str, name: str) -> Json | None:
        """The Secret, or None; raises StatusError, ConnectionProblem."""
        return await self._get(SECRETS, namespace, name)

    async def _get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        key = (kind.plural, namespace, name)
        known = self._known.get(key)
        if known and known.obj is not None and self._clock.monotonic() - known.at < self._remember:
            return known.obj
        try:
            obj: Json | None = await self._client.get(kind, name, namespace)
        except errors.NotFound:
            obj = None
        except ConnectionProblem:
            if known is None:
                raise
            return known.obj  # a container may be restarted while the API server is away
        self._known[key] = _Known(obj, self._clock.monotonic())
        return obj

    async def token(self, pod: Json, audience: str, seconds: int) -> str:
        """A token of the pod's service account, bound to the pod; raises StatusError, ConnectionProblem."""
        key = (meta.uid_of(pod), audience, seconds)
        token = self._tokens.get(key)
        now = self._clock.now().timestamp()
        if token and now < token.renew_at:
            return token.text
        try:
            token = await self._request_token(pod, audience, seconds)
        except (ConnectionProblem, errors.StatusError):
            if token is None or now >= token.dead_at:
                raise
            return token.text
        self._tokens[key] = token
        return token.text

    async def _request_token(self, pod: Json, audience: str, seconds: int) -> _Token:
        account = (pod.get("spec") or {}).get("serviceAccountName") or "default"
        request: Json = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {"name": account, "namespace": meta.namespace_of(pod)},
            "spec": {
                "audiences": [audience] if audience else [],
                "expirationSeconds": seconds,
                "boundObjectRef": {
                    "kind": "Pod",
                    "apiVersion": "v1",
                    "name": meta.name_of(pod),
                    "uid": meta.uid_of(pod),
                },
            },
        }
        issued = self._clock.now()
        answer = await self._client.create(SERVICE_ACCOUNTS, request, subresource="token", name=account)
        status = answer.get("status") or {}
        ends = times.parse(status["expirationTimestamp"]) if status.get("expirationTimestamp") else None
        life = (ends - issued if ends else timedelta(seconds=seconds)).total_seconds()
        start = issued.timestamp()
        return _Token(status["token"], start + min(life * _RENEW_AT, _DAY), start + life)

    def forget(self, pod_uid: str) -> None:
        """The pod is gone, and its tokens with it; objects nobody asked for of late go too."""
        for key in [key for key in self._tokens if key[0] == pod_uid]:
            del self._tokens[key]
        old = self._clock.monotonic() - 100 * self._remember
        for name in [name for name, known in self._known.items() if known.at < old]:
            del self._known[name]
