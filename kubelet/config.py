"""The kubelet's flags and its KubeletConfiguration file: upstream's names and defaults, the file first, flags on top.

Flags that upstream has and that change nothing here are listed in NO_EFFECT. What is done with them is `kubelet.py`'s.
"""

import re
import socket
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, Field

from machinery.api.codec import Json
from machinery.component.flags import FlagError


class KubeletConfig(BaseModel):
    """One field per flag; the comment on each is its help text."""

    kubeconfig: str = Field("", description="how to reach the API server")
    bootstrap_kubeconfig: str = Field("", description="with a token: gets a certificate and writes --kubeconfig")
    cert_dir: str = Field("", description="where certificates are kept (ROOT_DIR/pki)")
    rotate_certificates: bool = Field(False, description="renew the client certificate before it ends")
    rotate_server_certificates: bool = Field(False, description="ask the cluster for the server's certificate, too")
    config: str = Field("", description="a KubeletConfiguration file")
    hostname_override: str = Field("", description="the node's name instead of the host name")
    node_ip: str = Field("", description="the node's address; two with a comma for dual stack")
    address: str = Field("0.0.0.0", description="where to listen")  # noqa: S104
    port: int = Field(10250, description="the HTTPS port; 0 turns the server off")
    healthz_bind_address: str = Field("127.0.0.1", description="where /healthz listens")
    healthz_port: int = Field(10248, description="the /healthz port; 0 turns it off")
    root_dir: str = Field("/var/lib/kubelet", description="where volumes and state are kept")
    pod_logs_dir: str = Field("", description="container logs (/var/log/pods, or below a --root-dir of one's own)")
    container_runtime_endpoint: str = Field("unix:///run/containerd/containerd.sock", description="the CRI socket")
    cgroup_root: str = Field("/", description="the cgroup below which `kubepods` is made")
    tls_cert_file: str = Field("", description="the server's certificate; made in ROOT_DIR/pki when empty")
    tls_private_key_file: str = Field("", description="its key")
    client_ca_file: str = Field("", description="whoever shows a certificate of this CA is its CN")
    anonymous_auth: bool = Field(False, description="let requests without credentials in as system:anonymous")
    authentication_token_webhook: bool = Field(True, description="ask the API server about bearer tokens")
    authorization_mode: str = Field("Webhook", description="Webhook or AlwaysAllow")
    cluster_dns: list[str] = Field(default_factory=list, description="addresses of the cluster's DNS")
    cluster_domain: str = Field("cluster.local", description="the cluster's domain")
    resolv_conf: str = Field("/etc/resolv.conf", description="the node's own resolver configuration")
    node_labels: dict[str, str] = Field(default_factory=dict, description="labels to register with")
    register_node: bool = Field(True, description="create the Node object")
    register_with_taints: list[str] = Field(default_factory=list, description="key=value:effect, to register with")
    provider_id: str = Field("", description="the node's id at its cloud")
    max_pods: int = Field(110, description="pods that may run here")
    pod_max_pids: int = Field(-1, description="processes per pod; -1 for no limit")
    kube_reserved: dict[str, str] = Field(default_factory=dict, description="resources kept for Kubernetes")
    system_reserved: dict[str, str] = Field(default_factory=dict, description="resources kept for the system")
    eviction_hard: str = Field(
        "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%",
        description="when pods are evicted at once",
    )
    image_gc_high_threshold: int = Field(85, description="percent of disk use at which images are removed")
    image_gc_low_threshold: int = Field(80, description="percent of disk use at which that stops")
    serialize_image_pulls: bool = Field(True, description="pull one image at a time")
    max_parallel_image_pulls: int = Field(0, description="pulls at a time when not serialized; 0: no limit")
    container_log_max_size: str = Field("10Mi", description="size at which a container's log is rotated")
    container_log_max_files: int = Field(5, description="log files kept per container")
    node_status_update_frequency: str = Field("10s", description="how often the node's status is looked at")
    node_lease_duration_seconds: int = Field(40, description="how long the node's lease is good for")
    pod_manifest_path: str = Field("", description="a folder (or file) of static pods")
    file_check_frequency: str = Field("20s", description="how often that folder is read")
    fake_runtime: bool = Field(False, description="simulate containers: no root, no containerd")
    simulated_nodes: int = Field(0, description="with --fake-runtime: that many nodes in this process")
    simulated_name_prefix: str = Field("sim-", description="their names: prefix and number")
    simulated_cpu: int = Field(0, description="their cores; 0 for the machine's own")
    simulated_memory: str = Field("", description="their memory; empty for the machine's own")
    v: int = Field(0, description="log verbosity")

    @property
    def node_name(self) -> str:
        """The name to register under."""
        return (self.hostname_override or socket.gethostname()).strip().lower()

    @property
    def certificates(self) -> str:
        """Where certificates are kept."""
        return self.cert_dir or str(Path(self.root_dir) / "pki")

    @property
    def logs(self) -> Path:
        """Where container logs go."""
        if self.pod_logs_dir:
            return Path(self.pod_logs_dir)
        # Several kubelets on one machine have root folders of their own, and so logs of their own.
        return Path("/var/log/pods") if self.root_dir == "/var/lib/kubelet" else Path(self.root_dir) / "pod-logs"

    def taints(self) -> tuple[Json, ...]:
        """--register-with-taints as objects; raises FlagError."""
        return tuple(_taint(text) for text in self.register_with_taints)


def _taint(text: str) -> Json:
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    if not key or effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
        raise FlagError(f"invalid taint spec: {text}")
    return {"key": key, "effect": effect} | ({"value": value} if value else {})


_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
_SECONDS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def seconds_of(duration: str) -> float:
    """Seconds of a Go duration such as `1m30s`; raises FlagError."""
    parts = _DURATION.findall(duration)
    if not parts or "".join(number + unit for number, unit in parts) != duration:
        raise FlagError(f'time: invalid duration "{duration}"')
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


# ---- KubeletConfiguration

_RENAMED: Final = {
    "staticPodPath": "pod_manifest_path",
    "clusterDNS": "cluster_dns",
    "podPidsLimit": "pod_max_pids",
    "resolvConf": "resolv_conf",
    "registerWithTaints": "register_with_taints",
    "providerID": "provider_id",
    "serverTLSBootstrap": "rotate_server_certificates",
    "imageGCHighThresholdPercent": "image_gc_high_threshold",
    "imageGCLowThresholdPercent": "image_gc_low_threshold",
}


def from_file(path: str) -> dict[str, Any]:
    """The fields a KubeletConfiguration file sets; those unknown here are left out. Raises FlagError."""
    try:
        document = yaml.safe_load(Path(path).read_text()) or {}
    except (OSError, yaml.YAMLError) as problem:
        raise FlagError(f"failed to load kubelet config file, path: {path}, error: {problem}") from problem
    if document.get("kind", "KubeletConfiguration") != "KubeletConfiguration":
        raise FlagError(f"no kind {document['kind']!r} is registered: {path} is no KubeletConfiguration")
    values: dict[str, Any] = {}
    for key, value in document.items():
        field = _RENAMED.get(key) or re.sub(r"(?<!^)(?=[A-Z])", "_", key).lower()
        if field in KubeletConfig.model_fields:
            values[field] = _flattened(field, value)
    return values | _authentication(document)


def _flattened(field: str, value: Any) -> Any:
    if field == "register_with_taints":
        return [f"{taint['key']}={taint.get('value', '')}:{taint['effect']}" for taint in value or ()]
    if field == "eviction_hard":
        return ",".join(f"{signal}<{threshold}" for signal, threshold in (value or {}).items())
    return value


def _authentication(document: dict[str, Any]) -> dict[str, Any]:
    asked = document.get("authentication") or {}
    found = {
        "anonymous_auth": (asked.get("anonymous") or {}).get("enabled"),
        "authentication_token_webhook": (asked.get("webhook") or {}).get("enabled"),
        "client_ca_file": (asked.get("x509") or {}).get("clientCAFile"),
        "authorization_mode": (document.get("authorization") or {}).get("mode"),
    }
    return {key: value for key, value in found.items() if value is not None}


def with_file(config: KubeletConfig) -> KubeletConfig:
    """The configuration with its --config file under the flags that were given; raises FlagError."""
    if not config.config:
        return config
    given = {field: getattr(config, field) for field in config.model_fields_set}
    return KubeletConfig.model_validate(from_file(config.config) | given)


NO_EFFECT: Final = frozenset(
    (
        "allowed-unsafe-sysctls", "application-metrics-count-limit",
        "cgroup-driver", "cgroups-per-qos", "cloud-provider", "containerd", "containerd-namespace",
        "contention-profiling", "cpu-cfs-quota", "cpu-cfs-quota-period", "cpu-manager-policy",
        "cpu-manager-reconcile-period", "enable-controller-attach-detach", "enable-debugging-handlers", "enable-server",
        "enforce-node-allocatable", "event-burst", "event-qps", "eviction-max-pod-grace-period",
        "eviction-minimum-reclaim", "eviction-pressure-transition-period", "eviction-soft",
        "eviction-soft-grace-period", "exit-on-lock-contention", "experimental-mounter-path", "fail-swap-on",
        "feature-gates", "hairpin-mode", "housekeeping-interval", "http-check-frequency",
        "image-credential-provider-bin-dir",
        "image-credential-provider-config", "image-service-endpoint", "iptables-drop-bit", "iptables-masquerade-bit",
        "keep-terminated-pod-volumes", "kernel-memcg-notification", "kube-api-burst", "kube-api-qps",
        "kube-reserved-cgroup", "kubelet-cgroups", "lock-file", "log-flush-frequency", "logging-format",
        "make-iptables-util-chains", "manifest-url", "manifest-url-header", "max-open-files", "maximum-dead-containers",
        "maximum-dead-containers-per-container", "memory-manager-policy", "minimum-container-ttl-duration",
        "minimum-image-ttl-duration", "node-status-max-images", "oom-score-adj", "pod-cidr",
        "pod-infra-container-image",
        "pods-per-core", "protect-kernel-defaults", "qos-reserved", "read-only-port", "registry-burst", "registry-qps",
        "reserved-cpus", "reserved-memory", "runonce",
        "runtime-cgroups", "runtime-request-timeout", "seccomp-default", "streaming-connection-idle-timeout",
        "sync-frequency", "system-cgroups", "system-reserved-cgroup", "tls-cipher-suites", "tls-min-version",
        "topology-manager-policy", "topology-manager-scope", "vmodule", "volume-plugin-dir", "volume-stats-agg-period",
    )
)  # fmt: skip
