"""How controllers find objects in shared caches without walking all of them: by controlling owner, by node."""

from typing import Final

from machinery.api import meta, pods
from machinery.api.codec import Json
from machinery.client.store import Lister

_BY_CONTROLLER: Final = "controller uid"
_BY_NODE: Final = "spec.nodeName"


def index_by_controller(lister: Lister) -> None:
    """Let `held_or_orphaned` and `controlled_by` find objects of this cache."""
    lister.add_index(_BY_CONTROLLER, _controller)


def index_by_node(lister: Lister) -> None:
    """Let `on_node` find pods of this cache."""
    lister.add_index(_BY_NODE, lambda pod: [pods.node_of(pod)] if pods.node_of(pod) else [])


def controlled_by(lister: Lister, uid: str) -> list[Json]:
    """The objects whose managing controller has this uid."""
    return lister.by_index(_BY_CONTROLLER, uid)


def held_or_orphaned(lister: Lister, owner: Json) -> list[Json]:
    """What an owner holds, and the objects of its namespace that nobody holds: the candidates for its claim."""
    orphans = lister.by_index(_BY_CONTROLLER, _orphans_of(meta.namespace_of(owner)))
    return controlled_by(lister, meta.uid_of(owner)) + orphans


def on_node(lister: Lister, node: str) -> list[Json]:
    """The pods bound to a node."""
    return lister.by_index(_BY_NODE, node)


def _controller(obj: Json) -> list[str]:
    controller = meta.controller_of(obj)
    return [controller.get("uid", "") if controller is not None else _orphans_of(meta.namespace_of(obj))]


def _orphans_of(namespace: str) -> str:
    return f"orphans of {namespace}"  # no uid has spaces
