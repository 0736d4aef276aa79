"""What a pod may not do at a level of the Pod Security Standards: a table of checks. Who asks is pod_security.

Upstream: k8s.io/pod-security-admission/policy; reasons and details are its, so are the versions at which rules change.
The names of its files are those of the functions: check_hostPorts.go is `host_ports`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from machinery.api import pods
from machinery.api.codec import Json

#: a version of the standards, 1.x by its x
Minor = int
_LATEST: Final[Minor] = 1 << 30

_DEFAULT_CAPABILITIES: Final = frozenset(
    ("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP")
) | {"SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
_SYSCTLS: Final = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
    )
)
_SYSCTLS_27: Final = _SYSCTLS | {"net.ipv4.ip_local_reserved_ports"}
_SYSCTLS_29: Final = _SYSCTLS_27 | {
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_intvl",
    "net.ipv4.tcp_keepalive_probes",
}
_SYSCTLS_32: Final = _SYSCTLS_29 | {"net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"}
_SELINUX: Final = frozenset(("", "container_t", "container_init_t", "container_kvm_t"))
_SELINUX_31: Final = _SELINUX | {"container_engine_t"}
_VOLUMES: Final = frozenset(
    ("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected")
) | {"secret"}
_APP_ARMOR: Final = "container.apparmor.security.beta.kubernetes.io/"
_SECCOMP_POD: Final = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP: Final = "container.seccomp.security.alpha.kubernetes.io/"


@dataclass(frozen=True, slots=True)
class Subject:
    """A pod, or the pod of a template."""

    annotations: Mapping[str, str]
    spec: Json
    containers: list[Json] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "containers", [*pods.every_container_of(self.spec)])

    @property
    def is_windows(self) -> bool:
        """Whether it says to be for Windows, where some rules mean nothing."""
        return (self.spec.get("os") or {}).get("name") == "windows"

    @property
    def has_own_users(self) -> bool:
        """Whether it runs in a user namespace (KEP-127), where root is not the host's."""
        return self.spec.get("hostUsers") is False

    def named(self, is_bad: Callable[[Json], bool]) -> list[str]:
        """The containers whose securityContext is bad."""
        return [c.get("name", "") for c in self.containers if is_bad(c.get("securityContext") or {})]


@dataclass(frozen=True, slots=True)
class Violation:
    """What is not allowed, in a few words, and where it is."""

    reason: str
    detail: str


#: None: nothing to object to
Rule = Callable[[Subject], Violation | None]


def violations(subject: Subject, level: str, minor: Minor | None = None) -> list[Violation]:
    """All that a level (`baseline`, `restricted`; `privileged` allows all) at 1.`minor`, or the latest, forbids."""
    at = _LATEST if minor is None else minor
    found = [rule(subject) for rule in _rules(level, at)]
    return [violation for violation in found if violation is not None]


def _rules(level: str, at: Minor) -> Iterable[Rule]:
    restricted = [check for check in _RESTRICTED if check.at(at)] if level == "restricted" else []
    stricter = {check.instead_of for check in restricted}
    if level != "privileged":
        for check in _BASELINE:
            rule = check.at(at)
            if rule is not None and check.name not in stricter:
                yield rule
    for check in restricted:
        if rule := check.at(at):
            yield rule


# how details are put together


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


def _counted(noun: str, names: Iterable[str]) -> str:
    """`container "a"`, `containers "a", "b"`."""
    listed = list(names)
    return f"{noun}{'' if len(listed) == 1 else 's'} {_quoted(listed)}"


def _setters(pod: bool, containers: list[str]) -> str:
    """`pod and container "a"`, empty where nobody is."""
    return " and ".join((["pod"] if pod else []) + ([_counted("container", containers)] if containers else []))


def _context(subject: Subject) -> Json:
    context: Json = subject.spec.get("securityContext") or {}
    return context


def _profiles(subject: Subject, field_name: str) -> tuple[str, set[str]]:
    """Who sets a profile of a type that takes protection away, and those types."""
    bad: set[str] = set()

    def is_bad(context: Json) -> bool:
        kind = (context.get(field_name) or {}).get("type", "RuntimeDefault")
        if kind in ("RuntimeDefault", "Localhost"):
            return False
        bad.add(kind)
        return True

    return _setters(is_bad(_context(subject)), subject.named(is_bad)), bad


# baseline


def _app_armor(subject: Subject) -> Violation | None:
    by_fields, bad = _profiles(subject, "appArmorProfile")
    setters = [by_fields]
    for key, value in sorted(subject.annotations.items()):
        if key.startswith(_APP_ARMOR) and value not in ("", "runtime/default") and not value.startswith("localhost/"):
            setters.append(f'annotation "{key}"')
            bad.add(value)
    if not bad:
        return None
    said = f"{' and '.join(filter(None, setters))} must not set AppArmor profile type to {_quoted(sorted(bad))}"
    return Violation("forbidden AppArmor profile" + ("s" if len(bad) > 1 else ""), said)


def _capabilities_baseline(subject: Subject) -> Violation | None:
    return _adds_capabilities(subject, _DEFAULT_CAPABILITIES, "non-default capabilities")


def _adds_capabilities(subject: Subject, allowed: frozenset[str], reason: str) -> Violation | None:
    bad: set[str] = set()

    def is_bad(context: Json) -> bool:
        added = set((context.get("capabilities") or {}).get("add") or ()) - allowed
        bad.update(added)
        return bool(added)

    named = subject.named(is_bad)
    if not named:
        return None
    where = _counted("container", named)
    return Violation(reason, f"{where} must not include {_quoted(sorted(bad))} in securityContext.capabilities.add")


def _host_namespaces(subject: Subject) -> Violation | None:
    used = [f"{name}=true" for name in ("hostNetwork", "hostPID", "hostIPC") if subject.spec.get(name)]
    return Violation("host namespaces", ", ".join(used)) if used else None


def _host_path_volumes(subject: Subject) -> Violation | None:
    named = [volume.get("name", "") for volume in subject.spec.get("volumes") or () if volume.get("hostPath")]
    return Violation("hostPath volumes", _counted("volume", named)) if named else None


def _host_ports(subject: Subject) -> Violation | None:
    used = {
        container.get("name", ""): [port["hostPort"] for port in container.get("ports") or () if port.get("hostPort")]
        for container in subject.containers
    }
    named = [name for name, ports in used.items() if ports]
    numbers = sorted({str(port) for ports in used.values() for port in ports})
    if not named:
        return None
    verb, noun = "uses" if len(named) == 1 else "use", "hostPort" if len(numbers) == 1 else "hostPorts"
    return Violation("hostPort", f"{_counted('container', named)} {verb} {noun} {', '.join(numbers)}")


def _host_probes(subject: Subject) -> Violation | None:
    used = {container.get("name", ""): _probe_hosts(container) for container in subject.containers}
    named = sorted(name for name, hosts in used.items() if hosts)
    hosts = sorted(set().union(*used.values()))
    if not named:
        return None
    verb, noun = "uses" if len(named) == 1 else "use", _counted("probe or lifecycle host", hosts)
    return Violation("probe or lifecycle host", f"{_counted('container', named)} {verb} {noun}")


def _probe_hosts(container: Json) -> set[str]:
    lifecycle = container.get("lifecycle") or {}
    handlers = [container.get(f"{probe}Probe") for probe in ("liveness", "readiness", "startup")]
    handlers += [lifecycle.get("postStart"), lifecycle.get("preStop")]
    actions = [(handler or {}).get(action) or {} for handler in handlers for action in ("httpGet", "tcpSocket")]
    return {action["host"] for action in actions if action.get("host")}


def _privileged(subject: Subject) -> Violation | None:
    named = subject.named(lambda context: bool(context.get("privileged")))
    said = f"{_counted('container', named)} must not set securityContext.privileged=true"
    return Violation("privileged", said) if named else None


def _proc_mount(subject: Subject, *, own_users_may: bool = False) -> Violation | None:
    if own_users_may and subject.has_own_users:
        return None
    bad: set[str] = set()

    def is_bad(context: Json) -> bool:
        value = context.get("procMount") or "Default"
        if value != "Default":
            bad.add(value)
        return value != "Default"

    named = subject.named(is_bad)
    said = f"{_counted('container', named)} must not set securityContext.procMount to {_quoted(sorted(bad))}"
    return Violation("procMount", said) if named else None


def _selinux_options(subject: Subject, *, types: frozenset[str] = _SELINUX) -> Violation | None:
    bad: set[str] = set()
    parts: set[str] = set()

    def is_bad(context: Json) -> bool:
        options = context.get("seLinuxOptions") or {}
        kind = options.get("type") or ""
        own = {part for part in ("user", "role") if options.get(part)}
        parts.update(own)
        if kind not in types:
            bad.add(kind)
        return bool(own) or kind not in types

    setters = _setters(is_bad(_context(subject)), subject.named(is_bad))
    said = [_counted("type", sorted(bad))] if bad else []
    said += [f"{part} may not be set" for part in ("user", "role") if part in parts]
    text = f"{setters} set forbidden securityContext.seLinuxOptions: {'; '.join(said)}"
    return Violation("seLinuxOptions", text) if setters else None


def _seccomp_annotations(subject: Subject) -> Violation | None:
    keys = [_SECCOMP_POD, *(f"{_SECCOMP}{container.get('name')}" for container in subject.containers)]
    bad = []
    for key in keys:
        value = subject.annotations.get(key, "runtime/default")
        if value not in ("runtime/default", "docker/default") and not value.startswith("localhost/"):
            bad.append(f'{key}="{value}"')
    noun = "annotation" if len(bad) == 1 else "annotations"
    return Violation("seccompProfile", f"forbidden {noun} {', '.join(sorted(bad))}") if bad else None


def _seccomp_profile(subject: Subject) -> Violation | None:
    setters, bad = _profiles(subject, "seccompProfile")
    text = f"{setters} must not set securityContext.seccompProfile.type to {_quoted(sorted(bad))}"
    return Violation("seccompProfile", text) if setters else None


def _sysctls(subject: Subject, *, allowed: frozenset[str] = _SYSCTLS) -> Violation | None:
    names = [sysctl.get("name", "") for sysctl in _context(subject).get("sysctls") or ()]
    bad = [name for name in names if name not in allowed]
    return Violation("forbidden sysctls", ", ".join(bad)) if bad else None


def _windows_host_process(subject: Subject) -> Violation | None:
    def is_bad(context: Json) -> bool:
        return bool((context.get("windowsOptions") or {}).get("hostProcess"))

    setters = _setters(is_bad(_context(subject)), subject.named(is_bad))
    text = f"{setters} must not set securityContext.windowsOptions.hostProcess=true"
    return Violation("hostProcess", text) if setters else None


# restricted


def _allow_privilege_escalation(subject: Subject) -> Violation | None:
    named = subject.named(lambda context: context.get("allowPrivilegeEscalation") is not False)
    said = f"{_counted('container', named)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", said) if named else None


def _capabilities_restricted(subject: Subject) -> Violation | None:
    reason = "unrestricted capabilities"
    keeping = subject.named(lambda context: "ALL" not in ((context.get("capabilities") or {}).get("drop") or ()))
    said = [f'{_counted("container", keeping)} must set securityContext.capabilities.drop=["ALL"]'] if keeping else []
    if adding := _adds_capabilities(subject, frozenset(("NET_BIND_SERVICE",)), reason):
        said.append(adding.detail)
    return Violation(reason, "; ".join(said)) if said else None


def _restricted_volumes(subject: Subject) -> Violation | None:
    used = {}
    for volume in subject.spec.get("volumes") or ():
        kinds = {kind for kind in volume if kind != "name"}
        if kinds and not kinds & _VOLUMES:
            used[volume.get("name", "")] = min(kinds)
    if not used:
        return None
    verb, types = "uses" if len(used) == 1 else "use", _counted("restricted volume type", sorted(set(used.values())))
    return Violation("restricted volume types", f"{_counted('volume', used)} {verb} {types}")


def _run_as_non_root(subject: Subject, *, own_users_may: bool = False) -> Violation | None:
    if own_users_may and subject.has_own_users:
        return None
    reason, of_pod = "runAsNonRoot != true", _context(subject).get("runAsNonRoot")
    setters = _setters(of_pod is False, subject.named(lambda context: context.get("runAsNonRoot") is False))
    if setters:
        return Violation(reason, f"{setters} must not set securityContext.runAsNonRoot=false")
    silent = [] if of_pod else subject.named(lambda context: context.get("runAsNonRoot") is None)
    said = f"pod or {_counted('container', silent)} must set securityContext.runAsNonRoot=true"
    return Violation(reason, said) if silent else None


def _run_as_user(subject: Subject, *, own_users_may: bool = False) -> Violation | None:
    if own_users_may and subject.has_own_users:
        return None
    of_pod = _context(subject).get("runAsUser") == 0
    setters = _setters(of_pod, subject.named(lambda context: context.get("runAsUser") == 0))
    return Violation("runAsUser=0", f"{setters} must not set runAsUser=0") if setters else None


def _seccomp_restricted(subject: Subject) -> Violation | None:
    if bad := _seccomp_profile(subject):
        return bad
    silent = [] if _context(subject).get("seccompProfile") else subject.named(lambda c: not c.get("seccompProfile"))
    where = f"pod or {_counted('container', silent)}"
    said = f'{where} must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Violation("seccompProfile", said) if silent else None


def _not_on_windows(rule: Rule) -> Rule:
    return lambda subject: None if subject.is_windows else rule(subject)


@dataclass(frozen=True, slots=True)
class _Check:
    """A rule and the versions from which it is what."""

    name: str
    versions: tuple[tuple[Minor, Rule], ...]
    instead_of: str = ""

    def at(self, minor: Minor) -> Rule | None:
        """The rule of a version, if there was one."""
        found = [rule for since, rule in self.versions if since <= minor]
        return found[-1] if found else None


#: in upstream's order, which is by name
_BASELINE: Final = (
    _Check("appArmorProfile", ((0, _app_armor),)),
    _Check("capabilities_baseline", ((0, _capabilities_baseline),)),
    _Check("hostNamespaces", ((0, _host_namespaces),)),
    _Check("hostPathVolumes", ((0, _host_path_volumes),)),
    _Check("hostPorts", ((0, _host_ports),)),
    _Check("hostProbesAndHostLifecycle", ((34, _host_probes),)),
    _Check("privileged", ((0, _privileged),)),
    _Check("procMount", ((0, _proc_mount), (35, partial(_proc_mount, own_users_may=True)))),
    _Check("seLinuxOptions", ((0, _selinux_options), (31, partial(_selinux_options, types=_SELINUX_31)))),
    _Check("seccompProfile_baseline", ((0, _seccomp_annotations), (19, _seccomp_profile))),
    _Check(
        "sysctls",
        (
            (0, _sysctls),
            (27, partial(_sysctls, allowed=_SYSCTLS_27)),
            (29, partial(_sysctls, allowed=_SYSCTLS_29)),
            (32, partial(_sysctls, allowed=_SYSCTLS_32)),
        ),
    ),
    _Check("windowsHostProcess", ((0, _windows_host_process),)),
)
_RESTRICTED: Final = (
    _Check(
        "allowPrivilegeEscalation",
        ((8, _allow_privilege_escalation), (25, _not_on_windows(_allow_privilege_escalation))),
    ),
    _Check(
        "capabilities_restricted",
        ((22, _capabilities_restricted), (25, _not_on_windows(_capabilities_restricted))),
        "capabilities_baseline",
    ),
    _Check("restrictedVolumes", ((0, _restricted_volumes),)),
    _Check("runAsNonRoot", ((0, _run_as_non_root), (35, partial(_run_as_non_root, own_users_may=True)))),
    _Check("runAsUser", ((23, _run_as_user), (35, partial(_run_as_user, own_users_may=True)))),
    _Check(
        "seccompProfile_restricted",
        ((19, _seccomp_restricted), (25, _not_on_windows(_seccomp_restricted))),
        "seccompProfile_baseline",
    ),
)
