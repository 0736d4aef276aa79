"""Simulations: repeatable, of every workload, from snapshots."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from machinery.api import meta, pods
from scheduler import config, simulate
from scheduler.workloads import WORKLOADS, Workload, node, pod
from tests.scheduler.device_objects import claim as devices
from tests.scheduler.device_objects import device, device_class, exactly, slice_of
from tests.scheduler.volume_objects import claim, on_node, storage_class, volume


async def _run(workload: Workload, seed: int = 1) -> tuple[simulate.Simulation, simulate.Result]:
    return await simulate.run(workload, config.SchedulerConfiguration(), seed)


@pytest.mark.parametrize("name", sorted(WORKLOADS))
async def test_every_workload_places_its_pods(name: str) -> None:
    simulation, result = await _run(WORKLOADS[name](30, 12))
    assert (result.placed, result.pods, result.nodes) == (12, 12, 30)
    assert result.evicted == (36 if name == "preemption" else 0)
    placed = dict(simulation.placements())
    if name == "pod-anti-affinity":
        used = [node for key, node in placed.items() if node != "<none>"]
        assert len(set(used)) == len(used)
    if name == "node-affinity":
        zone3 = {f"node-{number}" for number in range(2, 30, 3)}
        assert not zone3 & {node for key, node in placed.items() if "/pod-" in key}


async def test_the_same_seed_gives_the_same_placements_and_another_one_others() -> None:
    def placements(simulation: simulate.Simulation) -> dict[str, str]:
        return dict(simulation.placements())

    first, _ = await _run(WORKLOADS["basic"](40, 30), seed=7)
    again, _ = await _run(WORKLOADS["basic"](40, 30), seed=7)
    other, _ = await _run(WORKLOADS["basic"](40, 30), seed=8)
    assert placements(first) == placements(again) != placements(other)


async def test_what_does_not_fit_is_left_over_and_said_so() -> None:
    workload = Workload([node("n")], [], [pod("fits", cpu="3"), pod("huge", cpu="100")])
    simulation, result = await _run(workload)
    assert (result.placed, result.pods) == (1, 2)
    attempt = simulation.scheduler.attempts.get(meta.key_of(workload.pods[1]))
    assert attempt is not None and "Insufficient cpu" in attempt.message
    assert "1 placed, 1 not" in simulate.report(result)


def test_a_snapshot_is_a_list_as_kubectl_prints_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    there: dict[str, Any] = {**pod("there", cpu="3"), "kind": "Pod"}
    there["spec"] = {**there["spec"], "nodeName": "a"}
    done = {**pod("done", nodeName="a"), "kind": "Pod", "status": {"phase": "Succeeded"}}
    items = [
        {**node("a"), "kind": "Node"},
        {**node("b"), "kind": "Node"},
        there,
        done,
        {**pod("new", cpu="2"), "kind": "Pod"},
    ]
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump({"kind": "List", "items": items}))
    loaded = simulate.snapshot(str(path))
    assert [len(part) for part in (loaded.nodes, loaded.before, loaded.pods)] == [2, 1, 1]
    assert pods.node_of(loaded.before[0]) == "a"
    simulate.main(["--snapshot", str(path), "--placements"])
    assert "default/new -> b" in capsys.readouterr().out
    simulate.main(["--snapshot", str(path), "--json", "--placements"])
    assert json.loads(capsys.readouterr().out)["placements"]["default/new"] == "b"


def test_a_snapshot_may_have_volumes_and_devices_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kinds = {
        "PersistentVolume": volume("disk", where=on_node("b"), storage_class="local"),
        "PersistentVolumeClaim": claim("data", storage_class="local"),
        "StorageClass": storage_class("local"),
        "DeviceClass": device_class(),
        "ResourceSlice": slice_of("c", device("gpu-0")),
        "ResourceClaim": devices("gpu", exactly()),
    }
    mounts = [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}]
    claims = [{"name": "gpu", "resourceClaimName": "gpu"}]
    items = [{**node(name), "kind": "Node"} for name in ("a", "b", "c")]
    items += [{**obj, "kind": kind} for kind, obj in kinds.items()]
    items += [{**pod("disk", volumes=mounts), "kind": "Pod"}, {**pod("gpu", resourceClaims=claims), "kind": "Pod"}]
    path = tmp_path / "cluster.yaml"
    path.write_text(yaml.safe_dump({"kind": "List", "items": items}))
    simulate.main(["--snapshot", str(path), "--json", "--placements"])
    assert json.loads(capsys.readouterr().out)["placements"] == {"default/disk": "b", "default/gpu": "c"}


def test_pods_are_those_of_a_workload_or_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "pods.yaml"
    path.write_text(yaml.safe_dump({**pod("mine"), "kind": "Pod"}))
    for pods_, count in ((str(path), 1), ("basic", 7)):
        simulate.main(["--nodes", "5", "--count", "7", "--pods", pods_, "--json"])
        found = json.loads(capsys.readouterr().out)
        assert (found["nodes"], found["placed"]) == (5, count)


def test_a_file_that_cannot_be_read_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="error: .*nothing.yaml"):
        simulate.main(["--snapshot", str(tmp_path / "nothing.yaml")])
