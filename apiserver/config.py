"""The flags of `python -m apiserver`: upstream's names and defaults. What they make is put together in `__main__`."""

import ipaddress
from typing import Annotated, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 0.000001}


def seconds(duration: str) -> float:
    """A Go duration (`1m30s`, `0`) in seconds; raises ValueError."""
    rest, total = duration.strip(), 0.0
    if rest in ("0", ""):
        return 0.0
    while rest:
        digits = len(rest) - len(rest.lstrip("0123456789."))
        letters = len(rest[digits:]) - len(rest[digits:].lstrip("hmsu"))
        unit = rest[digits : digits + letters]
        if not digits or unit not in _UNITS:
            raise ValueError(f'invalid duration "{duration}"')
        total += float(rest[:digits]) * _UNITS[unit]
        rest = rest[digits + letters :]
    return total


def _address(text: str) -> str:
    if text:
        ipaddress.ip_address(text)
    return text


#: a Go duration on the command line, seconds in here
Seconds = Annotated[float, BeforeValidator(seconds)]
Address = Annotated[str, AfterValidator(_address)]


class Config(BaseModel):
    """One field, one flag."""

    # storage
    etcd_servers: list[str] = Field(default_factory=list, description="etcd's URLs")
    etcd_cafile: str = Field("", description="CA that etcd's certificate is verified with")
    etcd_certfile: str = Field("", description="client certificate for etcd")
    etcd_keyfile: str = Field("", description="key of the client certificate for etcd")
    etcd_prefix: str = Field("/registry", description="where all keys lie; only /registry is supported")
    etcd_compaction_interval: Seconds = Field(
        300.0, description="how often old revisions are compacted; 0 turns it off"
    )
    encryption_provider_config: str = Field("", description="file that says what is encrypted in etcd, and how")
    event_ttl: Seconds = Field(3600.0, description="how long events are kept")
    # serving
    bind_address: Address = Field("0.0.0.0", description="address to listen on")  # noqa: S104 - upstream's default
    secure_port: int = Field(6443, description="port to listen on")
    advertise_address: Address = Field("", description="address other members reach this server at")
    external_hostname: str = Field("", description="host name for addresses in discovery documents")
    cert_dir: str = Field("/var/run/kubernetes", description="where a self-signed certificate is made if none is given")
    tls_cert_file: str = Field("", description="serving certificate, PEM")
    tls_private_key_file: str = Field("", description="key of the serving certificate, PEM")
    tls_min_version: str = Field("", description="VersionTLS12 (what none means) or VersionTLS13")
    tls_cipher_suites: list[str] = Field(default_factory=list, description="suites of TLS 1.2 by Go's names; none: all")
    request_timeout: Seconds = Field(60.0, description="deadline of requests that are not long-running")
    max_requests_inflight: int = Field(400, description="reading requests at a time; 0: no limit")
    enable_priority_and_fairness: bool = Field(True, description="requests wait in fair queues; false: only counted")
    max_mutating_requests_inflight: int = Field(200, description="changing requests at a time; 0: no limit")
    shutdown_delay_duration: Seconds = Field(0.0, description="how long to go on serving, not ready, before the end")
    v: int = Field(0, description="verbosity of the log")
    # authentication
    client_ca_file: str = Field("", description="CA whose client certificates are believed")
    token_auth_file: str = Field("", description="CSV of static tokens")
    anonymous_auth: bool = Field(True, description="requests without credentials are system:anonymous's")
    service_account_issuer: list[str] = Field(default_factory=list, description="`iss` of tokens; the first one signs")
    service_account_signing_key_file: str = Field("", description="private key that tokens are signed with")
    service_account_key_file: list[str] = Field(default_factory=list, description="keys tokens are verified with")
    service_account_extend_token_expiration: bool = Field(True, description="pods' tokens live longer than they say")
    service_account_jwks_uri: str = Field("", description="where the issuer's keys are said to be")
    enable_bootstrap_token_auth: bool = Field(False, description="joining nodes may show bootstrap tokens")
    oidc_issuer_url: str = Field("", description="OpenID Connect issuer whose ID tokens are believed, https only")
    oidc_client_id: str = Field("", description="the client ID that ID tokens must be made out to")
    oidc_ca_file: str = Field("", description="CA of the issuer's certificate; none: the machine's CAs")
    oidc_username_claim: str = Field("sub", description="claim that is the user name")
    oidc_username_prefix: str = Field("", description='put before user names; "-": nothing; none: the issuer and #')
    oidc_groups_claim: str = Field("", description="claim that is the groups")
    oidc_groups_prefix: str = Field("", description="put before group names")
    oidc_required_claim: list[str] = Field(default_factory=list, description="KEY=VALUE that tokens must claim")
    oidc_signing_algs: list[str] = Field(default_factory=lambda: ["RS256"], description="JWS algorithms of ID tokens")
    requestheader_client_ca_file: str = Field("", description="CA of authenticating proxies")
    requestheader_allowed_names: list[str] = Field(default_factory=list, description="their common names; none: any")
    requestheader_username_headers: list[str] = Field(default_factory=list, description="headers with the user name")
    requestheader_uid_headers: list[str] = Field(default_factory=list, description="headers with the user's uid")
    requestheader_group_headers: list[str] = Field(default_factory=list, description="headers with groups")
    requestheader_extra_headers_prefix: list[str] = Field(default_factory=list, description="prefixes of extra headers")
    api_audiences: list[str] = Field(default_factory=list, description="audiences of tokens for this server")
    # authorization
    authorization_mode: list[str] = Field(
        default_factory=lambda: ["AlwaysAllow"], description="Node, RBAC, AlwaysAllow, AlwaysDeny, in order"
    )
    # audit
    audit_policy_file: str = Field("", description="which requests are recorded, and how much of them")
    audit_log_path: str = Field("", description="file for audit events; -: standard output")
    audit_log_maxsize: int = Field(0, description="megabytes at which the file is set aside; 0: 100")
    audit_log_maxbackup: int = Field(0, description="files that are kept; 0: all")
    audit_log_maxage: int = Field(0, description="days that files are kept; 0: for ever")
    audit_webhook_config_file: str = Field("", description="kubeconfig of a server that audit events are sent to")
    audit_webhook_batch_buffer_size: int = Field(10000, description="events that may wait to be sent")
    audit_webhook_batch_max_size: int = Field(400, description="events in one request")
    audit_webhook_batch_max_wait: Seconds = Field(30.0, description="how long an event may wait to be sent")
    audit_webhook_initial_backoff: Seconds = Field(10.0, description="time before the first repetition")
    # admission and kinds
    enable_admission_plugins: list[str] = Field(default_factory=list, description="plugins besides the default ones")
    disable_admission_plugins: list[str] = Field(default_factory=list, description="default plugins to leave out")
    admission_control_config_file: str = Field("", description="configurations of admission plugins")
    service_cluster_ip_range: str = Field("10.0.0.0/24", description="where cluster IPs come from")
    service_node_port_range: str = Field("30000-32767", description="where node ports come from")
    # kubelets
    kubelet_client_certificate: str = Field("", description="client certificate for kubelets")
    kubelet_client_key: str = Field("", description="key of the client certificate for kubelets")
    kubelet_certificate_authority: str = Field("", description="CA of kubelets' certificates; none: not verified")
    kubelet_port: int = Field(10250, description="the kubelets' port where the node says none")
    kubelet_preferred_address_types: list[str] = Field(
        default_factory=lambda: ["Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"],
        description="which of a node's addresses to use, in order",
    )


#: upstream flags that are accepted and do nothing here
NO_EFFECT: Final = frozenset(
    (
        "aggregator-reject-forwarding-redirects",
        "allow-privileged",
        "apiserver-count",
        "audit-log-format",
        "audit-log-mode",
        "audit-webhook-mode",
        "cloud-config",
        "cloud-provider",
        "default-watch-cache-size",
        "delete-collection-workers",
        "enable-aggregator-routing",
        "enable-garbage-collector",
        "enable-logs-handler",
        "endpoint-reconciler-type",
        "etcd-count-metric-poll-period",
        "etcd-db-metric-poll-interval",
        "etcd-healthcheck-timeout",
        "etcd-readycheck-timeout",
        "event-burst",
        "feature-gates",
        "goaway-chance",
        "http2-max-streams-per-connection",
        "kubelet-timeout",
        "livez-grace-period",
        "logging-format",
        "min-request-timeout",
        "peer-ca-file",
        "permit-port-sharing",
        "profiling",
        "proxy-client-cert-file",
        "proxy-client-key-file",
        "runtime-config",
        "service-account-lookup",
        "service-account-max-token-expiration",
        "shutdown-send-retry-after",
        "storage-backend",
        "storage-media-type",
        "strict-transport-security-directives",
        "vmodule",
        "watch-cache",
        "watch-cache-sizes",
    )
)
