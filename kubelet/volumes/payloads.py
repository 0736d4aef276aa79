"""configMap, secret, downwardAPI and projected volumes: objects and fields as files. Writing them is `atomic_writer`'s.

Upstream: pkg/volume/configmap, secret, downwardapi, projected.
"""

import base64
from collections.abc import Iterable, Mapping

from kubelet import environment
from kubelet.volumes import atomic_writer, mounts
from kubelet.volumes.atomic_writer import File
from kubelet.volumes.plugin import MountedVolume, VolumeProblem, VolumeRequest, file_mode
from machinery.api import meta
from machinery.api.codec import Json

Files = dict[str, File]
_HOUR = 3600


async def mount_config_map(request: VolumeRequest) -> MountedVolume:
    """A ConfigMap's keys as files."""
    source = request.volume["configMap"]
    files = await config_map_files(request, source, file_mode(source))
    return _write(request, files, in_memory=False)


async def mount_secret(request: VolumeRequest) -> MountedVolume:
    """A Secret's keys as files, never on disk."""
    source = request.volume["secret"]
    files = await secret_files(request, {**source, "name": source.get("secretName")}, file_mode(source))
    return _write(request, files, in_memory=True)


async def mount_downward_api(request: VolumeRequest) -> MountedVolume:
    """The pod's own fields as files."""
    source = request.volume["downwardAPI"]
    return _write(request, downward_files(request, source, file_mode(source)), in_memory=True)


async def mount_projected(request: VolumeRequest) -> MountedVolume:
    """Several sources in one folder; tokens are renewed as they age."""
    whole = request.volume["projected"]
    mode = file_mode(whole)
    files: Files = {}
    for source in whole.get("sources") or ():
        files.update(await _projected_files(request, source, mode))
    return _write(request, files, in_memory=True)


def _write(request: VolumeRequest, files: Files, *, in_memory: bool) -> MountedVolume:
    folder = request.folder
    folder.mkdir(parents=True, exist_ok=True)
    if in_memory and not mounts.is_mounted(folder):
        mounts.tmpfs(folder)
    atomic_writer.write(folder, files, group=request.group)
    return MountedVolume(folder, read_only=True)


async def _projected_files(request: VolumeRequest, source: Json, mode: int) -> Files:
    if "configMap" in source:
        return await config_map_files(request, source["configMap"], mode)
    if "secret" in source:
        return await secret_files(request, source["secret"], mode)
    if "downwardAPI" in source:
        return downward_files(request, source["downwardAPI"], mode)
    if "serviceAccountToken" in source:
        wanted = source["serviceAccountToken"]
        seconds = int(wanted.get("expirationSeconds") or _HOUR)
        token = await request.objects.token(request.pod, wanted.get("audience") or "", seconds)
        return {wanted["path"]: File(token.encode(), mode)}
    raise VolumeProblem(f"projected source {', '.join(source)} is not supported")


async def config_map_files(request: VolumeRequest, source: Json, mode: int) -> Files:
    """The chosen keys of a ConfigMap; raises VolumeProblem."""
    name = source.get("name") or ""
    found = await request.objects.config_map(meta.namespace_of(request.pod), name)
    if found is None:
        return _missing(source, f'configmap "{name}" not found')
    data = {key: value.encode() for key, value in (found.get("data") or {}).items()}
    data |= {key: base64.b64decode(value) for key, value in (found.get("binaryData") or {}).items()}
    return _chosen(data, source, mode, "configmap references non-existent config key: ")


async def secret_files(request: VolumeRequest, source: Json, mode: int) -> Files:
    """The chosen keys of a Secret; raises VolumeProblem."""
    name = source.get("name") or ""
    found = await request.objects.secret(meta.namespace_of(request.pod), name)
    if found is None:
        return _missing(source, f'secret "{name}" not found')
    data = {key: base64.b64decode(value) for key, value in (found.get("data") or {}).items()}
    return _chosen(data, source, mode, "references non-existent secret key: ")


def _missing(source: Json, text: str) -> Files:
    if source.get("optional"):
        return {}
    raise VolumeProblem(text)


def _chosen(data: Mapping[str, bytes], source: Json, mode: int, complaint: str) -> Files:
    items: Iterable[Json] = source.get("items") or ()
    if not items:
        return {key: File(value, mode) for key, value in data.items()}
    files: Files = {}
    for item in items:
        if item["key"] in data:
            files[item["path"]] = File(data[item["key"]], int(item["mode"]) if item.get("mode") is not None else mode)
        elif not source.get("optional"):
            raise VolumeProblem(complaint + item["key"])
    return files


def downward_files(request: VolumeRequest, source: Json, mode: int) -> Files:
    """Fields and resources of the pod; raises VolumeProblem."""
    files: Files = {}
    for item in source.get("items") or ():
        try:
            text = _downward_value(request, item)
        except environment.ConfigError as problem:
            raise VolumeProblem(str(problem)) from problem
        files[item["path"]] = File(text.encode(), int(item["mode"]) if item.get("mode") is not None else mode)
    return files


def _downward_value(request: VolumeRequest, item: Json) -> str:
    if "fieldRef" in item:
        return environment.field_of(request.pod, item["fieldRef"].get("fieldPath") or "")
    reference = item.get("resourceFieldRef") or {}
    return environment.resource_field(request.pod, {}, reference, request.sources.allocatable)
