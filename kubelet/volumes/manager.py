"""Sets up all volumes of a pod and brings them up to date; their removal is `pod_files.remove_pod_folder`."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from kubelet.environment import Sources
from kubelet.volumes import empty_dir, host_path, payloads
from kubelet.volumes.plugin import MountedVolume, Objects, Plugin, VolumeProblem, VolumeRequest
from machinery.api import errors, meta
from machinery.api.codec import Json

_PLUGINS: Final[Mapping[str, tuple[str, Plugin]]] = {
    "emptyDir": ("empty-dir", empty_dir.mount),
    "configMap": ("configmap", payloads.mount_config_map),
    "secret": ("secret", payloads.mount_secret),
    "projected": ("projected", payloads.mount_projected),
    "downwardAPI": ("downward-api", payloads.mount_downward_api),
    "hostPath": ("host-path", host_path.mount),
}
_CHANGING: Final = ("configMap", "secret", "projected", "downwardAPI")


class MountFailed(Exception):
    """A volume of the pod cannot be set up; the text is the FailedMount event's."""


class VolumeManager:
    """One per node."""

    def __init__(self, folder_of: Callable[[str], Path], objects: Objects) -> None:
        """`folder_of` names the folder of a pod's volumes, by uid."""
        self._folder_of = folder_of
        self._objects = objects

    async def mount(self, pod: Json, sources: Sources) -> dict[str, MountedVolume]:
        """Every volume by name, set up or refreshed; raises MountFailed for the first that cannot be."""
        mounted: dict[str, MountedVolume] = {}
        for volume in (pod.get("spec") or {}).get("volumes") or ():
            try:
                mounted[volume["name"]] = await self._mount_one(pod, volume, sources)
            except (VolumeProblem, OSError, ValueError, errors.StatusError) as problem:
                text = f'MountVolume.SetUp failed for volume "{volume["name"]}" : {problem}'
                raise MountFailed(text) from problem
        return mounted

    async def _mount_one(self, pod: Json, volume: Json, sources: Sources) -> MountedVolume:
        kind = next((kind for kind in _PLUGINS if kind in volume), None)
        if kind is None:
            given = ", ".join(key for key in volume if key != "name")
            if given:
                raise VolumeProblem(f"no volume plugin matched ({given})")
            kind = "emptyDir"
        folder_name, plugin = _PLUGINS[kind]
        folder = self._folder_of(meta.uid_of(pod)) / f"kubernetes.io~{folder_name}" / volume["name"]
        group = ((pod.get("spec") or {}).get("securityContext") or {}).get("fsGroup")
        return await plugin(
            VolumeRequest(pod, volume, folder, self._objects, sources, int(group) if group is not None else None)
        )


def changes_by_itself(pod: Json) -> bool:
    """Whether a volume of the pod follows something that may change while the pod runs."""
    volumes = (pod.get("spec") or {}).get("volumes") or ()
    return any(kind in volume for volume in volumes for kind in _CHANGING)
