"""A pod as the runtime's PodSandboxConfig: name, DNS, ports, namespaces, cgroup parent. Pure; running it is elsewhere.

Upstream: pkg/kubelet/kuberuntime/kuberuntime_sandbox.go, pkg/kubelet/network/dns/dns.go.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kubelet import resources
from kubelet.cri import api_pb2 as api
from machinery.api import meta, pods
from machinery.api.codec import Json

POD_NAME: Final = "io.kubernetes.pod.name"
POD_NAMESPACE: Final = "io.kubernetes.pod.namespace"
POD_UID: Final = "io.kubernetes.pod.uid"
_LONGEST_HOSTNAME: Final = 63
_MOST_SEARCHES: Final = 32
_MOST_SERVERS: Final = 3


@dataclass(frozen=True, slots=True)
class Resolver:
    """A resolv.conf."""

    servers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ClusterDns:
    """The cluster's DNS (addresses and domain) and the node's own resolver."""

    servers: tuple[str, ...] = ()
    domain: str = "cluster.local"
    host: Resolver = Resolver()


@dataclass(frozen=True, slots=True)
class SandboxPlace:
    """Where a sandbox goes: attempt, log folder, cgroup."""

    attempt: int
    log_directory: str
    cgroup_parent: str


def sandbox_config(pod: Json, place: SandboxPlace, dns: ClusterDns) -> api.PodSandboxConfig:
    """The message for RunPodSandbox."""
    namespace, name = meta.key_of(pod)
    host_network = pods.is_host_network(pod)
    config = api.PodSandboxConfig(
        metadata=api.PodSandboxMetadata(name=name, uid=meta.uid_of(pod), namespace=namespace, attempt=place.attempt),
        # runc refuses a host name where there is no UTS namespace of the pod's own.
        hostname="" if host_network else hostname_of(pod),
        log_directory=place.log_directory,
        labels={**meta.labels_of(pod), POD_NAME: name, POD_NAMESPACE: namespace, POD_UID: meta.uid_of(pod)},
        annotations=dict(meta.annotations_of(pod)),
        linux=_linux(pod, place),
    )
    resolver = resolver_of(pod, dns)
    config.dns_config.CopyFrom(
        api.DNSConfig(servers=resolver.servers, searches=resolver.searches, options=resolver.options)
    )
    if not host_network:
        config.port_mappings.extend(_port_mappings(pod))
    return config


def hostname_of(pod: Json) -> str:
    """`spec.hostname` or the pod's name, cut to what the kernel takes."""
    spec = pod.get("spec") or {}
    wanted = spec.get("hostnameOverride") or spec.get("hostname") or meta.name_of(pod)
    return str(wanted)[:_LONGEST_HOSTNAME].rstrip("-.")


def domain_of(pod: Json, cluster_domain: str) -> str:
    """The pod's own domain, where it has a subdomain."""
    subdomain = (pod.get("spec") or {}).get("subdomain")
    return f"{subdomain}.{meta.namespace_of(pod)}.svc.{cluster_domain}" if subdomain and cluster_domain else ""


def _linux(pod: Json, place: SandboxPlace) -> api.LinuxPodSandboxConfig:
    spec = pod.get("spec") or {}
    context = spec.get("securityContext") or {}
    security = api.LinuxSandboxSecurityContext(
        namespace_options=namespace_options(pod),
        privileged=any(_is_privileged(c) for c in (*pods.containers_of(pod), *pods.init_containers_of(pod))),
        supplemental_groups=supplemental_groups(context),
        seccomp=seccomp_profile(context.get("seccompProfile") or {"type": "RuntimeDefault"}),
    )
    if context.get("runAsUser") is not None:
        security.run_as_user.value = int(context["runAsUser"])
        if context.get("runAsGroup") is not None:
            security.run_as_group.value = int(context["runAsGroup"])
    limits = resources.of_pod(pod)
    return api.LinuxPodSandboxConfig(
        cgroup_parent=place.cgroup_parent,
        security_context=security,
        sysctls={sysctl["name"]: str(sysctl["value"]) for sysctl in context.get("sysctls") or ()},
        resources=api.LinuxContainerResources(
            cpu_period=resources.PERIOD if limits.quota else 0,
            cpu_quota=limits.quota,
            cpu_shares=limits.shares,
            memory_limit_in_bytes=limits.memory,
        ),
    )


def _is_privileged(container: Json) -> bool:
    return bool((container.get("securityContext") or {}).get("privileged"))


def supplemental_groups(context: Json) -> list[int]:
    """The pod's extra groups, fsGroup among them."""
    groups = [int(group) for group in context.get("supplementalGroups") or ()]
    if context.get("fsGroup") is not None:
        groups.append(int(context["fsGroup"]))
    return groups


def namespace_options(pod: Json) -> api.NamespaceOption:
    """Which namespaces are the pod's, the container's or the node's."""
    spec = pod.get("spec") or {}
    pid = api.NODE if spec.get("hostPID") else api.POD if spec.get("shareProcessNamespace") else api.CONTAINER
    return api.NamespaceOption(
        network=api.NODE if spec.get("hostNetwork") else api.POD,
        pid=pid,
        ipc=api.NODE if spec.get("hostIPC") else api.POD,
    )


def seccomp_profile(profile: Json | None) -> api.SecurityProfile:
    """A seccompProfile; none means unconfined, as upstream without --seccomp-default."""
    kind = (profile or {}).get("type") or "Unconfined"
    if kind == "Localhost":
        path = "/var/lib/kubelet/seccomp/" + ((profile or {}).get("localhostProfile") or "")
        return api.SecurityProfile(profile_type=api.SecurityProfile.Localhost, localhost_ref=path)
    chosen = api.SecurityProfile.RuntimeDefault if kind == "RuntimeDefault" else api.SecurityProfile.Unconfined
    return api.SecurityProfile(profile_type=chosen)


def _port_mappings(pod: Json) -> Iterable[api.PortMapping]:
    for container in (*pods.containers_of(pod), *filter(pods.is_sidecar, pods.init_containers_of(pod))):
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                yield api.PortMapping(
                    protocol=port.get("protocol") or "TCP",
                    container_port=int(port["containerPort"]),
                    host_port=int(port["hostPort"]),
                    host_ip=port.get("hostIP") or "",
                )


# ---- DNS


def resolver_of(pod: Json, dns: ClusterDns) -> Resolver:
    """The pod's resolv.conf by its dnsPolicy and dnsConfig."""
    spec = pod.get("spec") or {}
    policy = spec.get("dnsPolicy") or "ClusterFirst"
    if policy == "ClusterFirst" and spec.get("hostNetwork"):
        policy = "Default"
    base = dns.host
    if policy == "None":
        base = Resolver()
    elif policy in ("ClusterFirst", "ClusterFirstWithHostNet") and dns.servers:
        domains = _cluster_domains(meta.namespace_of(pod), dns.domain)
        base = Resolver(dns.servers, _unique((*domains, *dns.host.searches), _MOST_SEARCHES), ("ndots:5",))
    return _with_config(base, spec.get("dnsConfig") or {})


def _cluster_domains(namespace: str, domain: str) -> tuple[str, ...]:
    return (f"{namespace}.svc.{domain}", f"svc.{domain}", domain) if domain else ()


def _with_config(base: Resolver, config: Json) -> Resolver:
    options = {option.partition(":")[0]: option for option in base.options}
    for option in config.get("options") or ():
        value = option.get("value")
        options[option["name"]] = f"{option['name']}:{value}" if value else option["name"]
    return Resolver(
        _unique((*base.servers, *(config.get("nameservers") or ())), _MOST_SERVERS),
        _unique((*base.searches, *(config.get("searches") or ())), _MOST_SEARCHES),
        tuple(options.values()),
    )


def _unique(items: Iterable[str], most: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys(items))[:most]


def parse_resolv_conf(text: str) -> Resolver:
    """A resolv.conf file; the last `search` counts."""
    servers: list[str] = []
    searches: tuple[str, ...] = ()
    options: list[str] = []
    for line in text.splitlines():
        words = line.split("#")[0].split(";")[0].split()
        if len(words) < 2:
            continue
        if words[0] == "nameserver":
            servers.append(words[1])
        elif words[0] == "search":
            searches = tuple(word.rstrip(".") or "." for word in words[1:])
        elif words[0] == "options":
            options = words[1:]
    return Resolver(tuple(servers), tuple(s for s in searches if s != "."), tuple(options))
