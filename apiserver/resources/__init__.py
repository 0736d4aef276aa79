"""Every built-in kind as a row. Custom kinds get theirs at run time from apiserver.custom."""

from typing import Final

from apiserver.registry.resource import Resource
from apiserver.resources.apps.controllerrevisions import CONTROLLER_REVISIONS
from apiserver.resources.apps.deployments import DEPLOYMENTS
from apiserver.resources.apps.replicasets import REPLICA_SETS
from apiserver.resources.coordination.leases import LEASES
from apiserver.resources.core.configmaps import CONFIG_MAPS
from apiserver.resources.core.endpoints import ENDPOINTS
from apiserver.resources.core.events import EVENTS
from apiserver.resources.core.namespaces import NAMESPACES
from apiserver.resources.core.nodes import NODES
from apiserver.resources.core.pods import PODS
from apiserver.resources.core.secrets import SECRETS
from apiserver.resources.core.serviceaccounts import SERVICE_ACCOUNTS
from apiserver.resources.core.services import SERVICES
from apiserver.resources.discovery.endpointslices import ENDPOINT_SLICES
from apiserver.resources.rbac.clusterrolebindings import CLUSTER_ROLE_BINDINGS
from apiserver.resources.rbac.clusterroles import CLUSTER_ROLES
from apiserver.resources.rbac.rolebindings import ROLE_BINDINGS
from apiserver.resources.rbac.roles import ROLES

RESOURCES: Final[tuple[Resource, ...]] = (
    NAMESPACES,
    NODES,
    PODS,
    SERVICES,
    ENDPOINTS,
    CONFIG_MAPS,
    SECRETS,
    SERVICE_ACCOUNTS,
    EVENTS,
    ENDPOINT_SLICES,
    LEASES,
    DEPLOYMENTS,
    REPLICA_SETS,
    CONTROLLER_REVISIONS,
    ROLES,
    ROLE_BINDINGS,
    CLUSTER_ROLES,
    CLUSTER_ROLE_BINDINGS,
)
