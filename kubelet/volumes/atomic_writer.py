"""Writes a set of files so that readers see all of the old or all of the new. What the files are is the plugins'.

    <folder>/key            -> ..data/key
    <folder>/..data         -> ..2026_11_23_14_30_00.123456789     (switched by rename)
    <folder>/..2026_…/key

Upstream: pkg/volume/util/atomic_writer.go.
"""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

_DATA: Final = "..data"


@dataclass(frozen=True, slots=True)
class File:
    """Content and mode of one file."""

    data: bytes
    mode: int = 0o644


Payload = Mapping[str, File]


def write(folder: Path, payload: Payload, *, group: int | None = None) -> bool:
    """Bring the folder to the payload; True when something changed. Raises OSError, and ValueError for bad paths.

    With a group (fsGroup), everything belongs to it and is readable by it.
    """
    for name in payload:
        _check(name)
    current = folder / _DATA
    if current.exists() and _matches(current, payload, group):
        return False
    fresh = _fresh_folder(folder)
    for name, file in payload.items():
        _write_file(fresh / name, file, group)
    _own(fresh, group)
    old = current.resolve() if current.is_symlink() else None
    link = folder / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.rename(current)
    _link_names(folder, payload)
    if old is not None and old != fresh:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _check(name: str) -> None:
    parts = name.split("/")
    if not name or name.startswith("/") or ".." in parts or name.startswith(".."):
        raise ValueError(f"invalid path: {name!r}")


def _fresh_folder(folder: Path) -> Path:
    now = datetime.now(UTC)
    base = folder / f"..{now:%Y_%m_%d_%H_%M_%S}.{now.microsecond:06d}"
    base.mkdir(parents=True)
    base.chmod(0o755)
    return base


def _write_file(path: Path, file: File, group: int | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(file.data)
    path.chmod(_mode(file, group))
    if group is not None:
        os.chown(path, -1, group)


def _mode(file: File, group: int | None) -> int:
    return file.mode | 0o440 if group is not None else file.mode


def _own(folder: Path, group: int | None) -> None:
    if group is None:
        return
    for below, _, _ in os.walk(folder):
        os.chown(below, -1, group)
        os.chmod(below, 0o2755)


def _matches(current: Path, payload: Payload, group: int | None) -> bool:
    present = {str(path.relative_to(current)) for path in _files(current)}
    if present != set(payload):
        return False
    for name, file in payload.items():
        path = current / name
        if path.stat().st_mode & 0o7777 != _mode(file, group) or path.read_bytes() != file.data:
            return False
    return True


def _files(folder: Path) -> list[Path]:
    return [Path(below) / name for below, _, names in os.walk(folder) for name in names]


def _link_names(folder: Path, payload: Payload) -> None:
    wanted = {name.split("/")[0] for name in payload}
    for name in wanted:
        link = folder / name
        if not link.is_symlink():
            link.symlink_to(f"{_DATA}/{name}")
    for entry in folder.iterdir():
        if entry.is_symlink() and not entry.name.startswith("..") and entry.name not in wanted:
            entry.unlink()
