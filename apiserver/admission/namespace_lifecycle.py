"""NamespaceLifecycle: nothing is created where there is no namespace or it is going; three namespaces are immortal.

Upstream: k8s.io/apiserver/pkg/admission/plugin/namespace/lifecycle/admission.go.
"""

from typing import Final

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from machinery.api import errors, kinds
from machinery.api.codec import Json

IMMORTAL: Final = ("default", "kube-system", "kube-public")


class NamespaceLifecycle(Plugin):
    """Looks at the namespace of every namespaced write but deletions."""

    name = "NamespaceLifecycle"

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises NotFound for a missing namespace, Forbidden for one that is being terminated."""
        if attributes.kind == kinds.NAMESPACES:
            _refuse_deletion(attributes)
            return
        if not attributes.namespace or attributes.operation is Operation.DELETE:
            return
        if attributes.kind == kinds.LOCAL_SUBJECT_ACCESS_REVIEWS:
            return
        namespace = await reader.get(kinds.NAMESPACES, "", attributes.namespace)
        if namespace is None:
            raise errors.not_found(kinds.NAMESPACES, attributes.namespace)
        if attributes.operation is Operation.CREATE and _is_terminating(namespace):
            raise _terminating(attributes)


def _refuse_deletion(attributes: Attributes) -> None:
    if attributes.operation is Operation.DELETE and not attributes.subresource and attributes.name in IMMORTAL:
        raise errors.forbidden(kinds.NAMESPACES, attributes.name, "this namespace may not be deleted")


def _is_terminating(namespace: Json) -> bool:
    return (namespace.get("status") or {}).get("phase") == "Terminating"


def _terminating(attributes: Attributes) -> errors.Forbidden:
    namespace = attributes.namespace
    error = attributes.forbidden(
        f"unable to create new content in namespace {namespace} because it is being terminated"
    )
    cause = {
        "reason": "NamespaceTerminating",
        "message": f"namespace {namespace} is being terminated",
        "field": "metadata.namespace",
    }
    error.details = {**(error.details or {}), "causes": [cause]}
    return error
