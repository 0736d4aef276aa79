"""The controller manager's flags: upstream's names, those that mean something here and those that are accepted only.

Upstream: cmd/kube-controller-manager/app/options/.
"""

import os
import socket
import uuid
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from machinery.api import times
from machinery.component.delegated import DelegationFlags


def _seconds(value: object) -> float:
    return times.duration(value) if isinstance(value, str) else float(str(value))


Seconds = Annotated[float, BeforeValidator(_seconds)]
"""A Go duration on the command line, seconds in here."""


class Flags(DelegationFlags):
    """The command line."""

    kubeconfig: str = Field("", description="Path to the kubeconfig with the API server's address and our identity.")
    master: str = Field("", description="Address of the API server; overrides the kubeconfig's.")
    controllers: list[str] = Field(
        default_factory=lambda: ["*"],
        description="Controllers to run: '*' means all that are on by default, 'foo' also foo, '-foo' not foo.",
    )
    v: int = Field(0, description="Verbosity of the log.")

    leader_elect: bool = Field(True, description="Take part in leader election before working.")
    leader_elect_lease_duration: Seconds = Field(15.0, description="How long others wait before they take over.")
    leader_elect_renew_deadline: Seconds = Field(10.0, description="How long the leader tries to renew.")
    leader_elect_retry_period: Seconds = Field(2.0, description="Time between two tries.")
    leader_elect_resource_name: str = Field("kube-controller-manager", description="Name of the Lease.")
    leader_elect_resource_namespace: str = Field("kube-system", description="Namespace of the Lease.")

    bind_address: str = Field("0.0.0.0", description="Address for health and metrics.")
    secure_port: int = Field(10257, description="Port for health and metrics over TLS; 0 serves none.")
    cert_dir: str = Field("", description="Folder for the self-signed certificate (default: one made for this run).")
    tls_cert_file: str = Field("", description="Certificate of the health and metrics server.")
    tls_private_key_file: str = Field("", description="Its key.")

    use_service_account_credentials: bool = Field(
        False, description="Let each controller act as its own ServiceAccount in kube-system."
    )
    root_ca_file: str = Field("", description="CA bundle published in namespaces (default: the kubeconfig's).")
    service_account_private_key_file: str = Field("", description="Key that signs tokens kept in Secrets.")

    cluster_name: str = Field("kubernetes", description="Name of the cluster, for cloud resources.")
    allocate_node_cidrs: bool = Field(False, description="Give nodes pod CIDRs out of --cluster-cidr.")
    cluster_cidr: list[str] = Field(default_factory=list, description="CIDRs for pods, one per address family.")
    service_cluster_ip_range: list[str] = Field(default_factory=list, description="CIDRs that no node may get.")
    node_cidr_mask_size: int = Field(0, description="Mask of a node's CIDR (default 24 for IPv4, 64 for IPv6).")
    node_cidr_mask_size_ipv4: int = Field(0, description="The same for IPv4 in dual-stack clusters.")
    node_cidr_mask_size_ipv6: int = Field(0, description="The same for IPv6 in dual-stack clusters.")

    node_monitor_period: Seconds = Field(5.0, description="Time between two passes over all nodes.")
    node_monitor_grace_period: Seconds = Field(40.0, description="Silence after which a node counts as unhealthy.")
    node_startup_grace_period: Seconds = Field(60.0, description="The same for a node that never reported.")
    node_eviction_rate: float = Field(0.1, description="Nodes per second whose pods are evicted, in a healthy zone.")
    secondary_node_eviction_rate: float = Field(0.01, description="The same in an unhealthy zone of a large cluster.")
    large_cluster_size_threshold: int = Field(50, description="Nodes above which a zone counts as large.")
    unhealthy_zone_threshold: float = Field(0.55, description="Share of nodes not ready that makes a zone unhealthy.")
    terminated_pod_gc_threshold: int = Field(12500, description="Ended pods that are kept; 0 keeps all.")

    concurrent_deployment_syncs: int = Field(5, description="Deployments worked on at once.")
    concurrent_replicaset_syncs: int = Field(5, description="ReplicaSets worked on at once.")
    concurrent_endpoint_syncs: int = Field(5, description="Endpoints worked on at once.")
    concurrent_service_endpoint_syncs: int = Field(5, description="Services whose slices are worked on at once.")
    cluster_signing_cert_file: str = Field("", description="PEM of the CA that certificates are signed by.")
    cluster_signing_key_file: str = Field("", description="PEM of its key.")
    cluster_signing_kubelet_serving_cert_file: str = Field("", description="CA of kubernetes.io/kubelet-serving.")
    cluster_signing_kubelet_serving_key_file: str = Field("", description="PEM of its key.")
    cluster_signing_kubelet_client_cert_file: str = Field("", description="CA of kube-apiserver-client-kubelet.")
    cluster_signing_kubelet_client_key_file: str = Field("", description="PEM of its key.")
    cluster_signing_kube_apiserver_client_cert_file: str = Field("", description="CA of kube-apiserver-client.")
    cluster_signing_kube_apiserver_client_key_file: str = Field("", description="PEM of its key.")
    cluster_signing_legacy_unknown_cert_file: str = Field("", description="CA of kubernetes.io/legacy-unknown.")
    cluster_signing_legacy_unknown_key_file: str = Field("", description="PEM of its key.")
    cluster_signing_duration: Seconds = Field(31536000.0, description="The longest that certificates live.")
    resource_quota_sync_period: Seconds = Field(300.0, description="Time after which a quota is counted again.")
    concurrent_resource_quota_syncs: int = Field(5, description="ResourceQuotas worked on at once.")
    concurrent_namespace_syncs: int = Field(10, description="Namespaces worked on at once.")
    concurrent_serviceaccount_token_syncs: int = Field(5, description="Token Secrets worked on at once.")
    concurrent_gc_syncs: int = Field(20, description="Objects the garbage collector works on at once.")


#: accepted as upstream accepts them; they change nothing here
_NO_EFFECT: Final = """
    allow-metric-labels allow-metric-labels-manifest allow-untagged-cloud attach-detach-reconcile-sync-period
    authentication-skip-lookup authentication-token-webhook-cache-ttl
    authentication-tolerate-lookup-failure
    authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl cidr-allocator-type
    cloud-config cloud-provider concurrent-cron-job-syncs concurrent-daemonset-syncs
    concurrent-ephemeralvolume-syncs concurrent-horizontal-pod-autoscaler-syncs concurrent-job-syncs
    concurrent-rc-syncs concurrent-service-syncs concurrent-statefulset-syncs
    concurrent-ttl-after-finished-syncs concurrent-validating-admission-policy-status-syncs configure-cloud-routes
    contention-profiling controller-start-interval disable-attach-detach-reconcile-sync disable-http2-serving
    disabled-metrics emulated-version enable-dynamic-provisioning enable-garbage-collector
    enable-hostpath-provisioner enable-leader-migration endpoint-updates-batch-period
    endpointslice-updates-batch-period external-cloud-volume-plugin feature-gates flex-volume-plugin-dir
    horizontal-pod-autoscaler-cpu-initialization-period horizontal-pod-autoscaler-downscale-stabilization
    horizontal-pod-autoscaler-initial-readiness-delay horizontal-pod-autoscaler-sync-period
    horizontal-pod-autoscaler-tolerance http2-max-streams-per-connection kube-api-burst kube-api-content-type
    kube-api-qps leader-elect-resource-lock leader-migration-config legacy-service-account-token-clean-up-period
    log-flush-frequency log-json-info-buffer-size log-json-split-stream log-text-info-buffer-size
    log-text-split-stream logging-format max-endpoints-per-slice min-resync-period
    mirroring-concurrent-service-endpoint-syncs mirroring-endpointslice-updates-batch-period
    mirroring-max-endpoints-per-subset namespace-sync-period node-sync-period permit-address-sharing
    permit-port-sharing profiling pv-recycler-increment-timeout-nfs pv-recycler-minimum-timeout-nfs
    pv-recycler-pod-template-filepath-hostpath pv-recycler-pod-template-filepath-nfs
    pv-recycler-timeout-increment-hostpath pvclaimbinder-sync-period requestheader-allowed-names
    requestheader-client-ca-file
    requestheader-extra-headers-prefix requestheader-group-headers requestheader-uid-headers
    requestheader-username-headers route-reconciliation-period
    show-hidden-metrics-for-version tls-cipher-suites tls-min-version tls-sni-cert-key vmodule
    """
NO_EFFECT: Final = frozenset(_NO_EFFECT.split())


def identity() -> str:
    """Who holds the Lease: host name, process, and something unique, as upstream."""
    return f"{socket.gethostname()}_{os.getpid()}_{uuid.uuid4()}"


def mask_sizes(flags: Flags, versions: list[int]) -> list[int]:
    """The mask of a node's CIDR for each cluster CIDR (4 or 6), as the flags and upstream's defaults give it."""
    sizes = {
        4: flags.node_cidr_mask_size_ipv4 or flags.node_cidr_mask_size or 24,
        6: flags.node_cidr_mask_size_ipv6 or flags.node_cidr_mask_size or 64,
    }
    return [sizes[version] for version in versions]
