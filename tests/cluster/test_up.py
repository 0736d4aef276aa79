"""Decisions of bringing up: which step waits for what, what a new cluster is called, when a demo has rolled out."""

from pathlib import Path
from typing import Any

import pytest

from cluster import up
from cluster.config import Layout
from cluster.demo import is_rolled_out, pod_line
from cluster.errors import ClusterError
from cluster.plan import Planner, Programs
from cluster.progress import Progress
from cluster.up import Wish
from tests.cluster.clusters import LAYOUT, REAL, SIMULATED


def test_every_process_is_waited_for_in_exactly_one_step_and_etcd_first() -> None:
    specs = Planner(REAL, LAYOUT, Programs()).processes()
    steps = up.groups(specs)
    assert steps[0] == ("etcd", ["etcd"])
    assert dict(steps)["containerd"] == ["containerd-a", "containerd-b"]
    assert dict(steps)["Controller manager and scheduler"] == ["controller-manager", "scheduler"]
    assert sorted(name for _, names in steps for name in names) == sorted(spec.name for spec in specs)


def test_simulated_kubelets_are_node_processes() -> None:
    assert dict(up.groups(Planner(SIMULATED, LAYOUT, Programs()).processes()))["Node processes"] == ["kubelet-sim-0"]


def test_few_simulated_nodes_get_ports_of_their_own_and_many_share_one(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path / "run")
    few = up.decide(layout, Wish(simulated=3, base_port=27800))
    assert len({node.kubelet_port for node in few.nodes}) == 3
    assert [node.name for node in few.nodes] == ["sim-0", "sim-1", "sim-2"]
    many = up.decide(layout, Wish(simulated=50, base_port=27800))
    assert len({node.kubelet_port for node in many.nodes}) == 1


def test_a_cluster_of_another_shape_is_not_changed_into_the_one_asked_for(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path / "run")
    up.configure(layout, Wish(simulated=2, base_port=27800), Progress())
    again = up.configure(layout, Wish(simulated=2, base_port=27850), Progress())
    assert up.configure(layout, Wish(), Progress()) == again
    assert again.ports.api == 27800
    with pytest.raises(ClusterError, match="2 simulated nodes already"):
        up.configure(layout, Wish(simulated=3), Progress())


def deployment(**status: int) -> dict[str, Any]:
    """A Deployment of two replicas at generation 3."""
    return {"metadata": {"generation": 3}, "spec": {"replicas": 2}, "status": status}


@pytest.mark.parametrize(
    ("status", "done"),
    [
        pytest.param({}, False, id="nobody-looked-yet"),
        pytest.param({"observedGeneration": 2, "updatedReplicas": 2, "availableReplicas": 2}, False, id="old-news"),
        pytest.param({"observedGeneration": 3, "updatedReplicas": 1, "availableReplicas": 2}, False, id="half-new"),
        pytest.param({"observedGeneration": 3, "updatedReplicas": 2, "availableReplicas": 1}, False, id="not-ready"),
        pytest.param({"observedGeneration": 3, "updatedReplicas": 2, "availableReplicas": 2}, True, id="all-there"),
    ],
)
def test_a_deployment_is_rolled_out_when_all_replicas_of_the_current_template_are_available(
    status: dict[str, int], done: bool
) -> None:
    assert is_rolled_out(deployment(**status)) is done


def test_a_pods_line_names_its_node() -> None:
    pod = {
        "metadata": {"name": "x"},
        "spec": {"nodeName": "node-b"},
        "status": {"phase": "Running", "podIP": "10.0.0.1"},
    }
    assert pod_line(pod).split() == ["x", "Running", "10.0.0.1", "node-b"]
