"""Pod CIDRs: none twice, none that Services use, none lost."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller_manager.config import Flags
from controller_manager.node_ipam import CIDRPool, PoolExhausted, cidrs_of
from controller_manager.registry import ConfigError, pools_of
from tests.controller_manager.objects import node


def _pool(cluster: str = "10.244.0.0/22", mask: int = 24) -> CIDRPool:
    return CIDRPool(ipaddress.ip_network(cluster), mask)


def test_subnets_are_given_in_order_until_none_is_left() -> None:
    pool = _pool()
    assert [str(pool.allocate()) for _ in range(4)] == [f"10.244.{number}.0/24" for number in range(4)]
    with pytest.raises(PoolExhausted):
        pool.allocate()


def test_a_freed_subnet_is_given_again_only_after_the_others() -> None:
    pool = _pool()
    first = pool.allocate()
    pool.release(first)
    assert [str(pool.allocate()) for _ in range(4)][-1] == str(first)


@pytest.mark.parametrize(
    ("occupied", "inside"),
    [
        pytest.param("10.244.1.0/24", True, id="one"),
        pytest.param("10.244.1.128/25", True, id="half-of-one"),
        pytest.param("10.244.0.0/23", True, id="two"),
        pytest.param("192.168.0.0/24", False, id="outside"),
        pytest.param("fd00::/64", False, id="other-family"),
    ],
)
def test_what_overlaps_an_occupied_cidr_is_not_given(occupied: str, inside: bool) -> None:
    pool, taken = _pool(), ipaddress.ip_network(occupied)
    assert pool.occupy(taken) is inside
    given_out = []
    with pytest.raises(PoolExhausted):
        while True:
            given_out.append(pool.allocate())
    assert not any(taken.version == each.version and each.overlaps(taken) for each in given_out)


@given(st.lists(st.integers(0, 15), max_size=60))
def test_no_subnet_is_given_twice(releases: list[int]) -> None:
    pool = _pool("10.0.0.0/20")
    held: list[str] = []
    for number in releases:
        if number < len(held):
            pool.release(ipaddress.ip_network(held.pop(number)))
        elif len(held) < 16:
            held.append(str(pool.allocate()))
    assert len(held) == len(set(held))


def test_a_nodes_cidrs_are_read_from_either_field() -> None:
    assert [str(cidr) for cidr in cidrs_of(node("n", spec={"podCIDR": "10.0.0.0/24"}))] == ["10.0.0.0/24"]
    assert cidrs_of(node("n", spec={"podCIDR": "nonsense"})) == []
    assert cidrs_of(node("n")) == []


def test_pools_follow_the_flags_and_leave_out_the_services() -> None:
    flags = Flags.model_validate(
        {"cluster_cidr": ["10.0.0.0/16", "fd00::/56"], "service_cluster_ip_range": ["10.0.0.0/24"]}
    )
    assert [str(pool.allocate()) for pool in pools_of(flags)] == ["10.0.1.0/24", "fd00::/64"]


@pytest.mark.parametrize("cidrs", [[], ["nonsense"], ["10.0.0.0/28"], ["10.0.0.0/6"]])
def test_flags_that_make_no_pool_are_refused(cidrs: list[str]) -> None:
    with pytest.raises(ConfigError):
        pools_of(Flags.model_validate({"cluster_cidr": cidrs}))
