"""Checks the types of ValidatingAdmissionPolicies' expressions and tells in their status what does not fit.

Upstream: pkg/controller/validatingadmissionpolicystatus, apiserver/pkg/admission/plugin/policy/validating.
Only what rules name outright is checked, ten kinds of it at most; custom kinds have no schema here.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

from controller_manager.discovery import discover
from machinery.aio.workqueue import WorkQueue
from machinery.api import errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.names import ObjectKey
from machinery.cel import schema_types
from machinery.cel.environment import CompileError, Environment, Type
from machinery.client.controller import enqueue_itself
from machinery.client.informer import Informers
from machinery.client.rest import Client

_MOST_TYPES: Final = 10


class PolicyStatusController:
    """Keys are policies."""

    name = "validatingadmissionpolicy-status-controller"

    def __init__(self, client: Client, informers: Informers) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._policies = informers.watch(kinds.VALIDATING_POLICIES, on_change=enqueue_itself(self.queue))

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one policy."""
        policy = self._policies.get(key)
        if policy is None or (policy.get("status") or {}).get("observedGeneration") == meta.generation_of(policy):
            return None
        served = [resource.kind for resource in (await discover(self._client)).resources]
        checking = {"expressionWarnings": warnings_of(policy, served)}
        status = {"observedGeneration": meta.generation_of(policy), "typeChecking": checking}
        try:
            await self._client.update_status(kinds.VALIDATING_POLICIES, {**policy, "status": status})
        except (errors.Conflict, errors.NotFound):
            return None  # the cache was behind; what is new comes as an event
        return None


def warnings_of(policy: Json, served: Sequence[Kind]) -> list[Json]:
    """What is wrong with each expression, for each kind that the policy is about."""
    spec = policy.get("spec") or {}
    environments = [(kind, found) for kind in types_of(spec, served) if (found := _environment(kind, spec, served))]
    told = []
    for path, source in _expressions(spec):
        problems = [(kind, schema_types.problem_of(source, environment)) for kind, environment in environments]
        text = "\n".join(f"{kind.api_version}, Kind={kind.kind}: {problem}" for kind, problem in problems if problem)
        if text:
            told.append({"fieldRef": path, "warning": text})
    return told


def types_of(spec: Json, served: Sequence[Kind]) -> list[Kind]:
    """The kinds that the rules name, without wildcards and subresources."""
    found: dict[Kind, None] = {}
    for rule in (spec.get("matchConstraints") or {}).get("resourceRules") or ():
        named = [rule.get(part) or () for part in ("apiGroups", "apiVersions", "resources")]
        for group, version, resource in product(*named):
            kind = next((one for one in served if (one.group, one.plural) == (group, resource)), None)
            if kind is not None and version != "*":
                found[Kind(group, version, kind.kind, kind.plural, kind.namespaced)] = None
    return list(found)[:_MOST_TYPES]


def _environment(kind: Kind, spec: Json, served: Sequence[Kind]) -> Environment | None:
    """Where the policy's expressions are about a kind; None for one without a schema."""
    params = None
    if wanted := spec.get("paramKind"):
        api_version, name = wanted.get("apiVersion") or "", wanted.get("kind") or ""
        group, _, version = api_version.rpartition("/")
        params = next((one for one in served if (one.group, one.kind) == (group, name)), Kind(group, version, name, ""))
    try:
        environment = schema_types.environment(kind, params)
    except KeyError:
        return None
    for variable in spec.get("variables") or ():
        try:
            type_ = environment.compile((variable.get("expression") or "").strip()).type
        except CompileError:
            type_ = Type.DYN
        environment = environment.extended({f"variables.{variable.get('name')}": type_})
    return environment


def _expressions(spec: Json) -> Iterator[tuple[str, str]]:
    """Where an expression stands, and what it is."""
    for place, validation in enumerate(spec.get("validations") or ()):
        for field in ("expression", "messageExpression"):
            if validation.get(field):
                yield f"spec.validations[{place}].{field}", validation[field]
