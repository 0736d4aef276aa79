"""A part of a volume as a mount of its own, safe from containers that swap symlinks meanwhile.

Each step of the way is opened without following links, and what was opened, not its name, is bound to a place only
the kubelet can write to. Upstream: pkg/volume/util/subpath (CVE-2017-1002101).
"""

import os
import stat
from pathlib import Path

from kubelet.volumes import mounts


class SubPathProblem(Exception):
    """The sub path leads out of the volume, or cannot be made."""


def prepare(volume: Path, sub_path: str, target: Path) -> Path:
    """Bind `volume/sub_path` (made as a folder if missing) to `target`; returns what to mount into the container."""
    if sub_path.startswith("/") or ".." in sub_path.split("/"):
        raise SubPathProblem(f'subPath "{sub_path}" is not a local path')
    root = os.path.realpath(volume)
    _make(root, sub_path)
    real = os.path.realpath(os.path.join(root, sub_path))
    if real != root and not real.startswith(root + "/"):
        raise SubPathProblem(f'subpath "{real}" not within volume path "{root}"')
    handle = _open_inside(root, os.path.relpath(real, root))
    try:
        _make_target(target, is_folder=stat.S_ISDIR(os.fstat(handle).st_mode))
        if mounts.is_mounted(target):
            mounts.unmount(target)
        mounts.bind(f"/proc/self/fd/{handle}", target)
    finally:
        os.close(handle)
    return target


def _make(root: str, sub_path: str) -> None:
    path = os.path.join(root, sub_path)
    if os.path.lexists(path):
        return
    parent = os.path.realpath(os.path.dirname(path))
    if parent != root and not parent.startswith(root + "/"):
        raise SubPathProblem(f'subpath "{parent}" not within volume path "{root}"')
    os.makedirs(path, mode=0o750, exist_ok=True)
    os.chmod(path, os.stat(root).st_mode & 0o7777)


def _open_inside(root: str, relative: str) -> int:
    handle = os.open(root, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    for part in relative.split("/"):
        if part in ("", "."):
            continue
        try:
            following = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
        finally:
            os.close(handle)
        handle = following
        if stat.S_ISLNK(os.fstat(handle).st_mode):
            os.close(handle)
            raise SubPathProblem(f'unexpected symlink found in subpath "{relative}"')
    return handle


def _make_target(target: Path, *, is_folder: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if is_folder:
        target.mkdir(exist_ok=True)
    else:
        target.touch()
