"""StorageObjectInUseProtection: claims and volumes that something uses stay until it does no longer.

Upstream: plugin/pkg/admission/storage/storageobjectinuseprotection. Here they get a finalizer; the controller manager's
protection controllers take it away.
"""

from typing import Final

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from machinery.api import kinds, meta

FINALIZERS: Final = {
    kinds.PERSISTENT_VOLUME_CLAIMS: "kubernetes.io/pvc-protection",
    kinds.PERSISTENT_VOLUMES: "kubernetes.io/pv-protection",
}


class StorageObjectInUseProtection(Plugin):
    """Adds the finalizer to what is new."""

    name = "StorageObjectInUseProtection"

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """Add it."""
        finalizer = FINALIZERS.get(attributes.kind)
        if finalizer is None or not attributes.is_for(attributes.kind, Operation.CREATE) or attributes.obj is None:
            return
        there = meta.finalizers_of(attributes.obj)
        if finalizer not in there:
            attributes.obj["metadata"]["finalizers"] = [*there, finalizer]
