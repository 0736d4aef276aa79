"""The list of processes that a configuration turns into."""

from pathlib import Path

import pytest

from cluster.plan import Planner, Programs
from cluster.processes import ProcessSpec, stop_order
from tests.cluster.clusters import LAYOUT, REAL, SIMULATED

PROGRAMS = Programs(python="python")


def plan() -> dict[str, ProcessSpec]:
    """The processes of the real cluster by name."""
    return {spec.name: spec for spec in Planner(REAL, LAYOUT, PROGRAMS).processes()}


def test_a_real_cluster_has_a_control_plane_and_four_processes_on_each_node() -> None:
    control_plane = {"etcd", "apiserver", "controller-manager", "scheduler"}
    nodes = {f"{kind}-{node}" for kind in ("containerd", "cni", "kubelet", "proxy") for node in "ab"}
    assert set(plan()) == control_plane | nodes | {"egress"}


def test_many_simulated_nodes_share_one_process() -> None:
    node = SIMULATED.nodes[0]
    many = tuple(node.model_copy(update={"name": f"sim-{i}", "short": f"sim-{i}"}) for i in range(100))
    specs = Planner(SIMULATED.model_copy(update={"nodes": many}), LAYOUT, PROGRAMS).processes()
    kubelet = next(spec for spec in specs if spec.name == "kubelet-sim")
    assert {"--simulated-nodes=100", "--simulated-name-prefix=sim-"} <= set(kubelet.argv)
    assert len(specs) == 5


def test_a_simulated_node_is_a_kubelet_on_a_port_of_its_own_and_enters_no_namespace() -> None:
    specs = Planner(SIMULATED, LAYOUT, PROGRAMS).processes()
    kubelets = [spec for spec in specs if spec.node]
    assert [spec.name for spec in kubelets] == ["kubelet-sim-0"]
    assert "--fake-runtime=true" in kubelets[0].argv and "--port=20250" in kubelets[0].argv
    assert not any(spec.netns for spec in specs)


@pytest.mark.parametrize("name", ["containerd-b", "kubelet-b", "proxy-b", "cni-b"])
def test_a_nodes_processes_start_inside_its_namespace(name: str) -> None:
    spec = plan()[name]
    assert spec.argv[:2] == ("nsenter", "--net=/run/netns/sk-abc123-b")
    assert (spec.node, spec.netns) == ("node-b", "sk-abc123-b")


@pytest.mark.parametrize("name", ["etcd", "apiserver", "controller-manager", "scheduler"])
def test_the_control_plane_starts_on_the_machine_itself(name: str) -> None:
    assert plan()[name].netns == "" and plan()[name].argv[0] != "nsenter"


@pytest.mark.parametrize(
    ("name", "certificate"),
    [
        pytest.param("scheduler", "scheduler", id="scheduler"),
        pytest.param("controller-manager", "controller-manager", id="controller-manager"),
        pytest.param("kubelet-a", "kubelet-a", id="a-kubelet-speaks-as-its-node"),
        pytest.param("proxy-a", "proxy", id="all-proxies-are-one-user"),
    ],
)
def test_every_component_speaks_as_its_own_user(name: str, certificate: str) -> None:
    assert f"--kubeconfig={LAYOUT.kubeconfig(certificate)}" in plan()[name].argv


def test_only_the_api_server_is_told_where_etcd_is() -> None:
    assert [name for name, spec in plan().items() if any("etcd-servers" in flag for flag in spec.argv)] == ["apiserver"]


def test_nodes_have_separate_cgroups_sockets_and_directories() -> None:
    specs = plan()
    own = ("--cgroup-root=", "--container-runtime-endpoint=", "--root-dir=")
    for flag in own:
        values = [next(a for a in specs[f"kubelet-{n}"].argv if a.startswith(flag)) for n in "ab"]
        assert values[0] != values[1]


def test_stopping_ends_kubelets_before_containerd_and_etcd_last() -> None:
    levels = stop_order(list(plan().values()))
    level_of = {name: index for index, level in enumerate(levels) for name in level}
    assert level_of["kubelet-a"] < level_of["containerd-a"]
    assert level_of["etcd"] == len(levels) - 1


def test_processes_that_wait_for_each_other_are_refused() -> None:
    def waiting(name: str, other: str) -> ProcessSpec:
        return ProcessSpec(name=name, argv=("x",), log="/l", depends_on=(other,))

    with pytest.raises(ValueError, match="a, b"):
        stop_order([waiting("a", "b"), waiting("b", "a")])


def test_the_logs_of_all_processes_lie_in_one_directory() -> None:
    assert {Path(spec.log).parent for spec in plan().values()} == {LAYOUT.logs}
