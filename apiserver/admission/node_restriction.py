"""NodeRestriction: a kubelet writes its own Node, lease, CSINode and slices, and the pods bound to it; nothing else.

Upstream: plugin/pkg/admission/noderestriction/admission.go. Off unless `--enable-admission-plugins` names it.
What a kubelet may read is authz's node authorizer.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from apiserver.request import User
from machinery.api import kinds, meta, pods
from machinery.api.codec import Json

_PREFIX: Final = "system:node:"
_GROUP: Final = "system:nodes"
_LEASE_NAMESPACE: Final = "kube-node-lease"
#: of the labels in kubernetes.io and k8s.io, those a kubelet may give its node
_OWN_LABELS: Final = frozenset(
    {
        "kubernetes.io/hostname",
        "kubernetes.io/arch",
        "kubernetes.io/os",
        "beta.kubernetes.io/arch",
        "beta.kubernetes.io/os",
        "beta.kubernetes.io/instance-type",
        "node.kubernetes.io/instance-type",
        "node.kubernetes.io/windows-build",
        "failure-domain.beta.kubernetes.io/region",
        "failure-domain.beta.kubernetes.io/zone",
        "topology.kubernetes.io/region",
        "topology.kubernetes.io/zone",
    }
)
_OWN_LABEL_DOMAINS: Final = ("kubelet.kubernetes.io", "node.kubernetes.io")
_NOT_IN_MIRRORS: Final = {
    "secret": "secrets",
    "configMap": "configmaps",
    "persistentVolumeClaim": "persistentvolumeclaims",
}


def node_of(user: User) -> str:
    """The node a user is the kubelet of; empty for everybody else."""
    if _GROUP in user.groups and user.name.startswith(_PREFIX):
        return user.name.removeprefix(_PREFIX)
    return ""


class NodeRestriction(Plugin):
    """Refuses what a kubelet has no business with."""

    name = "NodeRestriction"

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises Forbidden. Looks before anything is changed: other plugins fill in what a mirror pod may not have."""
        node = node_of(attributes.user)
        check = _CHECKS.get(attributes.kind.resource)
        if node and check is not None:
            why = await check(attributes, node, reader)
            if why:
                raise attributes.forbidden(why)


async def _pod(attributes: Attributes, node: str, reader: Reader) -> str:
    operation, subresource = attributes.operation, attributes.subresource
    if subresource == "status":
        return _pod_status(attributes, node)
    if subresource == "eviction":
        pod = await reader.get(kinds.PODS, attributes.namespace, attributes.name)
        theirs = pod is not None and pods.node_of(pod) != node
        return f"node {node} can only evict pods with spec.nodeName set to itself" if theirs else ""
    if subresource:
        return f"unexpected pod subresource \"{subresource}\", only 'status' and 'eviction' are allowed"
    if operation is Operation.CREATE:
        return _new_pod(attributes.obj or {}, node)
    if operation is Operation.DELETE:
        theirs = pods.node_of(attributes.old or {}) != node
        return f'node "{node}" can only delete pods with spec.nodeName set to itself' if theirs else ""
    return f'unexpected operation "{operation.value}", node "{node}" can only create and delete mirror pods'


def _pod_status(attributes: Attributes, node: str) -> str:
    old, new = attributes.old or {}, attributes.obj or {}
    if pods.node_of(old) != node:
        return f'node "{node}" can only update pod status for pods with spec.nodeName set to itself'
    if meta.labels_of(old) != meta.labels_of(new):
        return f'node "{node}" cannot update labels through pod status'
    return ""


def _new_pod(pod: Json, node: str) -> str:
    if not pods.is_static(pod):
        annotation = pods.MIRROR_ANNOTATION
        return f'pod does not have "{annotation}" annotation, node "{node}" can only create mirror pods'
    if pods.node_of(pod) != node:
        return f'node "{node}" can only create pods with spec.nodeName set to itself'
    owners = meta.owners_of(pod)
    own = [owner for owner in owners if (owner.get("kind"), owner.get("name")) == ("Node", node)]
    if len(owners) > 1 or len(own) != len(owners):
        return f'node "{node}" can only create pods with an owner reference set to itself'
    spec = pod.get("spec") or {}
    if spec.get("serviceAccountName"):
        return f'node "{node}" can not create pods that reference a service account'
    for source, what in _NOT_IN_MIRRORS.items():
        if any(volume.get(source) is not None for volume in spec.get("volumes") or ()):
            return f'node "{node}" can not create pods that reference {what}'
    return ""


async def _node(attributes: Attributes, node: str, reader: Reader) -> str:
    new, old = attributes.obj or {}, attributes.old or {}
    name = attributes.name or meta.name_of(new)
    if name != node:
        return f'node "{node}" is not allowed to modify node "{name}"'
    if attributes.operation is Operation.CREATE:
        refused = _refused_labels(meta.labels_of(new), {})
        return f'node "{node}" is not allowed to set the following labels: {", ".join(refused)}' if refused else ""
    if attributes.operation is not Operation.UPDATE:
        return ""
    if meta.owners_of(new) != meta.owners_of(old):
        return f'node "{node}" is not allowed to modify ownerReferences'
    if ((new.get("spec") or {}).get("taints") or []) != ((old.get("spec") or {}).get("taints") or []):
        return f'node "{node}" is not allowed to modify taints'
    refused = _refused_labels(meta.labels_of(new), meta.labels_of(old))
    return f'node "{node}" is not allowed to modify labels: {", ".join(refused)}' if refused else ""


def _refused_labels(new: Mapping[str, str], old: Mapping[str, str]) -> list[str]:
    """Changed labels in Kubernetes' own domains that are not a kubelet's."""
    changed = [key for key in new.keys() | old.keys() if new.get(key) != old.get(key)]
    return sorted(key for key in changed if not _is_own_label(key))


def _is_own_label(key: str) -> bool:
    domain = key.partition("/")[0] if "/" in key else ""
    if not any(domain == ours or domain.endswith(f".{ours}") for ours in ("kubernetes.io", "k8s.io")):
        return True
    in_own_domain = any(domain == own or domain.endswith(f".{own}") for own in _OWN_LABEL_DOMAINS)
    return key in _OWN_LABELS or in_own_domain


async def _lease(attributes: Attributes, node: str, reader: Reader) -> str:
    if attributes.namespace != _LEASE_NAMESPACE:
        return f'can only access leases in the "{_LEASE_NAMESPACE}" system namespace'
    if (attributes.name or meta.name_of(attributes.obj or {})) != node:
        return "can only access node lease with the same name as the requesting node"
    return ""


async def _csi_node(attributes: Attributes, node: str, reader: Reader) -> str:
    theirs = (attributes.name or meta.name_of(attributes.obj or {})) != node
    return "can only access CSINode with the same name as the requesting node" if theirs else ""


async def _slice(attributes: Attributes, node: str, reader: Reader) -> str:
    written = {Operation.CREATE: attributes.obj, Operation.DELETE: attributes.old}
    if attributes.operation not in written:
        return ""  # the authorizer knows whose it is, and whose it is does not change
    spec = (written[attributes.operation] or {}).get("spec") or {}
    if spec.get("nodeName") == node:
        return ""
    return f"can only {attributes.operation.value.lower()} ResourceSlice with the same NodeName as the requesting node"


async def _pod_certificate(attributes: Attributes, node: str, reader: Reader) -> str:
    """A kubelet asks for the pods on its node, by their names and uids."""
    if attributes.operation is not Operation.CREATE:
        return ""
    spec, namespace = (attributes.obj or {}).get("spec") or {}, attributes.namespace
    if spec.get("nodeName") != node:
        other = spec.get("nodeName") or ""
        return f'PodCertificateRequest.Spec.NodeName="{other}", which is not the requesting node "{node}"'
    pod = await reader.get(kinds.PODS, namespace, spec.get("podName") or "")
    if pod is None or meta.uid_of(pod) != spec.get("podUID") or pods.is_static(pod):
        return f'PodCertificateRequest for pod "{namespace}/{spec.get("podName") or ""}" that is not there as named'
    if pods.node_of(pod) != node:
        return f'PodCertificateRequest for pod "{namespace}/{meta.name_of(pod)}" that is not running on node "{node}"'
    for who, kind, where in (("node", kinds.NODES, ""), ("serviceAccount", kinds.SERVICE_ACCOUNTS, namespace)):
        name = pod["spec"].get(f"{who}Name") or ""
        found = await reader.get(kind, where, name)
        named = spec.get(f"{who}Name"), spec.get(f"{who}UID")
        if found is None or named != (name, meta.uid_of(found)):
            return f'PodCertificateRequest whose {who} is not that of pod "{namespace}/{meta.name_of(pod)}"'
    return ""


_CHECKS: Final[Mapping[str, Callable[[Attributes, str, Reader], Awaitable[str]]]] = {
    kinds.PODS.resource: _pod,
    kinds.NODES.resource: _node,
    kinds.LEASES.resource: _lease,
    kinds.CSI_NODES.resource: _csi_node,
    kinds.RESOURCE_SLICES.resource: _slice,
    kinds.POD_CERTIFICATE_REQUESTS.resource: _pod_certificate,
}
