"""Every built-in kind as a row. Custom kinds get theirs at run time from apiserver.custom."""

from typing import Final

from apiserver.registry.resource import Resource
from apiserver.resources.admissionregistration.mutatingwebhookconfigurations import MUTATING_WEBHOOKS
from apiserver.resources.admissionregistration.policies import (
    MUTATING_POLICIES,
    MUTATING_POLICY_BINDINGS,
    VALIDATING_POLICIES,
    VALIDATING_POLICY_BINDINGS,
)
from apiserver.resources.admissionregistration.validatingwebhookconfigurations import VALIDATING_WEBHOOKS
from apiserver.resources.apiextensions.customresourcedefinitions import CUSTOM_RESOURCE_DEFINITIONS
from apiserver.resources.apiregistration.apiservices import API_SERVICES
from apiserver.resources.apps.controllerrevisions import CONTROLLER_REVISIONS
from apiserver.resources.apps.daemonsets import DAEMON_SETS
from apiserver.resources.apps.deployments import DEPLOYMENTS
from apiserver.resources.apps.replicasets import REPLICA_SETS
from apiserver.resources.apps.replicationcontrollers import REPLICATION_CONTROLLERS
from apiserver.resources.apps.statefulsets import STATEFUL_SETS
from apiserver.resources.autoscaling.horizontalpodautoscalers import (
    HORIZONTAL_POD_AUTOSCALERS,
    HORIZONTAL_POD_AUTOSCALERS_V1,
)
from apiserver.resources.batch.cronjobs import CRON_JOBS
from apiserver.resources.batch.jobs import JOBS
from apiserver.resources.certificates.certificatesigningrequests import CERTIFICATE_SIGNING_REQUESTS
from apiserver.resources.certificates.clustertrustbundles import CLUSTER_TRUST_BUNDLES
from apiserver.resources.certificates.podcertificaterequests import POD_CERTIFICATE_REQUESTS
from apiserver.resources.coordination.leases import LEASES
from apiserver.resources.core.configmaps import CONFIG_MAPS
from apiserver.resources.core.endpoints import ENDPOINTS
from apiserver.resources.core.events import EVENTS
from apiserver.resources.core.limitranges import LIMIT_RANGES
from apiserver.resources.core.namespaces import NAMESPACES
from apiserver.resources.core.nodes import NODES
from apiserver.resources.core.persistentvolumeclaims import PERSISTENT_VOLUME_CLAIMS
from apiserver.resources.core.persistentvolumes import PERSISTENT_VOLUMES
from apiserver.resources.core.pods import PODS
from apiserver.resources.core.podtemplates import POD_TEMPLATES
from apiserver.resources.core.resourcequotas import RESOURCE_QUOTAS
from apiserver.resources.core.secrets import SECRETS
from apiserver.resources.core.serviceaccounts import SERVICE_ACCOUNTS
from apiserver.resources.core.services import SERVICES
from apiserver.resources.discovery.endpointslices import ENDPOINT_SLICES
from apiserver.resources.events.events import NEW_EVENTS
from apiserver.resources.flowcontrol.flowschemas import FLOW_SCHEMAS
from apiserver.resources.flowcontrol.prioritylevelconfigurations import PRIORITY_LEVELS
from apiserver.resources.networking.ingressclasses import INGRESS_CLASSES
from apiserver.resources.networking.ingresses import INGRESSES
from apiserver.resources.networking.ipaddresses import IP_ADDRESSES
from apiserver.resources.networking.networkpolicies import NETWORK_POLICIES
from apiserver.resources.networking.servicecidrs import SERVICE_CIDRS
from apiserver.resources.node.runtimeclasses import RUNTIME_CLASSES
from apiserver.resources.policy.poddisruptionbudgets import POD_DISRUPTION_BUDGETS
from apiserver.resources.rbac.clusterrolebindings import CLUSTER_ROLE_BINDINGS
from apiserver.resources.rbac.clusterroles import CLUSTER_ROLES
from apiserver.resources.rbac.rolebindings import ROLE_BINDINGS
from apiserver.resources.rbac.roles import ROLES
from apiserver.resources.resource.deviceclasses import DEVICE_CLASSES
from apiserver.resources.resource.devicetaintrules import DEVICE_TAINT_RULES
from apiserver.resources.resource.resourceclaims import RESOURCE_CLAIMS
from apiserver.resources.resource.resourceclaimtemplates import RESOURCE_CLAIM_TEMPLATES
from apiserver.resources.resource.resourceslices import RESOURCE_SLICES
from apiserver.resources.scheduling.priorityclasses import PRIORITY_CLASSES
from apiserver.resources.storage.csidrivers import CSI_DRIVERS
from apiserver.resources.storage.csinodes import CSI_NODES
from apiserver.resources.storage.csistoragecapacities import CSI_STORAGE_CAPACITIES
from apiserver.resources.storage.storageclasses import STORAGE_CLASSES
from apiserver.resources.storage.volumeattachments import VOLUME_ATTACHMENTS
from apiserver.resources.storage.volumeattributesclasses import VOLUME_ATTRIBUTES_CLASSES
from apiserver.resources.storagemigration.storageversionmigrations import STORAGE_VERSION_MIGRATIONS

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
    DAEMON_SETS,
    STATEFUL_SETS,
    JOBS,
    CRON_JOBS,
    HORIZONTAL_POD_AUTOSCALERS,
    POD_DISRUPTION_BUDGETS,
    REPLICATION_CONTROLLERS,
    POD_TEMPLATES,
    LIMIT_RANGES,
    RESOURCE_QUOTAS,
    PERSISTENT_VOLUMES,
    PERSISTENT_VOLUME_CLAIMS,
    INGRESSES,
    INGRESS_CLASSES,
    NETWORK_POLICIES,
    IP_ADDRESSES,
    SERVICE_CIDRS,
    STORAGE_CLASSES,
    VOLUME_ATTACHMENTS,
    CSI_NODES,
    CSI_DRIVERS,
    CSI_STORAGE_CAPACITIES,
    VOLUME_ATTRIBUTES_CLASSES,
    PRIORITY_CLASSES,
    RUNTIME_CLASSES,
    CERTIFICATE_SIGNING_REQUESTS,
    POD_CERTIFICATE_REQUESTS,
    CLUSTER_TRUST_BUNDLES,
    VALIDATING_WEBHOOKS,
    MUTATING_WEBHOOKS,
    MUTATING_POLICIES,
    MUTATING_POLICY_BINDINGS,
    VALIDATING_POLICIES,
    VALIDATING_POLICY_BINDINGS,
    FLOW_SCHEMAS,
    PRIORITY_LEVELS,
    DEVICE_CLASSES,
    RESOURCE_CLAIMS,
    RESOURCE_CLAIM_TEMPLATES,
    RESOURCE_SLICES,
    DEVICE_TAINT_RULES,
    CUSTOM_RESOURCE_DEFINITIONS,
    API_SERVICES,
    STORAGE_VERSION_MIGRATIONS,
    HORIZONTAL_POD_AUTOSCALERS_V1,
    NEW_EVENTS,
)
