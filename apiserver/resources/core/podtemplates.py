"""PodTemplates (upstream: pkg/registry/core/podtemplate)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, labels_text
from apiserver.resources.core.pods.defaults import template_defaults
from apiserver.validation import pod_template, pod_warnings
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class PodTemplateStrategy(KindStrategy):
    """A template by itself; its generation counts, as upstream's does."""

    has_generation = True

    def defaults(self, obj: Json) -> None:
        """A pod's."""
        template_defaults(obj.setdefault("template", {}))

    def check(self, obj: Json) -> list[FieldError]:
        """The template's checks."""
        return pod_template.check(obj.get("template") or {}, "template")

    def warnings(self, obj: Json, old: Json | None) -> list[str]:
        """What is odd about the template."""
        return pod_warnings.check((obj.get("template") or {}).get("spec") or {}, "template.spec")


def _joined(template: Json, field: str) -> str:
    containers = ((template.get("template") or {}).get("spec") or {}).get("containers") or ()
    return ",".join(item.get(field) or "" for item in containers)


def _labels(template: Json) -> str:
    return labels_text(((template.get("template") or {}).get("metadata") or {}).get("labels"))


POD_TEMPLATES: Final = Resource(
    kind=kinds.POD_TEMPLATES,
    key="podtemplates",
    strategy=PodTemplateStrategy(),
    columns=(
        Column("Containers", lambda obj: _joined(obj, "name")),
        Column("Images", lambda obj: _joined(obj, "image")),
        Column("Pod Labels", _labels),
        AGE,
    ),
)
