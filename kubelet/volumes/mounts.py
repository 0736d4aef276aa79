"""mount(2) and umount2(2), and what is mounted below a folder. Which volume needs what is the plugins'."""

import ctypes
import os
from pathlib import Path
from typing import Final

_MS_RDONLY: Final = 1
_MS_NOSUID: Final = 2
_MS_BIND: Final = 4096
_MS_REC: Final = 16384
_MNT_DETACH: Final = 2
_libc: Final = ctypes.CDLL(None, use_errno=True)


def tmpfs(target: Path, size: int = 0) -> None:
    """Mount a tmpfs of at most `size` bytes (0: the kernel's default); raises OSError."""
    options = f"size={size}" if size else ""
    _mount("tmpfs", str(target), "tmpfs", 0, options)


def bind(source: str, target: Path) -> None:
    """Make `source` appear at `target`, which exists; raises OSError."""
    _mount(source, str(target), "", _MS_BIND | _MS_REC, "")


def unmount(target: Path | str) -> None:
    """Take a mount away, at once for new users; raises OSError."""
    if _libc.umount2(os.fsencode(str(target)), _MNT_DETACH) != 0:
        raise _error(str(target))


def below(folder: Path) -> list[str]:
    """Mount points at or below a folder, deepest first."""
    prefix = str(folder.resolve() if folder.exists() else folder)
    points = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        point = line.split(" ")[4].encode().decode("unicode_escape")
        if point == prefix or point.startswith(prefix + "/"):
            points.append(point)
    return sorted(points, reverse=True)


def is_mounted(folder: Path) -> bool:
    """Whether something is mounted right there."""
    return str(folder) in below(folder)


def unmount_below(folder: Path) -> None:
    """Take all mounts below a folder away; raises OSError."""
    for point in below(folder):
        unmount(point)


def _mount(source: str, target: str, kind: str, flags: int, options: str) -> None:
    arguments = (os.fsencode(source), os.fsencode(target), os.fsencode(kind))
    if _libc.mount(*arguments, ctypes.c_ulong(flags), os.fsencode(options)) != 0:
        raise _error(target)


def _error(path: str) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), path)
