"""What a volume plugin is given and gives back. The plugins are one file each, the walk over a pod is `manager`'s."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from kubelet.environment import Sources
from machinery.api.codec import Json


class VolumeProblem(Exception):
    """The volume cannot be set up; the text is what users see in FailedMount."""


class Objects(Protocol):
    """Where plugins find what volumes refer to. `None`: there is no such object."""

    async def config_map(self, namespace: str, name: str) -> Json | None: ...
    async def secret(self, namespace: str, name: str) -> Json | None: ...
    async def token(self, pod: Json, audience: str, seconds: int) -> str: ...


@dataclass(frozen=True, slots=True)
class VolumeRequest:
    """One volume of one pod, and the folder that is its own."""

    pod: Json
    volume: Json
    folder: Path
    objects: Objects
    sources: Sources
    group: int | None = None  # the pod's fsGroup


@dataclass(frozen=True, slots=True)
class MountedVolume:
    """What containers mount."""

    path: Path
    read_only: bool = False


Plugin = Callable[[VolumeRequest], Awaitable[MountedVolume]]


def file_mode(source: Json, fallback: int = 0o644) -> int:
    """`defaultMode`, or the fallback."""
    mode = source.get("defaultMode")
    return fallback if mode is None else int(mode)
