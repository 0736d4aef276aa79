"""What Deployment and ReplicaSet share: replicas, selector, template (upstream: pkg/apis/apps/validation)."""

from apiserver.registry.strategy import Context
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import spec_of
from apiserver.resources.core.pods.defaults import template_defaults
from apiserver.validation import fields, metadata, pod_template, pod_warnings, selectors
from machinery.api import errors
from machinery.api import selectors as matching
from machinery.api.codec import Json
from machinery.api.errors import FieldError

EMPTY_SELECTOR = "empty selector is invalid for {}"


class WorkloadStrategy(KindStrategy):
    """Generation, a template with a pod's defaults, a selector that matches it and never changes."""

    has_generation = True
    #: how upstream names the kind in its text about an empty selector
    called = "deployment"
    #: and in that about deadlines
    runs_in = "ReplicaSet"

    def defaults(self, obj: Json) -> None:
        """The template's defaults."""
        template_defaults(obj.setdefault("spec", {}).setdefault("template", {}))

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """An empty status: upstream writes it, and JSON patches of status rely on it."""
        super().prepare_for_create(obj, context)
        obj["status"] = self.empty_status()

    def empty_status(self) -> Json:
        """The status of a new object."""
        return {}

    def prepare_for_scale_update(self, obj: Json, old: Json, context: Context) -> None:
        """The scale subresource changes spec.replicas and nothing else."""
        replicas = spec_of(obj).get("replicas") or 0
        obj["spec"] = {**spec_of(old), "replicas": replicas}
        for key in [key for key in obj if key not in ("spec", "metadata")]:
            del obj[key]
        obj.update({key: value for key, value in old.items() if key not in ("spec", "metadata")})
        self.bump_generation(obj, old)

    def validate_scale_update(self, obj: Json, old: Json, context: Context) -> list[FieldError]:
        """Not below zero."""
        return metadata.check_update(obj, old) + fields.non_negative(spec_of(obj).get("replicas"), "spec.replicas")

    def warnings(self, obj: Json, old: Json | None) -> list[str]:
        """What is odd about the template, whenever it is new."""
        template = spec_of(obj).get("template") or {}
        if old is not None and template == spec_of(old).get("template"):
            return []
        return pod_warnings.check(template.get("spec") or {}, "spec.template.spec")

    def check(self, obj: Json) -> list[FieldError]:
        """Replicas, selector, template, then the kind's own settings."""
        spec = spec_of(obj)
        found = fields.non_negative(spec.get("replicas"), "spec.replicas")
        selector = spec.get("selector")
        if selector is None:
            found.append(errors.required("spec.selector"))
        else:
            found += selectors.label_selector(selector, "spec.selector")
            if selectors.is_empty(selector):
                text = EMPTY_SELECTOR.format(self.called)
                found.append(errors.invalid_value("spec.selector", selector, text))
        if not found or selector:
            found += _template(self.template_of(spec), selector or {}, self.runs_in)
        return found + self.check_spec(spec)

    def template_of(self, spec: Json) -> Json:
        """The template as its pods will have it."""
        return spec.get("template") or {}

    def check_spec(self, spec: Json) -> list[FieldError]:
        """The kind's own settings."""
        return []

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """The selector stays."""
        return fields.immutable(spec_of(obj).get("selector"), spec_of(old).get("selector"), "spec.selector")


def _template(template: Json, selector: Json, runs_in: str) -> list[FieldError]:
    path = "spec.template"
    labels = (template.get("metadata") or {}).get("labels") or {}
    found: list[FieldError] = []
    try:
        parsed = matching.LabelSelector.from_dict(selector)
    except ValueError:
        return [errors.invalid_value("spec.selector", selector, "invalid label selector")]
    if not parsed.matches(labels):
        text = "`selector` does not match template `labels`"
        found.append(errors.invalid_value(f"{path}.metadata.labels", labels, text))
    found += pod_template.check(template, path)
    policy = (template.get("spec") or {}).get("restartPolicy")
    if policy != "Always":
        found.append(errors.not_supported(f"{path}.spec.restartPolicy", policy, ("Always",)))
    if (template.get("spec") or {}).get("activeDeadlineSeconds") is not None:
        text = f"activeDeadlineSeconds in {runs_in} is not Supported"
        found.append(errors.forbidden_field(f"{path}.spec.activeDeadlineSeconds", text))
    return found
