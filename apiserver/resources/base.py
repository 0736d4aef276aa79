"""The strategy built-in kinds start from: metadata is validated for them. What is special is in each kind's file."""

from typing import ClassVar

from apiserver.registry.strategy import Context, Strategy
from apiserver.validation import metadata
from machinery.api import meta, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class KindStrategy(Strategy):
    """Metadata checks around `check`, `check_update` and `check_status`, which a kind overrides."""

    namespaced: ClassVar[bool] = True
    #: kinds without generation whose status a client may not set on create either
    drops_status: ClassVar[bool] = False

    def name_check(self, name: str) -> list[str]:
        """Upstream's complaints about a name."""
        return names.is_dns_subdomain(name)

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """Drop status where clients may not set it."""
        super().prepare_for_create(obj, context)
        if self.drops_status:
            obj.pop("status", None)

    def prepare_for_update(self, obj: Json, old: Json, context: Context) -> None:
        """Keep the old status on the main resource."""
        super().prepare_for_update(obj, old, context)
        if self.drops_status and not self.has_generation:
            keep_status(obj, old)

    def validate(self, obj: Json, context: Context) -> list[FieldError]:
        """Metadata, then the kind's own checks."""
        return metadata.check(obj, self.name_check, namespaced=self.namespaced) + self.check(obj)

    def validate_update(self, obj: Json, old: Json, context: Context) -> list[FieldError]:
        """Metadata against the old object; then, if more changed, the checks of create and what may not change.

        What was accepted once is not judged again: a stored object stays editable when checks grow stricter.
        """
        found = metadata.check_update(obj, old)
        if _same_content(obj, old):
            return found
        return found + self.check(obj) + self.check_update(obj, old)

    def validate_status_update(self, obj: Json, old: Json, context: Context) -> list[FieldError]:
        """Metadata against the old object, then the kind's own checks of a status."""
        return metadata.check_update(obj, old) + self.check_status(obj, old)

    def check(self, obj: Json) -> list[FieldError]:
        """What must hold for every object of the kind."""
        return []

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """What may not change."""
        return []

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """What must hold for a new status."""
        return []


def _same_content(obj: Json, old: Json) -> bool:
    """Whether nothing that `check` reads differs; annotations count, Secrets' types depend on them."""
    keys = (obj.keys() | old.keys()) - {"metadata", "status"}
    same = all(obj.get(key) == old.get(key) for key in keys)
    return same and meta.annotations_of(obj) == meta.annotations_of(old)


def keep_status(obj: Json, old: Json) -> None:
    """The old object's status in place of what the client sent."""
    if "status" in old:
        obj["status"] = old["status"]
    else:
        obj.pop("status", None)
