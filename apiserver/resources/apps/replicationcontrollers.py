"""ReplicationControllers: of the core group, and here because a ReplicaSet is what they are.

Upstream: pkg/registry/core/replicationcontroller, pkg/apis/core/validation.
"""

from typing import Any, Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.apps.replicasets import ReplicaSetStrategy
from apiserver.resources.columns import AGE, TEMPLATE_COLUMNS, count_of, labels_text, spec_of
from apiserver.resources.core.pods.defaults import fill, template_defaults
from apiserver.validation import fields, pod_template
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class ReplicationControllerStrategy(ReplicaSetStrategy):
    """A ReplicaSet whose selector is a map, and comes from the template where it is left out."""

    runs_in = "ReplicationController"
    called = "replication controller"

    def defaults(self, obj: Json) -> None:
        """One replica; labels and selector of the template."""
        spec = obj.setdefault("spec", {})
        template = spec.setdefault("template", {})
        template_defaults(template)
        labels = (template.get("metadata") or {}).get("labels")
        if labels:
            if not spec.get("selector"):
                spec["selector"] = dict(labels)
            if not meta.labels_of(obj):
                obj["metadata"]["labels"] = dict(labels)
        fill(spec, {"replicas": 1})

    def check(self, obj: Json) -> list[FieldError]:
        """Replicas, a selector that is not empty and matches the template."""
        spec = spec_of(obj)
        found = fields.non_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
        selector: dict[str, Any] = spec.get("selector") or {}
        if not selector:
            found.append(errors.required("spec.selector"))
        found += fields.non_negative(spec.get("replicas"), "spec.replicas")
        template = spec.get("template")
        if template is None:
            return [*found, errors.required("spec.template")]
        labels = (template.get("metadata") or {}).get("labels") or {}
        if any(labels.get(key) != value for key, value in selector.items()):
            text = "`selector` does not match template `labels`"
            found.append(errors.invalid_value("spec.template.metadata.labels", labels, text))
        found += pod_template.check(template, "spec.template")
        policy = (template.get("spec") or {}).get("restartPolicy")
        if policy != "Always":
            found.append(errors.not_supported("spec.template.spec.restartPolicy", policy, ("Always",)))
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """The selector may change, as it always could."""
        return []


REPLICATION_CONTROLLERS: Final = Resource(
    kind=kinds.REPLICATION_CONTROLLERS,
    key="controllers",
    strategy=ReplicationControllerStrategy(),
    short_names=("rc",),
    categories=("all",),
    columns=(
        Column("Desired", lambda rc: spec_of(rc).get("replicas") or 0, type="integer"),
        Column("Current", count_of("replicas"), type="integer"),
        Column("Ready", count_of("readyReplicas"), type="integer"),
        AGE,
        *TEMPLATE_COLUMNS[:2],
        Column("Selector", lambda rc: labels_text(spec_of(rc).get("selector")), priority=1),
    ),
    fields={"status.replicas": lambda rc: str(count_of("replicas")(rc))},
    subresources=("status", "scale"),
)
