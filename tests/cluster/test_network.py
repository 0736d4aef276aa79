"""Choosing networks that are in nobody's way."""

import pytest

from cluster import network
from cluster.errors import ClusterError
from tests.cluster.clusters import REAL


@pytest.mark.parametrize(
    ("taken", "chosen"),
    [
        pytest.param([], "10.1.0.0/16", id="nothing-routed"),
        pytest.param(["192.0.2.0/24"], "10.1.0.0/16", id="something-else-routed"),
        pytest.param(["10.1.7.0/24"], "10.2.0.0/16", id="part-of-it-routed"),
        pytest.param(["10.1.0.0/16", "10.2.0.1"], "10.3.0.0/16", id="a-host-route-counts"),
    ],
)
def test_the_first_network_that_overlaps_no_route_is_taken(taken: list[str], chosen: str) -> None:
    assert network.pick_free(["10.1.0.0/16", "10.2.0.0/16", "10.3.0.0/16"], taken) == chosen


def test_a_machine_with_no_network_left_is_told_so() -> None:
    with pytest.raises(ClusterError, match="routed somewhere already"):
        network.pick_free(["10.1.0.0/16"], ["10.0.0.0/8"])


def test_the_machine_has_the_first_address_and_nodes_count_from_eleven() -> None:
    assert REAL.host_address == "172.30.99.1"
    assert [network.node_address("172.30.99.0/24", i) for i in (0, 1)] == ["172.30.99.11", "172.30.99.12"]
