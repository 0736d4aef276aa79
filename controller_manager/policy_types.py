"""What is wrong with the types of a policy's expressions, by the schemas of the kinds it is about. Pure; with CEL.

Upstream: apiserver/pkg/admission/plugin/policy/validating/typechecking.go. Only what rules name outright is checked,
ten kinds of it at most; custom kinds have no schema here.
"""

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.cel import schema_types
from machinery.cel.environment import CompileError, Environment, Type

_MOST_TYPES: Final = 10


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
