"""Volumes of storage that drivers took over from the kubelet (upstream: validateGCEPersistentDiskVolumeSource …)."""

import re
from collections.abc import Callable, Mapping
from typing import Final

from apiserver.validation import fields
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_PARTITION_TEXT: Final = "must be between 1 and 255, inclusive"
_UNIT_TEXT: Final = "must be between 0 and 255, inclusive"
_CACHING: Final = ("None", "ReadOnly", "ReadWrite")
_AZURE_KINDS: Final = ("Dedicated", "Managed", "Shared")
_MANAGED_URI: Final = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
_BLOB_URI: Final = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
_REGISTRY_TEXT: Final = "must be a host:port pair or multiple pairs separated by commas"
_UNKNOWN: Final = "must be valid format starting with iqn, eui, or naa"
_MALFORMED: Final = "must be valid format"
_LONGEST_TENANT: Final = 64
_OWN_DOMAINS: Final = (".kubernetes.io", ".k8s.io")
_HOST_PORT: Final = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*):[^:\[\]]*")
_ISCSI_NAMES: Final = {
    "iqn": re.compile(r"iqn\.[0-9]{4}-[0-9]{2}\.[A-Za-z0-9.-]+:[^,;*&$|\s]+"),
    "eui": re.compile(r"eui.[A-Za-z0-9]{16}"),
    "naa": re.compile(r"naa.[A-Za-z0-9]{32}"),
}


def check(kind: str, source: Json, path: str) -> list[FieldError]:
    """What a source says nothing without, then what it may not say; sources of other kinds pass."""
    check_source = _CHECKS.get(kind)
    found = _missing(kind, source, path)
    return found + check_source(source, path) if check_source else found


def _missing(kind: str, source: Json, path: str) -> list[FieldError]:
    return [errors.required(f"{path}.{field}") for field in _NEEDED.get(kind, ()) if not source.get(field)]


def _partition(source: Json, path: str) -> list[FieldError]:
    number = source.get("partition") or 0  # 0 is the whole disk, whatever upstream's text says
    if 0 <= number <= 255:
        return []
    return [errors.invalid_value(f"{path}.partition", number, _PARTITION_TEXT)]


def _azure_disk(source: Json, path: str) -> list[FieldError]:
    found = fields.one_of(source.get("cachingMode"), _CACHING, f"{path}.cachingMode")
    kind, place = source.get("kind"), source.get("diskURI") or ""
    found += fields.one_of(kind, _AZURE_KINDS, f"{path}.kind")
    if kind == "Managed" and not place.startswith("/subscriptions/"):
        found.append(errors.not_supported(f"{path}.diskURI", place, (_MANAGED_URI,)))
    elif kind not in (None, "Managed") and not place.startswith("https://"):
        found.append(errors.not_supported(f"{path}.diskURI", place, (_BLOB_URI,)))
    return found


def secret_name(source: Json, path: str) -> list[FieldError]:
    """A reference to a secret names one."""
    secret = source.get("secretRef")
    return [] if secret is None or secret.get("name") else [errors.required(f"{path}.secretRef.name")]


def _flex(source: Json, path: str) -> list[FieldError]:
    text = "kubernetes.io and k8s.io namespaces are reserved"
    return [
        errors.invalid_value(f"{path}.options[{name}]", name, text)
        for name in source.get("options") or ()
        if f".{name.partition('/')[0].lower()}".endswith(_OWN_DOMAINS)
    ]


def _flocker(source: Json, path: str) -> list[FieldError]:
    name, uuid = source.get("datasetName") or "", source.get("datasetUUID") or ""
    found: list[FieldError] = []
    if not name and not uuid:
        found.append(errors.required(path, "one of datasetName and datasetUUID is required"))
    if name and uuid:
        text = "datasetName and datasetUUID can not be specified simultaneously"
        found.append(errors.invalid_value(path, "resource", text))
    if "/" in name:
        found.append(errors.invalid_value(f"{path}.datasetName", name, "must not contain '/'"))
    return found


def _git_repo(source: Json, path: str) -> list[FieldError]:
    return fields.relative_path(source.get("directory") or "", f"{path}.directory")


def _quobyte(source: Json, path: str) -> list[FieldError]:
    registry = source.get("registry") or ""
    found: list[FieldError] = []
    if not registry:
        found.append(errors.required(f"{path}.registry", _REGISTRY_TEXT))
    elif len((source.get("tenant") or "").encode()) > _LONGEST_TENANT:
        text = "must be a UUID and may not exceed a length of 64 characters"
        found.append(errors.required(f"{path}.tenant", text))
    else:
        wrong = [pair for pair in registry.split(",") if not _HOST_PORT.fullmatch(pair)]
        found += [errors.invalid_value(f"{path}.registry", registry, _REGISTRY_TEXT) for _ in wrong]
    return found if source.get("volume") else [*found, errors.required(f"{path}.volume")]


def _storageos(source: Json, path: str) -> list[FieldError]:
    name, namespace = source.get("volumeName") or "", source.get("volumeNamespace") or ""
    found = fields.dns_label(name, f"{path}.volumeName") if name else [errors.required(f"{path}.volumeName")]
    found += fields.dns_label(namespace, f"{path}.volumeNamespace") if namespace else []
    return found + secret_name(source, path)


def persistent_iscsi(source: Json, path: str) -> list[FieldError]:
    """As in a pod, but for one text (upstream: validateISCSIPersistentVolumeSource)."""
    return _missing("iscsi", source, path) + _iscsi(source, path, unknown=_MALFORMED)


def _iscsi(source: Json, path: str, *, unknown: str = _UNKNOWN) -> list[FieldError]:
    found = _iscsi_name(source["iqn"], f"{path}.iqn", unknown) if source.get("iqn") else []
    found += _unit(source.get("lun") or 0, f"{path}.lun")
    guarded = source.get("chapAuthDiscovery") or source.get("chapAuthSession")
    if guarded and source.get("secretRef") is None:
        found.append(errors.required(f"{path}.secretRef"))
    if source.get("initiatorName") is not None:
        found += _iscsi_name(source["initiatorName"], f"{path}.initiatorname", unknown)
    return found


def _iscsi_name(name: str, path: str, unknown: str) -> list[FieldError]:
    pattern = _ISCSI_NAMES.get(name[:3])
    if pattern is None:
        return [errors.invalid_value(path, name, unknown)]
    return [] if pattern.fullmatch(name) else [errors.invalid_value(path, name, _MALFORMED)]


def _unit(number: int, path: str) -> list[FieldError]:
    return [] if 0 <= number <= 255 else [errors.invalid_value(path, number, _UNIT_TEXT)]


def _fc(source: Json, path: str) -> list[FieldError]:
    targets, disks = source.get("targetWWNs"), source.get("wwids")
    found: list[FieldError] = []
    if not targets and not disks:
        text = "must specify either targetWWNs or wwids, but not both"
        found.append(errors.required(f"{path}.targetWWNs", text))
    if targets and disks:
        text = "targetWWNs and wwids can not be specified simultaneously"
        found.append(errors.invalid_value(f"{path}.targetWWNs", targets, text))
    if targets and source.get("lun") is None:
        found.append(errors.required(f"{path}.lun", "lun is required if targetWWNs is specified"))
    elif targets:
        found += _unit(source["lun"], f"{path}.lun")
    return found


_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "awsElasticBlockStore": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "azureFile": ("secretName", "shareName"),
    "cephfs": ("monitors",),
    "cinder": ("volumeID",),
    "flexVolume": ("driver",),
    "gcePersistentDisk": ("pdName",),
    "gitRepo": ("repository",),
    "glusterfs": ("endpoints", "path"),
    "iscsi": ("targetPortal", "iqn"),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "rbd": ("monitors", "image"),
    "scaleIO": ("gateway", "system", "volumeName"),
    "vsphereVolume": ("volumePath",),
}
_CHECKS: Final[Mapping[str, Callable[[Json, str], list[FieldError]]]] = {
    "awsElasticBlockStore": _partition,
    "azureDisk": _azure_disk,
    "cinder": secret_name,
    "fc": _fc,
    "flexVolume": _flex,
    "flocker": _flocker,
    "gcePersistentDisk": _partition,
    "gitRepo": _git_repo,
    "iscsi": _iscsi,
    "quobyte": _quobyte,
    "storageos": _storageos,
}
