"""What a cluster has in its API beyond what the server makes by itself: the rights of the network agent."""

from typing import Any, Final

import httpx

from cluster.errors import ClusterError

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


def ensure(http: httpx.Client) -> bool:
    """Create what is not there, as the administrator; True when anything was made. Raises ClusterError."""
    made = False
    for path, obj in OBJECTS.items():
        try:
            answer = http.post(path, json=obj)
        except httpx.HTTPError as problem:
            raise ClusterError(f"the API server did not answer: {problem}") from problem
        if answer.status_code not in (201, 409):
            raise ClusterError(f"creating {obj['metadata']['name']}: {answer.text}")
        made = made or answer.status_code == 201
    return made
