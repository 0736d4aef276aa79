"""What CEL expressions about a request may use, and the values: object, oldObject, request, authorizer, parameters.

Upstream: k8s.io/apiserver/pkg/admission/plugin/cel. Which request an expression is asked about is `matching`'s.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apiserver.admission.attributes import Attributes
from apiserver.authz import attributes as authz
from apiserver.authz.attributes import Authorizer
from apiserver.request import User
from machinery.api import codec
from machinery.api.codec import Json
from machinery.cel import authorizer as cel_authorizer
from machinery.cel import requests
from machinery.cel.environment import Environment, EvaluationError, Program, Type


def environment(decide: Authorizer) -> Environment:
    """An environment for match conditions whose `authorizer` asks this one."""

    def decided(question: Mapping[str, str]) -> tuple[bool, str]:
        decision = decide.decide(_attributes(question))
        return decision.allowed, decision.reason

    return requests.environment(decided, _service_account)


def _attributes(question: Mapping[str, str]) -> authz.Attributes:
    user = codec.loads(question.get("user", "{}"))
    who = User(user.get("username", ""), user.get("uid", ""), tuple(user.get("groups") or ()), user.get("extra") or {})
    if path := question.get("path", ""):
        return authz.Attributes(who, question["verb"], is_resource=False, path=path)
    return authz.Attributes(
        user=who,
        verb=question["verb"],
        group=question.get("group", ""),
        version="*",
        resource=question.get("resource", ""),
        subresource=question.get("subresource", ""),
        namespace=question.get("namespace", ""),
        name=question.get("name", ""),
    )


def _service_account(namespace: str, name: str) -> str:
    groups = ["system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated"]
    user = {"username": f"system:serviceaccount:{namespace}:{name}", "groups": groups}
    return codec.dumps(user).decode()


def values_of(attributes: Attributes, request: Json, obj: Json | None, old: Json | None) -> dict[str, Any]:
    """The variables of a request; object and oldObject in the version that was asked for."""
    user = codec.dumps(request["userInfo"]).decode()
    kind = attributes.kind
    parts = {"group": kind.group, "resource": kind.plural, "subresource": attributes.subresource}
    parts |= {"namespace": attributes.namespace, "name": attributes.name}
    return {
        "object": obj,
        "oldObject": old,
        "request": request,
        "authorizer": cel_authorizer.subject(user),
        "authorizer.requestResource": cel_authorizer.request_resource(user, **parts),
    }


class ConditionError(Exception):
    """Conditions that could not be evaluated, with all their texts."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """The matchConditions of a webhook or a policy."""

    programs: Sequence[Program]

    @classmethod
    def compiled(cls, conditions: Sequence[Json] | None, environment: Environment) -> "Conditions":
        """Raises CompileError."""
        texts = [(condition.get("expression") or "").strip() for condition in conditions or ()]
        return cls([environment.compile(text, Type.BOOL) for text in texts])

    def hold(self, values: Mapping[str, Any]) -> bool:
        """Whether all are true. One that is false decides; else raises ConditionError where some have no value."""
        failed = []
        for program in self.programs:
            try:
                if program.evaluate(values) is not True:
                    return False
            except EvaluationError as problem:
                failed.append(f"expression '{program.source}' resulted in error: {problem}")
        if failed:
            raise ConditionError(", ".join(failed))
        return True
