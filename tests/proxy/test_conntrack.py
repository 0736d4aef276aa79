"""Which UDP flows must be forgotten."""

import pytest

from proxy.conntrack import Endpoints, Flow, Services, stale_flows
from proxy.endpoints import Endpoint
from proxy.services import PortName, ServicePort

State = tuple[Services, Endpoints]
NAME = PortName("default", "dns", "")
DNS = {NAME: ServicePort(NAME, "10.96.0.10", "udp", 53, node_port=30053)}
WEB = {NAME: ServicePort(NAME, "10.96.0.10", "tcp", 80)}
ONE = {NAME: [Endpoint("10.1.0.1", 53)]}
TWO = {NAME: [Endpoint("10.1.0.2", 53)]}
SICK = {NAME: [Endpoint("10.1.0.1", 53, ready=False, serving=False)]}


def flows(endpoint: str) -> list[Flow]:
    """All flows to the service."""
    return [Flow("", 30053, endpoint), Flow("10.96.0.10", 53, endpoint)]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param((DNS, ONE), (DNS, ONE), [], id="nothing-changed"),
        pytest.param((DNS, ONE), (DNS, TWO), flows("10.1.0.1"), id="replaced"),
        pytest.param((DNS, ONE), (DNS, SICK), flows("10.1.0.1"), id="not-ready-any-more"),
        pytest.param((DNS, ONE), ({}, {}), flows("10.1.0.1"), id="service-gone"),
        pytest.param((DNS, {}), (DNS, ONE), flows(""), id="first-endpoint"),
        pytest.param(({}, {}), (DNS, ONE), flows(""), id="new-service"),
        pytest.param((WEB, ONE), (WEB, TWO), [], id="tcp"),
    ],
)
def test_stale_flows(
    before: tuple[Services, Endpoints], after: tuple[Services, Endpoints], expected: list[Flow]
) -> None:
    assert stale_flows(before, after) == expected


def test_the_words_for_conntrack() -> None:
    assert Flow("10.96.0.10", 53, "10.1.0.1").arguments() == [
        *("-p", "udp", "--orig-dst", "10.96.0.10", "--dport", "53", "--dst-nat", "10.1.0.1")
    ]
    assert Flow("", 30053).arguments() == ["-p", "udp", "--dport", "30053"]
