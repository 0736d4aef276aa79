"""What `kubectl get services` shows (upstream: printService)."""

from typing import Final

from apiserver.registry.resource import Column
from apiserver.resources.columns import AGE, NONE, joined, labels_text, spec_of, status_of
from machinery.api.codec import Json


def _cluster_ip(service: Json) -> str:
    spec = spec_of(service)
    return str((spec.get("clusterIPs") or [spec.get("clusterIP") or NONE])[0])


def _external_ip(service: Json) -> str:
    spec = spec_of(service)
    external: list[str] = spec.get("externalIPs") or []
    if spec.get("type") == "ExternalName":
        return spec.get("externalName") or ""
    if spec.get("type") == "LoadBalancer":
        ingress = (status_of(service).get("loadBalancer") or {}).get("ingress") or ()
        balancers = [item.get("ip") or item.get("hostname") or "" for item in ingress]
        return joined(balancers + external, empty="<pending>")
    return joined(external)


def _ports(service: Json) -> str:
    return joined(
        f"{port.get('port')}:{port['nodePort']}/{port.get('protocol')}"
        if port.get("nodePort")
        else f"{port.get('port')}/{port.get('protocol')}"
        for port in spec_of(service).get("ports") or ()
    )


COLUMNS: Final = (
    Column("Type", lambda service: spec_of(service).get("type") or ""),
    Column("Cluster-IP", _cluster_ip),
    Column("External-IP", _external_ip),
    Column("Port(s)", _ports),
    AGE,
    Column("Selector", lambda service: labels_text(spec_of(service).get("selector")), priority=1),
)
