"""What a container sees mounted: its volumes, /etc/hosts and its termination log. Setting volumes up is `volumes`'.

Upstream: pkg/kubelet/kubelet_pods.go (makeMounts), volume/util/subpath.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kubelet import environment
from kubelet.container_config import DEFAULT_TERMINATION_PATH
from kubelet.cri import api_pb2 as api
from kubelet.environment import ConfigError
from kubelet.pod_files import NodeFolders, termination_log, write_hosts_file
from kubelet.volumes import sub_path
from kubelet.volumes.plugin import MountedVolume
from machinery.api import meta
from machinery.api.codec import Json

_HOSTS: Final = "/etc/hosts"
_PROPAGATION: Final = {
    "HostToContainer": api.PROPAGATION_HOST_TO_CONTAINER,
    "Bidirectional": api.PROPAGATION_BIDIRECTIONAL,
}


@dataclass(frozen=True, slots=True)
class MountRequest:
    """One container of a pod, and what its pod has mounted."""

    pod: Json
    container: Json
    volumes: Mapping[str, MountedVolume]
    environment: Mapping[str, str]
    pod_ips: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MountSources:
    """Where the kubelet's own files are."""

    folders: NodeFolders
    cluster_domain: str


def mounts_of(request: MountRequest, sources: MountSources) -> tuple[api.Mount, ...]:
    """All mounts of the container; makes the files they need. Raises ConfigError, SubPathProblem, OSError."""
    wanted = request.container.get("volumeMounts") or ()
    result = [_volume_mount(request, sources, index, mount) for index, mount in enumerate(wanted)]
    taken = {mount.container_path for mount in result}
    if _HOSTS not in taken and request.pod_ips:
        file = write_hosts_file(sources.folders, request.pod, request.pod_ips, sources.cluster_domain)
        result.append(api.Mount(container_path=_HOSTS, host_path=str(file)))
    path = request.container.get("terminationMessagePath") or DEFAULT_TERMINATION_PATH
    if path not in taken:
        log = termination_log(sources.folders, meta.uid_of(request.pod), request.container["name"])
        result.append(api.Mount(container_path=path, host_path=str(log)))
    return tuple(result)


def _volume_mount(request: MountRequest, sources: MountSources, index: int, mount: Json) -> api.Mount:
    name = mount["name"]
    volume = request.volumes.get(name)
    if volume is None:
        raise ConfigError(f'cannot find volume "{name}" to mount into container "{request.container["name"]}"')
    path = volume.path
    inner = _sub_path(request, mount)
    if inner:
        folder = sources.folders.pod(meta.uid_of(request.pod)) / "volume-subpaths" / name
        path = sub_path.prepare(volume.path, inner, folder / request.container["name"] / str(index))
    target = mount["mountPath"]
    return api.Mount(
        container_path=target if target.startswith("/") else "/" + target,
        host_path=str(path),
        readonly=bool(mount.get("readOnly")) or volume.read_only,
        propagation=_PROPAGATION.get(mount.get("mountPropagation") or "", api.PROPAGATION_PRIVATE),
    )


def _sub_path(request: MountRequest, mount: Json) -> str:
    expression = mount.get("subPathExpr")
    if not expression:
        return mount.get("subPath") or ""
    for name in re.findall(r"\$\(([^)]+)\)", expression):
        if name not in request.environment:
            raise ConfigError(f'missing value for "{name}"')
    return environment.expand(expression, request.environment)
