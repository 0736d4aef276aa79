"""Files of a volume that come from elsewhere in the API (upstream: validateProjectionSources, validateKeyToPath …)."""

from collections.abc import Callable, Iterator
from typing import Final

from apiserver.validation import fields, references, selectors, signers
from machinery.api import errors
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_MODE_TEXT: Final = "must be a number between 0 and 0777 (octal), both inclusive"
_LEAST_TOKEN_SECONDS: Final = 600
_KEY_TYPES: Final = ("RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519")
_CERTIFICATE_PATHS: Final = ("credentialBundlePath", "keyPath", "certificateChainPath")
_NO_CERTIFICATE_PATH: Final = "specify at least one of credentialBundlePath, keyPath, and certificateChainPath"


def mode(value: int | None, path: str) -> list[FieldError]:
    """Permissions of a file."""
    if value is None or 0 <= value <= 0o777:
        return []
    return [errors.invalid_value(path, value, _MODE_TEXT)]


def items(values: list[Json] | None, path: str) -> list[FieldError]:
    """Keys of a ConfigMap or Secret and the files they become (upstream: validateKeyToPath)."""
    found: list[FieldError] = []
    for item, at in fields.each(values, path):
        if not item.get("key"):
            found.append(errors.required(f"{at}.key"))
        found += _target(item.get("path") or "", f"{at}.path")
        found += mode(item.get("mode"), f"{at}.mode")
    return found


def downward_files(source: Json, path: str) -> list[FieldError]:
    """Fields of the pod as files, told of without their index (upstream: validateDownwardAPIVolumeFile)."""
    return [error for item in source.get("items") or () for error in _downward_file(item, path)]


def _downward_file(item: Json, path: str) -> list[FieldError]:
    found = _target(item.get("path") or "", f"{path}.path")
    field, resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if field is not None:
        found += references.volume_field(field, f"{path}.fieldRef")
        if resource is not None:
            text = "fieldRef and resourceFieldRef can not be specified simultaneously"
            found.append(errors.invalid_value(path, "resource", text))
    elif resource is not None:
        found += references.resource_field(resource, f"{path}.resourceFieldRef", in_volume=True)
    else:
        found.append(errors.required(path, "one of fieldRef and resourceFieldRef is required"))
    return found + mode(item.get("mode"), f"{path}.mode")


def _target(value: str, path: str) -> list[FieldError]:
    return fields.unreserved_path(value, path) if value else [errors.required(path)]


def check(source: Json, path: str) -> list[FieldError]:
    """Each part has one source, and no two write the same file."""
    found = mode(source.get("defaultMode"), f"{path}.defaultMode")
    seen: set[str] = set()
    for projection, at in fields.each(source.get("sources"), f"{path}.sources"):
        found += _projection(projection, at)
        for target, shown in _targets(projection):
            if target in seen:
                found.append(errors.invalid_value(path, shown, "conflicting duplicate paths"))
            seen.add(target)
    return found


def _projection(projection: Json, path: str) -> list[FieldError]:
    chosen = [key for key, value in projection.items() if value is not None]
    if not chosen:
        return [errors.required(path, "must specify a projection type")]
    text = "may not specify more than 1 volume type"
    found = [errors.forbidden_field(f"{path}.{key}", text) for key in chosen[1:]]
    check_source = _SOURCES.get(chosen[0])
    return found + (check_source(projection[chosen[0]], f"{path}.{chosen[0]}") if check_source else [])


def _targets(projection: Json) -> Iterator[tuple[str, str]]:
    """The files of a part, and what upstream shows of one that is there already; tokens it does not look at."""
    for kind, source in projection.items():
        if kind in ("configMap", "secret", "downwardAPI"):
            for item in (source or {}).get("items") or ():
                if item.get("path"):
                    yield item["path"], item["path"] if kind == "downwardAPI" else source.get("name") or ""
        elif kind == "clusterTrustBundle" and source is not None:
            yield source.get("path") or "", source.get("path") or ""
        elif kind == "podCertificate" and source is not None:
            yield from ((source[name], source[name]) for name in _CERTIFICATE_PATHS if source.get(name))


def _keys(source: Json, path: str) -> list[FieldError]:
    found = [] if source.get("name") else [errors.required(f"{path}.name")]
    return found + items(source.get("items"), f"{path}.items")


def _token(source: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    seconds = source.get("expirationSeconds") or 0
    if seconds < _LEAST_TOKEN_SECONDS:
        text = "may not specify a duration less than 10 minutes"
        found.append(errors.invalid_value(f"{path}.expirationSeconds", seconds, text))
    if seconds > 1 << 32:
        text = "may not specify a duration larger than 2^32 seconds"
        found.append(errors.invalid_value(f"{path}.expirationSeconds", seconds, text))
    return found + _target(source.get("path") or "", f"{path}.path")


def _trust_bundle(source: Json, path: str) -> list[FieldError]:
    """Authorities by a bundle's name, or a signer's that have certain labels."""
    name, signer, selector = (source.get(key) for key in ("name", "signerName", "labelSelector"))
    found: list[FieldError] = []
    if name is not None and signer is not None:
        found.append(errors.invalid_value(path, source, "only one of name and signerName may be used"))
    elif name is not None:
        found += [] if name else [errors.required(f"{path}.name", "must be a valid object name")]
        texts = [f"not a valid clustertrustbundlename: {text}" for text in signers.bundle_name(name)]
        found += [errors.invalid_value(f"{path}.name", name, text) for text in texts]
        if selector is not None:
            text = "labelSelector must be unset if name is specified"
            found.append(errors.invalid_value(f"{path}.labelSelector", selector, text))
    elif signer is not None:
        found += [] if signer else [errors.required(f"{path}.signerName", "must be a valid signer name")]
        found += signers.name(signer, f"{path}.signerName")
        found += selectors.label_selector(selector, f"{path}.labelSelector")
    else:
        found.append(errors.required(path, "either name or signerName must be specified"))
    return found + _target(source.get("path") or "", f"{path}.path")


def _certificate(source: Json, path: str) -> list[FieldError]:
    """A key and a certificate that a signer makes for the pod."""
    signer, seconds = source.get("signerName") or "", source.get("maxExpirationSeconds")
    found = signers.name(signer, f"{path}.signerName")
    found += signers.user_annotations(source.get("userAnnotations"), f"{path}.userAnnotations")
    if source.get("keyType") not in _KEY_TYPES:
        key_type = source.get("keyType") or ""
        found.append(errors.not_supported(f"{path}.keyType", key_type, _KEY_TYPES, in_order=True))
    if seconds is not None:
        least, most = signers.LEAST_SECONDS, signers.most_seconds(signer)
        wrong = f">= {least}" if seconds < least else f"<= {most}" if seconds > most else ""
        if wrong:
            text = f"if provided, maxExpirationSeconds must be {wrong}"
            found.append(errors.invalid_value(f"{path}.maxExpirationSeconds", seconds, text))
    places = [name for name in _CERTIFICATE_PATHS if source.get(name)]
    for name in places:
        found += fields.unreserved_path(source[name], f"{path}.{name}")
    return found if places else [*found, errors.required(path, _NO_CERTIFICATE_PATH)]


_SOURCES: Final[dict[str, Callable[[Json, str], list[FieldError]]]] = {
    "clusterTrustBundle": _trust_bundle,
    "configMap": _keys,
    "downwardAPI": downward_files,
    "podCertificate": _certificate,
    "secret": _keys,
    "serviceAccountToken": _token,
}
