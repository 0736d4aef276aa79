"""HorizontalPodAutoscalers of autoscaling/v2, and of v1 by conversion.

Upstream: pkg/apis/autoscaling/v2/defaults.go, validation/validation.go, v1/conversion.go, annotations.go.
"""

from typing import Any, Final

from apiserver.registry.resource import Column, Conversion, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, count_of, spec_of, status_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import fields
from machinery.api import codec, errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_TYPES: Final = ("ContainerResource", "External", "Object", "Pods", "Resource")
_TARGETS: Final = ("AverageValue", "Utilization", "Value")
_POLICIES: Final = ("Percent", "Pods")
_SELECTS: Final = ("Disabled", "Max", "Min")
_LONGEST_WINDOW: Final = 3600
_LONGEST_PERIOD: Final = 1800
_SOURCES: Final = {
    "ContainerResource": "containerResource",
    "External": "external",
    "Object": "object",
    "Pods": "pods",
    "Resource": "resource",
}
_UP: Final = [{"type": "Pods", "value": 4, "periodSeconds": 15}, {"type": "Percent", "value": 100, "periodSeconds": 15}]
_DOWN: Final = [{"type": "Percent", "value": 100, "periodSeconds": 15}]
_PREFIX: Final = "autoscaling.alpha.kubernetes.io/"


class HorizontalPodAutoscalerStrategy(KindStrategy):
    """Replicas between bounds, by metrics."""

    has_generation = False
    drops_status = True

    def defaults(self, obj: Json) -> None:
        """At least one replica; four fifths of the CPU where nothing is said."""
        spec = obj.setdefault("spec", {})
        fill(spec, {"minReplicas": 1})
        if not spec.get("metrics"):
            target = {"type": "Utilization", "averageUtilization": 80}
            spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
        behavior = spec.get("behavior")
        if behavior is not None:
            for name, policies in (("scaleUp", _UP), ("scaleDown", _DOWN)):
                rules = behavior.setdefault(name, {})
                fill(rules, {"selectPolicy": "Max"})
                if rules.get("policies") is None:
                    rules["policies"] = codec.copy_of({"of": policies})["of"]
            fill(behavior["scaleUp"], {"stabilizationWindowSeconds": 0})

    def check(self, obj: Json) -> list[FieldError]:
        """Bounds, target, metrics, behavior."""
        spec = spec_of(obj)
        found: list[FieldError] = []
        least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
        if least is not None and least < 1:
            found.append(errors.invalid_value("spec.minReplicas", least, "must be greater than or equal to 1"))
        if most < 1:
            found.append(errors.invalid_value("spec.maxReplicas", most, "must be greater than 0"))
        if least is not None and most < least:
            found.append(
                errors.invalid_value("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
            )
        found += _target(spec.get("scaleTargetRef") or {}, "spec.scaleTargetRef")
        for metric, path in fields.each(spec.get("metrics"), "spec.metrics"):
            found += _metric(metric, path)
        for name in ("scaleUp", "scaleDown"):
            found += _rules((spec.get("behavior") or {}).get(name), f"spec.behavior.{name}")
        return found

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """Counts are not negative."""
        status = status_of(obj)
        found = fields.non_negative(status.get("currentReplicas"), "status.currentReplicas")
        return found + fields.non_negative(status.get("desiredReplicas"), "status.desiredReplicas")


def _target(reference: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for name in ("kind", "name"):
        if not reference.get(name):
            found.append(errors.required(f"{path}.{name}"))
    return found


def _metric(metric: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    kind = metric.get("type")
    if not kind:
        return [errors.required(f"{path}.type", "must specify a metric source type")]
    if kind not in _TYPES:
        return [errors.not_supported(f"{path}.type", kind, _TYPES)]
    field = _SOURCES[kind]
    source = metric.get(field)
    if source is None:
        text = "must populate information for the given metric source"
        return [errors.required(f"{path}.{field}", text)]
    for other in _SOURCES.values():
        if other != field and metric.get(other) is not None:
            text = "must populate the given metric source only"
            found.append(errors.forbidden_field(f"{path}.{other}", text))
    named = source if "Resource" in kind else source.get("metric") or {}
    if not named.get("name"):
        text = "must specify a resource name" if "Resource" in kind else "must specify a metric name"
        place = "name" if "Resource" in kind else "metric.name"
        found.append(errors.required(f"{path}.{field}.{place}", text))
    if kind == "Object":
        found += _target(source.get("describedObject") or {}, f"{path}.{field}.describedObject")
    return found + _metric_target(source.get("target") or {}, f"{path}.{field}.target")


def _metric_target(target: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if not target.get("type"):
        found.append(errors.required(f"{path}.type", "must specify a metric target type"))
    elif target["type"] not in _TARGETS:
        found.append(errors.not_supported(f"{path}.type", target["type"], _TARGETS))
    utilization = target.get("averageUtilization")
    if utilization is not None and utilization < 1:
        found.append(errors.invalid_value(f"{path}.averageUtilization", utilization, "must be greater than 0"))
    if all(target.get(name) is None for name in ("value", "averageValue", "averageUtilization")):
        text = "must set either a target raw value or a target utilization"
        found.append(errors.required(f"{path}.averageUtilization", text))
    return found


def _rules(rules: Json | None, path: str) -> list[FieldError]:
    if rules is None:
        return []
    found: list[FieldError] = []
    window = rules.get("stabilizationWindowSeconds")
    found += fields.non_negative(window, f"{path}.stabilizationWindowSeconds")
    if window is not None and window > _LONGEST_WINDOW:
        text = f"must be less than or equal to {_LONGEST_WINDOW}"
        found.append(errors.invalid_value(f"{path}.stabilizationWindowSeconds", window, text))
    found += fields.one_of(rules.get("selectPolicy"), _SELECTS, f"{path}.selectPolicy")
    if not rules.get("policies"):
        found.append(errors.required(f"{path}.policies", "must specify at least one Policy"))
    for policy, place in fields.each(rules.get("policies"), f"{path}.policies"):
        found += _policy(policy, place)
    return found


def _policy(policy: Json, path: str) -> list[FieldError]:
    found = fields.one_of(policy.get("type"), _POLICIES, f"{path}.type", needed=True)
    for name in ("value", "periodSeconds"):
        if (policy.get(name) or 0) <= 0:
            found.append(errors.invalid_value(f"{path}.{name}", policy.get(name) or 0, "must be greater than zero"))
    if (policy.get("periodSeconds") or 0) > _LONGEST_PERIOD:
        text = f"must be less than or equal to {_LONGEST_PERIOD}"
        found.append(errors.invalid_value(f"{path}.periodSeconds", policy["periodSeconds"], text))
    return found


def _cpu_metric(metrics: list[Json]) -> int | None:
    """The place of the metric that v1 has a field for."""
    for number, metric in enumerate(metrics):
        target = (metric.get("resource") or {}).get("target") or {}
        if (metric.get("resource") or {}).get("name") == "cpu" and target.get("averageUtilization") is not None:
            return number
    return None


def to_v1(obj: Json) -> Json:
    """As autoscaling/v1 shows it: one CPU target as a field, everything else in annotations."""
    obj["apiVersion"] = kinds.HORIZONTAL_POD_AUTOSCALERS_V1.api_version
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    kept: dict[str, Any] = {}
    metrics: list[Json] = spec.pop("metrics", None) or []
    place = _cpu_metric(metrics)
    if place is not None:
        spec["targetCPUUtilizationPercentage"] = metrics.pop(place)["resource"]["target"]["averageUtilization"]
    current: list[Json] = status.pop("currentMetrics", None) or []
    for number, metric in enumerate(current):
        value = ((metric.get("resource") or {}).get("current") or {}).get("averageUtilization")
        if (metric.get("resource") or {}).get("name") == "cpu" and value is not None:
            status["currentCPUUtilizationPercentage"] = value
            current.pop(number)
            break
    kept["metrics"], kept["current-metrics"] = metrics, current
    kept["behavior"], kept["conditions"] = spec.pop("behavior", None), status.pop("conditions", None)
    annotations = {_PREFIX + name: codec.dumps(value).decode() for name, value in kept.items() if value}
    if annotations:
        obj["metadata"]["annotations"] = {**meta.annotations_of(obj), **annotations}
    return obj


def from_v1(obj: Json) -> Json:
    """What v1 says, in terms of v2."""
    obj["apiVersion"] = kinds.HORIZONTAL_POD_AUTOSCALERS.api_version
    spec, status = obj.setdefault("spec", {}), obj.get("status")
    annotations = dict(meta.annotations_of(obj))
    kept = {name: _parsed(annotations.pop(_PREFIX + name, "")) for name in _ANNOTATED}
    if annotations:
        obj["metadata"]["annotations"] = annotations
    else:
        obj["metadata"].pop("annotations", None)
    metrics = kept["metrics"] or []
    percentage = spec.pop("targetCPUUtilizationPercentage", None)
    if percentage is not None:
        target = {"type": "Utilization", "averageUtilization": percentage}
        metrics = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}, *metrics]
    if metrics:
        spec["metrics"] = metrics
    if kept["behavior"]:
        spec["behavior"] = kept["behavior"]
    if status is not None:
        _status_from_v1(status, kept)
    return obj


_ANNOTATED: Final = ("metrics", "current-metrics", "behavior", "conditions")


def _status_from_v1(status: Json, kept: dict[str, Any]) -> None:
    current = kept["current-metrics"] or []
    percentage = status.pop("currentCPUUtilizationPercentage", None)
    if percentage is not None:
        value = {"averageUtilization": percentage, "averageValue": "0"}
        current = [{"type": "Resource", "resource": {"name": "cpu", "current": value}}, *current]
    if current:
        status["currentMetrics"] = current
    if kept["conditions"]:
        status["conditions"] = kept["conditions"]


def _parsed(text: str) -> Any:
    """The value in an annotation; one that is no JSON is dropped, as upstream does."""
    try:
        return codec.loads(text.encode()) if text else None
    except ValueError:
        return None


def _reference(hpa: Json) -> str:
    target = spec_of(hpa).get("scaleTargetRef") or {}
    return f"{target.get('kind') or ''}/{target.get('name') or ''}"


def _targets(hpa: Json) -> str:
    current = status_of(hpa).get("currentMetrics") or []
    shown = []
    for number, metric in enumerate(spec_of(hpa).get("metrics") or ()):
        field = _SOURCES.get(metric.get("type") or "", "")
        source = metric.get(field) or {}
        now = ((current[number].get(field) or {}).get("current") or {}) if number < len(current) else {}
        name = f"{source.get('name')}: " if "esource" in field else ""
        shown.append(name + _target_text(source.get("target") or {}, now))
    if not shown:
        return "<none>"
    more = f" + {len(shown) - 2} more..." if len(shown) > 2 else ""
    return ", ".join(shown[:2]) + more


def _target_text(target: Json, now: Json) -> str:
    if target.get("averageUtilization") is not None:
        value = now.get("averageUtilization")
        return f"{'<unknown>' if value is None else f'{value}%'}/{target['averageUtilization']}%"
    if target.get("averageValue") is not None:
        return f"{now.get('averageValue') or '<unknown>'}/{target['averageValue']} (avg)"
    return f"{now.get('value') or '<unknown>'}/{target.get('value')}"


V1: Final = Conversion(kinds.HORIZONTAL_POD_AUTOSCALERS_V1, kinds.HORIZONTAL_POD_AUTOSCALERS, from_v1, to_v1)

HORIZONTAL_POD_AUTOSCALERS: Final = Resource(
    kind=kinds.HORIZONTAL_POD_AUTOSCALERS,
    key="horizontalpodautoscalers",
    strategy=HorizontalPodAutoscalerStrategy(),
    short_names=("hpa",),
    categories=("all",),
    columns=(
        Column("Reference", _reference),
        Column("Targets", _targets),
        Column("MinPods", lambda hpa: str(spec_of(hpa).get("minReplicas") or "<unset>")),
        Column("MaxPods", lambda hpa: spec_of(hpa).get("maxReplicas") or 0, type="integer"),
        Column("Replicas", count_of("currentReplicas"), type="integer"),
        AGE,
    ),
    subresources=("status",),
    versions=(V1,),
)
HORIZONTAL_POD_AUTOSCALERS_V1: Final = HORIZONTAL_POD_AUTOSCALERS.served_as(V1)
