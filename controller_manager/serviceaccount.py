"""A ServiceAccount `default` in every active namespace. Tokens are `service_account_tokens`'.

Upstream: pkg/controller/serviceaccount/serviceaccounts_controller.go.
"""

from controller_manager.pod_control import is_namespace_terminating
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself
from machinery.client.informer import Informers
from machinery.client.rest import Client

_NAMES = ("default",)


class ServiceAccountController:
    """Keys are namespaces."""

    name = "serviceaccount-controller"

    def __init__(self, client: Client, informers: Informers) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._namespaces = informers.watch(kinds.NAMESPACES, on_change=enqueue_itself(self.queue))
        self._accounts = informers.watch(kinds.SERVICE_ACCOUNTS, on_change=self._account_gone)

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one namespace."""
        namespace = self._namespaces.get(key)
        if namespace is None or meta.is_being_deleted(namespace):
            return None
        for name in _NAMES:
            if self._accounts.get(ObjectKey(key.name, name)) is None:
                await self._create(key.name, name)
        return None

    async def _create(self, namespace: str, name: str) -> None:
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
        try:
            await self._client.create(kinds.SERVICE_ACCOUNTS, account)
        except errors.AlreadyExists:
            return  # the cache will see it
        except errors.NotFound:
            return  # the namespace has just gone
        except errors.Forbidden as problem:
            if not is_namespace_terminating(problem):
                raise

    def _account_gone(self, old: Json | None, new: Json | None) -> None:
        if old is not None and new is None and meta.name_of(old) in _NAMES:
            self.queue.add(ObjectKey("", meta.namespace_of(old)))
