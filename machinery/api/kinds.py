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

ALL: Final[tuple[Kind, ...]] = tuple(value for value in list(vars().values()) if isinstance(value, Kind))
_BY_KIND: Final = {(kind.api_version, kind.kind): kind for kind in ALL}
_BY_RESOURCE: Final = {(kind.group, kind.plural): kind for kind in ALL}


def by_kind(api_version: str, kind: str) -> Kind | None:
    """The kind an object's `apiVersion` and `kind` name, if Skiff knows it."""
    return _BY_KIND.get((api_version, kind))


def by_resource(group: str, plural: str) -> Kind | None:
    """The kind behind a group and a plural, if Skiff knows it."""
    return _BY_RESOURCE.get((group, plural))
