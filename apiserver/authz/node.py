"""The node authorizer: a kubelet may read what the pods bound to its node need, and little else.

Its writes are checked by the NodeRestriction admission plugin, which sees the objects; an authorizer does not.

The graph of upstream (plugin/pkg/auth/authorizer/node) is here one table: object → nodes whose pods refer to it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from apiserver.authz.attributes import ALLOW, NO_OPINION, Attributes, Decision, Rule
from apiserver.authz.default_roles import rules_of
from apiserver.authz.rbac import allows, rule_of
from apiserver.authz.role_tables import NODE_RULES
from apiserver.request import User
from apiserver.storage.objects import Entry
from machinery.api import meta, pods
from machinery.api.codec import Json
from machinery.api.names import ObjectKey

NODES_GROUP: Final = "system:nodes"
NODE_USER: Final = "system:node:"
LEASE_NAMESPACE: Final = "kube-node-lease"

#: (resource, namespace, name)
Reference = tuple[str, str, str]
_LEASE_VERBS: Final = frozenset(("get", "create", "update", "patch", "delete"))
_SLICES: Final = "resourceslices"
_CERTIFICATES: Final = "podcertificaterequests"
#: kinds whose objects say themselves which node they are of
_OWN: Final = frozenset((_SLICES, _CERTIFICATES, "volumeattachments"))
_SLICE_VERBS: Final = "get, watch, list, create, update, patch, delete, deletecollection"


class NodeGraph:
    """Which nodes' pods refer to which objects, kept up to date by changes of pods."""

    def __init__(self) -> None:
        self._pods: dict[ObjectKey, tuple[int, str, frozenset[Reference]]] = {}
        self._nodes: dict[Reference, Counter[str]] = {}
        self._own: dict[Reference, str] = {}
        self._volumes: dict[str, tuple[Reference, frozenset[Reference]]] = {}  # whose claim it is, what it needs

    def apply(self, key: ObjectKey, entry: Entry | None) -> None:
        """Take in one change of a pod; None: it is gone.

        What a pod refers to never changes once it is bound: the many changes of its status are not even decoded.
        """
        node = entry.fields.get("spec.nodeName", "") if entry is not None else ""
        known = self._pods.get(key)
        if known and entry is not None and known[:2] == (entry.created, node):
            return
        if known:
            self._forget(key)
        if entry is not None and node:
            references = frozenset(references_of(entry.decode()))
            self._pods[key] = (entry.created, node, references)
            for reference in references:
                self._nodes.setdefault(reference, Counter())[node] += 1

    def apply_slice(self, key: ObjectKey, entry: Entry | None) -> None:
        """Take in one change of a ResourceSlice: one of a node is that node's, whatever its pods are."""
        self._give((_SLICES, "", key.name), entry.fields.get("spec.nodeName", "") if entry is not None else "")

    def apply_certificate_request(self, key: ObjectKey, entry: Entry | None) -> None:
        """Take in one change of a PodCertificateRequest: it is the node's whose pod it is for."""
        node = entry.fields.get("spec.nodeName", "") if entry is not None else ""
        self._give((_CERTIFICATES, key.namespace, key.name), node)

    def apply_attachment(self, key: ObjectKey, entry: Entry | None) -> None:
        """Take in one change of a VolumeAttachment: it is its node's."""
        node = ((entry.decode().get("spec") or {}).get("nodeName") or "") if entry is not None else ""
        self._give(("volumeattachments", "", key.name), node)

    def _give(self, reference: Reference, node: str) -> None:
        if node:
            self._own[reference] = node
        else:
            self._own.pop(reference, None)

    def apply_volume(self, key: ObjectKey, entry: Entry | None) -> None:
        """Take in one change of a PersistentVolume: who may read its claim may read it, and its secrets."""
        spec = (entry.decode().get("spec") or {}) if entry is not None else {}
        claim = spec.get("claimRef")
        if not claim:
            self._volumes.pop(key.name, None)
            return
        namespace = claim.get("namespace") or ""
        secrets = frozenset(_secrets_of_volume(spec, namespace))
        self._volumes[key.name] = ("persistentvolumeclaims", namespace, claim.get("name") or ""), secrets

    def related(self, node: str, reference: Reference) -> bool:
        """Whether a pod on the node refers to the object, by its claim's volume too, or the object is the node's."""
        resource, _, name = reference
        if resource in _OWN:
            return self._own.get(reference) == node
        if resource == "persistentvolumes":
            volume = self._volumes.get(name)
            return volume is not None and self._refers(node, volume[0])
        if self._refers(node, reference):
            return True
        return resource == "secrets" and any(
            reference in secrets and self._refers(node, claim) for claim, secrets in self._volumes.values()
        )

    def _refers(self, node: str, reference: Reference) -> bool:
        return self._nodes.get(reference, Counter())[node] > 0

    def _forget(self, key: ObjectKey) -> None:
        _, node, references = self._pods.pop(key)
        for reference in references:
            nodes = self._nodes[reference]
            nodes[node] -= 1
            if nodes[node] <= 0:
                del nodes[node]
            if not nodes:
                del self._nodes[reference]


def references_of(pod: Json) -> Iterator[Reference]:
    """The pod itself and all it needs read for it (upstream: graph.go, AddPod). Mirror pods need nothing."""
    namespace, spec = meta.namespace_of(pod), pod["spec"]
    yield "pods", namespace, meta.name_of(pod)
    if "kubernetes.io/config.mirror" in meta.annotations_of(pod):
        return
    if spec.get("serviceAccountName"):
        yield "serviceaccounts", namespace, spec["serviceAccountName"]
    for secret in spec.get("imagePullSecrets") or ():
        yield "secrets", namespace, secret.get("name", "")
    for container in pods.every_container_of(spec):
        yield from ((resource, namespace, name) for resource, name in _environment(container))
    for volume in spec.get("volumes") or ():
        yield from ((resource, namespace, name) for resource, name in _volume(volume, meta.name_of(pod)))
    claims = [*(spec.get("resourceClaims") or ()), *((pod.get("status") or {}).get("resourceClaimStatuses") or ())]
    for claim in claims:
        if name := claim.get("resourceClaimName"):
            yield "resourceclaims", namespace, name


def _environment(container: Json) -> Iterator[tuple[str, str]]:
    for variable in container.get("env") or ():
        source = variable.get("valueFrom") or {}
        yield from _named(source, ("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps"))
    for source in container.get("envFrom") or ():
        yield from _named(source, ("secretRef", "secrets"), ("configMapRef", "configmaps"))


def _named(source: Json, *fields: tuple[str, str]) -> Iterator[tuple[str, str]]:
    for field, resource in fields:
        if source.get(field):
            yield resource, source[field].get("name", "")


def _volume(volume: Json, pod_name: str) -> Iterator[tuple[str, str]]:
    if volume.get("secret"):
        yield "secrets", volume["secret"].get("secretName", "")
    yield from _named(volume, ("configMap", "configmaps"))
    for source in (volume.get("projected") or {}).get("sources") or ():
        yield from _named(source, ("secret", "secrets"), ("configMap", "configmaps"))
    if volume.get("persistentVolumeClaim"):
        yield "persistentvolumeclaims", volume["persistentVolumeClaim"].get("claimName", "")
    if volume.get("ephemeral"):
        yield "persistentvolumeclaims", f"{pod_name}-{volume.get('name')}"
    yield from _volume_secrets(volume)


def _volume_secrets(volume: Json) -> Iterator[tuple[str, str]]:
    for source in volume.values():
        if isinstance(source, dict):
            for field in ("secretRef", "nodePublishSecretRef"):
                reference: Any = source.get(field)
                if isinstance(reference, dict) and reference.get("name"):
                    yield "secrets", reference["name"]
    if (volume.get("azureFile") or {}).get("secretName"):
        yield "secrets", volume["azureFile"]["secretName"]


def _secrets_of_volume(spec: Json, namespace: str) -> Iterator[Reference]:
    """Those that a kubelet needs for a PersistentVolume (upstream: persistentvolume/util.go), the claim's else."""
    for source in spec.values():
        for field, reference in (source if isinstance(source, dict) else {}).items():
            if field.endswith(("SecretRef", "secretRef")) and isinstance(reference, dict) and reference.get("name"):
                yield "secrets", reference.get("namespace") or namespace, reference["name"]
    if (azure := spec.get("azureFile") or {}).get("secretName"):
        yield "secrets", azure.get("secretNamespace") or namespace, azure["secretName"]


class NodeAuthorizer:
    """The authorizer of --authorization-mode=Node. It never denies: RBAC may still grant a node more."""

    def __init__(self, graph: NodeGraph) -> None:
        self._graph = graph
        self._rules: Sequence[Rule] = [rule_of(rule) for rule in rules_of(NODE_RULES)]
        self._special: dict[tuple[str, str], Callable[[str, Attributes], Decision]] = {
            ("", "secrets"): self._read,
            ("", "configmaps"): self._read,
            ("", "persistentvolumeclaims"): self._claim,
            ("", "persistentvolumes"): self._get,
            ("resource.k8s.io", "resourceclaims"): self._get,
            ("storage.k8s.io", "volumeattachments"): self._get,
            ("", "serviceaccounts"): self._service_account,
            ("coordination.k8s.io", "leases"): self._lease,
            ("storage.k8s.io", "csinodes"): self._csi_node,
            ("resource.k8s.io", _SLICES): self._slice,
            ("certificates.k8s.io", _CERTIFICATES): self._certificate_request,
            ("", "nodes"): self._node,
            ("", "pods"): self._pod,
        }

    def decide(self, attributes: Attributes) -> Decision:
        """Upstream's NodeAuthorizer.Authorize."""
        node = node_of(attributes.user)
        if node is None:
            return NO_OPINION
        if not node:
            return Decision(False, f'unknown node for user "{attributes.user.name}"')
        special = self._special.get((attributes.group, attributes.resource)) if attributes.is_resource else None
        if special:
            return special(node, attributes)
        return ALLOW if any(allows(rule, attributes) for rule in self._rules) else NO_OPINION

    def _read(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb not in ("get", "list", "watch"):
            return Decision(False, "can only read resources of this type")
        if attributes.subresource:
            return Decision(False, "cannot read subresource")
        if not attributes.namespace:
            return Decision(False, "can only read namespaced object of this type")
        return self._related(node, attributes)

    def _get(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb != "get":
            return Decision(False, "can only get individual resources of this type")
        if attributes.subresource:
            return Decision(False, "cannot get subresource")
        return self._related(node, attributes)

    def _claim(self, node: str, attributes: Attributes) -> Decision:
        if attributes.subresource != "status":
            return self._get(node, attributes)
        if attributes.verb not in ("update", "patch"):
            return Decision(False, "can only get/update/patch this type")
        return self._related(node, attributes)

    def _service_account(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb == "get" and not attributes.subresource:
            return self._related(node, attributes)
        if attributes.verb != "create" or not attributes.name:
            return Decision(False, "can only create tokens for individual service accounts")
        if attributes.subresource != "token":
            return Decision(False, "can only create token subresource of serviceaccount")
        return self._related(node, attributes)

    def _lease(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb not in _LEASE_VERBS:
            return Decision(False, "can only get, create, update, patch, or delete a node lease")
        if attributes.namespace != LEASE_NAMESPACE:
            return Decision(False, f'can only access leases in the "{LEASE_NAMESPACE}" system namespace')
        if attributes.verb != "create" and attributes.name != node:
            return Decision(False, "can only access node lease with the same name as the requesting node")
        return ALLOW

    def _csi_node(self, node: str, attributes: Attributes) -> Decision:
        if attributes.verb not in _LEASE_VERBS:
            return Decision(False, "can only get, create, update, patch, or delete a CSINode")
        if attributes.subresource:
            return Decision(False, "cannot authorize CSINode subresources")
        if attributes.verb != "create" and attributes.name != node:
            return Decision(False, "can only access CSINode with the same name as the requesting node")
        return ALLOW

    def _slice(self, node: str, attributes: Attributes) -> Decision:
        if attributes.subresource:
            return Decision(False, "cannot authorize ResourceSlice subresources")
        if attributes.verb == "create":
            return ALLOW  # whose it is, NodeRestriction sees
        if attributes.verb in ("get", "update", "patch", "delete"):
            return self._related(node, attributes)
        if attributes.verb not in ("watch", "list", "deletecollection"):
            return Decision(False, f"only the following verbs are allowed for a ResourceSlice: {_SLICE_VERBS}")
        if attributes.field_values.get("spec.nodeName") == node:
            return ALLOW
        return Decision(False, "can only list/watch/deletecollection resourceslices with nodeName field selector")

    def _certificate_request(self, node: str, attributes: Attributes) -> Decision:
        if attributes.subresource:
            return Decision(False, "cannot authorize PodCertificateRequest subresources")
        if attributes.verb == "create":
            return ALLOW  # for whom, NodeRestriction sees
        if attributes.verb == "get":
            return self._related(node, attributes)
        if attributes.verb not in ("watch", "list"):
            return Decision(False, "can only create, get, list, watch PodCertificateRequests")
        if attributes.field_values.get("spec.nodeName") == node:
            return ALLOW
        return Decision(False, "can only list/watch podcertificaterequests with nodeName field selector")

    def _node(self, node: str, attributes: Attributes) -> Decision:
        if attributes.subresource == "status":
            return ALLOW if attributes.verb in ("update", "patch") else NO_OPINION
        if attributes.subresource:
            return NO_OPINION
        if attributes.verb in ("create", "update", "patch"):
            return ALLOW
        if attributes.verb not in ("get", "list", "watch"):
            return NO_OPINION
        if not attributes.name:
            return Decision(False, f"node '{node}' cannot read all nodes, only its own Node object")
        if attributes.name != node:
            return Decision(False, f"node '{node}' cannot read '{attributes.name}', only its own Node object")
        return ALLOW

    def _pod(self, node: str, attributes: Attributes) -> Decision:
        asked = (attributes.subresource, attributes.verb)
        if asked in (("", "list"), ("", "watch")):
            if attributes.field_values.get("spec.nodeName") == node:
                return ALLOW
            if attributes.name:
                return self._related(node, attributes)
            return Decision(False, "can only list/watch pods with spec.nodeName field selector")
        if asked == ("", "get"):
            return self._get(node, attributes)
        return ALLOW if asked in _POD_WRITES else NO_OPINION

    def _related(self, node: str, attributes: Attributes) -> Decision:
        if not attributes.name:
            return Decision(False, "No Object name found")
        if self._graph.related(node, (attributes.resource, attributes.namespace, attributes.name)):
            return ALLOW
        return Decision(False, f"no relationship found between node '{node}' and this object")


_POD_WRITES: Final = frozenset(
    (("", "create"), ("", "delete"), ("status", "update"), ("status", "patch"), ("eviction", "create"))
)


def node_of(user: User) -> str | None:
    """The node a user is; "" for a node without a name, None for everybody else (upstream: nodeidentifier)."""
    if NODES_GROUP not in user.groups or not user.name.startswith(NODE_USER):
        return None
    return user.name.removeprefix(NODE_USER)
