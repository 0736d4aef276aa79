"""ValidatingAdmissionPolicies at work: bound to where they count, with which parameters.

Upstream: k8s.io/apiserver/pkg/admission/plugin/policy (KEP-3488). What one policy says about one request is
`policy_evaluation`'s; here is which policies are asked, with which parameters, and what comes of their answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from apiserver.admission import review
from apiserver.admission.attributes import Attributes
from apiserver.admission.compiled import Compiled
from apiserver.admission.expressions import ConditionError, environment, values_of
from apiserver.admission.matching import Criteria
from apiserver.admission.policy_evaluation import Denial, Policy
from apiserver.admission.reader import Reader
from apiserver.authz.attributes import Authorizer
from machinery.api import codec, errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.errors import StatusError
from machinery.api.kinds import Kind
from machinery.api.selectors import LabelSelector
from machinery.cel.environment import Environment

_FAILURES: Final = "validation.policy.admission.k8s.io/validation_failure"
_CODES: Final = {"Unauthorized": 401, "Forbidden": 403, "RequestEntityTooLarge": 413, "Invalid": 422}


class BadBinding(Exception):
    """A binding whose parameters cannot be found."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A ValidatingAdmissionPolicyBinding."""

    name: str
    policy: str
    actions: Sequence[str]
    criteria: Criteria
    param_ref: Json | None

    @classmethod
    def of(cls, binding: Json) -> "Binding":
        """From the wire."""
        spec = binding.get("spec") or {}
        return cls(
            meta.name_of(binding),
            spec.get("policyName") or "",
            tuple(spec.get("validationActions") or ()),
            Criteria.of(spec.get("matchResources") or {}),
            spec.get("paramRef"),
        )


@dataclass(slots=True)
class _Outcome:
    """What all policies together say."""

    denials: list[tuple[Policy, Binding, Denial]] = field(default_factory=list)
    failures: list[Json] = field(default_factory=list)
    annotations: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A policy and a request that it is about."""

    policy: Policy
    attributes: Attributes
    reader: Reader
    values: dict[str, Any]


class Dispatcher:
    """All policies and bindings, compiled."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._cel: Environment = environment(authorizer)
        self._policies = Compiled(lambda policy: [Policy.of(policy, self._cel)])
        self._bindings = Compiled(lambda binding: [Binding.of(binding)])

    async def validate(self, attributes: Attributes, reader: Reader, policies: Sequence[Json]) -> None:
        """Raises the first denial, under the reason its policy chose."""
        bindings = self._bindings.of(reader.all(kinds.VALIDATING_POLICY_BINDINGS))
        outcome = _Outcome()
        for policy in self._policies.of(policies):
            own = [binding for binding in bindings if binding.policy == policy.name]
            if own:
                await _judge(policy, own, attributes, reader, outcome)
        _tell(attributes, outcome)


async def _judge(
    policy: Policy, bindings: Sequence[Binding], attributes: Attributes, reader: Reader, outcome: _Outcome
) -> None:
    kind = await policy.criteria.match(attributes, reader)
    if kind is None:
        return
    asked = _Asked(policy, attributes, reader, await _values(attributes, kind, reader))
    try:
        if not policy.conditions.hold(asked.values):
            return
    except ConditionError as problem:
        if not policy.ignores_failures:
            _deny(outcome, asked, bindings[0], Denial(str(problem), actions=("Deny",)))
        return
    for binding in bindings:
        if await binding.criteria.selects(attributes, reader):
            await _judge_bound(asked, binding, outcome)


async def _values(attributes: Attributes, kind: Kind, reader: Reader) -> dict[str, Any]:
    request = review.request_of(attributes, kind, reader)
    obj, old = request.pop("object"), request.pop("oldObject")
    values = values_of(attributes, request, obj, old)
    namespace = await reader.get(kinds.NAMESPACES, "", attributes.namespace) if attributes.namespace else None
    return {**values, "namespaceObject": namespace}


async def _judge_bound(asked: _Asked, binding: Binding, outcome: _Outcome) -> None:
    policy = asked.policy
    try:
        params = _params(policy, binding, asked.attributes, asked.reader)
    except BadBinding as problem:
        if not policy.ignores_failures:
            _deny(outcome, asked, binding, Denial(f"failed to configure binding: {problem}", actions=("Deny",)))
        return
    for param in params:
        evaluation = policy.evaluate({**asked.values, "params": param})
        for denial in evaluation.denials:
            _deny(outcome, asked, binding, denial)
        for key, text in evaluation.annotations.items():
            texts = outcome.annotations.setdefault(f"{policy.name}/{key}", [])
            if text not in texts:
                texts.append(text)


def _deny(outcome: _Outcome, asked: _Asked, binding: Binding, denial: Denial) -> None:
    """As the binding says; what is wrong with the policy itself is refused whatever the binding says."""
    actions = denial.actions or binding.actions
    policy = asked.policy
    if "Deny" in actions:
        outcome.denials.append((policy, binding, denial))
    if "Audit" in actions:
        failure = {"message": denial.message, "policy": policy.name, "binding": binding.name}
        outcome.failures.append(
            {**failure, "expressionIndex": denial.index, "validationActions": list(binding.actions)}
        )
    if "Warn" in actions:
        where = f"ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}'"
        asked.attributes.warn(f"Validation failed for {where}: {denial.message}")


def _tell(attributes: Attributes, outcome: _Outcome) -> None:
    for key, texts in outcome.annotations.items():
        attributes.annotate(key, ", ".join(texts))
    if outcome.failures:
        attributes.annotate(_FAILURES, codec.dumps(outcome.failures).decode())
    if not outcome.denials:
        return
    policy, binding, denial = outcome.denials[0]
    why = f"ValidatingAdmissionPolicy '{policy.name}' with binding '{binding.name}' denied request: {denial.message}"
    raise _refusal(attributes, why, denial.reason)


def _refusal(attributes: Attributes, why: str, reason: str) -> StatusError:
    """`pods "x" is forbidden: …` with the policy's reason and its code, 422 by default (upstream: dispatcher.go)."""
    forbidden = attributes.forbidden(why)
    details = {**(forbidden.details or {}), "causes": [{"message": why}]}
    status = {"message": forbidden.message, "reason": reason, "details": details, "code": _CODES[reason]}
    return errors.from_status(status)


def _params(policy: Policy, binding: Binding, attributes: Attributes, reader: Reader) -> Sequence[Json | None]:
    """The parameters to evaluate with, one after the other; raises BadBinding. None: there are no parameters."""
    reference = binding.param_ref
    if policy.param_kind is None or reference is None:
        return [None]
    kind = reader.kind_named(*policy.param_kind)
    if kind is None:
        version, name = policy.param_kind
        raise BadBinding(f"failed to find resource referenced by paramKind: '{version}, Kind={name}'")
    namespace = reference.get("namespace") or ""
    if kind.namespaced:
        namespace = namespace or attributes.namespace
        if not namespace:
            text = "cannot use namespaced paramRef in policy binding that matches cluster-scoped resources"
            raise BadBinding(text)
    elif namespace:
        raise BadBinding("paramRef.namespace must not be provided for a cluster-scoped `paramKind`")
    found = _found(kind, namespace, reference, reader)
    if not found and reference.get("parameterNotFoundAction") == "Deny":
        raise BadBinding("no params found for policy binding with `Deny` parameterNotFoundAction")
    return found


def _found(kind: Kind, namespace: str, reference: Json, reader: Reader) -> list[Json]:
    objects = reader.in_namespace(kind, namespace) if kind.namespaced else reader.all(kind)
    if name := reference.get("name"):
        return [obj for obj in objects if meta.name_of(obj) == name]
    selector = LabelSelector.from_dict(reference.get("selector") or {})
    return [obj for obj in objects if selector.matches(meta.labels_of(obj))]
