"""Fills Secrets of type kubernetes.io/service-account-token. Bound tokens are the API server's.

Upstream: pkg/controller/serviceaccount/tokens_controller.go, pkg/serviceaccount/legacy.go. Secrets are no longer made
for every account (KEP-2799): only those that a user creates by hand are filled.
"""

import base64
import logging
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself, ignore_not_found
from machinery.client.informer import Informers
from machinery.client.rest import Client

logger = logging.getLogger(__name__)

TYPE: Final = "kubernetes.io/service-account-token"
ACCOUNT_NAME: Final = "kubernetes.io/service-account.name"
ACCOUNT_UID: Final = "kubernetes.io/service-account.uid"
_ISSUER: Final = "kubernetes/serviceaccount"
_PREFIX: Final = "kubernetes.io/serviceaccount/"
_CURVES: Final = {256: "ES256", 384: "ES384", 521: "ES512"}


class TokenSigner:
    """Signs legacy tokens: without expiry, valid as long as their Secret exists."""

    def __init__(self, private_key_pem: bytes) -> None:
        key = load_pem_private_key(private_key_pem, password=None)
        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            raise ValueError("the service account private key is neither RSA nor ECDSA")
        self._key = key
        self._algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else _CURVES[key.curve.key_size]

    def sign(self, account: Json, secret: Json) -> str:
        """The token for an account, bound to its Secret by name."""
        key = meta.key_of(account)
        claims = {
            "iss": _ISSUER,
            "sub": f"system:serviceaccount:{key.namespace}:{key.name}",
            _PREFIX + "namespace": key.namespace,
            _PREFIX + "secret.name": meta.name_of(secret),
            _PREFIX + "service-account.name": key.name,
            _PREFIX + "service-account.uid": meta.uid_of(account),
        }
        return jwt.encode(claims, self._key, algorithm=self._algorithm)


def plan_secret(secret: Json, account: Json, root_ca: bytes, signer: TokenSigner) -> Json | None:
    """The Secret with its token, CA and namespace; None when nothing is missing or stale."""
    data: dict[str, str] = dict(secret.get("data") or {})
    namespace = base64.b64encode(meta.namespace_of(secret).encode()).decode()
    wanted = {"namespace": namespace} | ({"ca.crt": base64.b64encode(root_ca).decode()} if root_ca else {})
    stale = meta.annotations_of(secret).get(ACCOUNT_UID) != meta.uid_of(account)
    if not stale and data.get("token") and {**data, **wanted} == data:
        return None
    if stale or not data.get("token"):
        wanted["token"] = base64.b64encode(signer.sign(account, secret).encode()).decode()
    annotations = {
        **meta.annotations_of(secret),
        ACCOUNT_UID: meta.uid_of(account),
        ACCOUNT_NAME: meta.name_of(account),
    }
    return {**secret, "metadata": {**secret["metadata"], "annotations": annotations}, "data": {**data, **wanted}}


class TokensController:
    """Keys are Secrets."""

    name = "serviceaccount-token-controller"

    def __init__(self, client: Client, informers: Informers, signer: TokenSigner, root_ca: bytes) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._signer = signer
        self._root_ca = root_ca
        self._secrets = informers.watch(
            kinds.SECRETS, field_selector=f"type={TYPE}", on_change=enqueue_itself(self.queue)
        )
        self._accounts = informers.watch(kinds.SERVICE_ACCOUNTS, on_change=self._account_changed)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one Secret."""
        secret = self._secrets.get(key)
        name = meta.annotations_of(secret or {}).get(ACCOUNT_NAME, "")
        if secret is None or not name or meta.is_being_deleted(secret):
            return None
        account = self._accounts.get(ObjectKey(key.namespace, name))
        uid = meta.annotations_of(secret).get(ACCOUNT_UID, "")
        if account is None or (uid and uid != meta.uid_of(account)):
            account = await ignore_not_found(self._client.get(kinds.SERVICE_ACCOUNTS, name, key.namespace))
        if account is None or (uid and uid != meta.uid_of(account)):
            logger.info("deleting the token secret %s: its service account %s is gone", key, name)
            await self._delete(secret)
            return None
        wanted = plan_secret(secret, account, self._root_ca, self._signer)
        if wanted is not None:
            await ignore_not_found(self._client.update(kinds.SECRETS, wanted))
        return None

    async def _delete(self, secret: Json) -> None:
        key = meta.key_of(secret)
        try:
            await self._client.delete(kinds.SECRETS, key.name, key.namespace, uid=meta.uid_of(secret))
        except (errors.NotFound, errors.Conflict):
            return  # gone, or replaced by a namesake that has its own key in the queue

    def _account_changed(self, old: Json | None, new: Json | None) -> None:
        account = meta.key_of(new or old or {})
        for secret in self._secrets.in_namespace(account.namespace):
            if meta.annotations_of(secret).get(ACCOUNT_NAME) == account.name:
                self.queue.add(meta.key_of(secret))
