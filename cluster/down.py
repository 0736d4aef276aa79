"""Takes a cluster down so that nothing is left of it, whatever state it is in. Nothing that is not ours is touched.

With a supervisor that answers, it stops what it started, in order. Without one (it was killed), the pids it wrote down
are ended, each only if it still is the process that was started then. What containerd started (shims, containers) is
found by the node's socket in its command line and by the node's cgroup.
"""

import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cluster import control, machine, network
from cluster.config import ClusterConfig, Layout, cgroup, load
from cluster.processes import Pid, end_all, identify, is_alive, send, wait_until_gone
from cluster.progress import Progress
from cluster.supervisor import read_states

CNI_RESULTS: Final = Path("/var/lib/cni/results")
MOUNTINFO: Final = Path("/proc/self/mountinfo")


def down(layout: Layout, progress: Progress, *, purge: bool = False) -> bool:
    """Take down the cluster in that home; False when there was none. Keys and etcd's data stay, unless `purge`."""
    config = load(layout)
    if config is None and not layout.run.exists():
        return False
    with progress.step("Processes") as step:
        step.outcome = f"{stop_processes(layout)} ended"
    if config is not None and not config.simulated:
        with progress.step("Containers") as step:
            step.outcome = f"{remove_containers(config, layout)} processes ended"
        with progress.step("Network namespaces") as step:
            step.outcome = f"{len(network.remove(config))} removed"
        if config.joined:
            with progress.step("The machine's own network") as step:
                step.outcome = clean_machine()
    with progress.step("Files") as step:
        remove_files(layout, purge=purge)
        step.outcome = f"{layout.home} removed" if purge else f"what is stored stays in {layout.home}"
    return True


def clean_machine() -> str:
    """Take away what the proxy and the network agent of a joined machine have made in its network."""
    for module in ("proxy", "cni"):
        machine.run(sys.executable, "-m", module, "--cleanup", check=False)
    return "rules and interfaces removed"


def stop_processes(layout: Layout) -> int:
    """End the supervisor and all it started; returns how many processes there were."""
    states = read_states(layout.state)
    processes = [Pid(state.pid, state.start_time) for state in states if state.pid]
    alive = [process for process in processes if is_alive(process)]
    supervisor = control.supervisor_process(layout)
    with contextlib.suppress(OSError):  # none answers: then the recorded pids are all there is to go by
        control.ask(layout, "shutdown")
        if supervisor is not None:
            wait_until_gone(supervisor, 60.0)
    if supervisor is not None:
        end_all([supervisor])
    # Read again: a dying supervisor may have started something after the first look.
    late = [Pid(state.pid, state.start_time) for state in read_states(layout.state) if state.pid]
    end_all([process for process in {*processes, *late} if is_alive(process)])
    return len(alive)


@dataclass(frozen=True, slots=True)
class Remains:
    """What containerd left outside the node's directories, noted before it is forgotten."""

    containers: frozenset[str]
    sockets: frozenset[Path]


def remove_containers(config: ClusterConfig, layout: Layout) -> int:
    """End every container and shim of the cluster's nodes and undo their mounts and cgroups; returns how many ended."""
    remains = [find_remains(layout.node_run(node) / "state") for node in config.nodes]
    ended = 0
    for _ in range(5):  # a process may fork while we look: look again until nothing is found
        found = [*shims(config, layout), *cgroup_processes(cgroup(config))]
        if not found:
            break
        ended += sum(send(process, signal.SIGKILL) for process in found)
        deadline = time.monotonic() + 5
        for process in found:
            wait_until_gone(process, max(0.0, deadline - time.monotonic()))
    unmount_below(layout.run, layout.home)
    remove_cgroups(cgroup(config))
    for remain in remains:
        forget(remain)
    return ended


def shims(config: ClusterConfig, layout: Layout) -> Iterator[Pid]:
    """The containerd shims that belong to this cluster's sockets."""
    sockets = {str(layout.containerd_socket(node)).encode() for node in config.nodes}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            argv = (entry / "cmdline").read_bytes().split(b"\0")
            if argv[0].endswith(b"containerd-shim-runc-v2") and sockets.intersection(argv):
                yield identify(int(entry.name))


def cgroup_processes(name: str) -> list[Pid]:
    """The processes in a cgroup and those below it, of whatever hierarchy."""
    found: set[Pid] = set()
    for hierarchy in machine.cgroup_hierarchies():
        for listing in (hierarchy / name.lstrip("/")).rglob("cgroup.procs"):
            with contextlib.suppress(OSError):
                found.update(identify(int(pid)) for pid in listing.read_text().split())
    return [process for process in found if process.start_time]


def unmount_below(*directories: Path) -> list[str]:
    """Unmount everything below those directories, the deepest first; returns what was mounted."""
    prefixes = tuple(f"{directory}/" for directory in directories)
    points = [decode_mount_point(line.split()[4]) for line in MOUNTINFO.read_text().splitlines()]
    ours = sorted((point for point in points if point.startswith(prefixes)), reverse=True)
    for point in ours:
        machine.run("umount", "--lazy", point, check=False)
    return ours


def decode_mount_point(text: str) -> str:
    """A mount point as the kernel writes it: blanks and the like as octal escapes."""
    return text.encode().decode("unicode_escape").encode("latin-1").decode()


def remove_cgroups(name: str, seconds: float = 5.0) -> None:
    """Remove a cgroup and those below it; the kernel needs a moment after the last process has gone."""
    deadline = time.monotonic() + seconds
    for hierarchy in machine.cgroup_hierarchies():
        top = hierarchy / name.lstrip("/")
        while top.exists() and time.monotonic() < deadline:
            for directory in (*sorted(_directories(top), reverse=True), top):
                with contextlib.suppress(OSError):
                    directory.rmdir()
            if top.exists():
                time.sleep(0.05)


def _directories(top: Path) -> list[Path]:
    return [path for path in top.rglob("*") if path.is_dir()]


def find_remains(state: Path) -> Remains:
    """The containers that containerd's state directory knows, and their shims' sockets."""
    bundles = state / "io.containerd.runtime.v2.task" / "k8s.io"
    names = frozenset(bundle.name for bundle in bundles.iterdir()) if bundles.exists() else frozenset()
    addresses = [file.read_text() for file in bundles.glob("*/address")]
    addresses += [json.loads(file.read_bytes())["address"] for file in bundles.glob("*/bootstrap.json")]  # from 1.7 on
    return Remains(names, frozenset(Path(address.strip().removeprefix("unix://")) for address in addresses))


def forget(remains: Remains) -> None:
    """Remove the sockets of killed shims and what CNI's library noted about their sandboxes."""
    for socket in remains.sockets:
        socket.unlink(missing_ok=True)
    results = CNI_RESULTS.iterdir() if CNI_RESULTS.exists() else ()
    for result in results:
        if any(container in result.name for container in remains.containers):
            result.unlink(missing_ok=True)
    for directory in (*(socket.parent for socket in remains.sockets), CNI_RESULTS):
        for empty in (directory, directory.parent):
            with contextlib.suppress(OSError):  # used by others, or not there
                empty.rmdir()


def remove_files(layout: Layout, *, purge: bool) -> None:
    """Remove the run directory and the nodes' directories; with `purge` all the rest of the home as well."""
    shutil.rmtree(layout.run, ignore_errors=True)
    with contextlib.suppress(OSError):
        os.rmdir(layout.run.parent)  # other clusters' directories keep it
    shutil.rmtree(layout.home / "nodes", ignore_errors=True)
    if not purge:
        return
    # Only what is ours: a person may have pointed --home at a directory that holds other things too.
    for name in ("pki", "kubeconfigs", "logs", "images", "etcd"):
        shutil.rmtree(layout.home / name, ignore_errors=True)
    for file in (layout.config, layout.admin_kubeconfig):
        file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        layout.home.rmdir()
