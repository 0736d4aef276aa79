"""Keeps objects small in memory: what the scheduler does not read goes, and what is equal in many is there once.

The pods of a workload differ in a name; decoded, each costs ten times its text. Nothing here changes what is kept, so
that pods may have their containers in common.
"""

from typing import Any, Final

import orjson

from machinery.api.codec import Json
from machinery.client.informer import without_managed_fields

_IN_SPEC: Final = (
    "affinity",
    "containers",
    "initContainers",
    "nodeSelector",
    "securityContext",
    "taints",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
)
_IN_METADATA: Final = ("annotations", "labels", "ownerReferences")
_IN_STATUS: Final = ("allocatable", "capacity", "conditions", "images", "nodeInfo")
_MOST: Final = 20_000


class Sharing:
    """A `trim` for informers."""

    def __init__(self) -> None:
        self._known: dict[bytes, Any] = {}

    def __call__(self, obj: Json) -> None:
        """Take away what nobody reads, and put what is known in place of what is equal to it."""
        without_managed_fields(obj)
        for section, names in (("metadata", _IN_METADATA), ("spec", _IN_SPEC), ("status", _IN_STATUS)):
            part = obj.get(section) or {}
            for name in names:
                if name in part:
                    part[name] = self._shared(part[name])

    def _shared(self, value: Any) -> Any:
        if len(self._known) > _MOST:
            self._known.clear()  # those in use stay where they are used
        return self._known.setdefault(orjson.dumps(value), value)
