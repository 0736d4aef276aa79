"""Validating and mutating admission policies with their bindings (KEP-3488, KEP-3962).

Upstream: pkg/apis/admissionregistration/validation. Expressions are compiled here, to check them; admission asks them.
"""

from typing import Any, Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.admissionregistration.webhooks import (
    FAILURE_POLICIES,
    MATCH_POLICIES,
    check_rule,
)
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import fields, selectors
from machinery.api import errors, kinds, lazy
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_EXPRESSIONS: Final = "apiserver.validation.expressions"  # which brings CEL along
_ACTIONS: Final = ("Audit", "Deny", "Warn")
_REASONS: Final = ("Forbidden", "Invalid", "RequestEntityTooLarge", "Unauthorized")
_NOT_FOUND: Final = ("Allow", "Deny")


class _PolicyStrategy(KindStrategy):
    """Rules about requests, in CEL."""

    namespaced = False
    has_generation = True
    #: the list that makes the policy
    rules: str = ""

    def defaults(self, obj: Json) -> None:
        """Failing expressions refuse; equivalent requests match."""
        spec = obj.setdefault("spec", {})
        fill(spec, {"failurePolicy": "Fail"})
        _matching_defaults(spec.get("matchConstraints"))

    def check(self, obj: Json) -> list[FieldError]:
        """Constraints, and at least one rule with an expression."""
        spec = spec_of(obj)
        found = fields.one_of(spec.get("failurePolicy"), FAILURE_POLICIES, "spec.failurePolicy")
        constraints = spec.get("matchConstraints")
        if constraints is None:
            found.append(errors.required("spec.matchConstraints", ""))
        else:
            found += _matching(constraints, "spec.matchConstraints", needed=True)
        problems, environment = lazy.load(_EXPRESSIONS).of_policy(spec)
        found += problems
        kind = spec.get("paramKind")
        if kind is not None:
            found += [
                errors.required(f"spec.paramKind.{name}", "") for name in ("apiVersion", "kind") if not kind.get(name)
            ]
        return found + self.check_rules(spec, environment)

    def check_rules(self, spec: Json, environment: Any) -> list[FieldError]:
        """The kind's own list, whose expressions have this environment."""
        return []


class ValidatingPolicyStrategy(_PolicyStrategy):
    """Refuses."""

    def check_rules(self, spec: Json, environment: Any) -> list[FieldError]:
        """Validations or audit annotations."""
        validations, annotations = spec.get("validations") or [], spec.get("auditAnnotations") or []
        if not validations and not annotations:
            text = "validations or auditAnnotations must be non-empty; "
            text += "at least one validation or auditAnnotation is required"
            return [errors.required("spec.validations", text)]
        found: list[FieldError] = []
        for item, path in fields.each(validations, "spec.validations"):
            if not (item.get("expression") or "").strip():
                found.append(errors.required(f"{path}.expression", "expression is not specified"))
            found += fields.one_of(item.get("reason"), _REASONS, f"{path}.reason")
        for item, path in fields.each(annotations, "spec.auditAnnotations"):
            if not (item.get("valueExpression") or "").strip():
                found.append(errors.required(f"{path}.valueExpression", "valueExpression is not specified"))
        problems: list[FieldError] = lazy.load(_EXPRESSIONS).of_validations(spec, environment)
        return found + problems


class MutatingPolicyStrategy(_PolicyStrategy):
    """Changes."""

    def check_rules(self, spec: Json, environment: Any) -> list[FieldError]:
        """At least one mutation."""
        if not spec.get("mutations"):
            return [errors.required("spec.mutations", "mutations must contain at least one item")]
        return fields.one_of(
            spec.get("reinvocationPolicy"), ("IfNeeded", "Never"), "spec.reinvocationPolicy", needed=True
        )


class _BindingStrategy(KindStrategy):
    """Where a policy counts, with which parameters."""

    namespaced = False
    has_generation = True
    #: whether a binding says what happens
    acts: bool = True

    def defaults(self, obj: Json) -> None:
        """Equivalent requests match."""
        _matching_defaults(obj.setdefault("spec", {}).get("matchResources"))

    def check(self, obj: Json) -> list[FieldError]:
        """A policy, parameters, actions."""
        spec = spec_of(obj)
        found = [] if spec.get("policyName") else [errors.required("spec.policyName", "")]
        reference = spec.get("paramRef")
        if reference is not None:
            found += _param_ref(reference, "spec.paramRef")
        if spec.get("matchResources"):
            found += _matching(spec["matchResources"], "spec.matchResources", needed=False)
        if self.acts:
            found += _check_actions(spec.get("validationActions") or [], "spec.validationActions")
        return found


class ValidatingBindingStrategy(_BindingStrategy):
    """Of a policy that refuses."""


class MutatingBindingStrategy(_BindingStrategy):
    """Of a policy that changes."""

    acts = False


def _matching_defaults(matching: Json | None) -> None:
    if matching is None:
        return
    fill(matching, {"matchPolicy": "Equivalent", "namespaceSelector": {}, "objectSelector": {}})
    for rule in [*(matching.get("resourceRules") or ()), *(matching.get("excludeResourceRules") or ())]:
        fill(rule, {"scope": "*"})


def _matching(matching: Json, path: str, *, needed: bool) -> list[FieldError]:
    found: list[FieldError] = []
    if needed and not matching.get("resourceRules"):
        found.append(errors.required(f"{path}.resourceRules", ""))
    for name in ("resourceRules", "excludeResourceRules"):
        for rule, place in fields.each(matching.get(name), f"{path}.{name}"):
            found += check_rule(rule, place)
    found += fields.one_of(matching.get("matchPolicy"), MATCH_POLICIES, f"{path}.matchPolicy")
    for name in ("namespaceSelector", "objectSelector"):
        found += selectors.label_selector(matching.get(name), f"{path}.{name}")
    return found


def _param_ref(reference: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if reference.get("name") and reference.get("selector") is not None:
        found.append(errors.forbidden_field(f"{path}.name", "name and selector are mutually exclusive"))
    elif not reference.get("name") and reference.get("selector") is None:
        found.append(errors.required(path, "one of name or selector must be specified"))
    missing = "parameterNotFoundAction"
    return found + fields.one_of(reference.get(missing), _NOT_FOUND, f"{path}.{missing}", needed=True)


def _check_actions(actions: list[str], path: str) -> list[FieldError]:
    if not actions:
        return [errors.required(path, "at least one validation action is required")]
    found = fields.unique(fields.each(actions, path))
    for action, place in fields.each(actions, path):
        found += fields.one_of(action, _ACTIONS, place, needed=True)
    if {"Deny", "Warn"} <= set(actions):
        text = "must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)"  # noqa: E501
        found.append(errors.invalid_value(path, actions, text))
    return found


def _param_kind(policy: Json) -> str:
    kind = spec_of(policy).get("paramKind")
    return f"{kind.get('apiVersion')}/{kind.get('kind')}" if kind else "<unset>"


def _parameters(binding: Json) -> str:
    reference: dict[str, Any] | None = spec_of(binding).get("paramRef")
    if not reference:
        return "<unset>"
    namespace, name = reference.get("namespace") or "*", reference.get("name") or "*"
    return f"{namespace}/{name}"


VALIDATING_POLICIES: Final = Resource(
    kind=kinds.VALIDATING_POLICIES,
    key="validatingadmissionpolicies",
    strategy=ValidatingPolicyStrategy(),
    categories=("api-extensions",),
    columns=(
        Column("Validations", lambda obj: len(spec_of(obj).get("validations") or ()), type="integer"),
        Column("ParamKind", _param_kind),
        AGE,
    ),
    subresources=("status",),
)
MUTATING_POLICIES: Final = Resource(
    kind=kinds.MUTATING_POLICIES,
    key="mutatingadmissionpolicies",
    strategy=MutatingPolicyStrategy(),
    categories=("api-extensions",),
    columns=(
        Column("Mutations", lambda obj: len(spec_of(obj).get("mutations") or ()), type="integer"),
        Column("ParamKind", _param_kind),
        AGE,
    ),
)
_BINDING_COLUMNS: Final = (
    Column("PolicyName", lambda obj: spec_of(obj).get("policyName") or ""),
    Column("ParamRef", _parameters),
    AGE,
)
VALIDATING_POLICY_BINDINGS: Final = Resource(
    kind=kinds.VALIDATING_POLICY_BINDINGS,
    key="validatingadmissionpolicybindings",
    strategy=ValidatingBindingStrategy(),
    categories=("api-extensions",),
    columns=_BINDING_COLUMNS,
)
MUTATING_POLICY_BINDINGS: Final = Resource(
    kind=kinds.MUTATING_POLICY_BINDINGS,
    key="mutatingadmissionpolicybindings",
    strategy=MutatingBindingStrategy(),
    categories=("api-extensions",),
    columns=_BINDING_COLUMNS,
)
