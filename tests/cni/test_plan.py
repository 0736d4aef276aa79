"""What a node's network should be."""

from typing import Any

import pytest

from cni import plan
from cni.plan import Settings
from machinery.api.codec import Json

SETTINGS = Settings("cni0", "/var/lib/cni/networks", "10.244.0.0/16")


def node(name: str, cidr: str = "", ip: str = "", **status: Any) -> Json:
    """A Node as far as the agent looks."""
    addresses = [{"type": "Hostname", "address": name}, *([{"type": "InternalIP", "address": ip}] if ip else [])]
    spec = {"podCIDR": cidr, "podCIDRs": [cidr]} if cidr else {}
    return {"metadata": {"name": name}, "spec": spec, "status": {"addresses": addresses, **status}}


def test_the_configuration_of_the_runtime() -> None:
    found = plan.conflist(["10.244.1.0/24"], SETTINGS)
    bridge, port_map = found["plugins"]
    assert bridge == {
        "type": "bridge",
        "bridge": "cni0",
        "isGateway": True,
        "ipMasq": False,
        "hairpinMode": True,
        "ipam": {
            "type": "host-local",
            "dataDir": "/var/lib/cni/networks",
            "ranges": [[{"subnet": "10.244.1.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        },
    }
    assert port_map["capabilities"] == {"portMappings": True}
    assert plan.conflist(["10.244.1.0/24"], Settings("b", "/d", mtu=1400))["plugins"][0]["mtu"] == 1400


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [
        pytest.param([], {}, id="nobody"),
        pytest.param([node("me", "10.244.1.0/24", "192.0.2.1")], {}, id="only-me"),
        pytest.param([node("a", "10.244.2.0/24", "192.0.2.2")], {"10.244.2.0/24": "192.0.2.2"}, id="another"),
        pytest.param([node("a", "10.244.2.0/24")], {}, id="no-address-yet"),
        pytest.param([node("a", "", "192.0.2.2")], {}, id="no-pod-network-yet"),
        pytest.param([node("a", "fd00::/64", "192.0.2.2")], {}, id="ipv6"),
        pytest.param([node("a", "nonsense", "192.0.2.2")], {}, id="no-network"),
        pytest.param(
            [node("b", "10.244.2.0/24", "192.0.2.3"), node("a", "10.244.2.0/24", "192.0.2.2")],
            {"10.244.2.0/24": "192.0.2.2"},
            id="two-claim-one-network",
        ),
    ],
)
def test_routes(nodes: list[Json], expected: dict[str, str]) -> None:
    assert plan.desired_routes(nodes, "me") == expected


@pytest.mark.parametrize(
    ("desired", "present", "to_set", "to_delete"),
    [
        pytest.param({"x": "1"}, {}, {"x": "1"}, [], id="new"),
        pytest.param({"x": "1"}, {"x": "1"}, {}, [], id="there"),
        pytest.param({"x": "2"}, {"x": "1"}, {"x": "2"}, [], id="moved"),
        pytest.param({}, {"x": "1"}, {}, ["x"], id="gone"),
    ],
)
def test_changes_of_routes(
    desired: dict[str, str], present: dict[str, str], to_set: dict[str, str], to_delete: list[str]
) -> None:
    assert plan.route_changes(desired, present) == (to_set, to_delete)


def test_only_what_leaves_the_cluster_is_masqueraded() -> None:
    assert plan.rules(["10.244.1.0/24"], "10.244.0.0/16") == (
        "*nat\n"
        ":SKIFF-MASQ - [0:0]\n"
        "-A SKIFF-MASQ -s 10.244.1.0/24 -d 224.0.0.0/4 -j RETURN\n"
        "-A SKIFF-MASQ -s 10.244.1.0/24 ! -d 10.244.0.0/16 -j MASQUERADE\n"
        "COMMIT\n"
        "*filter\n"
        ":SKIFF-FORWARD - [0:0]\n"
        "-A SKIFF-FORWARD -s 10.244.1.0/24 -j ACCEPT\n"
        "-A SKIFF-FORWARD -d 10.244.1.0/24 -j ACCEPT\n"
        "COMMIT\n"
    )
    assert "MASQUERADE" not in plan.rules(["10.244.1.0/24"], "")


@pytest.mark.parametrize(
    ("conditions", "writes"),
    [
        pytest.param([], True, id="nothing-said"),
        pytest.param([{"type": "NetworkUnavailable", "status": "True"}], True, id="unavailable"),
        pytest.param([{"type": "NetworkUnavailable", "status": "False", "reason": "x"}], False, id="said-already"),
    ],
)
def test_the_condition_of_the_node(conditions: list[Json], writes: bool) -> None:
    condition = plan.network_condition(node("me", conditions=conditions), "2026-01-01T00:00:00Z")
    assert (condition is not None) is writes
    if condition:
        assert (condition["status"], condition["reason"]) == ("False", "RouteCreated")
