"""What a PersistentVolume is made of (upstream: ValidatePersistentVolumeSpec, validate…PersistentVolumeSource)."""

import posixpath
from collections.abc import Callable, Mapping
from typing import Final

from apiserver.validation import fields, old_volumes, volumes
from machinery.api import errors, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

#: one of these, in the order in which upstream looks for them
SOURCES: Final = (
    *("hostPath", "gcePersistentDisk", "awsElasticBlockStore", "glusterfs", "flocker", "nfs", "rbd", "quobyte"),
    *("cephfs", "iscsi", "cinder", "fc", "flexVolume", "azureFile", "vsphereVolume", "photonPersistentDisk"),
    *("portworxVolume", "azureDisk", "scaleIO", "local", "storageos", "csi"),
)
#: sources whose complaints upstream files under another name
_PATHS: Final = {"gcePersistentDisk": "persistentDisk"}
_SECRETS: Final = (
    *("controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"),
)
_ONLY_ONE: Final = "may not specify more than 1 volume type"
_LONGEST_TARGET: Final = 64
_LONG_TARGET: Final = (
    "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is "
    "specified."
)
_NO_NAMESPACE: Final = "if the endpointnamespace is set, it must be a valid namespace name"
_RECYCLED_ROOT: Final = "may not be 'recycle' for a hostPath mount of '/'"


def check(spec: Json, path: str, name: str) -> list[FieldError]:
    """One source, which makes sense; `name` is the volume's."""
    present = [source for source in SOURCES if spec.get(source) is not None]
    if not present:
        return [errors.required(path, "must specify a volume type")]
    kind, source = present[0], spec[present[0]]
    at = f"{path}.{_PATHS.get(kind, kind)}"
    own = _OWN.get(kind)
    found = own(source, at) if own else old_volumes.check(kind, source, at)
    if kind == "iscsi":
        found += _long_target(source, at, name)
    elif kind == "hostPath" and spec.get("persistentVolumeReclaimPolicy") == "Recycle":
        found += _recycled(source, f"{path}.persistentVolumeReclaimPolicy")
    return found + [errors.forbidden_field(f"{path}.{other}", _ONLY_ONE) for other in present[1:]]


def _recycled(source: Json, path: str) -> list[FieldError]:
    is_root = posixpath.normpath(source.get("path") or ".") in ("/", "//")
    return [errors.forbidden_field(path, _RECYCLED_ROOT)] if is_root else []


def _long_target(source: Json, path: str, name: str) -> list[FieldError]:
    """The name that the node gives the interface is made of both."""
    portal = source.get("targetPortal") or ""
    if source.get("initiatorName") is None or len(f"{name}:{portal}".encode()) <= _LONGEST_TARGET:
        return []
    return [errors.invalid_value(f"{path}.targetportal", portal, _LONG_TARGET)]


def _local(source: Json, path: str) -> list[FieldError]:
    place = source.get("path") or ""
    return fields.no_backsteps(place, f"{path}.path") if place else [errors.required(f"{path}.path")]


def _iscsi(source: Json, path: str) -> list[FieldError]:
    return old_volumes.persistent_iscsi(source, path) + old_volumes.secret_name(source, path)


def _glusterfs(source: Json, path: str) -> list[FieldError]:
    found = old_volumes.check("glusterfs", source, path)
    namespace = source.get("endpointsNamespace")
    if namespace is None:
        return found
    if not namespace:
        return [*found, errors.invalid_value(f"{path}.endpointsNamespace", namespace, _NO_NAMESPACE)]
    return found + fields.dns_label(namespace, f"{path}.endpointsNamespace")


def _azure_file(source: Json, path: str) -> list[FieldError]:
    found = old_volumes.check("azureFile", source, path)
    return [*found, errors.required(f"{path}.secretNamespace")] if source.get("secretNamespace") == "" else found


def _cinder(source: Json, path: str) -> list[FieldError]:
    return old_volumes.check("cinder", source, path) + _secret_namespace(source, path)


def _storageos(source: Json, path: str) -> list[FieldError]:
    return old_volumes.check("storageos", source, path) + _secret_namespace(source, path)


def _secret_namespace(source: Json, path: str) -> list[FieldError]:
    secret = source.get("secretRef")
    return [] if secret is None or secret.get("namespace") else [errors.required(f"{path}.secretRef.namespace")]


def _csi(source: Json, path: str) -> list[FieldError]:
    found = volumes.csi_driver(source.get("driver") or "", f"{path}.driver")
    if not source.get("volumeHandle"):
        found.append(errors.required(f"{path}.volumeHandle"))
    for name in _SECRETS:
        if source.get(name) is not None:
            found += _secret(source[name], f"{path}.{name}")
    return found


def _secret(reference: Json, path: str) -> list[FieldError]:
    """Upstream's validatePVSecretReference."""
    found: list[FieldError] = []
    for name, check_name in (("name", names.is_dns_subdomain), ("namespace", names.is_dns_label)):
        value, at = reference.get(name) or "", f"{path}.{name}"
        found += fields.satisfies(value, at, check_name) if value else [errors.required(at)]
    return found


#: sources that are not checked as a pod's volumes are, or that only PersistentVolumes have
_OWN: Final[Mapping[str, Callable[[Json, str], list[FieldError]]]] = {
    "azureFile": _azure_file,
    "cinder": _cinder,
    "csi": _csi,
    "glusterfs": _glusterfs,
    "hostPath": volumes.host_path,
    "iscsi": _iscsi,
    "local": _local,
    "nfs": volumes.nfs,
    "storageos": _storageos,
}
