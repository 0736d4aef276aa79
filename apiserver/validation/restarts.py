"""When a container restarts, where that is not as its pod says (upstream: validateContainerRestartPolicy, KEP-5307)."""

from typing import Final

from apiserver.validation import fields
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_POLICIES: Final = ("Always", "Never", "OnFailure")
_ACTIONS: Final = ("Restart", "RestartAllContainers")
_OPERATORS: Final = ("In", "NotIn")
_MOST_RULES: Final = 20
_MOST_VALUES: Final = 255


def check(container: Json, path: str) -> list[FieldError]:
    """A policy of the container's own, without which it may have no rules."""
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules")
    if policy is None and not rules:
        return []
    found: list[FieldError] = []
    if policy is None:
        text = "must specify restartPolicy when restart rules are used"
        found.append(errors.required(f"{path}.restartPolicy", text))
    elif policy not in _POLICIES:
        found.append(errors.not_supported(f"{path}.restartPolicy", policy, _POLICIES))
    if len(rules or ()) > _MOST_RULES:
        found.append(errors.too_many(f"{path}.restartPolicyRules", len(rules or ()), _MOST_RULES))
    for rule, at in fields.each(rules, f"{path}.restartPolicyRules"):
        found += _rule(rule, at)
    return found


def _rule(rule: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if rule.get("action") not in _ACTIONS:
        found.append(errors.not_supported(f"{path}.action", rule.get("action") or "", _ACTIONS))
    codes = rule.get("exitCodes")
    if codes is None:
        return [*found, errors.required(f"{path}.exitCodes", "must be specified")]
    if codes.get("operator") not in _OPERATORS:
        found.append(errors.not_supported(f"{path}.exitCodes.operator", codes.get("operator") or "", _OPERATORS))
    count = len(codes.get("values") or ())
    if count > _MOST_VALUES:
        found.append(errors.too_many(f"{path}.exitCodes.values", count, _MOST_VALUES))
    return found
