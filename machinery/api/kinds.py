"""The kinds Skiff knows by name: group, version, plural, scope. Schemas are in `schema`."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Kind:
    """One served version of a kind, as clients address it."""

    group: str
    version: str
    kind: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`v1` for the core group, `apps/v1` for the others."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """`pods`, `deployments.apps`: how upstream's messages name the resource."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def singular(self) -> str:
        """The singular that discovery serves: the kind in lower case."""
        return self.kind.lower()

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of the collection, of one object, or of its subresource."""
        parts = ["/apis/" + self.group if self.group else "/api", self.version]
        if self.namespaced and namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        parts += [part for part in (name, subresource) if part]
        return "/".join(parts)


NAMESPACES: Final = Kind("", "v1", "Namespace", "namespaces", namespaced=False)
NODES: Final = Kind("", "v1", "Node", "nodes", namespaced=False)
PODS: Final = Kind("", "v1", "Pod", "pods")
SERVICES: Final = Kind("", "v1", "Service", "services")
ENDPOINTS: Final = Kind("", "v1", "Endpoints", "endpoints")
CONFIG_MAPS: Final = Kind("", "v1", "ConfigMap", "configmaps")
SECRETS: Final = Kind("", "v1", "Secret", "secrets")
SERVICE_ACCOUNTS: Final = Kind("", "v1", "ServiceAccount", "serviceaccounts")
EVENTS: Final = Kind("", "v1", "Event", "events")
ENDPOINT_SLICES: Final = Kind("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices")
LEASES: Final = Kind("coordination.k8s.io", "v1", "Lease", "leases")
DEPLOYMENTS: Final = Kind("apps", "v1", "Deployment", "deployments")
REPLICA_SETS: Final = Kind("apps", "v1", "ReplicaSet", "replicasets")
CONTROLLER_REVISIONS: Final = Kind("apps", "v1", "ControllerRevision", "controllerrevisions")
ROLES: Final = Kind("rbac.authorization.k8s.io", "v1", "Role", "roles")
ROLE_BINDINGS: Final = Kind("rbac.authorization.k8s.io", "v1", "RoleBinding", "rolebindings")
CLUSTER_ROLES: Final = Kind("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", namespaced=False)
CLUSTER_ROLE_BINDINGS: Final = Kind(
    "rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False
)
TOKEN_REVIEWS: Final = Kind("authentication.k8s.io", "v1", "TokenReview", "tokenreviews", namespaced=False)
SELF_SUBJECT_REVIEWS: Final = Kind(
    "authentication.k8s.io", "v1", "SelfSubjectReview", "selfsubjectreviews", namespaced=False
)
SUBJECT_ACCESS_REVIEWS: Final = Kind(
    "authorization.k8s.io", "v1", "SubjectAccessReview", "subjectaccessreviews", namespaced=False
)
LOCAL_SUBJECT_ACCESS_REVIEWS: Final = Kind(
    "authorization.k8s.io", "v1", "LocalSubjectAccessReview", "localsubjectaccessreviews"
)
SELF_SUBJECT_ACCESS_REVIEWS: Final = Kind(
    "authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False
)
SELF_SUBJECT_RULES_REVIEWS: Final = Kind(
    "authorization.k8s.io", "v1", "SelfSubjectRulesReview", "selfsubjectrulesreviews", namespaced=False
)

PERSISTENT_VOLUMES: Final = Kind("", "v1", "PersistentVolume", "persistentvolumes", namespaced=False)
PERSISTENT_VOLUME_CLAIMS: Final = Kind("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims")
REPLICATION_CONTROLLERS: Final = Kind("", "v1", "ReplicationController", "replicationcontrollers")
POD_TEMPLATES: Final = Kind("", "v1", "PodTemplate", "podtemplates")
LIMIT_RANGES: Final = Kind("", "v1", "LimitRange", "limitranges")
RESOURCE_QUOTAS: Final = Kind("", "v1", "ResourceQuota", "resourcequotas")
COMPONENT_STATUSES: Final = Kind("", "v1", "ComponentStatus", "componentstatuses", namespaced=False)
NEW_EVENTS: Final = Kind("events.k8s.io", "v1", "Event", "events")
DAEMON_SETS: Final = Kind("apps", "v1", "DaemonSet", "daemonsets")
STATEFUL_SETS: Final = Kind("apps", "v1", "StatefulSet", "statefulsets")
JOBS: Final = Kind("batch", "v1", "Job", "jobs")
CRON_JOBS: Final = Kind("batch", "v1", "CronJob", "cronjobs")
HORIZONTAL_POD_AUTOSCALERS_V1: Final = Kind("autoscaling", "v1", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
HORIZONTAL_POD_AUTOSCALERS: Final = Kind("autoscaling", "v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
POD_DISRUPTION_BUDGETS: Final = Kind("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets")
INGRESSES: Final = Kind("networking.k8s.io", "v1", "Ingress", "ingresses")
INGRESS_CLASSES: Final = Kind("networking.k8s.io", "v1", "IngressClass", "ingressclasses", namespaced=False)
NETWORK_POLICIES: Final = Kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies")
IP_ADDRESSES: Final = Kind("networking.k8s.io", "v1", "IPAddress", "ipaddresses", namespaced=False)
SERVICE_CIDRS: Final = Kind("networking.k8s.io", "v1", "ServiceCIDR", "servicecidrs", namespaced=False)
STORAGE_CLASSES: Final = Kind("storage.k8s.io", "v1", "StorageClass", "storageclasses", namespaced=False)
VOLUME_ATTACHMENTS: Final = Kind("storage.k8s.io", "v1", "VolumeAttachment", "volumeattachments", namespaced=False)
CSI_NODES: Final = Kind("storage.k8s.io", "v1", "CSINode", "csinodes", namespaced=False)
CSI_DRIVERS: Final = Kind("storage.k8s.io", "v1", "CSIDriver", "csidrivers", namespaced=False)
CSI_STORAGE_CAPACITIES: Final = Kind("storage.k8s.io", "v1", "CSIStorageCapacity", "csistoragecapacities")
VOLUME_ATTRIBUTES_CLASSES: Final = Kind(
    "storage.k8s.io", "v1", "VolumeAttributesClass", "volumeattributesclasses", namespaced=False
)
PRIORITY_CLASSES: Final = Kind("scheduling.k8s.io", "v1", "PriorityClass", "priorityclasses", namespaced=False)
RUNTIME_CLASSES: Final = Kind("node.k8s.io", "v1", "RuntimeClass", "runtimeclasses", namespaced=False)
CERTIFICATE_SIGNING_REQUESTS: Final = Kind(
    "certificates.k8s.io", "v1", "CertificateSigningRequest", "certificatesigningrequests", namespaced=False
)
POD_CERTIFICATE_REQUESTS: Final = Kind("certificates.k8s.io", "v1", "PodCertificateRequest", "podcertificaterequests")
CLUSTER_TRUST_BUNDLES: Final = Kind(
    "certificates.k8s.io", "v1", "ClusterTrustBundle", "clustertrustbundles", namespaced=False
)
VALIDATING_WEBHOOKS: Final = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingWebhookConfiguration",
    "validatingwebhookconfigurations",
    namespaced=False,
)
MUTATING_WEBHOOKS: Final = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingWebhookConfiguration",
    "mutatingwebhookconfigurations",
    namespaced=False,
)
VALIDATING_POLICIES: Final = Kind(
    "admissionregistration.k8s.io", "v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", namespaced=False
)
VALIDATING_POLICY_BINDINGS: Final = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "ValidatingAdmissionPolicyBinding",
    "validatingadmissionpolicybindings",
    namespaced=False,
)
MUTATING_POLICIES: Final = Kind(
    "admissionregistration.k8s.io", "v1", "MutatingAdmissionPolicy", "mutatingadmissionpolicies", namespaced=False
)
MUTATING_POLICY_BINDINGS: Final = Kind(
    "admissionregistration.k8s.io",
    "v1",
    "MutatingAdmissionPolicyBinding",
    "mutatingadmissionpolicybindings",
    namespaced=False,
)
FLOW_SCHEMAS: Final = Kind("flowcontrol.apiserver.k8s.io", "v1", "FlowSchema", "flowschemas", namespaced=False)
PRIORITY_LEVELS: Final = Kind(
    "flowcontrol.apiserver.k8s.io", "v1", "PriorityLevelConfiguration", "prioritylevelconfigurations", namespaced=False
)
RESOURCE_CLAIMS: Final = Kind("resource.k8s.io", "v1", "ResourceClaim", "resourceclaims")
RESOURCE_CLAIM_TEMPLATES: Final = Kind("resource.k8s.io", "v1", "ResourceClaimTemplate", "resourceclaimtemplates")
RESOURCE_SLICES: Final = Kind("resource.k8s.io", "v1", "ResourceSlice", "resourceslices", namespaced=False)
DEVICE_CLASSES: Final = Kind("resource.k8s.io", "v1", "DeviceClass", "deviceclasses", namespaced=False)
DEVICE_TAINT_RULES: Final = Kind("resource.k8s.io", "v1", "DeviceTaintRule", "devicetaintrules", namespaced=False)
STORAGE_VERSION_MIGRATIONS: Final = Kind(
    "storagemigration.k8s.io", "v1", "StorageVersionMigration", "storageversionmigrations", namespaced=False
)
CUSTOM_RESOURCE_DEFINITIONS: Final = Kind(
    "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", namespaced=False
)
API_SERVICES: Final = Kind("apiregistration.k8s.io", "v1", "APIService", "apiservices", namespaced=False)

ALL: Final[tuple[Kind, ...]] = tuple(value for value in list(vars().values()) if isinstance(value, Kind))
_BY_KIND: Final = {(kind.api_version, kind.kind): kind for kind in ALL}
_BY_RESOURCE: Final = {(kind.group, kind.plural): kind for kind in ALL}


def by_kind(api_version: str, kind: str) -> Kind | None:
    """The kind an object's `apiVersion` and `kind` name, if Skiff knows it."""
    return _BY_KIND.get((api_version, kind))


def by_resource(group: str, plural: str) -> Kind | None:
    """The kind behind a group and a plural, if Skiff knows it."""
    return _BY_RESOURCE.get((group, plural))
