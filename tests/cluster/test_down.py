"""Taking down: what is found and what is left alone."""

import subprocess
from pathlib import Path

import pytest

from cluster import config as config_module
from cluster import down, processes
from cluster.config import Layout
from cluster.processes import ProcessState
from cluster.progress import Progress
from cluster.supervisor import STATES
from tests.cluster.clusters import SIMULATED


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "home", tmp_path / "run" / "x")
    made.run.mkdir(parents=True)
    config_module.save(SIMULATED, made)
    return made


def record(layout: Layout, *states: ProcessState) -> None:
    """Write a state file as a supervisor would that was killed since."""
    layout.state.write_bytes(STATES.dump_json(list(states)))


def test_without_a_supervisor_the_recorded_processes_end_and_others_of_their_pid_do_not(layout: Layout) -> None:
    with subprocess.Popen(["sleep", "60"]) as ours, subprocess.Popen(["sleep", "60"]) as other:
        mine, wrong = processes.identify(ours.pid), processes.identify(other.pid)
        record(
            layout,
            ProcessState(name="etcd", pid=mine.pid, start_time=mine.start_time),
            ProcessState(name="scheduler", pid=wrong.pid, start_time=wrong.start_time + 5),
        )
        assert down.down(layout, Progress())
        assert ours.wait() != 0
        assert other.poll() is None
        other.kill()


def test_data_stay_unless_they_are_purged_and_strangers_files_stay_always(layout: Layout) -> None:
    layout.etcd_data.mkdir()
    (layout.home / "letters.txt").write_text("not ours")
    down.down(layout, Progress())
    assert layout.etcd_data.exists() and layout.config.exists() and not layout.run.exists()
    down.down(layout, Progress(), purge=True)
    assert [path.name for path in layout.home.iterdir()] == ["letters.txt"]


def test_where_there_was_no_cluster_nothing_happens(tmp_path: Path) -> None:
    assert not down.down(Layout(tmp_path / "home", tmp_path / "run"), Progress())


def test_mount_points_with_blanks_are_read_back_as_they_are() -> None:
    assert down.decode_mount_point(r"/a\040b/\134c") == "/a b/\\c"
    assert down.decode_mount_point("/späte") == "/späte"


def test_what_containerd_left_is_noted_by_container_and_socket(tmp_path: Path) -> None:
    bundle = tmp_path / "io.containerd.runtime.v2.task" / "k8s.io" / "0123"
    bundle.mkdir(parents=True)
    (bundle / "address").write_text("unix:///run/containerd/s/feed")
    newer = bundle.with_name("4567")
    newer.mkdir()
    (newer / "bootstrap.json").write_text('{"version":3,"address":"unix:///run/containerd/s/beef","protocol":"ttrpc"}')
    remains = down.find_remains(tmp_path)
    assert remains.containers == {"0123", "4567"}
    assert remains.sockets == {Path("/run/containerd/s/feed"), Path("/run/containerd/s/beef")}
    assert down.find_remains(tmp_path / "none") == down.Remains(frozenset(), frozenset())
