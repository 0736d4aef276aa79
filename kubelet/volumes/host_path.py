"""hostPath: a file or folder of the node, checked against its type. Nothing is ever removed here."""

import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from kubelet.volumes.plugin import MountedVolume, VolumeProblem, VolumeRequest

_CHECKS: Final[dict[str, tuple[Callable[[int], bool], str]]] = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


async def mount(request: VolumeRequest) -> MountedVolume:
    """Check the path's type, make it where the type says so; raises VolumeProblem, OSError."""
    source = request.volume["hostPath"]
    path = Path(source["path"])
    kind = source.get("type") or ""
    if kind == "DirectoryOrCreate":
        path.mkdir(parents=True, exist_ok=True, mode=0o755)
    elif kind == "FileOrCreate" and not path.exists():
        path.touch(mode=0o644)
    if kind:
        is_right, words = _CHECKS[kind]
        if not path.exists() or not is_right(path.stat().st_mode):
            raise VolumeProblem(f"hostPath type check failed: {path} is not {words}")
    return MountedVolume(path)
