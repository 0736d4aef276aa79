"""What a kind may do differently from the generic store: the hooks, each with a default that does nothing special.

The order in which `registry.store` calls them (upstream: registry/rest/create.go, update.go, delete.go):

- create: defaults, prepare_for_create, validate, begin_create, write, finish
- update: defaults, prepare_for_update, validate_update, begin_update, write, finish
- of the subresource status: prepare_for_status_update and validate_status_update; of another one, X:
  prepare_for_X_update if the strategy has it, validate_X_update or validate_update

Defaults come first, as at decoding upstream: else a PUT that leaves them out would count as a new generation.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from apiserver.registry.allocators import Allocators
from machinery.api.codec import Json
from machinery.api.errors import FieldError

#: ends what `begin_create` or `begin_update` began: True, the object was written; False, undo
Finish = Callable[[bool], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Context:
    """What a hook may know of the request: never the transport."""

    user: Any
    namespace: str
    name: str
    subresource: str = ""
    dry_run: bool = False
    large: bool = False  # what is large is validated in a thread; hooks that validate must not touch the loop
    allocators: Allocators | None = None  # cluster IPs and node ports; None where the server has none

    def named(self, name: str) -> "Context":
        """The same for an object of this name."""
        if name == self.name:
            return self
        return Context(
            self.user, self.namespace, name, self.subresource, self.dry_run, self.large, allocators=self.allocators
        )


class Strategy:
    """The default strategy; a kind overrides what is special. Objects passed in are the store's own: change them."""

    #: update may create a missing object (upstream: AllowCreateOnUpdate: leases, endpoints, …)
    create_on_update: bool = False
    #: an update without a resourceVersion overwrites (upstream: AllowUnconditionalUpdate)
    unconditional_update: bool = True
    #: spec changes bump metadata.generation
    has_generation: bool = False
    #: default grace period for delete in seconds; None: not gracefully deleted
    default_grace_seconds: int | None = None
    #: what DELETE answers: the object it deleted, or a Status (upstream: ReturnDeletedObject)
    returns_deleted_object: bool = False
    #: dependents are looked for when one is deleted; False: orphan and foreground policies mean nothing (events)
    garbage_collected: bool = True

    def defaults(self, obj: Json) -> None:
        """Fill in what the client left out, in place (upstream: pkg/apis/*/v1/defaults.go)."""

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """Drop what a client may not set on create: status, generation."""
        obj.pop("status", None) if self.has_generation else None
        if self.has_generation:
            obj["metadata"]["generation"] = 1

    def prepare_for_update(self, obj: Json, old: Json, context: Context) -> None:
        """Carry over what this update may not touch: status on the main resource; bump generation on a new spec."""
        if self.has_generation:
            if "status" in old:
                obj["status"] = old["status"]
            else:
                obj.pop("status", None)
            self.bump_generation(obj, old)

    def prepare_for_status_update(self, obj: Json, old: Json, context: Context) -> None:
        """A status update changes status (and metadata that the generic store allows) and nothing else."""
        status = obj.get("status")
        metadata = obj["metadata"]
        for key in [key for key in obj if key not in ("status", "metadata")]:
            del obj[key]
        obj.update({key: value for key, value in old.items() if key not in ("status", "metadata")})
        obj["metadata"] = metadata
        if status is None:
            obj.pop("status", None)

    def bump_generation(self, obj: Json, old: Json) -> None:
        """generation + 1 when anything outside metadata and status changed, else the old one."""
        generation = old["metadata"].get("generation", 1)
        obj["metadata"]["generation"] = generation + (1 if _desired(obj) != _desired(old) else 0)

    def validate(self, obj: Json, context: Context) -> list[FieldError]:
        """Semantic checks on create; structure was checked by the schema before."""
        return []

    def validate_update(self, obj: Json, old: Json, context: Context) -> list[FieldError]:
        """Semantic checks on update: by default those of create; immutable fields are for the kind."""
        return self.validate(obj, context)

    def validate_status_update(self, obj: Json, old: Json, context: Context) -> list[FieldError]:
        """Semantic checks on a status update."""
        return []

    def warnings(self, obj: Json, old: Json | None) -> list[str]:
        """Texts for Warning headers."""
        return []

    async def begin_create(self, obj: Json, context: Context) -> Finish | None:
        """Claim what a new object needs beside itself (Services: addresses), after validation and before the write."""
        return None

    async def begin_update(self, obj: Json, old: Json, context: Context) -> Finish | None:
        """The same for an update; may be called again with a newer `old` when the write met a conflict."""
        return None

    async def after_delete(self, obj: Json, context: Context) -> None:
        """The object is gone: give back what it had claimed."""

    def mark_deleted(self, obj: Json) -> None:
        """What else changes when an object gets its deletionTimestamp (namespaces: status.phase Terminating)."""

    def holds_on(self, obj: Json) -> bool:
        """Whether a deleted object must stay for a reason besides metadata.finalizers (namespaces: spec.finalizers)."""
        return False

    def grace_seconds(self, obj: Json, asked: int | None) -> int | None:
        """The grace period of a delete in seconds, or None where the kind knows no graceful deletion. 0: at once."""
        if self.default_grace_seconds is None:
            return None
        return self.default_grace_seconds if asked is None else asked


def _desired(obj: Json) -> Json:
    return {key: value for key, value in obj.items() if key not in ("metadata", "status", "apiVersion", "kind")}
