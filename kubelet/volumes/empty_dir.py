"""emptyDir: a folder, or a tmpfs, that lives as long as the pod. Evicting over its size limit is not here."""

import os

from kubelet.volumes import mounts
from kubelet.volumes.plugin import MountedVolume, VolumeRequest
from machinery.api import quantity


async def mount(request: VolumeRequest) -> MountedVolume:
    """Make it once; later calls change nothing. Raises OSError."""
    source = request.volume.get("emptyDir") or {}
    folder = request.folder
    folder.mkdir(parents=True, exist_ok=True)
    if source.get("medium") == "Memory" and not mounts.is_mounted(folder):
        limit = source.get("sizeLimit")
        mounts.tmpfs(folder, quantity.to_int(limit) if limit else 0)
    mode = 0o777
    if request.group is not None:
        os.chown(folder, -1, request.group)
        mode = 0o2777
    if folder.stat().st_mode & 0o7777 != mode:
        folder.chmod(mode)
    return MountedVolume(folder)
