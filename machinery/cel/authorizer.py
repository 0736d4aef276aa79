"""CEL's `authorizer`: `authorizer.group('apps').resource('deployments').namespace('x').check('create').allowed()`.

Upstream: k8s.io/apiserver/pkg/cel/library/authz.go. Who decides is the environment's.
"""

from collections.abc import Callable, Mapping
from typing import Any

from cel_expr_python import cel
from google.protobuf.message import Message

from machinery.cel import messages
from machinery.cel.functions import method

Type = cel.Type
#: (question: user (JSON), verb, path or group, resource, subresource, namespace, name) → allowed, reason
Decide = Callable[[Mapping[str, str]], tuple[bool, str]]


def subject(user: str) -> Message:
    """The variable `authorizer` for a user, who is JSON that `decide` understands."""
    return messages.new("Authorizer", user=user)


def request_resource(user: str, **parts: str) -> Message:
    """The variable `authorizer.requestResource`."""
    return messages.new("ResourceCheck", user=user, **parts)


def functions(decide: Decide, service_account: Callable[[str, str], str]) -> list[cel.FunctionDecl]:
    """All of them, answered by `decide`; `service_account` tells the user behind a namespace and a name."""

    def check(value: Any, verb: str) -> Message:
        question = {field.name: text for field, text in value.ListFields()}
        allowed, reason = decide({**question, "verb": verb})
        return messages.new("Decision", allowed="true" if allowed else "", reason=reason)

    def step(name: str, field: str) -> Callable[[Any, str], Message]:
        return lambda value, text: messages.changed(value, name, **{field: text})

    def as_account(value: Any, namespace: str, name: str) -> Message:
        return messages.new("Authorizer", user=service_account(namespace, name))

    resource, path = messages.RESOURCE_CHECK, messages.PATH_CHECK
    text = Type.STRING
    chained = ("subresource", "namespace", "name")
    return [
        method("path", path, messages.AUTHORIZER, text, impl=step("PathCheck", "path")),
        method("group", messages.GROUP_CHECK, messages.AUTHORIZER, text, impl=step("GroupCheck", "group")),
        method("serviceAccount", messages.AUTHORIZER, messages.AUTHORIZER, text, text, impl=as_account),
        method("resource", resource, messages.GROUP_CHECK, text, impl=step("ResourceCheck", "resource")),
        *(method(part, resource, resource, text, impl=step("ResourceCheck", part)) for part in chained),
        method("fieldSelector", resource, resource, text, impl=step("ResourceCheck", "fields")),
        method("labelSelector", resource, resource, text, impl=step("ResourceCheck", "labels")),
        method("check", messages.DECISION, Type.DYN, text, impl=check),
        method("allowed", Type.BOOL, messages.DECISION, impl=lambda value: bool(value.allowed)),
        method("reason", text, messages.DECISION, impl=lambda value: value.reason),
        method("errored", Type.BOOL, messages.DECISION, impl=lambda value: False),
        method("error", text, messages.DECISION, impl=lambda value: ""),
    ]
