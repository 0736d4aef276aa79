"""Which describer is whose."""

from typing import Final

from kubectl.describe import generic, limits, nodes, pods, rbac, services, simple, workloads
from kubectl.describe.surroundings import Describer
from machinery.api.kinds import Kind

DESCRIBERS: Final[dict[tuple[str, str], Describer]] = {
    ("", "Pod"): pods.DESCRIBER,
    ("", "Node"): nodes.DESCRIBER,
    ("", "Service"): services.SERVICE,
    ("", "Endpoints"): services.ENDPOINTS,
    ("discovery.k8s.io", "EndpointSlice"): services.ENDPOINT_SLICE,
    ("", "ConfigMap"): simple.CONFIG_MAP,
    ("", "Secret"): simple.SECRET,
    ("", "Namespace"): simple.NAMESPACE,
    ("", "ServiceAccount"): simple.SERVICE_ACCOUNT,
    ("", "ResourceQuota"): limits.RESOURCE_QUOTA,
    ("", "LimitRange"): limits.LIMIT_RANGE,
    ("apps", "Deployment"): workloads.DEPLOYMENT,
    ("apps", "ReplicaSet"): workloads.REPLICA_SET,
    ("apps", "DaemonSet"): workloads.DAEMON_SET,
    ("apps", "StatefulSet"): workloads.STATEFUL_SET,
    ("batch", "Job"): workloads.JOB,
    ("rbac.authorization.k8s.io", "Role"): rbac.ROLE,
    ("rbac.authorization.k8s.io", "ClusterRole"): rbac.ROLE,
    ("rbac.authorization.k8s.io", "RoleBinding"): rbac.BINDING,
    ("rbac.authorization.k8s.io", "ClusterRoleBinding"): rbac.BINDING,
}


def describer_of(kind: Kind) -> Describer:
    """The kind's own describer, or the generic one."""
    return DESCRIBERS.get((kind.group, kind.kind), generic.DESCRIBER)
