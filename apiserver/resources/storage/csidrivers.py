"""CSIDrivers (upstream: pkg/registry/storage/csidriver, pkg/apis/storage/v1/defaults.go, validation)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, UNSET, spec_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import fields
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_GROUP_POLICIES: Final = ("File", "None", "ReadWriteOnceWithFSType")
_MODES: Final = ("Ephemeral", "Persistent")
_LONGEST_NAME: Final = 63


class CSIDriverStrategy(KindStrategy):
    """What a driver can do."""

    namespaced = False
    has_generation = True

    def defaults(self, obj: Json) -> None:
        """Volumes are attached, pods are not told of, capacity is not tracked."""
        spec = obj.setdefault("spec", {})
        fill(spec, {"attachRequired": True, "podInfoOnMount": False, "storageCapacity": False})
        fill(spec, {"fsGroupPolicy": "ReadWriteOnceWithFSType", "requiresRepublish": False, "seLinuxMount": False})
        if not spec.get("volumeLifecycleModes"):
            spec["volumeLifecycleModes"] = ["Persistent"]

    def check(self, obj: Json) -> list[FieldError]:
        """Known policies and modes, each audience once."""
        spec = spec_of(obj)
        found = fields.one_of(spec.get("fsGroupPolicy"), _GROUP_POLICIES, "spec.fsGroupPolicy", needed=True)
        for mode in spec.get("volumeLifecycleModes") or ():
            found += fields.one_of(mode, _MODES, "spec.volumeLifecycleModes", needed=True)
        requests = fields.each(spec.get("tokenRequests"), "spec.tokenRequests")
        found += fields.unique((item.get("audience") or "-", f"{path}.audience") for item, path in requests)
        for item, path in requests:
            seconds = item.get("expirationSeconds")
            if seconds is not None and seconds < 600:
                text = "may not specify a duration less than 10 minutes"
                found.append(errors.invalid_value(f"{path}.expirationSeconds", seconds, text))
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """Whether volumes are attached, and modes, stay."""
        spec, before = spec_of(obj), spec_of(old)
        found = fields.immutable(spec.get("attachRequired"), before.get("attachRequired"), "spec.attachedRequired")
        modes = "volumeLifecycleModes"
        return found + fields.immutable(spec.get(modes), before.get(modes), f"spec.{modes}")

    def name_check(self, name: str) -> list[str]:
        """As drivers' names are."""
        return (
            [f"must be no more than {_LONGEST_NAME} characters"]
            if len(name) > _LONGEST_NAME
            else super().name_check(name)
        )


def _audiences(driver: Json) -> str:
    return ",".join(item.get("audience") or "" for item in spec_of(driver).get("tokenRequests") or ()) or UNSET


CSI_DRIVERS: Final = Resource(
    kind=kinds.CSI_DRIVERS,
    key="csidrivers",
    strategy=CSIDriverStrategy(),
    columns=(
        Column("AttachRequired", lambda obj: bool(spec_of(obj).get("attachRequired", True)), type="boolean"),
        Column("PodInfoOnMount", lambda obj: bool(spec_of(obj).get("podInfoOnMount")), type="boolean"),
        Column("StorageCapacity", lambda obj: bool(spec_of(obj).get("storageCapacity")), type="boolean"),
        Column(
            "TokenRequests",
            lambda obj: (
                ",".join(item.get("audience") or "" for item in spec_of(obj).get("tokenRequests") or ()) or UNSET
            ),
        ),
        Column("RequiresRepublish", lambda obj: bool(spec_of(obj).get("requiresRepublish")), type="boolean"),
        Column("Modes", lambda obj: ",".join(spec_of(obj).get("volumeLifecycleModes") or ())),
        AGE,
    ),
)
