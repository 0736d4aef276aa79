"""ResourceClaimTemplates of resource.k8s.io/v1 (upstream: pkg/registry/resource/resourceclaimtemplate)."""

from typing import Final

from apiserver.registry.resource import Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of
from apiserver.resources.resource.resourceclaims import claim_defaults, claim_spec
from apiserver.validation import fields
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class ResourceClaimTemplateStrategy(KindStrategy):
    """A claim for each pod; it stays."""

    def defaults(self, obj: Json) -> None:
        """The claim's."""
        claim_defaults(obj.setdefault("spec", {}).setdefault("spec", {}))

    def check(self, obj: Json) -> list[FieldError]:
        """The claim's."""
        return claim_spec(spec_of(obj).get("spec") or {}, "spec.spec")

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """The wish stays."""
        return fields.immutable(spec_of(obj), spec_of(old), "spec")


RESOURCE_CLAIM_TEMPLATES: Final = Resource(
    kind=kinds.RESOURCE_CLAIM_TEMPLATES,
    key="resourceclaimtemplates",
    strategy=ResourceClaimTemplateStrategy(),
    columns=(AGE,),
)
