"""ClusterRoles (upstream: pkg/registry/rbac/clusterrole)."""

from typing import Final

from apiserver.registry.resource import Resource
from apiserver.resources.columns import CREATED_AT
from apiserver.resources.rbac.rules import RoleStrategy
from machinery.api import kinds


class ClusterRoleStrategy(RoleStrategy):
    """Cluster-scoped, and free to speak of non-resource URLs."""

    namespaced = False
    cluster = True


CLUSTER_ROLES: Final = Resource(
    kind=kinds.CLUSTER_ROLES, key="clusterroles", strategy=ClusterRoleStrategy(), columns=(CREATED_AT,)
)
