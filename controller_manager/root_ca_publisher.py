"""The ConfigMap kube-root-ca.crt in every active namespace: whom pods may trust as the API server.

Upstream: pkg/controller/certificates/rootcacertpublisher/publisher.go.
"""

from typing import Final

from controller_manager.pod_control import is_namespace_terminating
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself
from machinery.client.informer import Informers
from machinery.client.rest import Client

CONFIG_MAP: Final = "kube-root-ca.crt"
_DESCRIPTION: Final = {
    "kubernetes.io/description": (
        "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
        "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of "
        "Kubernetes clusters."
    )
}


def plan_config_map(namespace: str, current: Json | None, root_ca: str) -> Json | None:
    """The ConfigMap to write; None when the current one is right."""
    data = {"ca.crt": root_ca}
    if current is None:
        metadata: Json = {"name": CONFIG_MAP, "namespace": namespace, "annotations": _DESCRIPTION}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}
    annotations = {**meta.annotations_of(current), **_DESCRIPTION}
    if current.get("data") == data and annotations == meta.annotations_of(current):
        return None
    return {**current, "metadata": {**current["metadata"], "annotations": annotations}, "data": data}


class RootCAPublisher:
    """Keys are namespaces."""

    name = "root-ca-certificate-publisher-controller"

    def __init__(self, client: Client, informers: Informers, root_ca: str) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._root_ca = root_ca
        self._namespaces = informers.watch(kinds.NAMESPACES, on_change=enqueue_itself(self.queue))
        self._config_maps = informers.watch(
            kinds.CONFIG_MAPS, field_selector=f"metadata.name={CONFIG_MAP}", on_change=self._config_map_changed
        )

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one namespace."""
        namespace = self._namespaces.get(key)
        if namespace is None or meta.is_being_deleted(namespace):
            return None
        current = self._config_maps.get(ObjectKey(key.name, CONFIG_MAP))
        wanted = plan_config_map(key.name, current, self._root_ca)
        if wanted is None:
            return None
        try:
            write = self._client.create if current is None else self._client.update
            await write(kinds.CONFIG_MAPS, wanted)
        except (errors.AlreadyExists, errors.NotFound):
            return None  # the cache was behind, or the namespace has just gone
        except errors.Forbidden as problem:
            if not is_namespace_terminating(problem):
                raise
        return None

    def _config_map_changed(self, old: Json | None, new: Json | None) -> None:
        self.queue.add(ObjectKey("", meta.namespace_of(new or old or {})))
