"""Which file of which hierarchy gets what. Real cgroups are in the integration tests."""

from pathlib import Path

import pytest

from kubelet.cgroups import LinuxCgroups
from machinery.api.codec import Json
from tests.kubelet.pods import container, pod

UID = "11111111-2222-3333-4444-555555555555"


@pytest.fixture
def version1(tmp_path: Path) -> LinuxCgroups:
    for name in ("cpu", "cpuacct", "memory", "pids", "systemd"):
        (tmp_path / name).mkdir()
    return LinuxCgroups("/node-a", 500, tmp_path)


@pytest.fixture
def version2(tmp_path: Path) -> LinuxCgroups:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids")
    return LinuxCgroups("/", -1, tmp_path)


def asking(**resources: Json) -> Json:
    one = pod(container(resources=resources))
    one["metadata"]["uid"] = UID
    return one


GUARANTEED = asking(limits={"cpu": "500m", "memory": "64Mi"}, requests={"cpu": "500m", "memory": "64Mi"})
BURSTABLE = asking(requests={"cpu": "250m"})


def test_parents_follow_quality_of_service(version1: LinuxCgroups) -> None:
    assert version1.parent_of(GUARANTEED) == f"/node-a/kubepods/pod{UID}"
    assert version1.parent_of(BURSTABLE) == f"/node-a/kubepods/burstable/pod{UID}"
    assert version1.parent_of(asking()) == f"/node-a/kubepods/besteffort/pod{UID}"


def test_limits_in_version_1(version1: LinuxCgroups, tmp_path: Path) -> None:
    version1.prepare()
    version1.ensure(GUARANTEED)
    below = f"node-a/kubepods/pod{UID}"
    assert (tmp_path / "cpu" / below / "cpu.shares").read_text() == "512"
    assert (tmp_path / "cpu" / below / "cpu.cfs_quota_us").read_text() == "50000"
    assert (tmp_path / "memory" / below / "memory.limit_in_bytes").read_text() == str(64 << 20)
    assert (tmp_path / "pids" / below / "pids.max").read_text() == "500"
    assert version1.pods() == {UID}


def test_limits_in_version_2(version2: LinuxCgroups, tmp_path: Path) -> None:
    version2.prepare()
    version2.ensure(GUARANTEED)
    folder = tmp_path / "kubepods" / f"pod{UID}"
    assert (folder / "cpu.weight").read_text() == "20"
    assert (folder / "cpu.max").read_text() == "50000 100000"
    assert (folder / "memory.max").read_text() == str(64 << 20)


def test_the_burstable_level_gets_what_its_pods_ask_for(version1: LinuxCgroups, tmp_path: Path) -> None:
    version1.prepare()
    version1.set_level_shares([BURSTABLE, GUARANTEED])
    assert (tmp_path / "cpu/node-a/kubepods/burstable/cpu.shares").read_text() == "256"


def test_a_pods_folders_are_taken_away_in_every_hierarchy(version1: LinuxCgroups, tmp_path: Path) -> None:
    for name in ("cpu", "cpuacct", "systemd"):
        (tmp_path / name / f"node-a/kubepods/pod{UID}/container").mkdir(parents=True)
    assert version1.remove(UID)
    assert not list(tmp_path.rglob("pod*"))


def test_a_folder_that_is_in_use_stays(version1: LinuxCgroups, tmp_path: Path) -> None:
    folder = tmp_path / f"cpu/node-a/kubepods/pod{UID}"
    folder.mkdir(parents=True)
    (folder / "busy").touch()
    assert not version1.remove(UID)
