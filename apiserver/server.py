"""Puts a server together from its flags and runs it: storage, cache, registry, access, pages, the socket."""

import asyncio
import gc
import ipaddress
import logging
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from apiserver import access, admission, admission_config, app, auditing, default_objects, encryption_config
from apiserver.access import Access
from apiserver.admission.chain import Chain, Plugin, Tools
from apiserver.admission.escalation import EscalationCheck
from apiserver.admission.webhook_calls import WebhookCaller
from apiserver.app import Parts, SpecialHandler
from apiserver.auditing import Auditing
from apiserver.bootstrap import Bootstrap, ServiceAddress, service_ip
from apiserver.config import Config
from apiserver.discovery import Discovery
from apiserver.filters.in_flight import Limits
from apiserver.flow_schema_status import FlowSchemaStatus
from apiserver.following import Follower
from apiserver.handlers import binding, component_status, eviction, reviews
from apiserver.handlers.connect import Connect
from apiserver.handlers.proxy import Proxy
from apiserver.handlers.token import TokenRequests
from apiserver.health import READY_ONLY, Health
from apiserver.listener import Listener, ReloadingTLS, TLSSettings
from apiserver.lookups import Lookups
from apiserver.members import RENEW_SECONDS, Members
from apiserver.openapi import OpenAPI
from apiserver.pages import Pages
from apiserver.registry.allocators import Allocators, IPAllocator, IPNetwork, PortAllocator
from apiserver.registry.registry import Registry
from apiserver.registry.resource import Resource
from apiserver.resources import RESOURCES
from apiserver.rows import ROWS
from apiserver.storage import etcd
from apiserver.storage.cacher import Cacher
from apiserver.storage.channels import Endpoints
from apiserver.storage.compactor import compact_regularly
from apiserver.storage.encryption import Choose, EncryptedStorage
from apiserver.storage.errors import StorageError
from apiserver.storage.interface import Storage
from apiserver.upstream import Kubelets, KubeletTLS
from machinery.aio.tasks import every
from machinery.api import errors, kinds
from machinery.component import tls
from machinery.component.run import Stop

logger = logging.getLogger(__name__)

_PROBE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that comes from flags and files, before anything runs."""

    config: Config
    lookups: Lookups
    access: Access
    kubelets: Kubelets
    caller: WebhookCaller
    plugins: Sequence[Plugin]
    tls: ReloadingTLS
    trust: Mapping[str, str]  # of extension-apiserver-authentication: what other servers believe as this one does
    encryption: Choose | None
    ranges: tuple[IPNetwork, tuple[int, int]]
    health: Health
    auditing: Auditing


async def serve(config: Config) -> None:
    """Run a server until cancelled; then let running requests end."""
    prepared = prepare(config)
    servers = Endpoints(tuple(config.etcd_servers), config.etcd_cafile, config.etcd_certfile, config.etcd_keyfile)
    async with etcd.connected(servers) as storage, asyncio.TaskGroup() as group:
        sealed = EncryptedStorage(storage, prepared.encryption) if prepared.encryption else storage
        registry = create_registry(prepared, Cacher(sealed))
        if config.etcd_compaction_interval:
            group.create_task(compact_regularly(storage, config.etcd_compaction_interval), name="compaction")
        for work in prepared.auditing.works:
            group.create_task(work(), name="audit")
        async with registry.running():
            await _run(prepared, registry, group)
        raise asyncio.CancelledError  # the group's tasks run for ever: end them


def prepare(config: Config) -> Prepared:
    """Read and check; raises Stop with what is wrong, so that a mistake is told at once and not when etcd is there."""
    if not config.etcd_servers:
        raise Stop("--etcd-servers must be specified")
    if config.etcd_prefix.strip("/") != "registry":
        raise Stop("--etcd-prefix: only /registry is supported")
    lookups = Lookups()
    try:
        deciding = access.create(config, lookups.cached)
        file = config.admission_control_config_file
        caller = WebhookCaller()
        tools = Tools(deciding.authorizer, caller, admission_config.load(file) if file else {})
        return Prepared(
            config,
            lookups,
            deciding,
            _kubelets(config),
            caller,
            [plugin.made_with(tools) for plugin in _plugins(config)],
            ReloadingTLS(serving_files(config)),
            access.published_trust(config),
            _encryption(config),
            _service_ranges(config),
            Health(),
            auditing.create(config),
        )
    except (OSError, ValueError) as problem:
        raise Stop(f"the server cannot be set up: {problem}") from problem


def create_registry(prepared: Prepared, cacher: Cacher) -> Registry:
    """All stores, with admission and the allocators of Services."""
    network, ports = prepared.ranges
    allocators = Allocators(IPAllocator(cacher.storage, network), PortAllocator(cacher.storage, *ports))
    grants = EscalationCheck(prepared.access.authorizer, prepared.access.rbac)
    chain = Chain([*prepared.plugins, grants], prepared.lookups)
    registry = Registry(cacher, _rows(prepared.config), admission=chain, allocators=allocators)
    prepared.lookups.registry = registry
    return registry


async def _run(prepared: Prepared, registry: Registry, group: asyncio.TaskGroup) -> None:
    config = prepared.config
    for follower in followers(registry, prepared.access):
        group.create_task(follower.run(), name="index")
        await follower.loaded.wait()
    _add_checks(prepared.health, registry)
    bootstrap = Bootstrap(registry)
    await bootstrap.namespaces()
    await bootstrap.roles()
    rows = [*RESOURCES, *reviews.RESOURCES]
    await bootstrap.defaults(default_objects.objects(config.service_cluster_ip_range, rows))
    await bootstrap.local_api_services()
    schemas = registry.store_for("flowcontrol.apiserver.k8s.io", "v1", "flowschemas")
    if config.enable_priority_and_fairness and schemas is not None:
        group.create_task(FlowSchemaStatus(prepared.lookups, schemas).run(), name="flow schemas")
    if prepared.trust:
        await bootstrap.trust(prepared.trust)
    application = app.create(create_parts(prepared, registry))
    gc.collect()
    gc.freeze()
    try:
        async with Listener(application, prepared.tls).serving(config.bind_address, config.secure_port) as port:
            logger.info("serving on https://%s:%d", config.bind_address, port)
            group.create_task(_publish(config, bootstrap, registry.cacher.storage, port), name="kubernetes service")
            await _until_stopped(prepared.health, config.shutdown_delay_duration)
    finally:
        await prepared.kubelets.close()
        await prepared.caller.close()


async def _publish(config: Config, bootstrap: Bootstrap, storage: Storage, port: int) -> None:
    """Keep the `kubernetes` Service leading to all servers that are there, until this one goes."""
    members = Members(storage, advertised_address(config))
    cluster_ip = service_ip(config.service_cluster_ip_range)

    async def publish() -> None:
        await bootstrap.namespaces()
        await bootstrap.service(ServiceAddress(cluster_ip, await members.renew(), port))

    try:
        await every(RENEW_SECONDS, "the kubernetes service", publish)
    finally:
        with suppress(StorageError, errors.StatusError):  # the key would time out by itself
            if others := await members.leave():
                await bootstrap.service(ServiceAddress(cluster_ip, others, port))


async def _until_stopped(health: Health, delay: float) -> None:
    try:
        await asyncio.get_running_loop().create_future()
    finally:
        health.stopping = True
        if delay:
            await asyncio.sleep(delay)


def followers(registry: Registry, deciding: Access) -> list[Follower]:
    """The indexes of the authorizers, each with its collection."""
    found = []
    for kind, apply in deciding.followed:
        store = registry.store_for(kind.group, kind.version, kind.plural)
        if store is not None:
            found.append(Follower(registry.cacher, store.collection, apply))
    return found


def create_parts(prepared: Prepared, registry: Registry) -> Parts:
    """Everything the application is made from."""
    config, deciding, lookups = prepared.config, prepared.access, prepared.lookups
    special: dict[tuple[str, str, str], SpecialHandler] = {}
    special |= Connect(lookups.fresh, prepared.kubelets, registry.admission).table()
    special |= Proxy(lookups.fresh, prepared.kubelets, chain=registry.admission).table()
    special |= reviews.Reviews(deciding.authenticator, deciding.authorizer, deciding.listers).table()
    pods = registry.store_for("", "v1", "pods")
    if pods is not None:
        special |= binding.Bindings(pods).table()
    budgets = registry.store_for("policy", "v1", "poddisruptionbudgets")
    if pods is not None and budgets is not None:
        special |= eviction.Evictions(pods, budgets).table()
    if deciding.signer is not None:
        extend = config.service_account_extend_token_expiration
        requests = TokenRequests(
            lookups.fresh, deciding.signer, access.audiences(config), extend=extend, chain=registry.admission
        )
        special["", "serviceaccounts", "token"] = requests.create
    if pods is not None:
        special |= component_status.ComponentStatuses(pods.cacher.storage).table()
    host = advertised_host(config)
    issuer = access.issuer_documents(config, deciding, host)
    pages = Pages(Discovery(ROWS, host), prepared.health, OpenAPI(ROWS), issuer)
    limits = Limits(config.max_requests_inflight, config.max_mutating_requests_inflight, config.request_timeout)
    auditor = prepared.auditing.auditor
    fairness = lookups.all if config.enable_priority_and_fairness else None
    return Parts(registry, pages, deciding.authenticator, deciding.authorizer, special, limits, auditor, fairness)


def _kubelets(config: Config) -> Kubelets:
    """How this server reaches kubelets."""
    files = KubeletTLS(
        config.kubelet_client_certificate, config.kubelet_client_key, config.kubelet_certificate_authority
    )
    return Kubelets(files, config.kubelet_preferred_address_types, config.kubelet_port)


def serving_files(config: Config) -> TLSSettings:
    """What is served with; the certificate is made now if none is given. Raises ValueError for unknown TLS names."""
    cert, key = config.tls_cert_file, config.tls_private_key_file
    if not cert:
        hosts = [advertised_address(config), "127.0.0.1", "localhost", socket.gethostname()]
        hosts += ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
        hosts += ["kubernetes.default.svc.cluster.local", service_ip(config.service_cluster_ip_range)]
        files = tls.self_signed(Path(config.cert_dir), "apiserver", hosts)
        cert, key = str(files.cert), str(files.key)
    minimum, ciphers = tls.version_named(config.tls_min_version), tls.ciphers_named(config.tls_cipher_suites)
    return TLSSettings(cert, key, config.client_ca_file, config.requestheader_client_ca_file, minimum, ciphers)


def advertised_address(config: Config) -> str:
    """The address for others: the flag, the bound address, or the one that leads to the world."""
    if config.advertise_address:
        return config.advertise_address
    bound = ipaddress.ip_address(config.bind_address)
    if not bound.is_unspecified and not bound.is_loopback:
        return config.bind_address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # no packet is sent: it only asks which address would be used
        except OSError:
            return "127.0.0.1"
        address: str = probe.getsockname()[0]
        return address


def advertised_host(config: Config) -> str:
    """Host and port for others."""
    return f"{config.external_hostname or advertised_address(config)}:{config.secure_port}"


def _add_checks(health: Health, registry: Registry) -> None:
    async def etcd_answers() -> str | None:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                await registry.cacher.storage.current_revision()
        except (StorageError, TimeoutError) as problem:
            return f"error getting data from etcd: {problem}"
        return None

    async def cache_is_filled() -> str | None:
        return None if registry.cacher.filled else "the watch cache is not filled"

    health.add("etcd", etcd_answers)
    health.add("etcd-readiness", etcd_answers, READY_ONLY)
    health.add("informer-sync", cache_is_filled, READY_ONLY)


def _plugins(config: Config) -> list[type[Plugin]]:
    by_name = {plugin.name: plugin for plugin in admission.ALL}
    unknown = [name for name in config.disable_admission_plugins if name not in by_name]
    if unknown:
        logger.info("admission plugins that are not there and need no disabling: %s", ", ".join(unknown))
    missing = [name for name in config.enable_admission_plugins if name not in by_name]
    if missing:
        logger.warning("admission plugins that do not exist here: %s", ", ".join(missing))
    wanted = {plugin.name for plugin in admission.PLUGINS} | set(config.enable_admission_plugins)
    wanted -= set(config.disable_admission_plugins)
    return [plugin for name, plugin in by_name.items() if name in wanted]


def _rows(config: Config) -> list[Resource]:
    """The built-in rows; events live as long as the flag says."""
    ttl = int(config.event_ttl)
    return [replace(row, ttl_seconds=ttl) if row.kind == kinds.EVENTS else row for row in RESOURCES]


def _encryption(config: Config) -> Choose | None:
    file = config.encryption_provider_config
    return encryption_config.load(file, _rows(config)) if file else None


def _service_ranges(config: Config) -> tuple[IPNetwork, tuple[int, int]]:
    network = ipaddress.ip_network(config.service_cluster_ip_range.split(",")[0].strip())
    first, _, last = config.service_node_port_range.partition("-")
    return network, (int(first), int(last))
