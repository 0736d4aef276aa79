"""EndpointSlices (upstream: pkg/registry/discovery/endpointslice, pkg/apis/discovery/validation)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.registry.strategy import Context
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, UNSET, first_of
from apiserver.resources.core.endpoints import endpoint_ip
from apiserver.validation import fields, metadata
from machinery.api import errors, kinds, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_TYPES: Final = ("FQDN", "IPv4", "IPv6")
_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_MAX_ENDPOINTS: Final = 1000
_MAX_PORTS: Final = 20000
_MAX_ADDRESSES: Final = 100


class EndpointSliceStrategy(KindStrategy):
    """A generation that counts changes of endpoints and ports; no status."""

    has_generation = True
    create_on_update = True

    def defaults(self, obj: Json) -> None:
        """Ports are TCP and have a name, be it empty."""
        obj.setdefault("endpoints", [])
        for port in obj.get("ports") or ():
            port.setdefault("name", "")
            port["protocol"] = port.get("protocol") or "TCP"

    def prepare_for_update(self, obj: Json, old: Json, context: Context) -> None:
        """Labels count for the generation too: the mirroring controllers keep state in them."""
        super().prepare_for_update(obj, old, context)
        generation = old["metadata"].get("generation", 1)
        if obj["metadata"]["generation"] == generation and _labels(obj) != _labels(old):
            obj["metadata"]["generation"] = generation + 1

    def check(self, obj: Json) -> list[FieldError]:
        """Address family, endpoints, ports."""
        found = fields.one_of(obj.get("addressType"), _TYPES, "addressType", needed=True)
        endpoints, ports = obj.get("endpoints") or (), obj.get("ports") or ()
        if len(endpoints) > _MAX_ENDPOINTS:
            found.append(errors.too_many("endpoints", len(endpoints), _MAX_ENDPOINTS))
        if len(ports) > _MAX_PORTS:
            found.append(errors.too_many("ports", len(ports), _MAX_PORTS))
        for endpoint, path in fields.each(endpoints, "endpoints"):
            found += _endpoint(endpoint, path, obj.get("addressType") or "")
        found += fields.unique((port.get("name") or "-", f"{path}.name") for port, path in fields.each(ports, "ports"))
        for port, path in fields.each(ports, "ports"):
            found += _port(port, path)
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """The family stays."""
        return fields.immutable(obj.get("addressType"), old.get("addressType"), "addressType")


def _labels(obj: Json) -> Json:
    labels: Json = obj["metadata"].get("labels") or {}
    return labels


def _endpoint(endpoint: Json, path: str, family: str) -> list[FieldError]:
    found: list[FieldError] = []
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        found.append(errors.required(f"{path}.addresses", "must contain at least 1 address"))
    elif len(addresses) > _MAX_ADDRESSES:
        found.append(errors.too_many(f"{path}.addresses", len(addresses), _MAX_ADDRESSES))
    for address, at in fields.each(addresses, f"{path}.addresses"):
        found += _address(address, at, family)
    if endpoint.get("nodeName"):
        found += fields.satisfies(endpoint["nodeName"], f"{path}.nodeName", names.is_dns_subdomain)
    if endpoint.get("hostname"):
        found += fields.dns_label(endpoint["hostname"], f"{path}.hostname")
    return found + metadata.labels(endpoint.get("deprecatedTopology"), f"{path}.deprecatedTopology")


def _address(address: str, path: str, family: str) -> list[FieldError]:
    if family == "FQDN":
        return fields.satisfies(address, path, names.is_dns_subdomain)
    found = endpoint_ip(address, path)
    if not found and (":" in address) != (family == "IPv6"):
        found.append(errors.invalid_value(path, address, f"must be an {family} address"))
    return found


def _port(port: Json, path: str) -> list[FieldError]:
    found = fields.one_of(port.get("protocol"), _PROTOCOLS, f"{path}.protocol", needed=True)
    if port.get("name"):
        found += fields.dns_label(port["name"], f"{path}.name")
    if port.get("appProtocol"):
        found += fields.satisfies(port["appProtocol"], f"{path}.appProtocol", names.is_qualified_name)
    return found


def _ports(obj: Json) -> str:
    return first_of([str(port.get("port") or "*") for port in obj.get("ports") or ()], empty=UNSET)


def _endpoints(obj: Json) -> str:
    listed = [address for endpoint in obj.get("endpoints") or () for address in endpoint.get("addresses") or ()]
    return first_of(listed, empty=UNSET)


ENDPOINT_SLICES: Final = Resource(
    kind=kinds.ENDPOINT_SLICES,
    key="endpointslices",
    strategy=EndpointSliceStrategy(),
    columns=(
        Column("AddressType", lambda obj: obj.get("addressType") or ""),
        Column("Ports", _ports),
        Column("Endpoints", _endpoints),
        AGE,
    ),
)
