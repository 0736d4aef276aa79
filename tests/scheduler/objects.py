"""Small Nodes, Pods and tables for the scheduler's tests."""

from collections.abc import Iterable
from typing import Any

from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.store import Store
from scheduler.cache import Cache, Mask, NodeTable
from scheduler.framework import Handle
from scheduler.pods import Pod, pod_of


def node(name: str, *, cpu: str = "4", labels: Json | None = None, taints: Iterable[Json] = (), **spec: Any) -> Json:
    """A Node with 8Gi and 110 pods."""
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **(labels or {})}},
        "spec": {"taints": list(taints), **spec},
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": "110"}},
    }


def taint(key: str, effect: str = "NoSchedule", value: str = "") -> Json:
    """A taint."""
    return {"key": key, "value": value, "effect": effect}


def pod_object(name: str, *, cpu: str = "100m", labels: Json | None = None, **spec: Any) -> Json:
    """A pending Pod with one container."""
    container: Json = {"name": "c", "resources": {"requests": {"cpu": cpu}} if cpu else {}}
    return {
        "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "labels": labels or {}},
        "spec": {"containers": [container], **spec},
    }


def pod(name: str, *, cpu: str = "100m", labels: Json | None = None, **spec: Any) -> Pod:
    """The same as the scheduler sees it."""
    return pod_of(pod_object(name, cpu=cpu, labels=labels, **spec))


def pod_with_ports(name: str, *ports: Json) -> Pod:
    """A Pod that claims host ports."""
    return pod(name, containers=[{"name": "c", "ports": list(ports)}])


def table(*nodes: Json) -> NodeTable:
    """A table of nodes."""
    return cache_of(*nodes).nodes


def cache_of(*nodes: Json) -> Cache:
    """A cache of nodes without pods."""
    cache = Cache()
    for one in nodes:
        cache.nodes.set_node(one)
    return cache


def named(nodes: NodeTable, mask: Mask) -> set[str]:
    """Names of the rows of a mask."""
    return {nodes.names[row] for row in mask.nonzero()[0]}


class StoresOnly:
    """Informers that watch nothing: their stores are filled by hand."""

    def __init__(self) -> None:
        self.stores: dict[str, Store] = {}

    def watch(self, kind: Any, **_: Any) -> Store:
        """The store of a kind."""
        return self.stores.setdefault(kind.plural, Store())


def handle(informers: StoresOnly | None = None) -> Handle:
    """A handle without a client."""
    nobody: Any = None
    stores: Any = informers or StoresOnly()
    return Handle(nobody, stores)


def key(name: str) -> ObjectKey:
    """The key of a pod in the default namespace."""
    return ObjectKey("default", name)
