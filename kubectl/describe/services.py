"""Services, Endpoints and EndpointSlices described."""

from collections.abc import Iterator, Sequence
from typing import Final

from kubectl.describe.surroundings import Describer, Need, Surroundings
from kubectl.describe.text import NONE, UNSET, events, head, joined_labels, lower
from machinery.api import kinds, meta
from machinery.api.codec import Json

_SHOWN_ENDPOINTS: Final = 3


def needs(service: Json) -> Sequence[Need]:
    """Its EndpointSlices."""
    owner = f"kubernetes.io/service-name={meta.name_of(service)}"
    return (Need("slices", kinds.ENDPOINT_SLICES, meta.namespace_of(service), label_selector=owner),)


def service(found: Surroundings) -> Iterator[str]:
    """With its ports and where they lead."""
    obj = found.object
    spec = obj.get("spec") or {}
    yield from head(obj)
    yield f"Selector:\t{joined_labels(spec.get('selector'))}"
    yield f"Type:\t{spec.get('type', '')}"
    if spec.get("ipFamilyPolicy"):
        yield f"IP Family Policy:\t{spec['ipFamilyPolicy']}"
    yield f"IP Families:\t{','.join(spec.get('ipFamilies') or ()) or NONE}"
    yield f"IP:\t{spec.get('clusterIP', '')}"
    yield f"IPs:\t{','.join(spec.get('clusterIPs') or ()) or NONE}"
    yield from _outside(spec, obj.get("status") or {})
    for port in spec.get("ports") or ():
        yield from _port(port, found.related.get("slices") or [])
    yield f"Session Affinity:\t{spec.get('sessionAffinity', '')}"
    yield from _policies(spec)
    yield from events(found.events, found.now)


def _outside(spec: Json, status: Json) -> Iterator[str]:
    if spec.get("externalIPs"):
        yield f"External IPs:\t{','.join(spec['externalIPs'])}"
    if spec.get("loadBalancerIP"):
        yield f"Desired LoadBalancer IP:\t{spec['loadBalancerIP']}"
    if spec.get("externalName"):
        yield f"External Name:\t{spec['externalName']}"
    if ingress := (status.get("loadBalancer") or {}).get("ingress"):
        modes = [f" ({one['ipMode']})" if one.get("ipMode") else "" for one in ingress]
        shown = [
            one["ip"] + mode if one.get("ip") else one.get("hostname", "")
            for one, mode in zip(ingress, modes, strict=True)
        ]
        yield f"LoadBalancer Ingress:\t{', '.join(shown)}"


def _port(port: Json, slices: list[Json]) -> Iterator[str]:
    name, protocol = port.get("name") or UNSET, port.get("protocol", "")
    yield f"Port:\t{name}\t{port.get('port', 0)}/{protocol}"
    yield f"TargetPort:\t{port.get('targetPort', 0)}/{protocol}"
    if port.get("appProtocol"):
        yield f"AppProtocol:\t{port['appProtocol']}"
    if port.get("nodePort"):
        yield f"NodePort:\t{name}\t{port['nodePort']}/{protocol}"
    yield f"Endpoints:\t{endpoints_text(slices, port.get('name') or '')}"


def _policies(spec: Json) -> Iterator[str]:
    for title, field in (
        ("External Traffic Policy", "externalTrafficPolicy"),
        ("Internal Traffic Policy", "internalTrafficPolicy"),
        ("HealthCheck NodePort", "healthCheckNodePort"),
    ):
        if spec.get(field):
            yield f"{title}:\t{spec[field]}"
    if spec.get("loadBalancerSourceRanges"):
        yield f"LoadBalancer Source Ranges:\t{','.join(spec['loadBalancerSourceRanges'])}"
    if spec.get("trafficDistribution"):
        yield f"Traffic Distribution:\t{spec['trafficDistribution']}"


def endpoints_text(slices: Sequence[Json], port_name: str) -> str:
    """The first ready addresses behind a port, and how many more there are."""
    if not slices:
        return NONE
    found = [address for one in slices for address in _ready(one, port_name)]
    shown = ",".join(found[:_SHOWN_ENDPOINTS])
    return f"{shown} + {len(found) - _SHOWN_ENDPOINTS} more..." if len(found) > _SHOWN_ENDPOINTS else shown


def _ready(one: Json, port_name: str) -> Iterator[str]:
    ready = [end for end in one.get("endpoints") or () if (end.get("conditions") or {}).get("ready") is not False]
    if not one.get("ports"):
        yield from (end["addresses"][0] for end in ready)
    for port in one.get("ports") or ():
        if (port.get("name") or "") == port_name:
            yield from (_joined(end["addresses"][0], port.get("port")) for end in ready)


def _joined(address: str, port: int | None) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def endpoints(found: Surroundings) -> Iterator[str]:
    """Subset by subset."""
    yield from head(found.object)
    yield "Subsets:"
    for subset in found.object.get("subsets") or ():
        for title, field in (("Addresses", "addresses"), ("NotReadyAddresses", "notReadyAddresses")):
            yield f"  {title}:\t{','.join(one['ip'] for one in subset.get(field) or ()) or NONE}"
        if subset.get("ports"):
            yield from ("  Ports:", "    Name\tPort\tProtocol", "    ----\t----\t--------")
        for port in subset.get("ports") or ():
            yield f"    {port.get('name') or UNSET}\t{port.get('port')}\t{port.get('protocol', '')}"
        yield ""
    yield from events(found.events, found.now)


def endpoint_slice(found: Surroundings) -> Iterator[str]:
    """Endpoint by endpoint."""
    obj = found.object
    yield from head(obj)
    yield f"AddressType:\t{obj.get('addressType', '')}"
    ports = obj.get("ports") or []
    if not ports:
        yield f"Ports: {UNSET}"
    else:
        yield from ("Ports:", "  Name\tPort\tProtocol", "  ----\t----\t--------")
    for port in ports:
        number = port.get("port") if port.get("port") is not None else UNSET
        yield f"  {port.get('name') or UNSET}\t{number}\t{port.get('protocol', '')}"
    ends = obj.get("endpoints") or []
    yield "Endpoints:" if ends else f"Endpoints: {NONE}"
    for end in ends:
        yield from _endpoint(end)
    yield from events(found.events, found.now)


def _endpoint(end: Json) -> Iterator[str]:
    ready = (end.get("conditions") or {}).get("ready")
    yield f"  - Addresses:\t{', '.join(end.get('addresses') or ()) or NONE}"
    yield "    Conditions:"
    yield f"      Ready:\t{UNSET if ready is None else lower(ready)}"
    yield f"    Hostname:\t{end.get('hostname') or UNSET}"
    if target := end.get("targetRef"):
        yield f"    TargetRef:\t{target.get('kind')}/{target.get('name')}"
    yield f"    NodeName:\t{end.get('nodeName') or UNSET}"
    yield f"    Zone:\t{end.get('zone') or UNSET}"


SERVICE = Describer(service, needs)
ENDPOINTS = Describer(endpoints)
ENDPOINT_SLICE = Describer(endpoint_slice)
