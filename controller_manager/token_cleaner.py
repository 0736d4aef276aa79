"""Deletes bootstrap tokens whose time is over.

Upstream: pkg/controller/bootstrap/tokencleaner.go. Off unless --controllers names it.
"""

from machinery.aio.clock import REAL, Clock
from machinery.aio.workqueue import WorkQueue
from machinery.api import bootstrap_tokens as tokens
from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import ignore_not_found
from machinery.client.informer import Informers
from machinery.client.rest import Client


class TokenCleaner:
    """Keys are Secrets of the type."""

    name = "token-cleaner-controller"

    def __init__(self, client: Client, informers: Informers, clock: Clock = REAL) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._clock = clock
        self._secrets = informers.watch(kinds.SECRETS, on_change=self._changed)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """Delete it, or say when to look again."""
        secret = self._secrets.get(key)
        if secret is None:
            return None
        data = tokens.texts_of(secret)
        now = self._clock.now()
        if tokens.is_expired(data, now):
            deletion = self._client.delete(kinds.SECRETS, key.name, key.namespace, uid=meta.uid_of(secret))
            await ignore_not_found(deletion)
            return None
        end = tokens.expiration_of(data)
        return None if end is None else (end - now).total_seconds()

    def _changed(self, old: Json | None, new: Json | None) -> None:
        if new is not None and new.get("type") == tokens.SECRET_TYPE and meta.namespace_of(new) == tokens.NAMESPACE:
            self.queue.add(meta.key_of(new))
