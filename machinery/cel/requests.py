"""The environments of expressions about requests: match conditions and admission policies; compiling them for a check.

Upstream: k8s.io/apiserver/pkg/admission/plugin/cel/compile.go. The values are the API server's to give.
"""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

from cel_expr_python import cel

from machinery.cel import authorizer, messages
from machinery.cel.authorizer import Decide
from machinery.cel.environment import Environment, Type

_REQUEST: Final[Mapping[str, cel.Type]] = {
    "object": Type.DYN,
    "oldObject": Type.DYN,
    "request": Type.DYN,
    "authorizer": messages.AUTHORIZER,
    "authorizer.requestResource": messages.RESOURCE_CHECK,
}


def environment(decide: Decide, service_account: Callable[[str, str], str]) -> Environment:
    """Of match conditions."""
    return Environment(_REQUEST, authorizer.functions(decide, service_account))


def variables() -> Mapping[str, cel.Type]:
    """What match conditions may use."""
    return dict(_REQUEST)


def policy_variables(*, params: bool) -> Mapping[str, cel.Type]:
    """What the expressions of a policy may use besides; `params` where the policy has a paramKind."""
    more = {"namespaceObject": Type.DYN}
    return {**more, "params": Type.DYN} if params else more


@cache
def checking() -> Environment:
    """An environment to compile in and no more."""
    return environment(lambda question: (False, ""), lambda namespace, name: "")


@cache
def checking_policy(*, params: bool) -> Environment:
    """The same for the expressions of a policy."""
    return checking().extended(policy_variables(params=params))
