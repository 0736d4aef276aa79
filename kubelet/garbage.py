"""What is left over: pods of the runtime and folders that no worker knows, unused images, logs that have grown.

Only what carries this kubelet's own marks is touched: several kubelets may share a machine, and even a log folder.
Upstream: pkg/kubelet/kubelet_pods.go (HandlePodCleanups), images/image_gc_manager.go, logs/container_log_manager.go.
"""

import asyncio
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from kubelet import pod_files
from kubelet.cgroups import Cgroups
from kubelet.cri import api_pb2 as api
from kubelet.cri.client import Runtime, RuntimeProblem
from kubelet.pod_files import NodeFolders
from kubelet.pod_records import PodRecords
from kubelet.runtime_status import PodRecord
from machinery.aio.clock import REAL, Clock

logger = logging.getLogger(__name__)

_YOUNG_SECONDS: Final = 120.0  # an image this new is not removed


class KnownPods(Protocol):
    """The pods that have a worker."""

    def uids(self) -> set[str]: ...
    def adopt_orphan(self, uid: str, namespace: str, name: str) -> None: ...


class Housekeeping:
    """Finds what nobody looks after."""

    def __init__(self, records: PodRecords, workers: KnownPods, folders: NodeFolders, cgroups: Cgroups) -> None:
        self._records = records
        self._workers = workers
        self._folders = folders
        self._cgroups = cgroups

    async def sweep(self) -> None:
        """Once over everything; to be called only when all pods of the API are known. Raises RuntimeProblem."""
        in_runtime = await self._records.uids()
        for uid, (namespace, name) in in_runtime.items():
            self._workers.adopt_orphan(uid, namespace, name)
        known = self._workers.uids() | in_runtime.keys()
        for uid in pod_files.pod_folders(self._folders):
            if uid not in known:
                await self._remove_leftovers(uid)

    async def _remove_leftovers(self, uid: str) -> None:
        try:
            await asyncio.to_thread(pod_files.remove_pod_folder, self._folders, uid)
        except OSError as problem:
            logger.warning("what is left of pod %s stays: %s", uid, problem)
            return
        pod_files.remove_logs(self._folders, uid)
        self._cgroups.kill(uid)
        self._cgroups.remove(uid)
        logger.info("removed what was left of pod %s", uid)


@dataclass(slots=True)
class _Image:
    first_seen: float
    last_used: float


class ImageCollector:
    """Removes the images longest unused while the disk is too full."""

    def __init__(self, runtime: Runtime, high: int, low: int, clock: Clock = REAL) -> None:
        """`high` and `low` are percent of the disk."""
        self._runtime = runtime
        self._high = high
        self._low = low
        self._clock = clock
        self._known: dict[str, _Image] = {}

    async def collect(self) -> None:
        """One round; raises RuntimeProblem."""
        images = await self._runtime.list_images()
        self._note(images, {container.image_ref for container in await self._runtime.list_containers()})
        place = await self._place()
        if place is None or disk_percent(place) < self._high:
            return
        now = self._clock.monotonic()
        unused = sorted((image for image in images if not image.pinned), key=lambda one: self._known[one.id].last_used)
        for image in unused:
            seen = self._known[image.id]
            if seen.last_used < now and now - seen.first_seen > _YOUNG_SECONDS:
                await self._remove(image)
            if disk_percent(place) < self._low:
                return

    def _note(self, images: Iterable[api.Image], used: set[str]) -> None:
        now = self._clock.monotonic()
        for image in images:
            seen = self._known.setdefault(image.id, _Image(now, 0.0))
            if image.id in used:
                seen.last_used = now

    async def _place(self) -> str | None:
        filesystems = await self._runtime.image_filesystems()
        return filesystems[0].fs_id.mountpoint if filesystems else None

    async def _remove(self, image: api.Image) -> None:
        try:
            await self._runtime.remove_image(image.id)
            logger.info("removed unused image %s", ", ".join(image.repo_tags) or image.id)
        except RuntimeProblem as problem:
            logger.info("image %s stays: %s", image.id, problem)


def disk_percent(place: str) -> float:
    """How full the file system of a path is; 0 when the path is not there."""
    try:
        disk = os.statvfs(place)
    except OSError:
        return 0.0
    return 100.0 * (1 - disk.f_bavail / disk.f_blocks) if disk.f_blocks else 0.0


class LogRotation:
    """Keeps container logs below a size."""

    def __init__(self, runtime: Runtime, largest: int, files: int, clock: Clock = REAL) -> None:
        """`largest` in bytes; `files` is how many are kept per container, the open one included."""
        self._runtime = runtime
        self._largest = largest
        self._files = max(files, 2)
        self._clock = clock

    async def rotate(self, records: Iterable[PodRecord]) -> None:
        """Once over all running containers; raises RuntimeProblem."""
        for record in records:
            for container in record.running:
                path = Path(container.log_path)
                if container.log_path and path.exists() and path.stat().st_size > self._largest:
                    await self._rotate_one(container.id, path)

    async def _rotate_one(self, container_id: str, path: Path) -> None:
        old = sorted(path.parent.glob(f"{path.name}.*"))
        for file in old[: max(0, len(old) - (self._files - 2))]:
            file.unlink(missing_ok=True)
        path.rename(f"{path}.{self._clock.now():%Y%m%d-%H%M%S}")
        await self._runtime.reopen_log(container_id)
