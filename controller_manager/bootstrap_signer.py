"""Signs kube-public/cluster-info with every bootstrap token that is for signing, so that joining machines may trust it.

Upstream: pkg/controller/bootstrap/bootstrapsigner.go. Off unless --controllers names it.
"""

from typing import Final

from machinery.aio.clock import REAL, Clock
from machinery.aio.workqueue import WorkQueue
from machinery.api import bootstrap_tokens as tokens
from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.informer import Informers
from machinery.client.rest import Client

_INFO: Final = ObjectKey(tokens.CLUSTER_INFO_NAMESPACE, tokens.CLUSTER_INFO)


class BootstrapSigner:
    """There is one key: the ConfigMap."""

    name = "bootstrap-signer-controller"

    def __init__(self, client: Client, informers: Informers, clock: Clock = REAL) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._clock = clock
        self._maps = informers.watch(kinds.CONFIG_MAPS, on_change=self._map_changed)
        self._secrets = informers.watch(kinds.SECRETS, on_change=self._secret_changed)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Bring the signatures in line with the tokens."""
        info = self._maps.get(key)
        if info is None:
            return None
        data = signed_data(info.get("data") or {}, self._signers())
        if data != (info.get("data") or {}):
            await self._client.update(kinds.CONFIG_MAPS, {**info, "data": data})
        return None

    def _signers(self) -> dict[str, str]:
        """Token id → secret."""
        found = {}
        for secret in self._secrets.in_namespace(tokens.NAMESPACE):
            if secret.get("type") != tokens.SECRET_TYPE:
                continue
            data = tokens.texts_of(secret)
            id_ = data.get("token-id", "")
            usable = data.get("usage-bootstrap-signing") == "true" and not tokens.is_expired(data, self._clock.now())
            if usable and meta.name_of(secret) == f"{tokens.SECRET_PREFIX}{id_}":
                found[id_] = data.get("token-secret", "")
        return found

    def _map_changed(self, old: Json | None, new: Json | None) -> None:
        if meta.key_of(new or old or {}) == _INFO:
            self.queue.add(_INFO)

    def _secret_changed(self, old: Json | None, new: Json | None) -> None:
        if (new or old or {}).get("type") == tokens.SECRET_TYPE:
            self.queue.add(_INFO)


def signed_data(data: dict[str, str], signers: dict[str, str]) -> dict[str, str]:
    """The ConfigMap's data with the signatures of these tokens and no others."""
    kept = {key: text for key, text in data.items() if not key.startswith(tokens.SIGNATURE_PREFIX)}
    content = kept.get(tokens.KUBECONFIG_KEY)
    if content is None:
        return kept
    made = {f"{tokens.SIGNATURE_PREFIX}{id_}": tokens.sign(content, id_, secret) for id_, secret in signers.items()}
    return {**kept, **made}
