"""AlwaysPullImages: nobody runs an image that lies on a node without the right to pull it. Off by default.

Upstream: plugin/pkg/admission/alwayspullimages/admission.go.
"""

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from machinery.api import kinds, pods


class AlwaysPullImages(Plugin):
    """Every container's imagePullPolicy is Always."""

    name = "AlwaysPullImages"

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """On create and on update alike."""
        if attributes.obj is None or not attributes.is_for(kinds.PODS, Operation.CREATE, Operation.UPDATE):
            return
        for container in pods.every_container_of(attributes.obj.get("spec") or {}):
            container["imagePullPolicy"] = "Always"
