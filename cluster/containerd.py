"""The configuration of a node's own containerd, as text, for versions 1.6, 1.7 and 2. Starting it is the supervisor's.

All that a containerd touches lies under the node's two directories, so several run side by side; what it puts
elsewhere whatever its configuration says (shims' sockets, CNI's results) is taken away in `remains`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cluster import machine
from cluster.config import ClusterConfig, Layout, Node

PAUSE_IMAGE: Final = "skiff.local/pause:1"
NOT_NEEDED: Final = [
    f"io.containerd.snapshotter.v1.{name}" for name in ("aufs", "btrfs", "devmapper", "zfs", "blockfile")
] + ["io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a containerd configuration has to know about the machine."""

    version: tuple[int, int]
    may_lower_oom_score: bool
    apparmor: bool
    cni_directory: Path
    snapshotter: str = "overlayfs"

    @classmethod
    def of_this_machine(cls) -> "Abilities":
        """What holds here."""
        return cls(
            version=machine.containerd_version(),
            may_lower_oom_score=machine.may_lower_oom_score(),
            apparmor=machine.has_apparmor(),
            cni_directory=machine.cni_directory() or machine.CNI_DIRECTORIES[0],
        )


@dataclass(frozen=True, slots=True)
class NodePaths:
    """Where one containerd keeps its things."""

    keep: Path  # images, certs.d, CNI configuration
    run: Path  # state and the socket

    @property
    def config(self) -> Path:
        return self.keep / "containerd.toml"

    @property
    def cni_config(self) -> Path:
        return self.keep / "cni"

    @property
    def registries(self) -> Path:
        return self.keep / "certs.d"

    @property
    def socket(self) -> Path:
        return self.run / "containerd.sock"


def paths(layout: Layout, node: Node) -> NodePaths:
    """The paths of a node's containerd."""
    return NodePaths(layout.node_home(node), layout.node_run(node))


def configuration(where: NodePaths, abilities: Abilities) -> dict[str, Any]:
    """The whole configuration; version 3 of the format for containerd 2, version 2 for 1.x."""
    second = abilities.version >= (2, 0)
    return {
        "version": 3 if second else 2,
        "root": str(where.keep / "containerd"),
        "state": str(where.run / "state"),
        "oom_score": 0,
        "disabled_plugins": NOT_NEEDED,
        "grpc": {"address": str(where.socket)},
        "metrics": {"address": ""},
        "plugins": {
            "io.containerd.internal.v1.opt": {"path": str(where.keep / "opt")},
            **(_plugins_v3(where, abilities) if second else _plugins_v2(where, abilities)),
        },
    }


def _plugins_v2(where: NodePaths, abilities: Abilities) -> dict[str, Any]:
    return {
        "io.containerd.grpc.v1.cri": {
            **_runtime(abilities),
            "sandbox_image": PAUSE_IMAGE,
            "cni": {"bin_dir": str(abilities.cni_directory), "conf_dir": str(where.cni_config), "max_conf_num": 1},
            "containerd": {"snapshotter": abilities.snapshotter, **_runc(where)},
            "registry": {"config_path": str(where.registries)},
            **_streaming(),
        }
    }


def _plugins_v3(where: NodePaths, abilities: Abilities) -> dict[str, Any]:
    return {
        "io.containerd.nri.v1.nri": {"disable": True},
        "io.containerd.cri.v1.images": {
            "snapshotter": abilities.snapshotter,
            "pinned_images": {"sandbox": PAUSE_IMAGE},
            "registry": {"config_path": str(where.registries)},
        },
        "io.containerd.cri.v1.runtime": {
            **_runtime(abilities),
            "enable_cdi": False,
            "cni": {"bin_dirs": [str(abilities.cni_directory)], "conf_dir": str(where.cni_config), "max_conf_num": 1},
            "containerd": _runc(where),
        },
        "io.containerd.grpc.v1.cri": _streaming(),
    }


def _runtime(abilities: Abilities) -> dict[str, Any]:
    return {
        "disable_apparmor": not abilities.apparmor,
        "restrict_oom_score_adj": not abilities.may_lower_oom_score,
        "tolerate_missing_hugetlb_controller": True,
        "netns_mounts_under_state_dir": True,
        "max_container_log_line_size": 16384,
    }


def _runc(where: NodePaths) -> dict[str, Any]:
    return {
        "default_runtime_name": "runc",
        "runtimes": {
            "runc": {
                "runtime_type": "io.containerd.runc.v2",
                # A root of its own: in the usual one all nodes of this machine would share one list of containers.
                "options": {"SystemdCgroup": False, "Root": str(where.run / "runc")},
            }
        },
    }


def _streaming() -> dict[str, Any]:
    return {"stream_server_address": "127.0.0.1", "stream_server_port": "0"}


def mirror_hosts(mirror: str) -> str:
    """The `hosts.toml` that sends every pull to one mirror; `server` keeps containerd off the real host."""
    table = {"server": mirror, "host": {mirror: {"capabilities": ["pull", "resolve"]}}}
    return toml(table)


def write(config: ClusterConfig, layout: Layout, node: Node, abilities: Abilities) -> bool:
    """Write a node's containerd configuration; True when it is new or another than before."""
    where = paths(layout, node)
    for directory in (where.keep, where.run, where.cni_config, where.registries):
        directory.mkdir(parents=True, exist_ok=True, mode=0o755)
    changed = _write_if_other(where.config, toml(configuration(where, abilities)))
    if config.registry_mirror:
        hosts = where.registries / "_default" / "hosts.toml"
        hosts.parent.mkdir(exist_ok=True)
        changed |= _write_if_other(hosts, mirror_hosts(config.mirror_url))
    return changed


def _write_if_other(path: Path, text: str) -> bool:
    if path.exists() and path.read_text() == text:
        return False
    path.write_text(text)
    return True


def toml(table: dict[str, Any], prefix: str = "") -> str:
    """A nested dict as TOML. Values may be strings, numbers, booleans and lists of strings, which JSON writes alike."""
    lines = [f"{_key(key)} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
    parts = ["\n".join(lines) + "\n" if lines else ""]
    for key, value in table.items():
        if isinstance(value, dict):
            name = f"{prefix}.{_key(key)}" if prefix else _key(key)
            parts.append(f"\n[{name}]\n{toml(value, name)}")
    return "".join(parts)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else json.dumps(key)
