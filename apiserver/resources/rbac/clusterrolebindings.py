"""ClusterRoleBindings (upstream: pkg/registry/rbac/clusterrolebinding)."""

from typing import Final

from apiserver.registry.resource import Resource
from apiserver.resources.rbac.rules import BINDING_COLUMNS, BindingStrategy
from machinery.api import kinds


class ClusterRoleBindingStrategy(BindingStrategy):
    """Cluster-scoped: refers to ClusterRoles only."""

    namespaced = False


CLUSTER_ROLE_BINDINGS: Final = Resource(
    kind=kinds.CLUSTER_ROLE_BINDINGS,
    key="clusterrolebindings",
    strategy=ClusterRoleBindingStrategy(),
    columns=BINDING_COLUMNS,
)
