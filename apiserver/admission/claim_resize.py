"""PersistentVolumeClaimResize: a claim may ask for more only where its storage class can give it.

Upstream: plugin/pkg/admission/storage/persistentvolume/resize/admission.go.
"""

from fractions import Fraction

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from machinery.api import kinds, quantity
from machinery.api.codec import Json


class PersistentVolumeClaimResize(Plugin):
    """Looks at updates that raise `spec.resources.requests.storage`."""

    name = "PersistentVolumeClaimResize"

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises Forbidden where the class is none or says no."""
        claim, old = attributes.obj, attributes.old
        if claim is None or old is None or not attributes.is_for(kinds.PERSISTENT_VOLUME_CLAIMS, Operation.UPDATE):
            return
        if _size(claim) <= _size(old) or (old.get("status") or {}).get("phase") != "Bound":
            return  # validation has its own word on claims that shrink or are not bound
        name = (claim.get("spec") or {}).get("storageClassName") or ""
        found = await reader.get(kinds.STORAGE_CLASSES, "", name) if name else None
        if not (found or {}).get("allowVolumeExpansion"):
            raise attributes.forbidden(
                "only dynamically provisioned pvc can be resized and "
                "the storageclass that provisions the pvc must support resize"
            )


def _size(claim: Json) -> Fraction:
    requests = ((claim.get("spec") or {}).get("resources") or {}).get("requests") or {}
    return quantity.parse(requests.get("storage") or "0")
