"""The rendered rules, against golden files; UPDATE_GOLDEN=1 rewrites them, to be read in the diff."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.endpoints import Endpoint
from proxy.rules import JUMPS, RuleConfig, chain_hash, render
from proxy.services import PortName, ServicePort

GOLDEN = Path(__file__).with_name("golden")
CONFIG = RuleConfig(cluster_cidr="10.244.0.0/16", node_ip="192.0.2.7")
PLAIN = ServicePort(PortName("default", "web", "http"), "10.96.0.10", "tcp", 80)
ONE = Endpoint("10.244.1.2", 8080)
TWO = Endpoint("10.244.2.2", 8080)
TWO_HERE = replace(TWO, local=True)

Case = tuple[tuple[ServicePort, ...], dict[PortName, tuple[Endpoint, ...]], RuleConfig]
CASES: dict[str, Case] = {
    "no-services": ((), {}, CONFIG),
    "cluster-ip": ((PLAIN,), {PLAIN.name: (ONE, TWO, Endpoint("10.244.2.3", 8080))}, CONFIG),
    "no-endpoints": ((replace(PLAIN, node_port=30080),), {}, CONFIG),
    "node-port": ((replace(PLAIN, node_port=30080),), {PLAIN.name: (ONE,)}, CONFIG),
    "udp-with-affinity": (
        (replace(PLAIN, protocol="udp", port=53, affinity_seconds=10800),),
        {PLAIN.name: (ONE, TWO)},
        CONFIG,
    ),
    "external-local": (
        (replace(PLAIN, node_port=30080, external_ips=("192.0.2.100",), external_local=True),),
        {PLAIN.name: (ONE, TWO_HERE)},
        CONFIG,
    ),
    "external-local-elsewhere": (
        (replace(PLAIN, node_port=30080, external_local=True),),
        {PLAIN.name: (ONE,)},
        CONFIG,
    ),
    "internal-local-elsewhere": ((replace(PLAIN, internal_local=True),), {PLAIN.name: (ONE,)}, CONFIG),
    "load-balancer": (
        (
            replace(
                PLAIN,
                node_port=30080,
                load_balancer_ips=("198.51.100.1",),
                source_ranges=("192.0.2.0/24", "203.0.113.0/24"),
                health_check_port=31000,
            ),
        ),
        {PLAIN.name: (ONE,)},
        CONFIG,
    ),
    "other-settings": (
        (replace(PLAIN, node_port=30080),),
        {PLAIN.name: (ONE,)},
        RuleConfig(
            masquerade_all=True,
            masquerade_bit=15,
            random_fully=False,
            localhost_node_ports=False,
            node_port_addresses=("127.0.0.1", "192.0.2.7"),
            tcp_be_liberal=True,
        ),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_rules(name: str) -> None:
    text = render(*CASES[name]).text()
    golden = GOLDEN / f"{name}.rules"
    if os.environ.get("UPDATE_GOLDEN"):
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


def test_chains_have_the_names_upstream_gives_them() -> None:
    assert chain_hash("ns1/svc1:p80", "tcp") == "XPGD46QRK7WJZT7O"
    assert chain_hash("ns1/svc1:p80", "tcp", "10.180.0.1:80") == "SXIVWICOYRO3J4NJ"


def test_the_order_of_services_does_not_matter() -> None:
    other = replace(PLAIN, name=PortName("a", "first", ""), cluster_ip="10.96.0.9")
    endpoints = {PLAIN.name: (ONE,), other.name: (TWO,)}
    assert render([PLAIN, other], endpoints, CONFIG).text() == render([other, PLAIN], endpoints, CONFIG).text()


def test_shares_are_equal() -> None:
    endpoints = tuple(Endpoint(f"10.244.1.{number}", 80) for number in range(1, 5))
    text = render([PLAIN], {PLAIN.name: endpoints}, CONFIG).text()
    left, shares = 1.0, []
    for line in text.splitlines():
        if line.startswith("-A KUBE-SVC") and "-j KUBE-SEP" in line:
            probability = float(line.split("--probability ")[1].split()[0]) if "--probability" in line else 1.0
            shares.append(left * probability)
            left *= 1 - probability
    assert shares == pytest.approx([0.25] * 4)


def test_only_service_chains_that_are_not_used_any_more_are_deleted() -> None:
    rules = render([PLAIN], {PLAIN.name: (ONE,)}, CONFIG)
    kept = next(chain for chain in rules.nat_chains if chain.startswith("KUBE-SVC-"))
    text = rules.text(stale=["KUBE-SEP-GONE", "KUBE-SERVICES", "DOCKER", kept])
    assert [line for line in text.splitlines() if line.startswith("-X")] == ["-X KUBE-SEP-GONE"]
    assert ":KUBE-SEP-GONE - [0:0]" in text


def test_a_chain_is_declared_for_every_rule_and_jump_target() -> None:
    for services, endpoints, config in CASES.values():
        rules = render(services, endpoints, config)
        for chains, lines in ((rules.nat_chains, rules.nat_rules), (rules.filter_chains, rules.filter_rules)):
            used = {line.split()[1] for line in lines} | {
                line.split(" -j ")[1].split()[0] for line in lines if " -j KUBE" in line
            }
            assert used <= set(chains)
            assert len(chains) == len(set(chains))


def test_jumps_come_from_the_kernels_own_chains() -> None:
    assert {jump.source for jump in JUMPS} == {"INPUT", "FORWARD", "OUTPUT", "PREROUTING", "POSTROUTING"}
