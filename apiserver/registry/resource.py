"""A resource is a row: kind, strategy, columns, etcd key. What is done with it is registry.store and handlers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from apiserver.registry.strategy import Strategy
from machinery.api.codec import Json
from machinery.api.kinds import Kind

#: (object) -> value of one table cell
Cell = Callable[[Json], Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of `kubectl get`; priority 1 shows with -o wide only."""

    name: str
    cell: Cell
    type: str = "string"
    format: str = ""
    description: str = ""
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Conversion:
    """Between a version that is served and the one that is stored. The functions make theirs of what they are given.

    A kind that is served in several versions has a row for each. One of them is the stored one; the others name it by
    their conversion, share its key and strategy, and are converted on the way in (before defaults) and on the way out.
    """

    served: Kind
    stored: Kind
    to_stored: Callable[[Json], Json]
    from_stored: Callable[[Json], Json]


@dataclass(frozen=True, slots=True)
class Resource:
    """One built-in or custom kind as the server serves it."""

    kind: Kind
    strategy: Strategy = field(default_factory=Strategy)
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    #: what follows the Name column; a row that has a column called Name itself (events) gets none in front
    columns: tuple[Column, ...] = ()
    #: below /registry: "pods", "services/specs", "minions", "leases" …; upstream's own layout
    key: str = ""
    #: selectable fields besides metadata.name and metadata.namespace
    fields: Mapping[str, Callable[[Json], str]] = field(default_factory=dict)
    #: "status", "scale", and what handlers/connect serves ("log", "exec", "binding" …)
    subresources: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
    #: lifetime in etcd, seconds; 0: for ever (events: one hour)
    ttl_seconds: int = 0
    #: of a version that is not the stored one
    conversion: Conversion | None = None
    #: of the stored version: the others that are served
    versions: tuple[Conversion, ...] = ()
    #: what every answer warns of, where the version is on its way out (upstream: APILifecycleDeprecated)
    deprecated: str = ""

    def served_as(self, conversion: Conversion) -> "Resource":
        """The row of another version of this kind."""
        return replace(self, kind=conversion.served, conversion=conversion, versions=())

    def prefix(self) -> str:
        """The etcd prefix all its objects lie under, with a slash at the end."""
        return f"/registry/{self.key}/"

    def key_of(self, namespace: str, name: str) -> str:
        """The etcd key of one object."""
        middle = f"{namespace}/" if self.kind.namespaced else ""
        return f"/registry/{self.key}/{middle}{name}"
