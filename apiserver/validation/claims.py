"""What volumes and claims on them share (upstream: pkg/apis/core/validation, pkg/apis/core/v1/helper)."""

from typing import Final

from apiserver.validation import fields, selectors
from machinery.api import errors, names, quantity
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_MODES: Final = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
_VOLUME_MODES: Final = ("Block", "Filesystem")


def access_modes(
    modes: list[str] | None, path: str, missing: str = "at least 1 access mode is required"
) -> list[FieldError]:
    """At least one, known, and ReadWriteOncePod by itself."""
    if not modes:
        return [errors.required(path, missing)]
    found: list[FieldError] = []
    for mode in modes:
        if mode not in _MODES:
            found.append(errors.not_supported(path, mode, sorted(_MODES)))
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        text = "may not use ReadWriteOncePod with other access modes"
        found.append(errors.forbidden_field(path, text))
    return found


def short_modes(modes: list[str] | None) -> str:
    """`RWO,ROX`, in upstream's order."""
    return ",".join(short for mode, short in _MODES.items() if mode in (modes or ()))


def positive(amount: str, path: str) -> list[FieldError]:
    """More than nothing."""
    return [] if quantity.parse(amount) > 0 else [errors.invalid_value(path, amount, "must be greater than zero")]


def volume_mode(mode: str | None, path: str) -> list[FieldError]:
    """A file system or a device."""
    return fields.one_of(mode, _VOLUME_MODES, path)


def spec(claim: Json, path: str) -> list[FieldError]:
    """Modes, size, class, selector of a claim or a template of one (upstream: ValidatePersistentVolumeClaimSpec)."""
    found = selectors.label_selector(claim.get("selector"), f"{path}.selector")
    found += access_modes(claim.get("accessModes"), f"{path}.accessModes")
    requests: Json = (claim.get("resources") or {}).get("requests") or {}
    if "storage" not in requests:
        found.append(errors.required(f"{path}.resources[storage]", ""))
    else:
        found += positive(requests["storage"], f"{path}.resources[storage]")
    if claim.get("storageClassName"):
        found += fields.satisfies(claim["storageClassName"], f"{path}.storageClassName", names.is_dns_subdomain)
    found += volume_mode(claim.get("volumeMode"), f"{path}.volumeMode")
    source, reference = claim.get("dataSource"), claim.get("dataSourceRef")
    if source and reference and any(source.get(name) != reference.get(name) for name in ("kind", "name")):
        found.append(errors.invalid_value(path, None, "must match dataSourceRef"))
    return found
