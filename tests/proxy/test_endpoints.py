"""EndpointSlices, and which endpoints traffic may use."""

import pytest

from machinery.api.codec import Json
from proxy.endpoints import Choice, Endpoint, choose, endpoints_of, merge
from proxy.services import PortName, ServicePort

NAME = PortName("default", "web", "http")
READY = Endpoint("10.1.0.1", 80)
READY_HERE = Endpoint("10.1.0.2", 80, local=True)
ENDING = Endpoint("10.1.0.3", 80, ready=False, serving=True, terminating=True)
ENDING_HERE = Endpoint("10.1.0.4", 80, ready=False, serving=True, terminating=True, local=True)
SICK = Endpoint("10.1.0.5", 80, ready=False, serving=False)


def endpoint_slice(*endpoints: Json, ports: list[Json] | None = None, address_type: str = "IPv4") -> Json:
    """A slice of default/web."""
    return {
        "metadata": {"namespace": "default", "name": "web-x", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": address_type,
        "ports": [{"name": "http", "port": 80}] if ports is None else ports,
        "endpoints": list(endpoints),
    }


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        pytest.param({"addresses": ["10.1.0.1"]}, READY, id="no-conditions"),
        pytest.param({"addresses": ["10.1.0.1", "10.9.9.9"]}, READY, id="only-the-first-address-counts"),
        pytest.param({"addresses": ["10.1.0.2"], "nodeName": "here"}, READY_HERE, id="local"),
        pytest.param({"addresses": ["10.1.0.5"], "conditions": {"ready": False}}, SICK, id="not-ready"),
        pytest.param(
            {"addresses": ["10.1.0.3"], "conditions": {"ready": False, "serving": True, "terminating": True}},
            ENDING,
            id="ending",
        ),
    ],
)
def test_an_endpoint_of_a_slice(endpoint: Json, expected: Endpoint) -> None:
    assert endpoints_of(endpoint_slice(endpoint), "here") == {NAME: [expected]}


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(endpoint_slice({"addresses": ["fd00::1"]}, address_type="IPv6"), id="ipv6"),
        pytest.param(endpoint_slice({"addresses": ["10.1.0.1"]}, ports=[]), id="no-ports"),
        pytest.param(endpoint_slice({"addresses": ["10.1.0.1"]}, ports=[{"name": "http"}]), id="all-ports"),
        pytest.param({"metadata": {"namespace": "default", "name": "x"}, "addressType": "IPv4"}, id="no-service"),
    ],
)
def test_a_slice_the_proxy_has_no_use_for(given: Json) -> None:
    assert endpoints_of(given, "here") == {}


def test_what_is_no_address_is_left_out() -> None:
    given = endpoint_slice({"addresses": []}, {"addresses": ["example.com"]}, {"addresses": ["10.1.0.1"]})
    assert endpoints_of(given, "here") == {NAME: [READY]}


def test_an_endpoint_in_two_slices_counts_once_and_as_ready() -> None:
    sick_twin = Endpoint(READY.address, READY.port, ready=False, serving=False)
    assert merge([{NAME: [sick_twin, ENDING]}, {NAME: [READY]}]) == {NAME: (READY, ENDING)}
    assert merge([{NAME: [READY]}, {NAME: [sick_twin]}]) == {NAME: (READY,)}


CLUSTER = ServicePort(NAME, "10.96.0.1", "tcp", 80)
INTERNAL_LOCAL = ServicePort(NAME, "10.96.0.1", "tcp", 80, internal_local=True)
EXTERNAL_LOCAL = ServicePort(NAME, "10.96.0.1", "tcp", 80, node_port=30000, external_local=True)


@pytest.mark.parametrize(
    ("service", "endpoints", "expected"),
    [
        pytest.param(CLUSTER, (), Choice((), (), False), id="none"),
        pytest.param(CLUSTER, (READY, ENDING, SICK), Choice((READY,), (), True), id="ready-ones"),
        pytest.param(CLUSTER, (ENDING, SICK), Choice((ENDING,), (), True), id="ending-ones-as-a-last-resort"),
        pytest.param(CLUSTER, (SICK,), Choice((), (), False), id="sick-ones-never"),
        pytest.param(INTERNAL_LOCAL, (READY, READY_HERE), Choice((), (READY_HERE,), True), id="internal-local"),
        pytest.param(INTERNAL_LOCAL, (READY, ENDING_HERE), Choice((), (ENDING_HERE,), True), id="ending-here"),
        pytest.param(INTERNAL_LOCAL, (READY,), Choice((), (), True), id="internal-local-elsewhere"),
        pytest.param(
            EXTERNAL_LOCAL, (READY, READY_HERE), Choice((READY, READY_HERE), (READY_HERE,), True), id="external-local"
        ),
    ],
)
def test_the_endpoints_traffic_may_use(service: ServicePort, endpoints: tuple[Endpoint, ...], expected: Choice) -> None:
    assert choose(service, endpoints) == expected


def test_an_endpoint_for_both_kinds_of_traffic_is_reachable_once() -> None:
    assert choose(EXTERNAL_LOCAL, (READY, READY_HERE)).reachable == (READY, READY_HERE)
