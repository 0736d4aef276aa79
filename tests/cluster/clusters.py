"""Configurations that the tests of cluster share: one of two real nodes, one of two simulated ones."""

from pathlib import Path

from cluster.config import ClusterConfig, Layout, Node

LAYOUT = Layout(Path("/home-of-it"), Path("/run/skiff/abc123"))
REAL = ClusterConfig(
    id="abc123",
    nodes=(
        Node(name="node-a", short="a", address="172.30.99.11"),
        Node(name="node-b", short="b", address="172.30.99.12"),
    ),
    api_address="172.30.99.1",
    bind_address="172.30.99.1",
    node_subnet="172.30.99.0/24",
    pod_cidr="10.244.0.0/16",
    service_cidr="10.96.0.0/16",
)
SIMULATED = ClusterConfig(
    id="abc123",
    simulated=True,
    nodes=(Node(name="sim-0", short="sim-0", address="127.0.0.1", kubelet_port=20250, health_ports=(20251, 0)),),
    api_address="127.0.0.1",
    bind_address="127.0.0.1",
    node_subnet="127.0.0.0/8",
    pod_cidr="10.244.0.0/16",
    service_cidr="10.96.0.0/16",
)
