"""What an admission plugin sees of one request. Plugins read and change `obj`; nothing else of the request."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from enum import Enum

from apiserver.request import User
from machinery.api import errors, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind


class Operation(Enum):
    """What is about to happen."""

    CREATE = "CREATE"
    UPDATE = "UPDATE"
    DELETE = "DELETE"
    CONNECT = "CONNECT"


def _nobody(*_: str) -> None:
    """Nobody is told."""


def _no_options() -> Json | None:
    """None are known."""
    return None


@dataclass(slots=True)
class Rounds:
    """The mutating phase runs a second time where a webhook changed the object; which webhooks it asks again then."""

    second: bool = False
    wanted: bool = False
    asked: set[Hashable] = field(default_factory=set)
    due: set[Hashable] = field(default_factory=set)
    #: the object as the webhooks of the first round left it
    output: Json | None = None


@dataclass(slots=True)
class Attributes:
    """One write, before it happens (upstream: k8s.io/apiserver/pkg/admission/attributes.go)."""

    operation: Operation
    kind: Kind
    user: User
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    #: the new object; None for a deletion. The chain's to change while it mutates, to read only while it validates.
    obj: Json | None = None
    old: Json | None = None
    dry_run: bool = False
    #: what `obj` is where it is not of the kind itself: Eviction, Scale, PodExecOptions …
    object_kind: Kind | None = None
    #: CreateOptions, UpdateOptions, PatchOptions or DeleteOptions
    options: Callable[[], Json | None] = _no_options
    rounds: Rounds | None = None
    #: tells the client something
    warn: Callable[[str], None] = _nobody
    #: tells the audit log something: a key and a text
    annotate: Callable[[str, str], None] = _nobody
    #: the same of what only a log of requests' bodies may tell
    annotate_body: Callable[[str, str], None] = _nobody

    def is_for(self, kind: Kind, *operations: Operation) -> bool:
        """Whether the request is for the kind itself, not a subresource, and one of the operations."""
        return self.kind == kind and not self.subresource and self.operation in operations

    def forbidden(self, why: str) -> errors.Forbidden:
        """`pods "web" is forbidden: …`; an object yet to be named goes by its generateName (upstream: NewForbidden)."""
        metadata = meta.metadata_of(self.obj or {})
        name = self.name or metadata.get("name") or metadata.get("generateName") or ""
        return errors.forbidden(self.kind, name, why)
