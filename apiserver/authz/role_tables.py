"""Upstream's default cluster roles as tables of facts. `default_roles` reads them, `apiserver.bootstrap` seeds them.

One rule a line: verbs, API groups (`core` is the empty group), resources, and resource names where a rule has them;
`url` in place of a group makes the rest non-resource URLs. Source of the facts: upstream's bootstrappolicy/policy.go
and its testdata/. Rules that upstream puts behind a feature gate are here from beta on; those of alpha gates are not.
"""

from typing import Final

READ: Final = "get,list,watch"
WRITE: Final = "create,delete,deletecollection,patch,update"
READ_WRITE: Final = "create,delete,deletecollection,get,list,patch,update,watch"
READ_UPDATE: Final = "get,list,patch,update,watch"
EVENTS: Final = "create,patch,update core,events.k8s.io events"

NODE_RULES: Final = f"""
create authentication.k8s.io tokenreviews
create authorization.k8s.io localsubjectaccessreviews,subjectaccessreviews
{READ} core services
create,get,list,watch core nodes
patch,update core nodes/status
patch,update core nodes
{EVENTS}
{READ} core pods
create,delete core pods
patch,update core pods/status
create core pods/eviction
{READ} core configmaps,secrets
get core persistentvolumeclaims,persistentvolumes
get core endpoints
create,get,list,watch certificates.k8s.io certificatesigningrequests
create,get,list,watch certificates.k8s.io podcertificaterequests
create,delete,get,patch,update coordination.k8s.io leases
get storage.k8s.io volumeattachments
create core serviceaccounts/token
get,patch,update core persistentvolumeclaims/status
{READ} storage.k8s.io csidrivers
create,delete,get,patch,update storage.k8s.io csinodes
{READ} node.k8s.io runtimeclasses
get resource.k8s.io resourceclaims
deletecollection resource.k8s.io resourceslices
{READ} certificates.k8s.io clustertrustbundles
get core serviceaccounts
"""

AGGREGATE_TO_ADMIN: Final = f"""
create authorization.k8s.io localsubjectaccessreviews
{READ_WRITE} rbac.authorization.k8s.io rolebindings,roles
"""

AGGREGATE_TO_EDIT: Final = f"""
{READ} core pods/attach,pods/exec,pods/portforward,pods/proxy,secrets,services/proxy
impersonate core serviceaccounts
{WRITE} core pods,pods/attach,pods/exec,pods/portforward,pods/proxy
create core pods/eviction
{WRITE} core configmaps,persistentvolumeclaims,replicationcontrollers,replicationcontrollers/scale,secrets,serviceaccounts,services,services/proxy
create core serviceaccounts/token
{WRITE} core,events.k8s.io events
{WRITE} apps daemonsets,deployments,deployments/rollback,deployments/scale,replicasets,replicasets/scale,statefulsets,statefulsets/scale
{WRITE} autoscaling horizontalpodautoscalers
{WRITE} batch cronjobs,jobs
{WRITE} extensions daemonsets,deployments,deployments/rollback,deployments/scale,ingresses,networkpolicies,replicasets,replicasets/scale,replicationcontrollers/scale
{WRITE} policy poddisruptionbudgets
{WRITE} networking.k8s.io ingresses,networkpolicies
{READ_WRITE} coordination.k8s.io leases
{WRITE} resource.k8s.io resourceclaims,resourceclaimtemplates
"""  # noqa: E501 - a rule is one line

AGGREGATE_TO_VIEW: Final = f"""
{READ} core configmaps,endpoints,persistentvolumeclaims,persistentvolumeclaims/status,pods,replicationcontrollers,replicationcontrollers/scale,serviceaccounts,services,services/status
{READ} core bindings,limitranges,namespaces/status,pods/log,pods/status,replicationcontrollers/status,resourcequotas,resourcequotas/status
{READ} core,events.k8s.io events
{READ} core namespaces
{READ} discovery.k8s.io endpointslices
{READ} apps controllerrevisions,daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,replicasets,replicasets/scale,replicasets/status,statefulsets,statefulsets/scale,statefulsets/status
{READ} autoscaling horizontalpodautoscalers,horizontalpodautoscalers/status
{READ} batch cronjobs,cronjobs/status,jobs,jobs/status
{READ} extensions daemonsets,daemonsets/status,deployments,deployments/scale,deployments/status,ingresses,ingresses/status,networkpolicies,replicasets,replicasets/scale,replicasets/status,replicationcontrollers/scale
{READ} policy poddisruptionbudgets,poddisruptionbudgets/status
{READ} networking.k8s.io ingresses,ingresses/status,networkpolicies
{READ} resource.k8s.io resourceclaims,resourceclaims/status,resourceclaimtemplates
"""  # noqa: E501 - a rule is one line

KUBE_CONTROLLER_MANAGER: Final = f"""
{EVENTS}
create coordination.k8s.io leases
get,update coordination.k8s.io leases kube-controller-manager
create core secrets,serviceaccounts
delete core secrets
get core configmaps,namespaces,secrets,serviceaccounts
update core secrets,serviceaccounts
create authentication.k8s.io tokenreviews
create authorization.k8s.io subjectaccessreviews
list,watch * *
create core serviceaccounts/token
"""

KUBE_SCHEDULER: Final = f"""
{EVENTS}
create coordination.k8s.io leases
get,list,update,watch coordination.k8s.io leases kube-scheduler
{READ_WRITE} coordination.k8s.io leasecandidates
{READ} core nodes
delete,get,list,watch core pods
create core bindings,pods/binding
patch,update core pods/status
{READ} core replicationcontrollers,services
{READ} apps,extensions replicasets
{READ} apps statefulsets
{READ} policy poddisruptionbudgets
{READ} core persistentvolumeclaims,persistentvolumes
create authentication.k8s.io tokenreviews
create authorization.k8s.io subjectaccessreviews
{READ} storage.k8s.io csinodes
{READ} storage.k8s.io volumeattachments
{READ} core namespaces
{READ} storage.k8s.io csidrivers
{READ} storage.k8s.io csistoragecapacities
{READ} resource.k8s.io deviceclasses
create,delete resource.k8s.io resourceclaims
{READ_UPDATE} resource.k8s.io resourceclaims
{READ_UPDATE} resource.k8s.io resourceclaims/status
patch,update resource.k8s.io resourceclaims/binding
update core pods/finalizers
{READ} resource.k8s.io resourceslices
{READ} resource.k8s.io devicetaintrules
"""

NODE_PROXIER: Final = f"""
list,watch core endpoints,services
{READ} core nodes
{EVENTS}
list,watch networking.k8s.io servicecidrs
list,watch discovery.k8s.io endpointslices
"""

PERSISTENT_VOLUME_PROVISIONER: Final = f"""
create,delete,get,list,watch core persistentvolumes
get,list,update,watch core persistentvolumeclaims
{READ} storage.k8s.io storageclasses
watch core events
{EVENTS}
"""

DISCOVERY_URLS: Final = "/api,/api/*,/apis,/apis/*,/healthz,/livez,/openapi,/openapi/*,/readyz,/version,/version/"
MONITORING_URLS: Final = "/flagz,/healthz,/healthz/*,/livez,/livez/*,/metrics,/metrics/slis,/readyz,/readyz/*,/statusz"
ISSUER_URLS: Final = (
    "/.well-known/openid-configuration,/.well-known/openid-configuration/,/openid/v1/jwks,/openid/v1/jwks/"
)
LEADER_LOCKING: Final = """
create,get,list,update,watch coordination.k8s.io leases
create,get,list,update,watch coordination.k8s.io leasecandidates
"""
CSR: Final = "system:certificates.k8s.io:"

CLUSTER_ROLES: Final[dict[str, str]] = {
    "cluster-admin": "* * *\n* url *",
    "system:discovery": f"get url {DISCOVERY_URLS}",
    "system:monitoring": f"get url {MONITORING_URLS}\nget core nodes/metrics",
    "system:basic-user": (
        "create authorization.k8s.io selfsubjectaccessreviews,selfsubjectrulesreviews\n"
        "create authentication.k8s.io selfsubjectreviews"
    ),
    "system:public-info-viewer": "get url /healthz,/livez,/readyz,/version,/version/",
    "system:aggregate-to-admin": AGGREGATE_TO_ADMIN,
    "system:aggregate-to-edit": AGGREGATE_TO_EDIT,
    "system:aggregate-to-view": AGGREGATE_TO_VIEW,
    "system:heapster": f"{READ} core events,namespaces,nodes,pods\n{READ} extensions deployments",
    "system:node": NODE_RULES,
    "system:node-problem-detector": f"get core nodes\npatch core nodes/status\n{EVENTS}",
    "system:kubelet-api-admin": (
        f"{READ} core nodes\nproxy core nodes\n* core nodes/log,nodes/metrics,nodes/proxy,nodes/stats\n"
        "* core nodes/configz,nodes/healthz,nodes/pods"
    ),
    "system:node-bootstrapper": "create,get,list,watch certificates.k8s.io certificatesigningrequests",
    "system:auth-delegator": (
        "create authentication.k8s.io tokenreviews\ncreate authorization.k8s.io subjectaccessreviews"
    ),
    "system:kube-aggregator": f"{READ} core endpoints,services",
    "system:kube-controller-manager": KUBE_CONTROLLER_MANAGER,
    "system:kube-dns": "list,watch core endpoints,services",
    "system:persistent-volume-provisioner": PERSISTENT_VOLUME_PROVISIONER,
    f"{CSR}certificatesigningrequests:nodeclient": ("create certificates.k8s.io certificatesigningrequests/nodeclient"),
    f"{CSR}certificatesigningrequests:selfnodeclient": (
        "create certificates.k8s.io certificatesigningrequests/selfnodeclient"
    ),
    "system:volume-scheduler": (
        f"{READ_UPDATE} core persistentvolumes\n{READ} storage.k8s.io storageclasses\n"
        f"{READ_UPDATE} core persistentvolumeclaims"
    ),
    f"{CSR}legacy-unknown-approver": "approve certificates.k8s.io signers kubernetes.io/legacy-unknown",
    f"{CSR}kubelet-serving-approver": "approve certificates.k8s.io signers kubernetes.io/kubelet-serving",
    f"{CSR}kube-apiserver-client-approver": ("approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client"),
    f"{CSR}kube-apiserver-client-kubelet-approver": (
        "approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client-kubelet"
    ),
    "system:service-account-issuer-discovery": f"get url {ISSUER_URLS}",
    "system:cluster-trust-bundle-discovery": f"{READ} certificates.k8s.io clustertrustbundles",
    "system:node-proxier": NODE_PROXIER,
    "system:kube-scheduler": KUBE_SCHEDULER,
}

#: role → the label `rbac.authorization.k8s.io/aggregate-to-…` it selects by
AGGREGATED: Final[dict[str, str]] = {"admin": "admin", "edit": "edit", "view": "view"}
#: role → the aggregate it is part of
AGGREGATES_TO: Final[dict[str, str]] = {
    "edit": "admin",
    "view": "edit",
    "system:aggregate-to-admin": "admin",
    "system:aggregate-to-edit": "edit",
    "system:aggregate-to-view": "view",
}

#: role → subjects: `g:` groups, `u:` users, `s:` service accounts as namespace/name
CLUSTER_ROLE_BINDINGS: Final[dict[str, str]] = {
    "cluster-admin": "g:system:masters",
    "system:monitoring": "g:system:monitoring",
    "system:discovery": "g:system:authenticated",
    "system:basic-user": "g:system:authenticated",
    "system:public-info-viewer": "g:system:authenticated g:system:unauthenticated",
    "system:node-proxier": "u:system:kube-proxy",
    "system:kube-controller-manager": "u:system:kube-controller-manager",
    "system:kube-dns": "s:kube-system/kube-dns",
    "system:kube-scheduler": "u:system:kube-scheduler",
    "system:volume-scheduler": "u:system:kube-scheduler",
    "system:node": "",
    "system:service-account-issuer-discovery": "g:system:serviceaccounts",
    "system:cluster-trust-bundle-discovery": "g:system:serviceaccounts",
}

#: namespace → role → rules (upstream: namespace_policy.go)
NAMESPACE_ROLES: Final[dict[str, dict[str, str]]] = {
    "kube-system": {
        "extension-apiserver-authentication-reader": f"{READ} core configmaps extension-apiserver-authentication",
        "system:controller:bootstrap-signer": f"{READ} core secrets",
        "system:controller:cloud-provider": "create,get,list,watch core configmaps",
        "system:controller:token-cleaner": f"delete,get,list,watch core secrets\n{EVENTS}",
        "system::leader-locking-kube-controller-manager": LEADER_LOCKING,
        "system::leader-locking-kube-scheduler": LEADER_LOCKING,
    },
    "kube-public": {
        "system:controller:bootstrap-signer": f"{READ} core configmaps\nupdate core configmaps cluster-info\n{EVENTS}",
    },
}

#: namespace → (binding, role) → subjects
NAMESPACE_ROLE_BINDINGS: Final[dict[str, dict[tuple[str, str], str]]] = {
    "kube-system": {
        ("system::extension-apiserver-authentication-reader", "extension-apiserver-authentication-reader"): (
            "u:system:kube-controller-manager u:system:kube-scheduler"
        ),
        ("system::leader-locking-kube-controller-manager", "system::leader-locking-kube-controller-manager"): (
            "u:system:kube-controller-manager s:kube-system/kube-controller-manager "
            "s:kube-system/leader-election-controller"
        ),
        ("system::leader-locking-kube-scheduler", "system::leader-locking-kube-scheduler"): (
            "u:system:kube-scheduler s:kube-system/kube-scheduler"
        ),
        ("system:controller:bootstrap-signer", "system:controller:bootstrap-signer"): "s:kube-system/bootstrap-signer",
        ("system:controller:cloud-provider", "system:controller:cloud-provider"): "s:kube-system/cloud-provider",
        ("system:controller:token-cleaner", "system:controller:token-cleaner"): "s:kube-system/token-cleaner",
    },
    "kube-public": {
        ("system:controller:bootstrap-signer", "system:controller:bootstrap-signer"): "s:kube-system/bootstrap-signer",
    },
}
