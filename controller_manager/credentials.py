"""One identity per controller: a client that acts as a ServiceAccount of kube-system, with tokens it asks for itself.

With --use-service-account-credentials each controller has only the rights of its own role (system:controller:NAME), and
the process itself needs little more than to ask for tokens. Upstream: client builder in
staging/src/k8s.io/controller-manager/pkg/clientbuilder/client_builder_dynamic.go.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from machinery.aio.clock import REAL, Clock
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.client.config import ClientConfig
from machinery.client.http1 import Response
from machinery.client.rest import Client

NAMESPACE: Final = "kube-system"
_LIFETIME: Final = 3600
_RENEW_AFTER: Final = 0.8


class AccountClient(Client):
    """A client whose token is asked for when first needed, renewed in time, and again when the server refuses it."""

    def __init__(self, root: Client, account: str, clock: Clock = REAL) -> None:
        bare = ClientConfig(
            server=root.config.server,
            ca=root.config.ca,
            insecure=root.config.insecure,
            tls_server_name=root.config.tls_server_name,
        )
        super().__init__(bare, f"kube-controller-manager/{account}")
        self._root = root
        self._account = account
        self._clock = clock
        self._renew_at = 0.0
        self._lock = asyncio.Lock()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """As Client.request, with a valid token."""
        token = await self._fresh_token("")
        try:
            return await super().request(method, path, params=params, body=body, headers=headers)
        except errors.Unauthorized:
            # The account was made anew, or the server's key has changed.
            await self._fresh_token(token)
            return await super().request(method, path, params=params, body=body, headers=headers)

    async def _fresh_token(self, refused: str) -> str:
        """The token in use; a new one when there is none, when it is old, or when it is the one refused."""
        async with self._lock:
            current = self.config.token
            if not current or current == refused or self._clock.monotonic() >= self._renew_at:
                token, seconds = await self._ask()
                self.config = replace(self.config, token=token)
                self._renew_at = self._clock.monotonic() + seconds * _RENEW_AFTER
            return self.config.token

    async def _ask(self) -> tuple[str, float]:
        try:
            return await self._request_token()
        except errors.NotFound:
            await self._create_account()
            return await self._request_token()

    async def _request_token(self) -> tuple[str, float]:
        wanted: Json = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "metadata": {"name": self._account, "namespace": NAMESPACE},
            "spec": {"expirationSeconds": _LIFETIME},
        }
        answer = await self._root.create(kinds.SERVICE_ACCOUNTS, wanted, subresource="token", name=self._account)
        return answer["status"]["token"], float(answer["spec"].get("expirationSeconds") or _LIFETIME)

    async def _create_account(self) -> None:
        metadata = {"name": self._account, "namespace": NAMESPACE}
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}
        try:
            await self._root.create(kinds.SERVICE_ACCOUNTS, account)
        except errors.AlreadyExists:
            return
