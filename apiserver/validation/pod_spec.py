"""The spec of a Pod or of a template (upstream: ValidatePodSpec). Its parts are modules of their own."""

from typing import Final

from apiserver.validation import (
    compute_resources,
    containers,
    fields,
    operating_system,
    pod_claims,
    pod_resources,
    scheduling,
    security,
    volumes,
    windows_options,
)
from machinery.api import errors, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_RESTART: Final = ("Always", "Never", "OnFailure")
_DNS: Final = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_PREEMPTION: Final = ("Never", "PreemptLowerPriority")
_MOST_SEARCHES: Final = 32
_LONGEST_SEARCHES: Final = 2048  # characters
_LONGEST_HOSTNAME: Final = 64  # bytes
_MAX_INT32: Final = 2**31 - 1
_SUBDOMAINS: Final = ("nodeName", "serviceAccountName", "priorityClassName", "runtimeClassName", "schedulerName")


def check(spec: Json, path: str) -> list[FieldError]:
    """All checks of a pod spec."""
    found = volumes.check(spec.get("volumes"), f"{path}.volumes")
    found += containers.check(spec, path)
    if "ephemeralContainers" in spec:
        found += containers.ephemeral(spec, path)
    found += _policies(spec, path)
    found += _host(spec, path)
    found += _names(spec, path)
    found += scheduling.node_selector(spec.get("nodeSelector"), f"{path}.nodeSelector")
    found += scheduling.tolerations(spec.get("tolerations"), f"{path}.tolerations")
    found += scheduling.affinity(spec.get("affinity"), f"{path}.affinity")
    found += scheduling.topology_spread(spec.get("topologySpreadConstraints"), f"{path}.topologySpreadConstraints")
    found += security.pod(spec.get("securityContext"), f"{path}.securityContext", spec)
    found += _times(spec, path)
    found += _host_aliases(spec.get("hostAliases"), f"{path}.hostAliases")
    found += _dns_config(spec, path)
    if spec.get("resourceClaims"):
        found += pod_claims.check(spec["resourceClaims"], f"{path}.resourceClaims")
    if spec.get("overhead") is not None:
        found += compute_resources.check({"limits": spec["overhead"]}, f"{path}.overhead")
    return found if spec.get("resources") is None else found + pod_resources.check(spec, path)


def _policies(spec: Json, path: str) -> list[FieldError]:
    found = fields.one_of(spec.get("restartPolicy"), _RESTART, f"{path}.restartPolicy", needed=True)
    found += fields.one_of(spec.get("dnsPolicy"), _DNS, f"{path}.dnsPolicy", needed=True)
    return found + fields.one_of(spec.get("preemptionPolicy"), _PREEMPTION, f"{path}.preemptionPolicy")


def _host(spec: Json, path: str) -> list[FieldError]:
    """The operating system, and which of the host's namespaces go together."""
    found: list[FieldError] = []
    if spec.get("os") is not None:
        found += operating_system.check(spec, path)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        text = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.append(errors.invalid_value(f"{path}.securityContext.shareProcessNamespace", True, text))
    if spec.get("hostUsers") is False:
        of_host = [name for name in ("hostNetwork", "hostPID", "hostIPC") if spec.get(name)]
        found += [errors.forbidden_field(f"{path}.{name}", "when `hostUsers` is false") for name in of_host]
    return found + windows_options.host_process(spec, path)


def _names(spec: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for name in _SUBDOMAINS:
        if spec.get(name):
            found += fields.satisfies(spec[name], f"{path}.{name}", names.is_dns_subdomain)
    for name in ("hostname", "subdomain"):
        if spec.get(name):
            found += fields.dns_label(spec[name], f"{path}.{name}")
    if spec.get("hostnameOverride") is not None:
        found += _hostname_override(spec, f"{path}.hostnameOverride")
    for gate, at in fields.each(spec.get("readinessGates"), f"{path}.readinessGates"):
        found += fields.qualified_name(gate.get("conditionType") or "", f"{at}.conditionType")
    gates = fields.each(spec.get("schedulingGates"), f"{path}.schedulingGates")
    for gate, at in gates:
        found += fields.qualified_name(gate.get("name") or "", at)
    return found + fields.unique((gate.get("name"), at) for gate, at in gates)


def _hostname_override(spec: Json, path: str) -> list[FieldError]:
    """A name in place of all others, where the pod has one of its own (upstream: validatePodHostName)."""
    found = [
        errors.forbidden_field(path, f"may not be specified when {other} is true")
        for other in ("setHostnameAsFQDN", "hostNetwork")
        if spec.get(other)
    ]
    if len(spec["hostnameOverride"].encode()) > _LONGEST_HOSTNAME:
        found.append(errors.too_long(path, _LONGEST_HOSTNAME))
    return found + fields.satisfies(spec["hostnameOverride"], path, names.is_dns_subdomain)


def _times(spec: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    deadline = spec.get("activeDeadlineSeconds")
    if deadline is not None and not 1 <= deadline <= _MAX_INT32:
        text = f"must be between 1 and {_MAX_INT32}, inclusive"
        found.append(errors.invalid_value(f"{path}.activeDeadlineSeconds", deadline, text))
    return found


def _host_aliases(aliases: list[Json] | None, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for alias, at in fields.each(aliases, path):
        found += fields.ip_address(alias.get("ip") or "", f"{at}.ip")
        for name, name_at in fields.each(alias.get("hostnames"), f"{at}.hostnames"):
            found += fields.satisfies(name, name_at, names.is_dns_subdomain)
    return found


def _dns_config(spec: Json, path: str) -> list[FieldError]:
    config = spec.get("dnsConfig") or {}
    servers = config.get("nameservers")
    found: list[FieldError] = []
    if spec.get("dnsPolicy") == "None" and not servers:
        text = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        at = f"{path}.dnsConfig.nameservers" if config else f"{path}.dnsConfig"
        found.append(errors.required(at, text))
    if len(servers or ()) > 3:
        text = "must not have more than 3 nameservers"
        found.append(errors.invalid_value(f"{path}.dnsConfig.nameservers", servers, text))
    for server, at in fields.each(servers, f"{path}.dnsConfig.nameservers"):
        found += fields.ip_address(server, at)
    for option, at in fields.each(config.get("options"), f"{path}.dnsConfig.options"):
        found += [] if option.get("name") else [errors.required(at, "must not be empty")]
    return found + _searches(config.get("searches") or [], f"{path}.dnsConfig.searches")


def _searches(searches: list[str], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    if len(searches) > _MOST_SEARCHES:
        text = f"must not have more than {_MOST_SEARCHES} search paths"
        found.append(errors.invalid_value(path, searches, text))
    if len(" ".join(searches)) > _LONGEST_SEARCHES:
        text = f"must not have more than {_LONGEST_SEARCHES} characters (including spaces) in the search list"
        found.append(errors.invalid_value(path, searches, text))
    for search, at in fields.each(searches, path):
        if search != ".":
            found += fields.satisfies(search.removesuffix("."), at, names.is_dns_subdomain)
    return found
