"""Small objects for tests of storage."""

from apiserver.storage.objects import Schema, encode
from machinery.api.codec import Json

PODS = Schema("/registry/pods/", True, {"spec.nodeName": lambda pod: pod.get("spec", {}).get("nodeName", "")})
NODES = Schema("/registry/minions/", False)


def pod(name: str, namespace: str = "a", *, node: str = "", labels: dict[str, str] | None = None) -> Json:
    """A pod of a few fields."""
    metadata: Json = {"name": name, "namespace": namespace}
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"nodeName": node} if node else {}}


def key(obj: Json) -> str:
    """Where a pod lies."""
    return f"/registry/pods/{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def raw(obj: Json) -> bytes:
    """As etcd has it."""
    return encode(obj)
