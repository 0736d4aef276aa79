"""Semantic checks of a Service (upstream: ValidateService, ValidateServiceUpdate in pkg/apis/core/validation)."""

from typing import Any, Final

from apiserver.resources.core.services.defaults import is_externally_accessible
from apiserver.resources.core.services.fields import HEADLESS, is_headless, needs_cluster_ip
from apiserver.validation import fields, metadata
from machinery.api import errors, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_TYPES: Final = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_AFFINITIES: Final = ("ClientIP", "None")
_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_POLICIES: Final = ("Cluster", "Local")
_FAMILIES: Final = ("IPv4", "IPv6")
_FAMILY_POLICIES: Final = ("SingleStack", "PreferDualStack", "RequireDualStack")
_DISTRIBUTIONS: Final = ("PreferClose", "PreferSameNode", "PreferSameZone")
#: fields of load balancers, and what upstream calls them in errors
_OF_BALANCERS: Final = (
    ("loadBalancerSourceRanges", "LoadBalancerSourceRanges"),
    ("allocateLoadBalancerNodePorts", "allocateLoadBalancerNodePorts"),
    ("loadBalancerClass", "loadBalancerClass"),
)
_BALANCERS_TEXT: Final = "may only be used when `type` is 'LoadBalancer'"
_RANGES: Final = "must be a list of IP ranges. For example, 10.240.0.0/24,10.250.0.0/24"
_DAY: Final = 86400  # seconds


def check(service: Json) -> list[FieldError]:
    """What must hold for every Service."""
    spec: Json = service.get("spec") or {}
    found = fields.one_of(spec.get("type"), _TYPES, "spec.type", needed=True)
    found += _by_type(spec)
    if not spec.get("ports") and not is_headless(spec) and spec.get("type") != "ExternalName":
        found.append(errors.required("spec.ports"))
    found += _ports(spec)
    found += metadata.labels(spec.get("selector"), "spec.selector")
    found += _affinity(spec)
    found += _addresses(spec)
    return found + _policies(spec)


def _by_type(spec: Json) -> list[FieldError]:
    kind = spec.get("type")
    if kind in ("LoadBalancer", "NodePort") and is_headless(spec):
        text = f"may not be set to 'None' for {kind} services"
        return [errors.invalid_value("spec.clusterIPs[0]", HEADLESS, text)]
    if kind != "ExternalName":
        return []
    found: list[FieldError] = []
    if spec.get("clusterIPs"):
        found.append(errors.forbidden_field("spec.clusterIPs", "may not be set for ExternalName services"))
    name = (spec.get("externalName") or "").removesuffix(".")
    if not name:
        return [*found, errors.required("spec.externalName")]
    return found + fields.satisfies(name, "spec.externalName", names.is_dns_subdomain)


def _ports(spec: Json) -> list[FieldError]:
    ports = fields.each(spec.get("ports"), "spec.ports")
    several = len(spec.get("ports") or ()) > 1
    found = [error for port, path in ports for error in _port(port, path, spec, needs_name=several)]
    found += fields.unique((port.get("name"), f"{path}.name") for port, path in ports)
    found += _unique_pairs([(port, path) for port, path in ports], "port", "Port", "")
    return found + _unique_pairs([(port, path) for port, path in ports], "nodePort", "NodePort", ".nodePort")


def _port(port: Json, path: str, spec: Json, *, needs_name: bool) -> list[FieldError]:
    found: list[FieldError] = []
    name = port.get("name") or ""
    if name:
        found += fields.dns_label(name, f"{path}.name")
    elif needs_name:
        found.append(errors.required(f"{path}.name"))
    found += fields.port_number(port.get("port") or 0, f"{path}.port")
    found += fields.one_of(port.get("protocol"), _PROTOCOLS, f"{path}.protocol", needed=True)
    found += fields.port_number_or_name(port.get("targetPort", 0), f"{path}.targetPort")
    if port.get("appProtocol"):
        found += fields.satisfies(port["appProtocol"], f"{path}.appProtocol", names.is_qualified_name)
    if port.get("nodePort") and spec.get("type") in ("ClusterIP", "ExternalName"):
        text = f"may not be used when `type` is '{spec['type']}'"
        found.append(errors.forbidden_field(f"{path}.nodePort", text))
    return found


def _unique_pairs(ports: list[tuple[Json, str]], field: str, shown: str, suffix: str) -> list[FieldError]:
    """A port, and a node port, may occur once per protocol."""
    seen: set[tuple[Any, Any]] = set()
    found: list[FieldError] = []
    for port, path in ports:
        pair = (port.get("protocol"), port.get(field))
        if port.get(field) and pair in seen:
            value = {"Name": "", "Protocol": pair[0], "AppProtocol": None, "Port": 0, "TargetPort": 0, "NodePort": 0}
            found.append(errors.duplicate(f"{path}{suffix}", value | {shown: port[field]}))
        seen.add(pair)
    return found


def _affinity(spec: Json) -> list[FieldError]:
    found = fields.one_of(spec.get("sessionAffinity"), _AFFINITIES, "spec.sessionAffinity", needed=True)
    config = spec.get("sessionAffinityConfig")
    if spec.get("sessionAffinity") == "None" and config is not None:
        text = f"must not be set when session affinity is {spec['sessionAffinity']}"
        found.append(errors.forbidden_field("spec.sessionAffinityConfig", text))
    if spec.get("sessionAffinity") == "ClientIP":
        seconds = ((config or {}).get("clientIP") or {}).get("timeoutSeconds") or 0
        if not 0 < seconds <= _DAY:
            path = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
            text = f"must be greater than 0 and less than or equal to {_DAY}"
            found.append(errors.invalid_value(path, seconds, text))
    return found


def _addresses(spec: Json) -> list[FieldError]:
    found: list[FieldError] = []
    for address, path in fields.each(spec.get("clusterIPs"), "spec.clusterIPs"):
        if address != HEADLESS:
            found += fields.ip_address(address, path)
        elif len(spec["clusterIPs"]) > 1:
            text = "'None' must be the first and only value"
            found.append(errors.invalid_value(path, spec["clusterIPs"], text))
    if spec.get("clusterIPs") and spec["clusterIPs"][0] != (spec.get("clusterIP") or ""):
        text = "first value must match `clusterIP`"
        found.append(errors.invalid_value("spec.clusterIPs", spec["clusterIPs"], text))
    for address, path in fields.each(spec.get("externalIPs"), "spec.externalIPs"):
        found += fields.ip_address(address, path)
    for family, path in fields.each(spec.get("ipFamilies"), "spec.ipFamilies"):
        found += fields.one_of(family, _FAMILIES, path)
    found += fields.unique(fields.each(spec.get("ipFamilies"), "spec.ipFamilies"))
    return found + fields.one_of(spec.get("ipFamilyPolicy"), _FAMILY_POLICIES, "spec.ipFamilyPolicy")


def _policies(spec: Json) -> list[FieldError]:
    external = spec.get("externalTrafficPolicy")
    found = fields.one_of(external, _POLICIES, "spec.externalTrafficPolicy")
    if external and not is_externally_accessible(spec):
        text = "may only be set for externally-accessible services"
        found.append(errors.invalid_value("spec.externalTrafficPolicy", external, text))
    found += fields.one_of(spec.get("internalTrafficPolicy"), _POLICIES, "spec.internalTrafficPolicy")
    found += fields.one_of(spec.get("trafficDistribution"), _DISTRIBUTIONS, "spec.trafficDistribution")
    if spec.get("type") != "LoadBalancer":
        given = [(name, path) for name, path in _OF_BALANCERS if spec.get(name) not in (None, [])]
        found += [errors.forbidden_field(f"spec.{path}", _BALANCERS_TEXT) for _, path in given]
    elif spec.get("loadBalancerClass"):
        found += fields.satisfies(spec["loadBalancerClass"], "spec.loadBalancerClass", names.is_qualified_name)
    ranges = spec.get("loadBalancerSourceRanges") or []
    if any(fields.cidr(one.strip(), "") for one in ranges):
        found.append(errors.invalid_value("spec.LoadBalancerSourceRanges", ranges, _RANGES))
    return found + _health_check(spec, external)


def _health_check(spec: Json, external: str | None) -> list[FieldError]:
    port = spec.get("healthCheckNodePort")
    if not port or (spec.get("type") == "LoadBalancer" and external == "Local"):
        return []
    text = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
    return [errors.invalid_value("spec.healthCheckNodePort", port, text)]


def check_update(service: Json, old: Json) -> list[FieldError]:
    """A cluster IP stays for as long as the type needs one (upstream: upgradeDowngradeClusterIPsErrs)."""
    spec, old_spec = service.get("spec") or {}, old.get("spec") or {}
    before, after = old_spec.get("clusterIPs") or [], spec.get("clusterIPs") or []
    if not needs_cluster_ip(old_spec) or not needs_cluster_ip(spec) or not before:
        return []
    if not after:
        return [errors.invalid_value("spec.clusterIPs[0]", after, "primary clusterIP can not be unset")]
    if before[0] != after[0]:
        return [errors.invalid_value("spec.clusterIPs[0]", after, "may not change once set")]
    return []
