"""Who owns whom, by uid. Pure bookkeeping: nothing is asked or deleted here.

Theory of operation (upstream: pkg/controller/garbagecollector/graph.go, graph_builder.go).
- Every object the monitors see is a node; its owner references are edges towards its owners. An owner that a reference
  names but no monitor has shown yet is a *virtual* node: it may be unknown only because its watch is slower, or it may
  never have existed. Whoever looks at a virtual node asks the API server.
- A change returns the uids to look at. It is always safe to look at more: a look asks the API server before it deletes.
- Looked at are: virtual owners; dependents of what went away; dependents of an owner that waits for their deletion
  (finalizer foregroundDeletion), and that owner; owners freed of a blocking reference; owners with the finalizer
  orphan.
Invariant: `dependents` of a node is the set of nodes that name its uid in their references.
Refused: keeping objects. Only what decides is kept, since all objects of the cluster pass through here.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from machinery.api import meta
from machinery.api.codec import Json


@dataclass(frozen=True, slots=True)
class Identity:
    """Where an object is found."""

    api_version: str
    kind: str
    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {place}"


@dataclass(frozen=True, slots=True)
class Reference:
    """An owner reference without its controller mark."""

    api_version: str
    kind: str
    name: str
    uid: str
    blocks: bool

    @classmethod
    def of(cls, reference: Json) -> "Reference":
        """From `metadata.ownerReferences[]`."""
        return cls(
            reference.get("apiVersion", ""),
            reference.get("kind", ""),
            reference.get("name", ""),
            reference.get("uid", ""),
            bool(reference.get("blockOwnerDeletion")),
        )


@dataclass(slots=True)
class Node:
    """What is known about one object."""

    identity: Identity
    owners: tuple[Reference, ...] = ()
    dependents: set[str] = field(default_factory=set)
    deleting: bool = False
    waits_for_dependents: bool = False
    orphans_dependents: bool = False
    virtual: bool = False

    def blocks(self, owner_uid: str) -> bool:
        """Whether it holds back the deletion of an owner that waits for its dependents."""
        return any(owner.uid == owner_uid and owner.blocks for owner in self.owners)


class Graph:
    """All nodes by uid."""

    def __init__(self) -> None:
        self._nodes: dict[str, Node] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def get(self, uid: str) -> Node | None:
        """The node of a uid."""
        return self._nodes.get(uid)

    def dependents_of(self, uid: str) -> list[Node]:
        """The nodes that name this uid as an owner."""
        node = self._nodes.get(uid)
        return [self._nodes[dependent] for dependent in sorted(node.dependents)] if node is not None else []

    def put(self, api_version: str, kind: str, obj: Json) -> set[str]:
        """An object was seen; returns the uids to look at."""
        key, uid = meta.key_of(obj), meta.uid_of(obj)
        node = self._nodes.get(uid)
        was_deleting = node is not None and node.deleting
        if node is None:
            node = self._nodes[uid] = Node(Identity(api_version, kind, key.namespace, key.name, uid))
        node.identity = Identity(api_version, kind, key.namespace, key.name, uid)
        node.virtual = False
        owners = tuple(Reference.of(reference) for reference in meta.owners_of(obj))
        look = self._rewire(node, owners)
        finalizers = meta.finalizers_of(obj)
        node.deleting = meta.is_being_deleted(obj)
        node.orphans_dependents = node.deleting and meta.ORPHAN in finalizers
        waited, node.waits_for_dependents = node.waits_for_dependents, node.deleting and meta.FOREGROUND in finalizers
        if node.waits_for_dependents and not waited:
            look |= {uid, *node.dependents}
        if node.orphans_dependents:
            look.add(uid)
        if node.deleting and not was_deleting:
            look |= self._waiting_owners(node)
        return look

    def _rewire(self, node: Node, owners: tuple[Reference, ...]) -> set[str]:
        before, node.owners = node.owners, owners
        uid = node.identity.uid
        look = set()
        for reference in owners:
            owner = self._nodes.get(reference.uid)
            if owner is None:
                # A namespaced owner lives in the namespace of what it owns; for others the namespace is ignored.
                where = Identity(
                    reference.api_version, reference.kind, node.identity.namespace, reference.name, reference.uid
                )
                owner = self._nodes[reference.uid] = Node(where, virtual=True)
            owner.dependents.add(uid)
            # A reference to coordinates that are not the owner's is as dangling as one to nothing.
            if owner.virtual or (owner.identity.kind, owner.identity.name) != (reference.kind, reference.name):
                look.add(reference.uid if owner.virtual else uid)
            if owner.waits_for_dependents:
                look.add(uid)
        kept = {reference.uid for reference in owners}
        blocking = {reference.uid for reference in owners if reference.blocks}
        for reference in before:
            if reference.uid not in kept:
                self._cut(reference.uid, uid)
            if reference.blocks and reference.uid not in blocking and reference.uid in self._nodes:
                look.add(reference.uid)
        return look

    def _cut(self, owner_uid: str, uid: str) -> None:
        owner = self._nodes.get(owner_uid)
        if owner is not None:
            owner.dependents.discard(uid)
            if owner.virtual and not owner.dependents:
                del self._nodes[owner_uid]

    def _waiting_owners(self, node: Node) -> set[str]:
        owners = (self._nodes.get(reference.uid) for reference in node.owners)
        return {owner.identity.uid for owner in owners if owner is not None and owner.waits_for_dependents}

    def remove(self, uid: str) -> set[str]:
        """An object is gone for good; returns the uids to look at."""
        node = self._nodes.pop(uid, None)
        if node is None:
            return set()
        look = set(node.dependents)
        if node.dependents:
            # Its dependents still name it: it stays as a virtual node until they are gone, too.
            self._nodes[uid] = Node(node.identity, dependents=node.dependents, virtual=True)
        look |= self._waiting_owners(node)
        for reference in node.owners:
            self._cut(reference.uid, uid)
        return look

    def forget_kind(self, api_version: str, kind: str, keep: Iterable[str] = ()) -> set[str]:
        """The resource itself is gone; returns the uids to look at."""
        kept = set(keep)
        doomed = [
            node.identity.uid
            for node in self._nodes.values()
            if not node.virtual and (node.identity.api_version, node.identity.kind) == (api_version, kind)
        ]
        return {uid for gone in doomed if gone not in kept for uid in self.remove(gone)}
