"""Rendered rules in a real kernel: connections between namespaces go where the Services say."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from proxy.conntrack import stale_flows
from proxy.endpoints import Endpoint
from proxy.iptables import Iptables
from proxy.rules import RuleConfig, RuleSet, render
from proxy.services import PortName, ServicePort
from tests.integration.proxy.netns import Node, inside, names, run

VIP = "10.212.0.10"
PORT = 8080
CONFIG = RuleConfig(cluster_cidr=Node.cluster_cidr)
WEB = ServicePort(PortName("default", "web", "http"), VIP, "tcp", 80, node_port=30080)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """One node with three pods that serve; each test leaves rules behind that the next one replaces."""
    node = Node("skp")
    node.up()
    try:
        for number in (1, 2, 3):
            node.serve(number, PORT)
            node.serve(number, PORT, "udp")
        yield node
    finally:
        node.down()


class Kernel:
    """What the proxier does with the tables, without its loop."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.iptables = Iptables(inside(node.name))

    async def apply(self, service: ServicePort, *endpoints: Endpoint, config: RuleConfig = CONFIG) -> RuleSet:
        rules = render([service], {service.name: endpoints}, config)
        await self.iptables.apply(rules, await self.iptables.chains("nat"))
        await self.iptables.ensure_jumps(rules.jumps)
        return rules

    def endpoint(self, number: int, **facts: bool) -> Endpoint:
        return Endpoint(self.node.pod_ip(number), PORT, **facts)


@pytest.fixture
def kernel(node: Node) -> Kernel:
    return Kernel(node)


async def test_the_machine_can_hold_the_rules(kernel: Kernel) -> None:
    await kernel.iptables.check()
    assert "iptables v" in await kernel.iptables.version()


async def test_a_cluster_ip_is_balanced_over_all_endpoints_for_pods_the_node_and_neighbours(kernel: Kernel) -> None:
    node = kernel.node
    await kernel.apply(WEB, *(kernel.endpoint(number) for number in (1, 2, 3)))
    for namespace in (node.pod(1), node.name, node.neighbour):
        answers = node.ask(namespace, VIP, 80, 60)
        counts = Counter(answer.split()[0] for answer in answers)
        assert set(counts) == {"p1", "p2", "p3"}, (namespace, counts)
        assert min(counts.values()) >= 8, (namespace, counts)


async def test_only_what_comes_from_outside_the_cluster_or_back_to_itself_is_masqueraded(kernel: Kernel) -> None:
    node = kernel.node
    await kernel.apply(WEB, kernel.endpoint(1))
    assert node.ask(node.pod(2), VIP, 80) == [f"p1 {node.pod_ip(2)}"]
    assert node.ask(node.pod(1), VIP, 80) == ["p1 10.211.1.1"]
    assert node.ask(node.neighbour, VIP, 80) == ["p1 10.211.1.1"]


async def test_a_node_port_answers_on_every_address_of_the_node_and_on_localhost(kernel: Kernel) -> None:
    node = kernel.node
    await kernel.apply(WEB, kernel.endpoint(1), kernel.endpoint(2))
    assert names(node.ask(node.neighbour, node.address, 30080, 20)) == {"p1", "p2"}
    assert names(node.ask(node.name, "127.0.0.1", 30080, 20)) == {"p1", "p2"}
    assert names(node.ask(node.pod(3), "10.211.1.1", 30080, 20)) == {"p1", "p2"}


async def test_node_port_addresses_narrow_a_node_port_down(kernel: Kernel) -> None:
    node = kernel.node
    config = replace(CONFIG, node_port_addresses=(node.address,))
    await kernel.apply(WEB, kernel.endpoint(1), config=config)
    assert names(node.ask(node.neighbour, node.address, 30080)) == {"p1"}
    assert node.ask(node.pod(3), "10.211.1.1", 30080) == ["ConnectionRefusedError"]


async def test_without_endpoints_a_connection_is_refused_at_once(kernel: Kernel) -> None:
    node = kernel.node
    await kernel.apply(WEB)
    for namespace in (node.pod(1), node.name, node.neighbour):
        assert node.ask(namespace, VIP, 80) == ["ConnectionRefusedError"]
    assert node.ask(node.neighbour, node.address, 30080) == ["ConnectionRefusedError"]


async def test_an_endpoint_that_is_not_ready_gets_nothing_unless_only_ending_ones_are_left(kernel: Kernel) -> None:
    node = kernel.node
    ending = kernel.endpoint(2, ready=False, serving=True, terminating=True)
    await kernel.apply(WEB, kernel.endpoint(1), ending)
    assert names(node.ask(node.pod(3), VIP, 80, 20)) == {"p1"}
    await kernel.apply(WEB, kernel.endpoint(1, ready=False, serving=False), ending)
    assert names(node.ask(node.pod(3), VIP, 80, 20)) == {"p2"}


async def test_client_ip_affinity_keeps_a_client_at_one_endpoint(kernel: Kernel) -> None:
    node = kernel.node
    sticky = replace(WEB, name=PortName("default", "sticky", ""), affinity_seconds=60)
    await kernel.apply(sticky, *(kernel.endpoint(number) for number in (1, 2, 3)))
    assert len(names(node.ask(node.neighbour, VIP, 80, 20))) == 1


async def test_external_policy_local_keeps_the_client_address_and_drops_where_there_is_no_pod(kernel: Kernel) -> None:
    node = kernel.node
    local = replace(WEB, external_local=True)
    await kernel.apply(local, kernel.endpoint(1, local=True), kernel.endpoint(2))
    assert set(node.ask(node.neighbour, node.address, 30080, 10)) == {f"p1 {node.neighbour_address}"}
    assert names(node.ask(node.name, node.address, 30080, 20)) == {"p1", "p2"}
    await kernel.apply(local, kernel.endpoint(1), kernel.endpoint(2))
    assert node.ask(node.neighbour, node.address, 30080) == ["TimeoutError"]
    assert names(node.ask(node.neighbour, VIP, 80, 20)) == {"p1", "p2"}


async def test_internal_policy_local_uses_only_the_pods_of_the_node(kernel: Kernel) -> None:
    node = kernel.node
    local = replace(WEB, internal_local=True)
    await kernel.apply(local, kernel.endpoint(1, local=True), kernel.endpoint(2))
    assert names(node.ask(node.pod(3), VIP, 80, 20)) == {"p1"}
    await kernel.apply(local, kernel.endpoint(2))
    assert node.ask(node.pod(3), VIP, 80) == ["TimeoutError"]


async def test_a_load_balancer_lets_only_its_source_ranges_in(kernel: Kernel) -> None:
    node = kernel.node
    balanced = replace(WEB, load_balancer_ips=("10.212.0.200",), source_ranges=(f"{node.neighbour_address}/32",))
    await kernel.apply(balanced, kernel.endpoint(1))
    assert names(node.ask(node.neighbour, "10.212.0.200", 80)) == {"p1"}
    await kernel.apply(replace(balanced, source_ranges=("192.0.2.0/24",)), kernel.endpoint(1))
    assert node.ask(node.neighbour, "10.212.0.200", 80) == ["TimeoutError"]


async def test_a_udp_client_that_keeps_its_port_is_moved_when_its_endpoint_goes(kernel: Kernel) -> None:
    node = kernel.node
    dns = ServicePort(PortName("default", "dns", ""), VIP, "udp", 53)
    await kernel.apply(dns, kernel.endpoint(1))
    assert names(node.ask(node.neighbour, VIP, 53, 2, "udp")) == {"p1"}
    await kernel.apply(dns, kernel.endpoint(2))
    before, after = (
        ({dns.name: dns}, {dns.name: [kernel.endpoint(1)]}),
        ({dns.name: dns}, {dns.name: [kernel.endpoint(2)]}),
    )
    for flow in stale_flows(before, after):
        run(*inside(node.name), "conntrack", "-D", *flow.arguments())
    assert names(node.ask(node.neighbour, VIP, 53, 2, "udp")) == {"p2"}


async def test_chains_of_what_is_gone_are_deleted_and_clean_up_leaves_nothing(kernel: Kernel) -> None:
    await kernel.apply(WEB, kernel.endpoint(1), kernel.endpoint(2))
    await kernel.apply(WEB, kernel.endpoint(2))
    saved = kernel.node.saved_rules()
    assert kernel.node.pod_ip(1) not in saved
    assert saved.count(":KUBE-SEP-") == 1
    await kernel.iptables.clean_up()
    assert "KUBE" not in kernel.node.saved_rules()
    await kernel.iptables.clean_up()
