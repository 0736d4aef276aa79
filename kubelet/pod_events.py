"""Events about pods and their containers, with the fieldPath upstream gives them. Sending is the recorder's."""

from collections.abc import Callable
from typing import Final

from machinery.api import meta
from machinery.api.codec import Json
from machinery.api.kinds import PODS

NORMAL: Final = "Normal"
WARNING: Final = "Warning"

#: (ObjectReference, type, reason, message)
Record = Callable[[Json, str, str, str], None]


class PodEvents:
    """Says what happens to pods."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def pod(self, pod: Json, type_: str, reason: str, message: str) -> None:
        """About the pod as a whole."""
        self._record(meta.object_reference(pod, PODS), type_, reason, message)

    def container(self, pod: Json, name: str, type_: str, reason: str, message: str) -> None:  # noqa: PLR0913
        """About one of its containers."""
        reference = meta.object_reference(pod, PODS) | {"fieldPath": field_path(pod, name)}
        self._record(reference, type_, reason, message)


def field_path(pod: Json, name: str) -> str:
    """`spec.containers{web}`, `spec.initContainers{setup}`."""
    inits = (pod.get("spec") or {}).get("initContainers") or ()
    section = "initContainers" if any(container["name"] == name for container in inits) else "containers"
    return f"spec.{section}{{{name}}}"
