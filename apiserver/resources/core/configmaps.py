"""ConfigMaps (upstream: pkg/registry/core/configmap, ValidateConfigMap)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE
from apiserver.validation import data
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class ConfigMapStrategy(KindStrategy):
    """Immutable data may not change."""

    def check(self, obj: Json) -> list[FieldError]:
        """Keys are file names, none is in both maps, the whole fits 1 MiB."""
        texts, binary = obj.get("data") or {}, obj.get("binaryData") or {}
        found = data.keys(texts, "data") + data.keys(binary, "binaryData")
        for key in texts.keys() & binary.keys():
            found.append(errors.invalid_value(f"data[{key}]", key, "duplicate of key present in binaryData"))
        size = sum(len(value.encode()) for value in texts.values()) + data.decoded_size(binary)
        return found + data.fits(size, "")

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """Upstream's closed door."""
        return data.immutable(obj, old, ("data", "binaryData"))


CONFIG_MAPS: Final = Resource(
    kind=kinds.CONFIG_MAPS,
    key="configmaps",
    strategy=ConfigMapStrategy(),
    short_names=("cm",),
    columns=(Column("Data", lambda cm: len(cm.get("data") or ()) + len(cm.get("binaryData") or ())), AGE),
)
