"""Volumes that a container sees as devices (upstream: ValidateVolumeDevices, ValidateVolumeMounts)."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from apiserver.validation import fields
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_SOURCES: Final = ("ephemeral", "persistentVolumeClaim")
_NOT_A_CLAIM: Final = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"


def check(container: Json, path: str, volumes: Mapping[Any, Json]) -> list[FieldError]:
    """Devices are claims, each once and at a path of its own; no volume is both a device and mounted."""
    mounts, devices = container.get("volumeMounts") or (), container.get("volumeDevices") or ()
    found = _both(mounts, f"{path}.volumeMounts", "mountPath", devices, "volumeDevices")
    names: set[str] = set()
    places: set[str] = set()
    for device, at in fields.each(devices, f"{path}.volumeDevices"):
        name, place = device.get("name") or "", device.get("devicePath") or ""
        found += _name(name, f"{at}.name", volumes)
        if name in names:
            found.append(errors.invalid_value(f"{at}.name", name, "must be unique"))
        if not place:
            found.append(errors.required(f"{at}.devicePath"))
        elif place in places:
            found.append(errors.invalid_value(f"{at}.devicePath", place, "must be unique"))
        if ".." in place.split("/"):
            found.append(errors.invalid_value(f"{at}.devicePath", place, "can not contain backsteps ('..')"))
        names.add(name)
        places.add(place)
    return found + _both(devices, f"{path}.volumeDevices", "devicePath", mounts, "volumeMounts")


def _name(name: str, path: str, volumes: Mapping[Any, Json]) -> list[FieldError]:
    if not name:
        return [errors.required(path)]
    if name not in volumes:
        return [errors.not_found_value(path, name)]
    if all(volumes[name].get(source) is None for source in _SOURCES):
        return [errors.invalid_value(path, name, _NOT_A_CLAIM)]
    return []


def _both(items: Sequence[Json], path: str, place: str, others: Sequence[Json], what: str) -> list[FieldError]:
    """Names and paths of one list that are in the other, too."""
    names = {other.get("name") for other in others}
    places = {other.get("mountPath") or other.get("devicePath") for other in others}
    found: list[FieldError] = []
    for item, at in fields.each(items, path):
        if item.get("name") in names:
            found.append(errors.invalid_value(f"{at}.name", item["name"], f"must not already exist in {what}"))
        if item.get(place) in places:
            text = f"must not already exist as a path in {what}"
            found.append(errors.invalid_value(f"{at}.{place}", item[place], text))
    return found
