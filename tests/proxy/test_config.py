"""The proxy's flags and its configuration file."""

from pathlib import Path

import pytest

from proxy import config, network
from proxy.__main__ import sysctls
from proxy.config import ConfigError, Flags
from proxy.iptables import chains_in, has_random_fully, is_ours, removal

FILE = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: /k}
clusterCIDR: 10.244.0.0/16
hostnameOverride: from-file
iptables: {syncPeriod: 10s, minSyncPeriod: null, masqueradeAll: true}
mode: ""
"""


def test_a_file_wins_over_flags_except_for_the_name_of_the_node(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(FILE)
    flags = Flags(config=str(path), hostname_override="mine", cluster_cidr="10.0.0.0/8", iptables_min_sync_period="3s")
    found = config.complete(flags)
    assert (found.kubeconfig, found.cluster_cidr, found.hostname_override) == ("/k", "10.244.0.0/16", "mine")
    assert (found.iptables_sync_period, found.iptables_min_sync_period, found.masquerade_all) == ("10s", "3s", True)
    assert config.complete(Flags(config=str(path))).hostname_override == "from-file"


def test_other_modes_are_refused() -> None:
    with pytest.raises(ConfigError, match="only iptables"):
        config.complete(Flags(proxy_mode="ipvs"))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        pytest.param("0.0.0.0:10256", ("0.0.0.0", 10256), id="usual"),
        pytest.param("[::1]:80", ("::1", 80), id="ipv6"),
        pytest.param("", None, id="none"),
        pytest.param("0.0.0.0:0", None, id="port-zero"),
    ],
)
def test_addresses(address: str, expected: tuple[str, int] | None) -> None:
    assert config.endpoint(address) == expected


def test_an_address_without_a_port_is_an_error() -> None:
    with pytest.raises(ConfigError):
        config.endpoint("localhost")


def test_sysctls() -> None:
    flags = Flags(conntrack_max_per_core=1, conntrack_min=1000, conntrack_tcp_timeout_close_wait="0")
    assert sysctls(flags) == {
        "net/netfilter/nf_conntrack_max": 1000,
        "net/netfilter/nf_conntrack_tcp_timeout_established": 86400,
        "net/ipv4/conf/all/route_localnet": 1,
    }


def test_addresses_within_networks() -> None:
    assert network.within(["127.0.0.1", "192.0.2.7", "10.0.0.1"], ["192.0.2.0/24", "127.0.0.0/8"]) == (
        "127.0.0.1",
        "192.0.2.7",
    )


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        pytest.param("iptables v1.8.9 (nf_tables)", True, id="nft"),
        pytest.param("iptables v1.6.2", True, id="first"),
        pytest.param("iptables v1.4.21", False, id="old"),
        pytest.param("", False, id="unknown"),
    ],
)
def test_random_fully_needs_a_version(version: str, expected: bool) -> None:
    assert has_random_fully(version) is expected


def test_clean_up_takes_only_what_is_ours() -> None:
    saved = "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SVC-X - [0:0]\n:DOCKER - [0:0]\n-A DOCKER -j RETURN\nCOMMIT\n"
    ours = [chain for chain in chains_in(saved) if is_ours("nat", chain)]
    assert ours == ["KUBE-SVC-X"]
    assert removal("nat", ours) == "*nat\n:KUBE-SVC-X - [0:0]\n-X KUBE-SVC-X\nCOMMIT\n"
    assert not is_ours("filter", "KUBE-SVC-X")
