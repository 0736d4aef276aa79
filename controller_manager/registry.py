"""Name → controller: what there is, what --controllers chooses of it, and how each is put together. Nothing runs here.

Upstream: cmd/kube-controller-manager/names/controller_names.go, app/core.go, app/apps.go.
"""

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from controller_manager import config, csr_rules, csr_signing
from controller_manager.bootstrap_signer import BootstrapSigner
from controller_manager.config import Flags
from controller_manager.csr_approving import CSRApprovingController
from controller_manager.csr_cleaner import CSRCleaner
from controller_manager.csr_signing import Authority, CSRSigningController
from controller_manager.deployment import DeploymentController
from controller_manager.endpoints import EndpointsController
from controller_manager.endpointslice import EndpointSliceController
from controller_manager.endpointslice_mirroring import EndpointSliceMirroringController
from controller_manager.garbage_collector.collector import GarbageCollector
from controller_manager.namespace import NamespaceController
from controller_manager.node_health import EvictionRates
from controller_manager.node_ipam import CIDRPool, NodeIPAMController
from controller_manager.node_lifecycle import NodeLifecycleController, Periods
from controller_manager.pod_gc import Limits, PodGC
from controller_manager.policy_status import PolicyStatusController
from controller_manager.pv_protection import PVProtectionController
from controller_manager.pvc_protection import PVCProtectionController
from controller_manager.replicaset import ReplicaSetController
from controller_manager.resource_claim import ResourceClaimController
from controller_manager.resource_claim_templates import ResourceClaimTemplateController
from controller_manager.resource_quota import ResourceQuotaController
from controller_manager.root_ca_publisher import RootCAPublisher
from controller_manager.service_account_tokens import TokensController, TokenSigner
from controller_manager.serviceaccount import ServiceAccountController
from controller_manager.taint_eviction import TaintEvictionController
from controller_manager.token_cleaner import TokenCleaner
from machinery.client.controller import Controller, run_controller
from machinery.client.events import EventRecorder
from machinery.client.informer import Informers
from machinery.client.rest import Client

Work = Callable[[], Awaitable[None]]


class ConfigError(Exception):
    """The flags cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Context:
    """What controllers are made from: shared caches, and ways to get a client and a recorder of one's own."""

    flags: Flags
    informers: Informers
    root_client: Client
    metadata_client: Client
    client_for: Callable[[str], Client]
    recorder_for: Callable[[Client, str], EventRecorder]
    root_ca: bytes

    def running(self, controller: Controller, workers: int) -> Work:
        """The work of a controller that is a queue and a reconcile."""
        return lambda: run_controller(controller, self.informers, workers)


@dataclass(frozen=True, slots=True)
class Entry:
    """One controller: its name, the name it had before 1.28, and what builds it (None: nothing to do)."""

    name: str
    alias: str
    build: Callable[[Context], Work | None]
    #: whether `*` means it, too (upstream: ControllersDisabledByDefault)
    usual: bool = True


def _deployment(context: Context) -> Work:
    client = context.client_for("deployment-controller")
    events = context.recorder_for(client, "deployment-controller")
    controller = DeploymentController(client, context.informers, events)
    return context.running(controller, context.flags.concurrent_deployment_syncs)


def _replica_set(context: Context) -> Work:
    client = context.client_for("replicaset-controller")
    controller = ReplicaSetController(client, context.informers, context.recorder_for(client, "replicaset-controller"))
    return context.running(controller, context.flags.concurrent_replicaset_syncs)


def _endpoints(context: Context) -> Work:
    client = context.client_for("endpoint-controller")
    controller = EndpointsController(client, context.informers, context.recorder_for(client, "endpoint-controller"))
    return context.running(controller, context.flags.concurrent_endpoint_syncs)


def _endpoint_slice(context: Context) -> Work:
    client = context.client_for("endpointslice-controller")
    events = context.recorder_for(client, "endpoint-slice-controller")
    controller = EndpointSliceController(client, context.informers, events)
    return context.running(controller, context.flags.concurrent_service_endpoint_syncs)


def _mirroring(context: Context) -> Work:
    client = context.client_for("endpointslicemirroring-controller")
    return context.running(EndpointSliceMirroringController(client, context.informers), 5)


def _namespace(context: Context) -> Work:
    controller = NamespaceController(context.client_for("namespace-controller"), context.informers)
    return context.running(controller, context.flags.concurrent_namespace_syncs)


def _service_account(context: Context) -> Work:
    controller = ServiceAccountController(context.client_for("service-account-controller"), context.informers)
    return context.running(controller, 1)


def _tokens(context: Context) -> Work | None:
    path = context.flags.service_account_private_key_file
    if not path:
        return None
    try:
        signer = TokenSigner(Path(path).read_bytes())
    except (OSError, ValueError) as problem:
        raise ConfigError(f"error reading key for service account token controller: {problem}") from problem
    # As the process itself: the others' credentials depend on accounts and tokens.
    controller = TokensController(context.root_client, context.informers, signer, context.root_ca)
    return context.running(controller, context.flags.concurrent_serviceaccount_token_syncs)


def _root_ca(context: Context) -> Work | None:
    if not context.root_ca:
        return None
    client = context.client_for("root-ca-cert-publisher")
    return context.running(RootCAPublisher(client, context.informers, context.root_ca.decode()), 1)


def _node_ipam(context: Context) -> Work | None:
    if not context.flags.allocate_node_cidrs:
        return None
    client = context.client_for("node-controller")
    events = context.recorder_for(client, "cidrAllocator")
    return context.running(NodeIPAMController(client, context.informers, events, pools_of(context.flags)), 1)


def pools_of(flags: Flags) -> list[CIDRPool]:
    """One pool per cluster CIDR, without the Services' addresses; raises ConfigError."""
    try:
        clusters = [ipaddress.ip_network(text) for text in flags.cluster_cidr]
        masks = config.mask_sizes(flags, [cluster.version for cluster in clusters])
        pools = [CIDRPool(cluster, mask) for cluster, mask in zip(clusters, masks, strict=True)]
        for text in flags.service_cluster_ip_range:
            for pool in pools:
                pool.occupy(ipaddress.ip_network(text, strict=False))
    except ValueError as problem:
        raise ConfigError(f"invalid CIDR: {problem}") from problem
    if not pools:
        raise ConfigError("--allocate-node-cidrs needs --cluster-cidr")
    return pools


def _node_lifecycle(context: Context) -> Work:
    flags = context.flags
    rates = EvictionRates(
        flags.node_eviction_rate,
        flags.secondary_node_eviction_rate,
        flags.large_cluster_size_threshold,
        flags.unhealthy_zone_threshold,
    )
    periods = Periods(
        flags.node_monitor_period, flags.node_monitor_grace_period, flags.node_startup_grace_period, rates
    )
    client = context.client_for("node-controller")
    events = context.recorder_for(client, "node-controller")
    controller = NodeLifecycleController(client, context.informers, events, periods)
    return lambda: controller.run(workers=2)


def _taint_eviction(context: Context) -> Work:
    client = context.client_for("node-controller")
    events = context.recorder_for(client, "taint-eviction-controller")
    return context.running(TaintEvictionController(client, context.informers, events), 8)


def _pod_gc(context: Context) -> Work:
    client = context.client_for("pod-garbage-collector")
    return PodGC(client, context.informers, Limits(context.flags.terminated_pod_gc_threshold)).run


def _garbage_collector(context: Context) -> Work:
    collector = GarbageCollector(context.client_for("generic-garbage-collector"), context.metadata_client)
    return lambda: collector.run(context.flags.concurrent_gc_syncs)


def _resource_quota(context: Context) -> Work:
    client = context.client_for("resourcequota-controller")
    period = context.flags.resource_quota_sync_period
    controller = ResourceQuotaController(client, context.informers, period)
    return context.running(controller, context.flags.concurrent_resource_quota_syncs)


def _resource_claim(context: Context) -> Work:
    client = context.client_for("resource-claim-controller")
    events = context.recorder_for(client, "resource_claim")
    making = ResourceClaimTemplateController(client, context.informers, events)
    giving_back = ResourceClaimController(client, context.informers)

    async def both() -> None:
        async with asyncio.TaskGroup() as group:
            for one in (making, giving_back):
                group.create_task(run_controller(one, context.informers, 10), name=type(one).__name__)

    return both


def _csr_signing(context: Context) -> Work | None:
    authorities = signing_authorities(context.flags)
    if not authorities:
        return None
    controller = CSRSigningController(context.client_for("certificate-controller"), context.informers, authorities)
    return context.running(controller, 5)


def signing_authorities(flags: Flags) -> Mapping[str, Authority]:
    """Signer → CA: one for all, or one for each signer that has files of its own; raises ConfigError.

    Upstream: cmd/kube-controller-manager/app/certificates.go, which does not let the two ways be mixed either.
    """
    own = {
        csr_rules.KUBELET_SERVING: "kubelet_serving",
        csr_rules.KUBELET_CLIENT: "kubelet_client",
        csr_rules.CLIENT: "kube_apiserver_client",
        csr_rules.LEGACY: "legacy_unknown",
    }
    files = {
        signer: (
            getattr(flags, f"cluster_signing_{name}_cert_file"),
            getattr(flags, f"cluster_signing_{name}_key_file"),
        )
        for signer, name in own.items()
    }
    named = {signer: pair for signer, pair in files.items() if any(pair)}
    common = flags.cluster_signing_cert_file, flags.cluster_signing_key_file
    if named and any(common):
        raise ConfigError("cannot specify default and per controller certs at the same time")
    chosen = named if named else dict.fromkeys(own, common)
    try:
        return {signer: _authority(cert, key, flags) for signer, (cert, key) in chosen.items() if cert and key}
    except (OSError, ValueError, TypeError) as problem:
        raise ConfigError(f"error reading the CA of the CSR signing controller: {problem}") from problem


def _authority(certificate: str, key: str, flags: Flags) -> Authority:
    return csr_signing.authority(Path(certificate).read_bytes(), Path(key).read_bytes(), flags.cluster_signing_duration)


def _csr_approving(context: Context) -> Work:
    client = context.client_for("certificate-controller")
    return context.running(CSRApprovingController(client, context.informers), 5)


def _csr_cleaner(context: Context) -> Work:
    return context.running(CSRCleaner(context.client_for("certificate-controller"), context.informers), 1)


def _pvc_protection(context: Context) -> Work:
    return context.running(
        PVCProtectionController(context.client_for("pvc-protection-controller"), context.informers), 1
    )


def _pv_protection(context: Context) -> Work:
    return context.running(PVProtectionController(context.client_for("pv-protection-controller"), context.informers), 1)


def _bootstrap_signer(context: Context) -> Work:
    return context.running(BootstrapSigner(context.client_for("bootstrap-signer"), context.informers), 1)


def _token_cleaner(context: Context) -> Work:
    return context.running(TokenCleaner(context.client_for("token-cleaner"), context.informers), 1)


def _policy_status(context: Context) -> Work:
    client = context.client_for("validatingadmissionpolicy-status-controller")
    return context.running(PolicyStatusController(client, context.informers), 1)


CONTROLLERS: Final = (
    Entry("serviceaccount-token-controller", "serviceaccount-token", _tokens),
    Entry("endpoints-controller", "endpoint", _endpoints),
    Entry("endpointslice-controller", "endpointslice", _endpoint_slice),
    Entry("endpointslice-mirroring-controller", "endpointslicemirroring", _mirroring),
    Entry("pod-garbage-collector-controller", "podgc", _pod_gc),
    Entry("resourcequota-controller", "resourcequota", _resource_quota),
    Entry("resourceclaim-controller", "resourceclaim-controller", _resource_claim),
    Entry("namespace-controller", "namespace", _namespace),
    Entry("serviceaccount-controller", "serviceaccount", _service_account),
    Entry("garbage-collector-controller", "garbagecollector", _garbage_collector),
    Entry("deployment-controller", "deployment", _deployment),
    Entry("replicaset-controller", "replicaset", _replica_set),
    Entry("certificatesigningrequest-signing-controller", "csrsigning", _csr_signing),
    Entry("certificatesigningrequest-approving-controller", "csrapproving", _csr_approving),
    Entry("certificatesigningrequest-cleaner-controller", "csrcleaner", _csr_cleaner),
    Entry("node-ipam-controller", "nodeipam", _node_ipam),
    Entry("node-lifecycle-controller", "nodelifecycle", _node_lifecycle),
    Entry("taint-eviction-controller", "taint-eviction-controller", _taint_eviction),
    Entry("persistentvolumeclaim-protection-controller", "pvc-protection", _pvc_protection),
    Entry("persistentvolume-protection-controller", "pv-protection", _pv_protection),
    Entry("validatingadmissionpolicy-status-controller", "validatingadmissionpolicy-status-controller", _policy_status),
    Entry("bootstrap-signer-controller", "bootstrapsigner", _bootstrap_signer, usual=False),
    Entry("token-cleaner-controller", "tokencleaner", _token_cleaner, usual=False),
    Entry("root-ca-certificate-publisher-controller", "root-ca-cert-publisher", _root_ca),
)

#: the ServiceAccounts in kube-system that controllers act as, as upstream's bootstrap roles know them
ACCOUNTS: Final = (
    "deployment-controller",
    "replicaset-controller",
    "endpoint-controller",
    "endpointslice-controller",
    "endpointslicemirroring-controller",
    "namespace-controller",
    "resourcequota-controller",
    "resource-claim-controller",
    "certificate-controller",
    "pvc-protection-controller",
    "pv-protection-controller",
    "bootstrap-signer",
    "validatingadmissionpolicy-status-controller",
    "token-cleaner",
    "service-account-controller",
    "root-ca-cert-publisher",
    "node-controller",
    "pod-garbage-collector",
    "generic-garbage-collector",
)

#: upstream's other controllers, by both names: nameable in --controllers, not here yet
_NOT_YET: Final = """
    replicationcontroller-controller replicationcontroller daemonset-controller
    daemonset job-controller job horizontal-pod-autoscaler-controller horizontalpodautoscaling disruption-controller
    disruption statefulset-controller statefulset cronjob-controller cronjob
    ttl-controller ttl service-lb-controller service node-route-controller route
    persistentvolume-binder-controller persistentvolume-binder persistentvolume-attach-detach-controller attachdetach
    persistentvolume-expander-controller persistentvolume-expander clusterrole-aggregation-controller
    clusterrole-aggregation ttl-after-finished-controller ttl-after-finished
    ephemeral-volume-controller ephemeral-volume
    storageversion-garbage-collector-controller storage-version-gc
    legacy-serviceaccount-token-cleaner-controller legacy-service-account-token-cleaner
    taint-eviction-controller service-cidr-controller
    storage-version-migrator-controller selinux-warning-controller device-taint-eviction-controller
    kube-apiserver-serving-clustertrustbundle-publisher-controller volumeattributesclass-protection-controller
    podcertificaterequest-cleaner-controller
    """
NOT_YET: Final = frozenset(_NOT_YET.split())


def chosen(wishes: Iterable[str], entries: Iterable[Entry] = CONTROLLERS) -> list[Entry]:
    """The controllers that --controllers asks for; raises ConfigError for a name upstream does not know either."""
    by_name = _by_name(entries)
    wanted: dict[str, bool] = {}
    everything = False
    for wish in wishes:
        name = wish.removeprefix("-")
        if name == "*":
            everything = not wish.startswith("-")
        elif name in by_name:
            wanted[by_name[name].name] = not wish.startswith("-")
        elif name not in NOT_YET:
            raise ConfigError(f'"{name}" is not in the list of known controllers')
    return [entry for entry in entries if wanted.get(entry.name, everything and entry.usual)]


def _by_name(entries: Iterable[Entry]) -> Mapping[str, Entry]:
    return {name: entry for entry in entries for name in (entry.name, entry.alias)}
