"""DefaultStorageClass and DefaultIngressClass: who names no class gets the one that is marked as default.

Upstream: plugin/pkg/admission/storage/storageclass/setdefault, plugin/pkg/admission/network/defaultingressclass.
"""

from typing import ClassVar, Final

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.reader import Reader
from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind

_BETA_DEFAULT: Final = "storageclass.beta.kubernetes.io/is-default-class"


class _DefaultClass(Plugin):
    """Fills a field with a class's name; of several defaults the newest is taken, then the first by name."""

    of: ClassVar[Kind]
    classes: ClassVar[Kind]
    field: ClassVar[str]
    #: annotations: what says the class in the old way; what marks a class as default
    old_way: ClassVar[str]
    marks: ClassVar[tuple[str, ...]]

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """On create."""
        obj = attributes.obj
        if obj is None or not attributes.is_for(self.of, Operation.CREATE):
            return
        spec = obj.setdefault("spec", {})
        if spec.get(self.field) is not None or self.old_way in meta.annotations_of(obj):
            return
        defaults = [one for one in reader.all(self.classes) if self._is_default(one)]
        defaults.sort(key=meta.name_of)
        defaults.sort(key=lambda one: meta.metadata_of(one).get("creationTimestamp") or "", reverse=True)
        if defaults:
            spec[self.field] = meta.name_of(defaults[0])

    def _is_default(self, one: Json) -> bool:
        return any(meta.annotations_of(one).get(mark) == "true" for mark in self.marks)


class DefaultStorageClass(_DefaultClass):
    """Of claims."""

    name = "DefaultStorageClass"
    of = kinds.PERSISTENT_VOLUME_CLAIMS
    classes = kinds.STORAGE_CLASSES
    field = "storageClassName"
    old_way = "volume.beta.kubernetes.io/storage-class"
    marks = ("storageclass.kubernetes.io/is-default-class", _BETA_DEFAULT)


class DefaultIngressClass(_DefaultClass):
    """Of Ingresses."""

    name = "DefaultIngressClass"
    of = kinds.INGRESSES
    classes = kinds.INGRESS_CLASSES
    field = "ingressClassName"
    old_way = "kubernetes.io/ingress.class"
    marks = ("ingressclass.kubernetes.io/is-default-class",)
