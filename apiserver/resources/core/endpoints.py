"""Endpoints (upstream: pkg/registry/core/endpoint, ValidateEndpoints)."""

import ipaddress
from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, first_of
from apiserver.validation import fields
from machinery.api import errors, kinds, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_PROTOCOLS: Final = ("TCP", "UDP", "SCTP")


class EndpointsStrategy(KindStrategy):
    """An update may create, as upstream's controllers rely on."""

    create_on_update = True

    def defaults(self, obj: Json) -> None:
        """Ports are TCP."""
        for subset in obj.get("subsets") or ():
            for port in subset.get("ports") or ():
                port["protocol"] = port.get("protocol") or "TCP"

    def check(self, obj: Json) -> list[FieldError]:
        """Every subset has addresses; addresses and ports are real."""
        found: list[FieldError] = []
        for subset, path in fields.each(obj.get("subsets"), "subsets"):
            if not subset.get("addresses") and not subset.get("notReadyAddresses"):
                found.append(errors.required(path, "must specify `addresses` or `notReadyAddresses`"))
            for member in ("addresses", "notReadyAddresses"):
                for address, at in fields.each(subset.get(member), f"{path}.{member}"):
                    found += endpoint_ip(address.get("ip") or "", f"{at}.ip")
            ports = subset.get("ports") or ()
            for port, at in fields.each(ports, f"{path}.ports"):
                found += _port(port, at, needs_name=len(ports) > 1)
        return found


def endpoint_ip(address: str, path: str) -> list[FieldError]:
    """An address traffic may be sent to (upstream: ValidateEndpointIP)."""
    found = fields.ip_address(address, path)
    if found:
        return found
    ip = ipaddress.ip_address(address)
    rules = (
        (ip.is_unspecified, f"may not be unspecified ({address})"),
        (ip.is_loopback, "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        (ip.is_link_local, "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        (
            ip.is_multicast and (address.startswith("224.0.0.") or address.lower().startswith("ff02:")),
            "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",
        ),
    )
    return [errors.invalid_value(path, address, text) for broken, text in rules if broken]


def _port(port: Json, path: str, *, needs_name: bool) -> list[FieldError]:
    found: list[FieldError] = []
    name = port.get("name") or ""
    if name:
        found += fields.dns_label(name, f"{path}.name")
    elif needs_name:
        found.append(errors.required(f"{path}.name"))
    found += fields.port_number(port.get("port") or 0, f"{path}.port")
    found += fields.one_of(port.get("protocol"), _PROTOCOLS, f"{path}.protocol", needed=True)
    if port.get("appProtocol"):
        found += fields.satisfies(port["appProtocol"], f"{path}.appProtocol", names.is_qualified_name)
    return found


def _endpoints(obj: Json) -> str:
    listed: list[str] = []
    for subset in obj.get("subsets") or ():
        addresses = [address["ip"] for address in subset.get("addresses") or ()]
        ports = subset.get("ports") or ()
        listed += [_joined(ip, port["port"]) for port in ports for ip in addresses] if ports else addresses
    return first_of(listed)


def _joined(ip: str, port: int) -> str:
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


ENDPOINTS: Final = Resource(
    kind=kinds.ENDPOINTS,
    key="services/endpoints",
    strategy=EndpointsStrategy(),
    short_names=("ep",),
    columns=(Column("Endpoints", _endpoints), AGE),
    deprecated="v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
)
