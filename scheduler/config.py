"""What the scheduler is told: flags and a KubeSchedulerConfiguration file, turned into profiles. Nothing runs here."""

import json
import logging
import os
import socket
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from machinery.component.delegated import DelegationFlags
from scheduler import config_validation, own_plugins
from scheduler.framework import BadArguments, Handle, Plugin
from scheduler.own_plugins import MODULE
from scheduler.registry import DEFAULTS, NOT_YET, PLUGINS, Factory
from scheduler.runtime import POINTS, Enabled, Runtime

logger = logging.getLogger(__name__)

DEFAULT_SCHEDULER: Final = "default-scheduler"
_API_VERSION: Final = "kubescheduler.config.k8s.io/v1"

NO_EFFECT: Final = frozenset(
    {
        "authentication-skip-lookup",
        "authentication-tolerate-lookup-failure",
        "contention-profiling",
        "feature-gates",
        "kube-api-burst",
        "kube-api-content-type",
        "kube-api-qps",
        "permit-address-sharing",
        "permit-port-sharing",
        "profiling",
        "tls-cipher-suites",
        "tls-min-version",
    }
)


class ConfigError(Exception):
    """The configuration cannot be used; the text says why."""


class Flags(DelegationFlags):
    """The command line: upstream's names."""

    kubeconfig: str = Field("", description="Path to the kubeconfig with the API server's address and our identity.")
    master: str = Field("", description="Address of the API server; overrides the kubeconfig's.")
    config: str = Field("", description="Path to a KubeSchedulerConfiguration.")
    leader_elect: bool = Field(True, description="Take part in leader election before scheduling.")
    leader_elect_lease_duration: str = Field("15s", description="How long others wait before they take over.")
    leader_elect_renew_deadline: str = Field("10s", description="How long the leader tries to renew.")
    leader_elect_retry_period: str = Field("2s", description="Time between two tries.")
    leader_elect_resource_name: str = Field("kube-scheduler", description="Name of the Lease.")
    leader_elect_resource_namespace: str = Field("kube-system", description="Namespace of the Lease.")
    bind_address: str = Field("0.0.0.0", description="Address for health and metrics.")
    secure_port: int = Field(10259, description="Port for health and metrics over TLS; 0 serves none.")
    cert_dir: str = Field("", description="Folder for the self-signed certificate (default: one made for this run).")
    tls_cert_file: str = Field("", description="Certificate of the health and metrics server.")
    tls_private_key_file: str = Field("", description="Its key.")
    reload_plugins: bool = Field(False, description="Load plugins of one's own again when their files change.")
    v: int = Field(0, description="Verbosity of the log.")


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="forbid")


class PluginRef(_Model):
    """A plugin by name."""

    name: str
    weight: int = 0


class PluginSet(_Model):
    """What is added to, and taken from, the defaults at one extension point; `*` takes all."""

    enabled: list[PluginRef] = []
    disabled: list[PluginRef] = []


class PluginConfig(_Model):
    """Arguments of one plugin."""

    name: str
    args: dict[str, Any] = {}


class Profile(_Model):
    """One scheduler name and its plugins."""

    scheduler_name: str = DEFAULT_SCHEDULER
    percentage_of_nodes_to_score: int | None = None  # every node is scored, whatever it says
    plugins: dict[str, PluginSet] = {}
    plugin_config: list[PluginConfig] = []


class ManagedResource(_Model):
    """A resource that an extender looks after."""

    name: str
    ignored_by_scheduler: bool = False


class ExtenderTLS(_Model):
    """How an extender is reached over TLS; data is base64."""

    insecure: bool = False
    server_name: str = ""
    cert_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    cert_data: str = ""
    key_data: str = ""
    ca_data: str = ""


class ExtenderConfig(_Model):
    """One process to ask (upstream: apis/config/types.go Extender)."""

    url_prefix: str = Field(alias="urlPrefix")
    filter_verb: str = ""
    preempt_verb: str = ""
    prioritize_verb: str = ""
    weight: int = 0
    bind_verb: str = ""
    enable_https: bool = Field(False, alias="enableHTTPS")
    tls_config: ExtenderTLS = ExtenderTLS()
    http_timeout: str = Field("5s", alias="httpTimeout")
    node_cache_capable: bool = False
    managed_resources: list[ManagedResource] = []
    ignorable: bool = False


class LeaderElectionConfig(_Model):
    """The file's leader election."""

    leader_elect: bool | None = None
    lease_duration: str = ""
    renew_deadline: str = ""
    retry_period: str = ""
    resource_name: str = ""
    resource_namespace: str = ""
    resource_lock: str = "leases"


class ClientConnection(_Model):
    """The file's way to the API server; only the kubeconfig has an effect."""

    kubeconfig: str = ""
    accept_content_types: str = ""
    content_type: str = ""
    qps: float = 0.0
    burst: int = 0


class SchedulerConfiguration(_Model):
    """kubescheduler.config.k8s.io/v1 KubeSchedulerConfiguration."""

    api_version: str = ""
    kind: str = ""
    profiles: list[Profile] = Field(default_factory=lambda: [Profile()])
    leader_election: LeaderElectionConfig = LeaderElectionConfig()
    client_connection: ClientConnection = ClientConnection()
    pod_initial_backoff_seconds: float = 1.0
    pod_max_backoff_seconds: float = 10.0
    extenders: list[ExtenderConfig] = []
    # without an effect: one thread does it all, every node is scored, nothing is profiled
    parallelism: int | None = None
    percentage_of_nodes_to_score: int | None = None
    enable_profiling: bool | None = None
    enable_contention_profiling: bool | None = None
    delay_cache_until_active: bool | None = None


def load(path: str) -> SchedulerConfiguration:
    """Read the file, or take the defaults without one; raises ConfigError."""
    if not path:
        return SchedulerConfiguration()
    try:
        text = Path(path).read_text()
        document, root = yaml.safe_load(text) or {}, yaml.compose(text, Loader=yaml.SafeLoader)
    except (OSError, yaml.YAMLError) as problem:
        raise ConfigError(f"failed to load config {path}: {problem}") from problem
    version, kind = (str(document.get(name) or "") for name in ("apiVersion", "kind"))
    if (version, kind) != (_API_VERSION, "KubeSchedulerConfiguration"):
        raise ConfigError(f'{path}: no kind "{kind}" is registered for version "{version}"; want {_API_VERSION}')
    try:
        found = SchedulerConfiguration.model_validate(document)
        wrong = [(one.field, one.message()) for one in config_validation.problems(document)]
    except ValidationError as problem:
        wrong = [_said(one) for one in problem.errors()]
    if wrong:
        lines = (f"{path}, line {config_validation.line_of(root, field)}: {said}" for field, said in wrong)
        raise ConfigError("\n".join(lines))
    return found


def _said(problem: Mapping[str, Any]) -> tuple[str, str]:
    """The field that has another type, or that there is none of, and what is said of it."""
    field = ""
    for part in problem["loc"]:
        field += f"[{part}]" if isinstance(part, int) else f".{part}" if field else str(part)
    if problem["type"] == "extra_forbidden":
        return field, f'strict decoding error: unknown field "{field}"'
    return field, f"{field}: Invalid value: {json.dumps(problem['input'], default=str)}: {problem['msg']}"


def identity() -> str:
    """Who we are in the Lease: host and process."""
    return f"{socket.gethostname()}_{os.getpid()}"


def build(profile: Profile, handle: Handle) -> Runtime:
    """Make a profile's plugins; raises ConfigError for a name nobody knows, and for one's own that cannot be loaded."""
    args = {one.name: one.args for one in profile.plugin_config}
    try:
        own = {name: own_plugins.factory(name, given, POINTS) for name, given in args.items() if MODULE in given}
        factories = {**PLUGINS, **own}
        wanted = {point: points_of(profile, point, own) for point in POINTS}
        names = dict.fromkeys(name for refs in wanted.values() for name, _ in refs)
        made = {name: _made(name, factories[name], handle, args.get(name, {})) for name in names}
    except own_plugins.BadPlugin as problem:
        raise ConfigError(str(problem)) from problem
    points: dict[str, list[Enabled]] = {}
    for point, protocol in POINTS.items():
        points[point] = [
            Enabled(made[name], weight) for name, weight in wanted[point] if isinstance(made[name], protocol)
        ]
    return Runtime(profile.scheduler_name, points, handle.seed)


def points_of(profile: Profile, point: str, own: Container[str] = ()) -> Sequence[tuple[str, int]]:
    """Names and weights at an extension point: defaults, then `multiPoint`, then the point's own; raises ConfigError.

    As upstream has it: a point's own `enabled` adds a plugin or changes its weight, `disabled` takes it away, `*` all.
    """
    chosen: dict[str, int] = dict(DEFAULTS)
    for section in ("multiPoint", point):
        changes = profile.plugins.get(section, PluginSet())
        disabled = {ref.name for ref in changes.disabled}
        chosen = {} if "*" in disabled else {name: weight for name, weight in chosen.items() if name not in disabled}
        for ref in changes.enabled:
            if ref.name in own or _is_known(ref.name):
                chosen[ref.name] = ref.weight or chosen.get(ref.name, 1)
    return tuple(chosen.items())


def _made(name: str, factory: Factory, handle: Handle, args: Mapping[str, Any]) -> Plugin:
    try:
        return factory(handle, args)
    except BadArguments as problem:
        raise ConfigError(f'initializing plugin "{name}": {problem}') from problem


def _is_known(name: str) -> bool:
    if name in NOT_YET:
        logger.warning("plugin %s is named in the configuration and does nothing yet", name)
        return False
    if name not in PLUGINS:
        raise ConfigError(f'plugin "{name}" does not exist, and no pluginConfig says in which module it is')
    return True


def check(configuration: SchedulerConfiguration) -> Mapping[str, Profile]:
    """The profiles by scheduler name; raises ConfigError for two of the same name."""
    profiles: dict[str, Profile] = {}
    for profile in configuration.profiles:
        if profile.scheduler_name in profiles:
            raise ConfigError(f'duplicated profile with scheduler name "{profile.scheduler_name}"')
        profiles[profile.scheduler_name] = _leaving_to(configuration.extenders, profile)
    return profiles


def _leaving_to(extenders: Sequence[ExtenderConfig], profile: Profile) -> Profile:
    """NodeResourcesFit does not count what only an extender counts (upstream: scheduler.go buildExtenders)."""
    ignored = [one.name for extender in extenders for one in extender.managed_resources if one.ignored_by_scheduler]
    if not ignored:
        return profile
    args = next((one.args for one in profile.plugin_config if one.name == "NodeResourcesFit"), {})
    args = {**args, "ignoredResources": [*(args.get("ignoredResources") or ()), *ignored]}
    others = [one for one in profile.plugin_config if one.name != "NodeResourcesFit"]
    changed = [*others, PluginConfig(name="NodeResourcesFit", args=args)]
    return profile.model_copy(update={"plugin_config": changed})
