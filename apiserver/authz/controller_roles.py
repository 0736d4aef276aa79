"""Upstream's controller roles as a table of facts: one `system:controller:NAME` each, notation of `role_tables`.

Each is bound to the service account kube-system/NAME. Source of the facts: upstream's
bootstrappolicy/controller_policy.go.
"""

from typing import Final

from apiserver.authz.role_tables import EVENTS, READ

CONTROLLER_ROLES: Final[dict[str, str]] = {
    "attachdetach-controller": f"""
list,watch core persistentvolumeclaims,persistentvolumes
{READ} core nodes
patch,update core nodes/status
list,watch core pods
{EVENTS}
create,delete,get,list,watch storage.k8s.io volumeattachments
{READ} storage.k8s.io csidrivers
{READ} storage.k8s.io csinodes
""",
    "clusterrole-aggregation-controller": (
        "escalate,get,list,patch,update,watch rbac.authorization.k8s.io clusterroles"
    ),
    "cronjob-controller": f"""
get,list,update,watch batch cronjobs
create,delete,get,list,patch,update,watch batch jobs
update batch cronjobs/status
update batch cronjobs/finalizers
delete,list,watch core pods
{EVENTS}
""",
    "daemon-set-controller": f"""
{READ} apps,extensions daemonsets
update apps,extensions daemonsets/status
update apps,extensions daemonsets/finalizers
list,watch core nodes
create,delete,list,patch,watch core pods
create core pods/binding
create,delete,get,list,patch,update,watch apps controllerrevisions
{EVENTS}
""",
    "deployment-controller": f"""
get,list,update,watch apps,extensions deployments
update apps,extensions deployments/status
update apps,extensions deployments/finalizers
create,delete,get,list,patch,update,watch apps,extensions replicasets
get,list,update,watch core pods
{EVENTS}
""",
    "disruption-controller": f"""
{READ} apps,extensions deployments
{READ} apps,extensions replicasets
{READ} core replicationcontrollers
{READ} policy poddisruptionbudgets
{READ} apps statefulsets
update policy poddisruptionbudgets/status
patch,update core pods/status
get * */scale
{EVENTS}
""",
    "endpoint-controller": f"""
{READ} core pods,services
create,delete,get,list,update,watch core endpoints
create core endpoints/restricted
{EVENTS}
""",
    "endpointslice-controller": f"""
{READ} core nodes,pods,services
update core services/finalizers
create,delete,get,list,update,watch discovery.k8s.io endpointslices
{EVENTS}
""",
    "endpointslicemirroring-controller": f"""
{READ} core endpoints,services
update core services/finalizers
update core endpoints/finalizers
create,delete,get,list,update,watch discovery.k8s.io endpointslices
{EVENTS}
""",
    "expand-controller": f"""
get,list,patch,update,watch core persistentvolumes
patch,update core persistentvolumeclaims/status
{READ} core persistentvolumeclaims
{EVENTS}
""",
    "ephemeral-volume-controller": f"""
{READ} core pods
update core pods/finalizers
create,get,list,watch core persistentvolumeclaims
{EVENTS}
""",
    "resource-claim-controller": f"""
{READ} core pods
update core pods/finalizers
create,delete,get,list,watch resource.k8s.io resourceclaims
patch,update resource.k8s.io resourceclaims,resourceclaims/status
patch,update core pods/status
{EVENTS}
patch,update resource.k8s.io resourceclaims/binding
""",
    "device-taint-eviction-controller": f"""
delete,get,list,watch core pods
patch,update core pods/status
{READ} resource.k8s.io resourceclaims
{READ} resource.k8s.io resourceslices
{READ} resource.k8s.io deviceclasses
{EVENTS}
patch,update resource.k8s.io devicetaintrules/status
{READ} resource.k8s.io devicetaintrules
""",
    "generic-garbage-collector": f"""
delete,get,list,patch,update,watch * *
{EVENTS}
""",
    "horizontal-pod-autoscaler": f"""
{READ} autoscaling horizontalpodautoscalers
update autoscaling horizontalpodautoscalers/status
get,update * */scale
list,watch core pods
list,watch metrics.k8s.io pods
{READ} custom.metrics.k8s.io *
{READ} external.metrics.k8s.io *
{EVENTS}
""",
    "job-controller": f"""
get,list,patch,update,watch batch jobs
update batch jobs/status
update batch jobs/finalizers
create,delete,list,patch,watch core pods
{EVENTS}
""",
    "namespace-controller": """
delete,get,list,watch core namespaces
update core namespaces/finalize,namespaces/status
delete,deletecollection,get,list,watch * *
""",
    "node-controller": f"""
delete,get,list,patch,update,watch core nodes
patch,update core nodes/status
patch,update core pods/status
delete,get,list,watch core pods
{READ} coordination.k8s.io leases
{EVENTS}
""",
    "persistent-volume-binder": f"""
create,delete,get,list,update,watch core persistentvolumes
update core persistentvolumes/status
get,list,update,watch core persistentvolumeclaims
update core persistentvolumeclaims/status
create,delete,get,list,watch core pods
{READ} storage.k8s.io storageclasses
list,watch core nodes
{EVENTS}
watch core events
""",
    "pod-garbage-collector": f"""
delete,list,watch core pods
{READ} core nodes
patch core pods/status
""",
    "replicaset-controller": f"""
get,list,update,watch apps,extensions replicasets
update apps,extensions replicasets/status
update apps,extensions replicasets/finalizers
create,delete,list,patch,watch core pods
{EVENTS}
""",
    "replication-controller": f"""
get,list,update,watch core replicationcontrollers
update core replicationcontrollers/status
update core replicationcontrollers/finalizers
create,delete,list,patch,watch core pods
{EVENTS}
""",
    "resourcequota-controller": f"""
list,watch * *
update core resourcequotas/status
{EVENTS}
""",
    "route-controller": f"""
list,watch core nodes
patch core nodes/status
{EVENTS}
""",
    "service-account-controller": f"""
create core serviceaccounts
{EVENTS}
""",
    "service-controller": f"""
{READ} core services
patch,update core services/status
list,watch core nodes
{EVENTS}
""",
    "service-cidrs-controller": f"""
get,list,patch,update,watch networking.k8s.io servicecidrs
patch,update networking.k8s.io servicecidrs/finalizers
patch,update networking.k8s.io servicecidrs/status
{READ} networking.k8s.io ipaddresses
{EVENTS}
""",
    "statefulset-controller": f"""
list,watch core pods
{READ} apps statefulsets
update apps statefulsets/status
update apps statefulsets/finalizers
create,delete,get,patch,update core pods
create,delete,get,list,patch,update,watch apps controllerrevisions
create,get,list,watch core persistentvolumeclaims
delete,update core persistentvolumeclaims
update core pods/finalizers
{EVENTS}
""",
    "ttl-controller": f"""
list,patch,update,watch core nodes
{EVENTS}
""",
    "certificate-controller": f"""
delete,get,list,watch certificates.k8s.io certificatesigningrequests
update certificates.k8s.io certificatesigningrequests/approval,certificatesigningrequests/status
approve certificates.k8s.io signers kubernetes.io/kube-apiserver-client-kubelet
sign certificates.k8s.io signers kubernetes.io/kube-apiserver-client,kubernetes.io/kube-apiserver-client-kubelet,kubernetes.io/kubelet-serving,kubernetes.io/legacy-unknown
create authorization.k8s.io subjectaccessreviews
{EVENTS}
""",  # noqa: E501 - a rule is one line
    "podcertificaterequestcleaner": "delete,get,list,watch certificates.k8s.io podcertificaterequests",
    "pvc-protection-controller": f"""
get,list,update,watch core persistentvolumeclaims
update core persistentvolumeclaims/status
{READ} core pods
{EVENTS}
""",
    "pv-protection-controller": f"""
get,list,update,watch core persistentvolumes
{EVENTS}
""",
    "volumeattributesclass-protection-controller": f"""
{READ} core persistentvolumeclaims
{READ} core persistentvolumes
get,list,update,watch storage.k8s.io volumeattributesclasses
{EVENTS}
""",
    "ttl-after-finished-controller": f"""
delete,get,list,watch batch jobs
{EVENTS}
""",
    "root-ca-cert-publisher": f"""
create,update core configmaps
{EVENTS}
""",
    "kube-apiserver-serving-clustertrustbundle-publisher": f"""
attest certificates.k8s.io signers kubernetes.io/kube-apiserver-serving
create,delete,list,update,watch certificates.k8s.io clustertrustbundles
{EVENTS}
""",
    "validatingadmissionpolicy-status-controller": f"""
{READ} admissionregistration.k8s.io validatingadmissionpolicies
get,patch,update admissionregistration.k8s.io validatingadmissionpolicies/status
{EVENTS}
""",
    "legacy-service-account-token-cleaner": """
get core configmaps kube-apiserver-legacy-service-account-token-tracking
delete,patch core secrets
""",
    "storage-version-migrator-controller": """
list,patch * *
get apiextensions.k8s.io customresourcedefinitions
patch apiextensions.k8s.io customresourcedefinitions/status
update storagemigration.k8s.io storageversionmigrations/status
""",
    "selinux-warning-controller": f"""
{EVENTS}
{READ} core persistentvolumes
{READ} core persistentvolumeclaims
{READ} core pods
{READ} storage.k8s.io csidrivers
""",
}
