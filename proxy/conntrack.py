"""Forgets UDP flows whose endpoint is gone. The rules themselves are not here.

TCP closes by itself; a UDP client that keeps its port would be sent to a dead pod for as long as it keeps talking, for
the kernel looks at the rules only for a flow's first packet.

Deciding is pure (`stale_flows`); `forget` runs conntrack(8), and says once when it is not installed.
"""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from machinery.aio import process
from proxy.endpoints import Endpoint
from proxy.services import PortName, ServicePort

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, order=True)
class Flow:
    """Flows to an address, or to a port of this node; only those translated to `endpoint` unless it is empty."""

    destination: str
    port: int
    endpoint: str = ""

    def arguments(self) -> list[str]:
        """For `conntrack -D`."""
        to = ["--orig-dst", self.destination] if self.destination else []
        translated = ["--dst-nat", self.endpoint] if self.endpoint else []
        return ["-p", "udp", *to, "--dport", str(self.port), *translated]


Services = Mapping[PortName, ServicePort]
Endpoints = Mapping[PortName, Iterable[Endpoint]]


def stale_flows(before: tuple[Services, Endpoints], after: tuple[Services, Endpoints]) -> list[Flow]:
    """What must be forgotten after the rules changed from one state to the other.

    Flows to endpoints that went away, and, for a service that got its first endpoint, all flows to it: those that
    started before were not translated and would go on not being translated.
    """
    flows: set[Flow] = set()
    for name, service in before[0].items():
        if service.protocol == "udp":
            kept = _addresses(after[1].get(name, ())) if name in after[0] else set()
            for address in _addresses(before[1].get(name, ())) - kept:
                flows.update(_flows_to(service, address))
    for name, service in after[0].items():
        had_none = name not in before[0] or not _addresses(before[1].get(name, ()))
        if service.protocol == "udp" and had_none and _addresses(after[1].get(name, ())):
            flows.update(_flows_to(service, ""))
    return sorted(flows)


def _addresses(endpoints: Iterable[Endpoint]) -> set[str]:
    return {one.address for one in endpoints if one.ready or one.is_last_resort}


def _flows_to(service: ServicePort, endpoint: str) -> list[Flow]:
    addresses = (service.cluster_ip, *service.external_ips, *service.load_balancer_ips)
    flows = [Flow(address, service.port, endpoint) for address in addresses]
    return [*flows, Flow("", service.node_port, endpoint)] if service.node_port else flows


class Conntrack:
    """The connection table of this network namespace."""

    def __init__(self) -> None:
        self._missing = False

    async def forget(self, flows: Iterable[Flow]) -> None:
        """Delete flows; that there were none is success, any other failure is logged."""
        for flow in flows:
            if self._missing:
                return
            await self._delete(flow)

    async def _delete(self, flow: Flow) -> None:
        try:
            await process.run(["conntrack", "-D", *flow.arguments()])
        except process.CommandFailed as problem:
            self._missing = "is not installed" in str(problem)
            if "0 flow entries" not in str(problem):
                logger.warning("%s: UDP clients may go on talking to endpoints that are gone", problem)
