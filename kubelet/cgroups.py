"""The pods' cgroups: QoS levels, a folder per pod with its limits, their removal. Containers' are the runtime's.

The runtime makes the folders below `pod<uid>` and sets no limits on that one; nor does it take it away again.
Upstream: pkg/kubelet/cm (cgroup_manager_linux.go, pod_container_manager_linux.go, qos_container_manager_linux.go).
"""

import logging
import os
import re
import signal
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from kubelet import resources
from machinery.api import meta, pods
from machinery.api.codec import Json

logger = logging.getLogger(__name__)

MOUNT: Final = Path("/sys/fs/cgroup")
_CONTROLLERS: Final = ("cpu", "memory", "pids")
_LEVELS: Final = {"Guaranteed": "", "Burstable": "burstable", "BestEffort": "besteffort"}
_POD: Final = re.compile(r"pod([0-9a-zA-Z-]{8,})")


class Cgroups(Protocol):
    """What the pod workers ask for."""

    def prepare(self) -> None: ...
    def parent_of(self, pod: Json) -> str: ...
    def ensure(self, pod: Json) -> None: ...
    def kill(self, uid: str) -> None: ...
    def remove(self, uid: str) -> bool: ...
    def pods(self) -> set[str]: ...
    def set_level_shares(self, running: Iterable[Json]) -> None: ...


class NoCgroups:
    """For simulated nodes: there is nothing to limit."""

    def prepare(self) -> None:
        """Nothing."""

    def parent_of(self, pod: Json) -> str:
        """No parent."""
        return ""

    def ensure(self, pod: Json) -> None:
        """Nothing."""

    def kill(self, uid: str) -> None:
        """Nothing."""

    def remove(self, uid: str) -> bool:
        """Gone already."""
        return True

    def pods(self) -> set[str]:
        """None."""
        return set()

    def set_level_shares(self, running: Iterable[Json]) -> None:
        """Nothing."""


class LinuxCgroups:
    """cgroupfs driver, version 1 or 2, whichever the machine has."""

    def __init__(self, root: str = "/", pids_limit: int = -1, mount: Path = MOUNT) -> None:
        """`root` is upstream's --cgroup-root: all pods live in `<root>/kubepods`."""
        self._top = "/" + f"{root.strip('/')}/kubepods".strip("/")
        self._pids_limit = pids_limit
        self._mount = mount
        self.version = 2 if (mount / "cgroup.controllers").exists() else 1

    def prepare(self) -> None:
        """Make the three levels; raises OSError where that is not allowed."""
        for level in _LEVELS.values():
            for folder in self._folders(_join(self._top, level)):
                folder.mkdir(parents=True, exist_ok=True)
        if self.version == 2:
            for level in _LEVELS.values():
                self._delegate(_join(self._top, level))
        self._write(_join(self._top, "besteffort"), shares=2)

    def parent_of(self, pod: Json) -> str:
        """The pod's cgroup, as CRI's cgroup_parent names it."""
        level = _LEVELS[(pod.get("status") or {}).get("qosClass") or pods.qos_class(pod)]
        return _join(self._top, level, f"pod{meta.uid_of(pod)}")

    def ensure(self, pod: Json) -> None:
        """The pod's cgroup with the limits its containers add up to."""
        path = self.parent_of(pod)
        for folder in self._folders(path):
            folder.mkdir(parents=True, exist_ok=True)
        if self.version == 2:
            self._delegate(path)
        limits = resources.of_pod(pod)
        self._write(path, limits.shares, limits.quota, limits.memory)

    def kill(self, uid: str) -> None:
        """SIGKILL whatever is left in the pod's cgroup (processes that left their container's)."""
        own = os.getpid()
        for folder in self._pod_folders(uid):
            for file in folder.rglob("cgroup.procs"):
                with suppress(OSError):
                    for pid in map(int, file.read_text().split()):
                        if pid != own:
                            os.kill(pid, signal.SIGKILL)

    def remove(self, uid: str) -> bool:
        """Take the pod's folders away; False while processes or the runtime still hold one."""
        gone = True
        for folder in self._pod_folders(uid):
            for below, _, _ in os.walk(folder, topdown=False):
                try:
                    os.rmdir(below)
                except FileNotFoundError:
                    continue
                except OSError as problem:
                    logger.debug("cgroup %s stays: %s", below, problem)
                    gone = False
        return gone

    def pods(self) -> set[str]:
        """The uids that have a cgroup."""
        found: set[str] = set()
        for level in _LEVELS.values():
            for folder in self._folders(_join(self._top, level)):
                with suppress(OSError):
                    matches = (_POD.fullmatch(name) for name in os.listdir(folder))
                    found.update(match.group(1) for match in matches if match)
        return found

    def set_level_shares(self, running: Iterable[Json]) -> None:
        """The burstable level gets what its pods ask for together."""
        asked = sum(pods.requests_of(pod).get("cpu", 0) for pod in running if pods.qos_class(pod) == "Burstable")
        self._write(_join(self._top, "burstable"), shares=resources.shares(asked))

    # ---- files

    def _hierarchies(self) -> Iterator[Path]:
        """One tree in version 2, one per controller in version 1 (combined ones are links to the same)."""
        if self.version == 2:
            yield self._mount
            return
        seen: set[Path] = set()
        for entry in sorted(self._mount.iterdir()):
            real = entry.resolve()
            if real.is_dir() and real not in seen:
                seen.add(real)
                yield entry

    def _folders(self, path: str) -> list[Path]:
        if self.version == 2:
            return [self._mount / path.lstrip("/")]
        mounted = (self._mount / controller for controller in _CONTROLLERS)
        return [controller / path.lstrip("/") for controller in mounted if controller.is_dir()]

    def _pod_folders(self, uid: str) -> Iterator[Path]:
        for tree in self._hierarchies():
            for level in _LEVELS.values():
                folder = tree / _join(self._top, level, f"pod{uid}").lstrip("/")
                if folder.is_dir():
                    yield folder

    def _delegate(self, path: str) -> None:
        """Version 2: controllers have to be handed down from each level to the next."""
        folder = self._mount
        for part in ("", *path.strip("/").split("/")):
            folder = folder / part
            for controller in ("cpu", "memory", "pids", "cpuset", "io"):
                with suppress(OSError):  # a controller that this kernel or this container does not have
                    (folder / "cgroup.subtree_control").write_text(f"+{controller}")

    def _write(self, path: str, shares: int = 0, quota: int = 0, memory: int = 0) -> None:
        for controller, file, value in self._settings(shares, quota, memory):
            tree = self._mount if self.version == 2 else self._mount / controller
            folder = tree / path.lstrip("/")
            try:
                (folder / file).write_text(value)
            except OSError as problem:
                # A limit that cannot be set must not keep the pod from running; its containers have their own.
                logger.debug("%s/%s = %s: %s", folder, file, value, problem)

    def _settings(self, shares: int, quota: int, memory: int) -> Iterator[tuple[str, str, str]]:
        if self.version == 2:
            yield "cpu", "cpu.weight", str(resources.weight(shares or 2))
            if quota:
                yield "cpu", "cpu.max", f"{quota} {resources.PERIOD}"
            if memory:
                yield "memory", "memory.max", str(memory)
        else:
            yield "cpu", "cpu.shares", str(shares or 2)
            if quota:
                yield "cpu", "cpu.cfs_period_us", str(resources.PERIOD)
                yield "cpu", "cpu.cfs_quota_us", str(quota)
            if memory:
                yield "memory", "memory.limit_in_bytes", str(memory)
        if self._pids_limit > 0:
            yield "pids", "pids.max", str(self._pids_limit)


def _join(*parts: str) -> str:
    return "/".join(part for part in parts if part)
