"""Puts a server together from its flags and runs it: storage, cache, registry, access, pages, the socket."""

import asyncio
import gc
import ipaddress
import logging
import socket
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from apiserver import admission, app, listener
from apiserver.admission.chain import Chain, Plugin
from apiserver.admission.escalation import EscalationCheck
from apiserver.app import Parts, SpecialHandler
from apiserver.authn import keys, token_file
from apiserver.authn.authenticator import Authenticator
from apiserver.authn.service_accounts import Signer, Verifier
from apiserver.authz import rbac
from apiserver.authz.attributes import Authorizer, RuleLister
from apiserver.authz.authorizer import AlwaysAllow, AlwaysDeny, Masters, Union
from apiserver.authz.node import NodeAuthorizer, NodeGraph
from apiserver.bootstrap import Bootstrap, ServiceAddress, service_ip
from apiserver.config import Config
from apiserver.discovery import Discovery
from apiserver.filters.in_flight import Limits
from apiserver.following import Apply, Follower
from apiserver.handlers import binding, eviction, reviews
from apiserver.handlers.connect import Connect
from apiserver.handlers.token import TokenRequests
from apiserver.health import READY_ONLY, Health
from apiserver.listener import Listener, TLSSettings
from apiserver.members import RENEW_SECONDS, Members
from apiserver.openapi import OpenAPI
from apiserver.pages import Pages
from apiserver.registry.allocators import Allocators, IPAllocator, IPNetwork, PortAllocator
from apiserver.registry.registry import Registry
from apiserver.registry.resource import Resource
from apiserver.registry.store import Store
from apiserver.resources import RESOURCES
from apiserver.storage import etcd
from apiserver.storage.cacher import Cacher
from apiserver.storage.channels import Endpoints
from apiserver.storage.compactor import compact_regularly
from apiserver.storage.errors import StorageError
from apiserver.storage.interface import Storage
from apiserver.upstream import Kubelets, KubeletTLS
from machinery.aio.tasks import every
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.component import tls
from machinery.component.run import Stop

logger = logging.getLogger(__name__)

MODES: Final = ("AlwaysAllow", "AlwaysDeny", "Node", "RBAC")
_PROBE_SECONDS: Final = 2.0


class Lookups:
    """Objects as the watch cache has them, for those who need one now and then."""

    def __init__(self) -> None:
        # Admission is made before the registry it reads, and before authorization follows the registry.
        self.registry: Registry | None = None
        self.authorizer: Authorizer = AlwaysDeny()
        self.rbac: rbac.RBAC | None = None

    def cached(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The object as cached; None also while there is no cache yet."""
        store = self._store(kind)
        entry = store.collection.get(namespace if kind.namespaced else "", name) if store else None
        return entry.decode() if entry else None

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The object as cached, or as etcd has it where the cache has none (it may be that new)."""
        found = self.cached(kind, namespace, name)
        store = self._store(kind)
        if found is not None or store is None:
            return found
        try:
            return (await store.get(namespace if kind.namespaced else "", name)).decode()
        except errors.NotFound:
            return None

    async def fresh(self, kind: Kind, namespace: str, name: str) -> Json:
        """The object as it is now: with every write acknowledged before this call. Raises NotFound."""
        store = self._store(kind)
        if store is None:
            raise errors.not_found(kind, name)
        return (await store.get(namespace if kind.namespaced else "", name)).decode()

    def _store(self, kind: Kind) -> Store | None:
        return self.registry.store_for(kind.group, kind.version, kind.plural) if self.registry else None


@dataclass(slots=True)
class Access:
    """Who may ask, and what has to be followed to know it."""

    authenticator: Authenticator
    authorizer: Authorizer
    listers: list[RuleLister] = field(default_factory=list)
    followed: list[tuple[Kind, Apply]] = field(default_factory=list)


async def serve(config: Config) -> None:
    """Run a server until cancelled; then let running requests end."""
    if not config.etcd_servers:
        raise Stop("--etcd-servers must be specified")
    if config.etcd_prefix.strip("/") != "registry":
        raise Stop("--etcd-prefix: only /registry is supported")
    servers = Endpoints(tuple(config.etcd_servers), config.etcd_cafile, config.etcd_certfile, config.etcd_keyfile)
    async with etcd.connected(servers) as storage, asyncio.TaskGroup() as group:
        lookups = Lookups()
        registry = create_registry(config, Cacher(storage), lookups)
        if config.etcd_compaction_interval:
            group.create_task(compact_regularly(storage, config.etcd_compaction_interval), name="compaction")
        async with registry.running():
            await _run(config, registry, lookups, group)
        raise asyncio.CancelledError  # the group's tasks run for ever: end them


def create_registry(config: Config, cacher: Cacher, lookups: Lookups) -> Registry:
    """All stores, with admission and the allocators of Services."""
    network, ports = _service_ranges(config)
    allocators = Allocators(IPAllocator(cacher.storage, network), PortAllocator(cacher.storage, *ports))
    grants = EscalationCheck(lambda: lookups.authorizer, lambda: lookups.rbac)
    chain = Chain([*(plugin() for plugin in _plugins(config)), grants], lookups)
    lookups.registry = Registry(cacher, _rows(config), admission=chain, allocators=allocators)
    return lookups.registry


async def _run(config: Config, registry: Registry, lookups: Lookups, group: asyncio.TaskGroup) -> None:
    access = create_access(config, lookups)
    for follower in followers(registry, access):
        group.create_task(follower.run(), name="index")
        await follower.loaded.wait()
    health = _health(registry)
    kubelets = create_kubelets(config)
    bootstrap = Bootstrap(registry)
    await bootstrap.namespaces()
    await bootstrap.roles()
    if config.client_ca_file:
        await bootstrap.client_ca(Path(config.client_ca_file).read_text())
    application = app.create(create_parts(config, registry, lookups, access, (health, kubelets)))
    gc.collect()
    gc.freeze()
    tls_context = listener.tls_context(serving_files(config))
    try:
        async with Listener(application, tls_context).serving(config.bind_address, config.secure_port) as port:
            logger.info("serving on https://%s:%d", config.bind_address, port)
            group.create_task(_publish(config, bootstrap, registry.cacher.storage, port), name="kubernetes service")
            await _until_stopped(health, config.shutdown_delay_duration)
    finally:
        await kubelets.close()


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


def create_access(config: Config, lookups: Lookups) -> Access:
    """Authentication and authorization; raises Stop for a mode that does not exist."""
    access = Access(create_authenticator(config, lookups), Union([]))
    members: list[Authorizer] = [Masters()]
    for mode in config.authorization_mode:
        if mode == "Node":
            graph = NodeGraph()
            members.append(NodeAuthorizer(graph))
            access.followed.append((kinds.PODS, graph.apply))
        elif mode == "RBAC":
            index = rbac.RBAC()
            members.append(index)
            lookups.rbac = index
            access.listers.append(index)
            access.followed += [(kind, partial(index.follow, kind)) for kind in rbac.WATCHED]
        elif mode == "AlwaysAllow":
            members.append(AlwaysAllow())
            access.listers.append(AlwaysAllow())
        elif mode == "AlwaysDeny":
            members.append(AlwaysDeny())
        else:
            raise Stop(f'"{mode}" is not a valid mode; --authorization-mode knows {", ".join(MODES)}')
    access.authorizer = lookups.authorizer = Union(members)
    return access


def create_authenticator(config: Config, lookups: Lookups) -> Authenticator:
    """Certificates, static tokens, service-account tokens."""
    tokens = token_file.load(config.token_auth_file) if config.token_auth_file else {}
    verifier = None
    if config.service_account_issuer:
        files = config.service_account_key_file or [config.service_account_signing_key_file]
        public = [key for file in files if file for key in keys.load_public(file)]
        verifier = Verifier(public, config.service_account_issuer, audiences(config), lookups.cached)
    # With AlwaysAllow an anonymous client could do everything (upstream disables it then as well).
    anonymous = config.anonymous_auth and "AlwaysAllow" not in config.authorization_mode
    return Authenticator(tokens, verifier, anonymous)


def audiences(config: Config) -> list[str]:
    """What tokens for this server are made out to."""
    return list(config.api_audiences or config.service_account_issuer)


def followers(registry: Registry, access: Access) -> list[Follower]:
    """The indexes of the authorizers, each with its collection."""
    found = []
    for kind, apply in access.followed:
        store = registry.store_for(kind.group, kind.version, kind.plural)
        if store is not None:
            found.append(Follower(registry.cacher, store.collection, apply))
    return found


def create_kubelets(config: Config) -> Kubelets:
    """How this server reaches kubelets."""
    files = KubeletTLS(
        config.kubelet_client_certificate, config.kubelet_client_key, config.kubelet_certificate_authority
    )
    return Kubelets(files, config.kubelet_preferred_address_types, config.kubelet_port)


def create_parts(
    config: Config, registry: Registry, lookups: Lookups, access: Access, rest: tuple[Health, Kubelets]
) -> Parts:
    """Everything the application is made from."""
    health, kubelets = rest
    special: dict[tuple[str, str, str], SpecialHandler] = {}
    special |= Connect(lookups.fresh, kubelets).table()
    special |= reviews.Reviews(access.authenticator, access.authorizer, access.listers).table()
    pods = registry.store_for("", "v1", "pods")
    if pods is not None:
        special |= binding.Bindings(pods).table()
        special |= eviction.Evictions(pods).table()
    issuer = None
    if config.service_account_signing_key_file and config.service_account_issuer:
        key = keys.load_private(config.service_account_signing_key_file)
        signer = Signer(key, config.service_account_issuer[0])
        requests = TokenRequests(
            lookups.fresh, signer, audiences(config), extend=config.service_account_extend_token_expiration
        )
        special["", "serviceaccounts", "token"] = requests.create
        issuer = _issuer_documents(config, access)
    rows = [*RESOURCES, *reviews.RESOURCES, *binding.RESOURCES]
    pages = Pages(Discovery(rows, advertised_host(config)), health, OpenAPI(rows), issuer)
    limits = Limits(config.max_requests_inflight, config.max_mutating_requests_inflight, config.request_timeout)
    return Parts(registry, pages, access.authenticator, access.authorizer, special, limits)


def _issuer_documents(config: Config, access: Access) -> tuple[Json, Json]:
    issuer = config.service_account_issuer[0]
    verifier = access.authenticator.verifier
    known = verifier.keys if verifier else ()
    uri = config.service_account_jwks_uri or f"https://{advertised_host(config)}/openid/v1/jwks"
    configuration = {
        "issuer": issuer,
        "jwks_uri": uri,
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted({key.algorithm for key in known}),
    }
    return configuration, keys.jwks(known)


def serving_files(config: Config) -> TLSSettings:
    """The serving certificate, made now if none is given."""
    if config.tls_cert_file:
        return TLSSettings(config.tls_cert_file, config.tls_private_key_file, config.client_ca_file)
    hosts = [advertised_address(config), "127.0.0.1", "localhost", socket.gethostname()]
    hosts += ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    hosts += ["kubernetes.default.svc.cluster.local", service_ip(config.service_cluster_ip_range)]
    files = tls.self_signed(Path(config.cert_dir), "apiserver", hosts)
    return TLSSettings(str(files.cert), str(files.key), config.client_ca_file)


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


def _health(registry: Registry) -> Health:
    health = Health()

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
    return health


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


def _service_ranges(config: Config) -> tuple[IPNetwork, tuple[int, int]]:
    try:
        network = ipaddress.ip_network(config.service_cluster_ip_range.split(",")[0].strip())
        first, _, last = config.service_node_port_range.partition("-")
        return network, (int(first), int(last))
    except ValueError as problem:
        raise Stop(f"--service-cluster-ip-range, --service-node-port-range: {problem}") from problem
