"""ResourceQuotas (upstream: pkg/registry/core/resourcequota, validation.ValidateResourceQuota)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of, status_of
from apiserver.validation import fields
from machinery.api import errors, kinds, names, quantity
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_SCOPES: Final = (
    "BestEffort",
    "CrossNamespacePodAffinity",
    "NotBestEffort",
    "NotTerminating",
    "PriorityClass",
    "Terminating",
    "VolumeAttributesClass",
)
_OPERATORS: Final = ("DoesNotExist", "Exists", "In", "NotIn")
_COUNTED: Final = frozenset(
    (
        *("pods", "resourcequotas", "services", "replicationcontrollers", "secrets", "configmaps"),
        *("persistentvolumeclaims", "services.nodeports", "services.loadbalancers"),
    )
)
_STANDARD: Final = _COUNTED | {
    *("cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage"),
    *("requests.ephemeral-storage", "limits.cpu", "limits.memory", "limits.ephemeral-storage"),
}


class ResourceQuotaStrategy(KindStrategy):
    """Hard bounds for a namespace; what is used is written by who admits and by the controller."""

    drops_status = True

    def defaults(self, obj: Json) -> None:
        """The structs upstream always writes."""
        obj.setdefault("spec", {})
        obj.setdefault("status", {})

    def check(self, obj: Json) -> list[FieldError]:
        """Names, amounts, scopes."""
        spec = spec_of(obj)
        found = _amounts(spec.get("hard"), "spec.hard")
        scopes = spec.get("scopes") or []
        if scopes:
            found += _scopes(scopes, "spec.scopes")
        for expression, path in fields.each(
            (spec.get("scopeSelector") or {}).get("matchExpressions"), "spec.scopeSelector.matchExpressions"
        ):  # noqa: E501
            found += _expression(expression, path)
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """The scopes stay."""
        return fields.immutable(
            sorted(spec_of(obj).get("scopes") or ()), sorted(spec_of(old).get("scopes") or ()), "spec.scopes"
        )

    def check_status(self, obj: Json, old: Json) -> list[FieldError]:
        """Amounts."""
        return _amounts(status_of(obj).get("hard"), "status.hard") + _amounts(status_of(obj).get("used"), "status.used")


def _amounts(amounts: Json | None, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for name, value in (amounts or {}).items():
        place = f"{path}[{name}]"
        found += fields.satisfies(name, place, names.is_qualified_name)
        if "/" not in name and name not in _STANDARD:
            text = "must be a standard resource for quota"
            found.append(errors.invalid_value(place, name, text))
        if quantity.parse(value) < 0:
            found.append(errors.invalid_value(place, value, fields.NEGATIVE))
        elif (name in _COUNTED or name.startswith("count/")) and quantity.parse(value).denominator != 1:
            found.append(errors.invalid_value(place, value, "must be an integer"))
    return found


def _scopes(scopes: list[str], path: str) -> list[FieldError]:
    unknown = [scope for scope in scopes if scope not in _SCOPES]
    found: list[FieldError] = []
    if unknown:
        found.append(errors.invalid_value(path, scopes, "unsupported scope"))
    for pair in (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating")):
        if set(pair) <= set(scopes):
            found.append(errors.invalid_value(path, scopes, "conflicting scopes"))
    return found


def _expression(expression: Json, path: str) -> list[FieldError]:
    scope, operator = expression.get("scopeName") or "", expression.get("operator") or ""
    found = [] if scope in _SCOPES else [errors.invalid_value(f"{path}.scopeName", scope, "unsupported scope")]
    values = expression.get("values") or []
    if operator not in _OPERATORS:
        found.append(errors.invalid_value(f"{path}.operator", operator, "not a valid selector operator"))
    elif operator in ("In", "NotIn") and not values:
        text = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
        found.append(errors.required(f"{path}.values", text))
    elif operator in ("Exists", "DoesNotExist") and values:
        text = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
        found.append(errors.invalid_value(f"{path}.values", values, text))
    if scope not in ("PriorityClass", "VolumeAttributesClass", "") and operator != "Exists":
        text = "must be 'Exist' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"  # noqa: E501
        found.append(errors.invalid_value(f"{path}.operator", operator, text))
    return found


def _used(quota: Json, *, limits: bool) -> str:
    status = status_of(quota)
    hard, used = status.get("hard") or {}, status.get("used") or {}
    chosen = [name for name in sorted(hard) if name.startswith("limits.") == limits]
    return ", ".join(f"{name}: {used.get(name, '0')}/{hard[name]}" for name in chosen)


RESOURCE_QUOTAS: Final = Resource(
    kind=kinds.RESOURCE_QUOTAS,
    key="resourcequotas",
    strategy=ResourceQuotaStrategy(),
    short_names=("quota",),
    columns=(
        Column("Request", lambda quota: _used(quota, limits=False)),
        Column("Limit", lambda quota: _used(quota, limits=True)),
        AGE,
    ),
    subresources=("status",),
)
