"""What a cluster has in its API beyond what the server makes by itself: the rights of the network agent, and what
machines need that join: how to find the cluster, and the rights that let them become nodes (as kubeadm gives them).
"""

from collections.abc import Iterator
from typing import Any, Final

import httpx
import yaml

from cluster.config import ClusterConfig
from cluster.errors import ClusterError
from cluster.tokens import cluster_info
from machinery.api import bootstrap_tokens as tokens

CNI_USER: Final = "skiff:cni"
_RBAC: Final = "/apis/rbac.authorization.k8s.io/v1"

#: collection path → object
OBJECTS: Final[dict[str, dict[str, Any]]] = {
    f"{_RBAC}/clusterroles": {
        "metadata": {"name": CNI_USER},
        "rules": [
            {"apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "list", "watch"]},
            {"apiGroups": [""], "resources": ["nodes/status"], "verbs": ["patch"]},
        ],
    },
    f"{_RBAC}/clusterrolebindings": {
        "metadata": {"name": CNI_USER},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": CNI_USER},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": CNI_USER}],
    },
}

JOIN_CONFIG: Final = "skiff-config"
_BOOTSTRAPPERS: Final = "system:bootstrappers:skiff:nodes"
_NODES: Final = "system:nodes"
_REQUESTS: Final = "system:certificates.k8s.io:certificatesigningrequests"
#: name → role, group
_JOINING: Final = {
    "skiff:kubelet-bootstrap": ("system:node-bootstrapper", _BOOTSTRAPPERS),
    "skiff:node-autoapprove-bootstrap": (f"{_REQUESTS}:nodeclient", _BOOTSTRAPPERS),
    "skiff:node-autoapprove-certificate-rotation": (f"{_REQUESTS}:selfnodeclient", _NODES),
    "skiff:node-proxier": ("system:node-proxier", _NODES),
    "skiff:node-cni": (CNI_USER, _NODES),
}


def joining_objects(config: ClusterConfig, ca: bytes) -> Iterator[tuple[str, dict[str, Any]]]:
    """Collection path and object of all that lets machines join."""
    for name, (role, group) in _JOINING.items():
        yield f"{_RBAC}/clusterrolebindings", _binding(name, "ClusterRole", role, group)
    info = {"metadata": {"name": tokens.CLUSTER_INFO}}
    data = {tokens.KUBECONFIG_KEY: yaml.safe_dump(cluster_info(config.api_url, ca))}
    yield f"/api/v1/namespaces/{tokens.CLUSTER_INFO_NAMESPACE}/configmaps", info | {"data": data}
    yield from _readable(tokens.CLUSTER_INFO_NAMESPACE, tokens.CLUSTER_INFO, "system:unauthenticated")
    shared = {"podCIDR": config.pod_cidr, "serviceCIDR": config.service_cidr, "registryMirror": config.mirror_url}
    yield "/api/v1/namespaces/kube-system/configmaps", {"metadata": {"name": JOIN_CONFIG}, "data": shared}
    yield from _readable("kube-system", JOIN_CONFIG, _BOOTSTRAPPERS)


def _readable(namespace: str, name: str, group: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """A Role that lets a group read one ConfigMap, and its binding."""
    role = f"skiff:{name}"
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": [name], "verbs": ["get"]}
    yield f"{_RBAC}/namespaces/{namespace}/roles", {"metadata": {"name": role}, "rules": [rule]}
    yield f"{_RBAC}/namespaces/{namespace}/rolebindings", _binding(role, "Role", role, group)


def _binding(name: str, kind: str, role: str, group: str) -> dict[str, Any]:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}
    subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}
    return {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]}


def ensure(http: httpx.Client, config: ClusterConfig, ca: bytes) -> bool:
    """Create what is not there, as the administrator; True when anything was made. Raises ClusterError."""
    made = False
    for path, obj in (*OBJECTS.items(), *joining_objects(config, ca)):
        try:
            answer = http.post(path, json=obj)
        except httpx.HTTPError as problem:
            raise ClusterError(f"the API server did not answer: {problem}") from problem
        if answer.status_code not in (201, 409):
            raise ClusterError(f"creating {obj['metadata']['name']}: {answer.text}")
        made = made or answer.status_code == 201
    return made
