"""StatefulSets (upstream: pkg/registry/apps/statefulset, pkg/apis/apps/v1/defaults.go, pkg/apis/apps/validation)."""

from collections.abc import Iterator
from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.registry.strategy import Context
from apiserver.resources.apps.workload import WorkloadStrategy
from apiserver.resources.columns import AGE, TEMPLATE_COLUMNS, count_of, spec_of, status_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import claims, fields, int_or_percent
from machinery.api import errors, kinds, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_POLICIES: Final = ("OrderedReady", "Parallel")
_RETENTION: Final = ("Delete", "Retain")
_COUNTS: Final = ("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas")
_MUTABLE: Final = (
    "replicas",
    "ordinals",
    "template",
    "updateStrategy",
    "revisionHistoryLimit",
    "persistentVolumeClaimRetentionPolicy",
    "minReadySeconds",
)
_IMMUTABLE_TEXT: Final = (
    "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)


class StatefulSetStrategy(WorkloadStrategy):
    """Pods with names and claims of their own."""

    runs_in = "StatefulSet"
    called = "statefulset"

    def defaults(self, obj: Json) -> None:
        """One replica, in order; claims stay."""
        super().defaults(obj)
        spec = obj["spec"]
        fill(spec, {"replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady"})
        strategy = spec.setdefault("updateStrategy", {})
        strategy["type"] = strategy.get("type") or "RollingUpdate"
        if strategy["type"] == "RollingUpdate":
            fill(strategy.setdefault("rollingUpdate", {}), {"partition": 0})
        retention = spec.setdefault("persistentVolumeClaimRetentionPolicy", {})
        fill(retention, {"whenDeleted": "Retain", "whenScaled": "Retain"})
        for claim in spec.get("volumeClaimTemplates") or ():
            claim.setdefault("apiVersion", "v1")
            claim.setdefault("kind", "PersistentVolumeClaim")
            fill(claim.setdefault("spec", {}), {"volumeMode": "Filesystem"})
            fill(claim.setdefault("status", {}), {"phase": "Pending"})

    def empty_status(self) -> Json:
        """The counts that are always written."""
        return {"replicas": 0, "availableReplicas": 0}

    def template_of(self, spec: Json) -> Json:
        """With a volume per claim, in place of the template's own of that name (upstream: volumesToAddForTemplates)."""
        template: Json = spec.get("template") or {}
        claimed = dict.fromkeys(_claim_names(spec))
        if not claimed:
            return template
        pod: Json = template.get("spec") or {}
        volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in claimed]
        volumes += [volume for volume in pod.get("volumes") or () if volume.get("name") not in claimed]
        return {**template, "spec": {**pod, "volumes": volumes}}

    def validate(self, obj: Json, context: Context) -> list[FieldError]:
        """As all workloads; claims' templates are judged when they are new, for they never change."""
        found = super().validate(obj, context)
        for claim, at in fields.each(spec_of(obj).get("volumeClaimTemplates"), "spec.volumeClaimTemplates"):
            found += claims.spec(claim.get("spec") or {}, f"{at}.spec")
        return found

    def check_spec(self, spec: Json) -> list[FieldError]:
        """Order, updates, retention, ordinals."""
        found = fields.one_of(spec.get("podManagementPolicy"), _POLICIES, "spec.podManagementPolicy", needed=True)
        found += _strategy(spec.get("updateStrategy") or {}, "spec.updateStrategy")
        found += fields.non_negative(spec.get("minReadySeconds"), "spec.minReadySeconds")
        found += fields.non_negative(spec.get("revisionHistoryLimit"), "spec.revisionHistoryLimit")
        found += fields.non_negative((spec.get("ordinals") or {}).get("start"), "spec.ordinals.start")
        path = "spec.persistentVolumeClaimRetentionPolicy"
        retention = spec.get("persistentVolumeClaimRetentionPolicy") or {}
        for name in ("whenDeleted", "whenScaled"):
            found += fields.one_of(retention.get(name), _RETENTION, f"{path}.{name}", needed=True)
        service = spec.get("serviceName")
        if service:
            found += fields.satisfies(service, "spec.serviceName", names.is_dns_subdomain)
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """Only some of the spec may change."""
        kept = [{key: value for key, value in spec_of(item).items() if key not in _MUTABLE} for item in (obj, old)]
        return [] if kept[0] == kept[1] else [errors.forbidden_field("spec", _IMMUTABLE_TEXT)]

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """Counts are not negative and not above the replicas."""
        status = status_of(obj)
        found: list[FieldError] = []
        for name in (*_COUNTS, "observedGeneration", "collisionCount"):
            found += fields.non_negative(status.get(name), f"status.{name}")
        for name in _COUNTS[1:]:
            if (status.get(name) or 0) > (status.get("replicas") or 0):
                text = "cannot be greater than status.replicas"
                found.append(errors.invalid_value(f"status.{name}", status[name], text))
        return found


def _claim_names(spec: Json) -> Iterator[str]:
    for claim in spec.get("volumeClaimTemplates") or ():
        yield (claim.get("metadata") or {}).get("name") or ""


def _strategy(strategy: Json, path: str) -> list[FieldError]:
    kind, rolling = strategy.get("type"), strategy.get("rollingUpdate")
    if not kind:
        return [errors.required(f"{path}.type")]
    if kind == "OnDelete":
        if rolling is None:
            return []
        text = "only allowed for updateStrategy 'RollingUpdate'"
        return [errors.invalid_value(f"{path}.rollingUpdate", rolling, text)]
    if kind != "RollingUpdate":
        return [errors.invalid_value(f"{path}", strategy, "must be 'RollingUpdate' or 'OnDelete'")]
    found = fields.non_negative((rolling or {}).get("partition"), f"{path}.rollingUpdate.partition")
    unavailable = (rolling or {}).get("maxUnavailable")
    if unavailable is not None:
        found += int_or_percent.check(unavailable, f"{path}.rollingUpdate.maxUnavailable", most=100)
        if int_or_percent.amount(unavailable) == 0:
            text = "cannot be 0"
            found.append(errors.invalid_value(f"{path}.rollingUpdate.maxUnavailable", unavailable, text))
    return found


STATEFUL_SETS: Final = Resource(
    kind=kinds.STATEFUL_SETS,
    key="statefulsets",
    strategy=StatefulSetStrategy(),
    short_names=("sts",),
    categories=("all",),
    columns=(
        Column("Ready", lambda sts: f"{count_of('readyReplicas')(sts)}/{spec_of(sts).get('replicas') or 0}"),
        AGE,
        *TEMPLATE_COLUMNS[:2],
    ),
    subresources=("status", "scale"),
)
