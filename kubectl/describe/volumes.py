"""The part of a description that is about volumes. A kind of volume is a row; projected ones have a function."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from kubectl.describe.text import NONE, UNSET, lower
from machinery.api.codec import Json

Show = Callable[[Any], str]


def _plain(value: Any) -> str:
    return "" if value is None else str(value)


def _or_unset(value: Any) -> str:
    return str(value) if value else UNSET


def _or_none(value: Any) -> str:
    return NONE if value is None else str(value)


_ROWS: Final[dict[str, tuple[str, tuple[tuple[str, str, Show], ...]]]] = {
    "hostPath": (
        "HostPath (bare host directory volume)",
        (("Path", "path", _plain), ("HostPathType", "type", _or_none)),
    ),
    "emptyDir": (
        "EmptyDir (a temporary directory that shares a pod's lifetime)",
        (("Medium", "medium", _plain), ("SizeLimit", "sizeLimit", _or_unset)),
    ),
    "secret": (
        "Secret (a volume populated by a Secret)",
        (("SecretName", "secretName", _plain), ("Optional", "optional", lower)),
    ),
    "configMap": (
        "ConfigMap (a volume populated by a ConfigMap)",
        (("Name", "name", _plain), ("Optional", "optional", lower)),
    ),
    "nfs": (
        "NFS (an NFS mount that lasts the lifetime of a pod)",
        (("Server", "server", _plain), ("Path", "path", _plain), ("ReadOnly", "readOnly", lower)),
    ),
    "persistentVolumeClaim": (
        "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
        (("ClaimName", "claimName", _plain), ("ReadOnly", "readOnly", lower)),
    ),
    "csi": (
        "CSI (a Container Storage Interface (CSI) volume source)",
        (("Driver", "driver", _plain), ("FSType", "fsType", _plain), ("ReadOnly", "readOnly", lower)),
    ),
    "image": (
        "Image (a container image or OCI artifact)",
        (("Reference", "reference", _plain), ("PullPolicy", "pullPolicy", _plain)),
    ),
}


def volumes(found: Sequence[Json] | None, *, template: bool) -> Iterator[str]:
    """The Volumes section; a template's is indented."""
    space, indent = ("  ", " ") if template else ("", "")
    if not found:
        yield f"{space}Volumes:\t{NONE}"
        return
    yield f"{space}Volumes:"
    for volume in found:
        yield f"  {indent}{volume.get('name')}:"
        yield from _source(volume)


def _source(volume: Json) -> Iterator[str]:
    for kind, (title, fields) in _ROWS.items():
        if (source := volume.get(kind)) is not None:
            yield f"    Type:\t{title}"
            yield from (f"    {label}:\t{show(source.get(field))}" for label, field, show in fields)
            return
    if (projected := volume.get("projected")) is not None:
        yield "    Type:\tProjected (a volume that contains injected data from multiple sources)"
        for part in projected.get("sources") or ():
            yield from _projected(part)
    elif (downward := volume.get("downwardAPI")) is not None:
        yield from ("    Type:\tDownwardAPI (a volume populated by information about the pod)", "    Items:")
        for item in downward.get("items") or ():
            what = (item.get("fieldRef") or {}).get("fieldPath") or (item.get("resourceFieldRef") or {}).get("resource")
            yield f"      {what} -> {item.get('path')}"
    else:
        yield "  <unknown>"


def _projected(part: Json) -> Iterator[str]:
    if secret := part.get("secret"):
        yield f"    SecretName:\t{secret.get('name', '')}"
        yield f"    Optional:\t{lower(secret.get('optional'))}"
    elif "downwardAPI" in part:
        yield "    DownwardAPI:\ttrue"
    elif config := part.get("configMap"):
        yield f"    ConfigMapName:\t{config.get('name', '')}"
        yield f"    Optional:\t{lower(config.get('optional'))}"
    elif token := part.get("serviceAccountToken"):
        yield f"    TokenExpirationSeconds:\t{token.get('expirationSeconds', 0)}"
