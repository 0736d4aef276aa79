"""What a pod says about nodes: tolerations, affinity, spreading (upstream: ValidateTolerations, validateAffinity …)."""

from typing import Any, Final

from apiserver.validation import fields, metadata, selectors
from machinery.api import errors, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_EFFECTS: Final = ("NoExecute", "NoSchedule", "PreferNoSchedule")
_OPERATORS: Final = ("Equal", "Exists")
_NODE_OPERATORS: Final = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")
_UNSATISFIABLE: Final = ("DoNotSchedule", "ScheduleAnyway")
_INCLUSION: Final = ("Honor", "Ignore")


def tolerations(items: list[Json] | None, path: str) -> list[FieldError]:
    """Keys, operators, values and effects fit together."""
    return [error for item, at in fields.each(items, path) for error in _toleration(item, at)]


def _toleration(item: Json, path: str) -> list[FieldError]:
    key, operator, effect = item.get("key") or "", item.get("operator") or "", item.get("effect") or ""
    found = fields.qualified_name(key, f"{path}.key") if key else []
    if not key and operator != "Exists":
        text = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
        found.append(errors.invalid_value(f"{path}.operator", operator, text))
    if item.get("tolerationSeconds") is not None and effect != "NoExecute":
        text = "effect must be 'NoExecute' when `tolerationSeconds` is set"
        found.append(errors.invalid_value(f"{path}.effect", effect, text))
    if operator == "Exists":
        if item.get("value"):
            text = "value must be empty when `operator` is 'Exists'"
            found.append(errors.invalid_value(f"{path}.operator", item, text))
    elif operator in ("", "Equal"):
        complaints = names.is_label_value(item.get("value") or "")
        if complaints:
            found.append(errors.invalid_value(f"{path}.operator", item["value"], ";".join(complaints)))
    else:
        found.append(errors.not_supported(f"{path}.operator", operator, _OPERATORS))
    return found + fields.one_of(effect, _EFFECTS, f"{path}.effect")


def affinity(value: Json | None, path: str) -> list[FieldError]:
    """Node affinity and affinity to and from pods."""
    value = value or {}
    found = _node_affinity(value.get("nodeAffinity") or {}, f"{path}.nodeAffinity")
    for name in ("podAffinity", "podAntiAffinity"):
        found += _pod_affinity(value.get(name) or {}, f"{path}.{name}")
    return found


_REQUIRED: Final = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED: Final = "preferredDuringSchedulingIgnoredDuringExecution"


def _node_affinity(value: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if value.get(_REQUIRED) is not None:
        found += node_terms(value[_REQUIRED], f"{path}.{_REQUIRED}")
    for preferred, at in fields.each(value.get(_PREFERRED), f"{path}.{_PREFERRED}"):
        found += _weight(preferred, at)
        found += _node_term(preferred.get("preference") or {}, f"{at}.preference")
    return found


def node_terms(selector: Json, path: str) -> list[FieldError]:
    """At least one term, which can be met (upstream: ValidateNodeSelector)."""
    terms, at = selector.get("nodeSelectorTerms"), f"{path}.nodeSelectorTerms"
    if not terms:
        return [errors.required(at, "must have at least one node selector term")]
    return [error for term, term_at in fields.each(terms, at) for error in _node_term(term, term_at)]


def _node_term(term: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for expression, at in fields.each(term.get("matchExpressions"), f"{path}.matchExpressions"):
        found += _node_expression(expression, at)
        found += fields.qualified_name(expression.get("key") or "", f"{at}.key")
    for expression, at in fields.each(term.get("matchFields"), f"{path}.matchFields"):
        if expression.get("key") != "metadata.name":
            text = "not a valid field selector key"
            found.append(errors.invalid_value(f"{at}.key", expression.get("key") or "", text))
    return found


def _node_expression(expression: Json, path: str) -> list[FieldError]:
    operator, values = expression.get("operator") or "", expression.get("values") or ()
    if operator in ("In", "NotIn") and not values:
        text = "must be specified when `operator` is 'In' or 'NotIn'"
        return [errors.required(f"{path}.values", text)]
    if operator in ("Exists", "DoesNotExist") and values:
        text = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
        return [errors.forbidden_field(f"{path}.values", text)]
    if operator in ("Gt", "Lt") and len(values) != 1:
        text = "must be specified single value when `operator` is 'Lt' or 'Gt'"
        return [errors.required(f"{path}.values", text)]
    if operator not in _NODE_OPERATORS:
        return [errors.invalid_value(f"{path}.operator", operator, "not a valid selector operator")]
    return []


def _weight(term: Json, path: str) -> list[FieldError]:
    weight = term.get("weight") or 0
    return [] if 1 <= weight <= 100 else [errors.invalid_value(f"{path}.weight", weight, "must be in the range 1-100")]


def _pod_affinity(value: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for term, at in fields.each(value.get(_REQUIRED), f"{path}.{_REQUIRED}"):
        found += _pod_term(term, at)
    for preferred, at in fields.each(value.get(_PREFERRED), f"{path}.{_PREFERRED}"):
        found += _weight(preferred, at)
        found += _pod_term(preferred.get("podAffinityTerm") or {}, f"{at}.podAffinityTerm")
    return found


def _pod_term(term: Json, path: str) -> list[FieldError]:
    found = selectors.label_selector(term.get("labelSelector"), f"{path}.labelSelector")
    found += selectors.label_selector(term.get("namespaceSelector"), f"{path}.namespaceSelector")
    for namespace, at in fields.each(term.get("namespaces"), f"{path}.namespaces"):
        found += fields.dns_label(namespace, at)
    return found + _topology_key(term, path, "can not be empty")


def _topology_key(holder: Json, path: str, detail: str) -> list[FieldError]:
    key = holder.get("topologyKey") or ""
    if not key:
        return [errors.required(f"{path}.topologyKey", detail)]
    return fields.qualified_name(key, f"{path}.topologyKey")


def topology_spread(items: list[Json] | None, path: str) -> list[FieldError]:
    """Skew, key, and what to do where it cannot be satisfied."""
    found: list[FieldError] = []
    seen: set[tuple[Any, Any]] = set()
    for item, at in fields.each(items, path):
        if (item.get("maxSkew") or 0) <= 0:
            found.append(errors.invalid_value(f"{at}.maxSkew", item.get("maxSkew") or 0, "must be greater than zero"))
        found += _topology_key(item, at, "can not be empty")
        found += fields.one_of(item.get("whenUnsatisfiable"), _UNSATISFIABLE, f"{at}.whenUnsatisfiable", needed=True)
        found += _min_domains(item, at)
        pair = (item.get("topologyKey"), item.get("whenUnsatisfiable"))
        if pair in seen:
            shown = f"{{{pair[0]}, {pair[1]}}}"
            found.append(errors.duplicate(f"{at}.{{topologyKey, whenUnsatisfiable}}", shown))
        seen.add(pair)
        for name in ("nodeAffinityPolicy", "nodeTaintsPolicy"):
            found += fields.one_of(item.get(name), _INCLUSION, f"{at}.{name}")
        found += selectors.label_selector(item.get("labelSelector"), f"{at}.labelSelector")
    return found


def _min_domains(item: Json, path: str) -> list[FieldError]:
    least, action = item.get("minDomains"), item.get("whenUnsatisfiable")
    if least is None:
        return []
    found = []
    if least <= 0:
        found.append(errors.invalid_value(f"{path}.minDomains", least, "must be greater than zero"))
    if action != "DoNotSchedule":
        text = f"can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}"
        found.append(errors.invalid_value(f"{path}.minDomains", least, text))
    return found


def node_selector(labels: Json | None, path: str) -> list[FieldError]:
    """Labels a node must have."""
    return metadata.labels(labels, path)
