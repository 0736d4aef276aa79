"""The file of --encryption-provider-config: which resources are sealed with which keys. The ciphers are storage's.

Upstream: apiserver/pkg/apis/apiserver/validation/validation_encryption.go, server/options/encryptionconfig. KMS plugins
are not there yet, and are refused.
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from apiserver.registry.resource import Resource
from apiserver.storage.encryption import AesCbc, AesGcm, Choose, Cipher, Identity, Provider, Providers, SecretBox
from machinery.api.codec import Json

API_VERSION: Final = "apiserver.config.k8s.io/v1"
_AES_SIZES: Final = (16, 24, 32)
#: provider → (its cipher, the sizes of its keys)
_CIPHERS: Final[Mapping[str, tuple[Callable[[bytes], Cipher], Sequence[int]]]] = {
    "aesgcm": (AesGcm, _AES_SIZES),
    "aescbc": (AesCbc, _AES_SIZES),
    "secretbox": (SecretBox, (32,)),
}
_KNOWN: Final = ("kms", *_CIPHERS, "identity")
#: written without being resources of their own
_NOT_RESOURCES: Final = ("apiserveripinfo", "serviceipallocations", "servicenodeportallocations")


class ConfigError(ValueError):
    """What is wrong with the file, and where in it."""


def load(path: str, rows: Iterable[Resource]) -> Choose:
    """Read and check the file, answer what chooses the providers of an etcd key. Raises OSError, ConfigError."""
    try:
        document = yaml.safe_load(Path(path).read_text())
    except yaml.YAMLError as problem:
        raise ConfigError(f"error while parsing file: {problem}") from problem
    return chooser(parse(document), rows)


def parse(document: Any) -> list[tuple[list[str], Providers]]:
    """The entries in order: names of resources, and their providers. Raises ConfigError."""
    if not isinstance(document, dict):
        raise ConfigError("encryption provider configuration file is empty")
    if (document.get("apiVersion"), document.get("kind")) != (API_VERSION, "EncryptionConfiguration"):
        given = f"{document.get('apiVersion')}, Kind={document.get('kind')}"
        raise ConfigError(f"got unexpected config type: {given}")
    entries = _required(document.get("resources"), "resources", "resources")
    return [_entry(entry, f"resources[{number}]") for number, entry in enumerate(entries)]


def chooser(entries: Sequence[tuple[Sequence[str], Providers]], rows: Iterable[Resource]) -> Choose:
    """From a key to the first entry that names its resource; the keys of custom kinds are read for their group."""
    by_prefix = {row.prefix(): _first(entries, row.kind.plural, row.kind.group) for row in rows}

    def choose(key: str) -> Providers | None:
        parts = key.split("/", 4)  # ["", "registry", …]: a prefix has one segment more, or two
        for length in (4, 3):
            if len(parts) > length and (prefix := "/".join(parts[:length]) + "/") in by_prefix:
                return by_prefix[prefix]
        if len(parts) > 4 and "." in parts[2]:
            return _first(entries, parts[3], parts[2])
        return None

    return choose


def _first(entries: Sequence[tuple[Sequence[str], Providers]], plural: str, group: str) -> Providers | None:
    names = {f"{plural}.{group}" if group else plural, f"*.{group}", "*.*"}
    return next(
        (providers for resources, providers in entries if any(_name(name) in names for name in resources)), None
    )


def _name(name: str) -> str:
    """`secrets.` is `secrets`: the core group has no name; `*.` stays, it is the group's own pattern."""
    return name if name == "*." else name.removesuffix(".")


def _entry(entry: Any, path: str) -> tuple[list[str], Providers]:
    entry = entry if isinstance(entry, dict) else {}
    resources = _required(entry.get("resources"), f"{path}.resources", f"{path}.resources")
    for number, name in enumerate(resources):
        _check_name(name, f"{path}.resources[{number}]")
    _check_overlap(resources, f"{path}.resources")
    listed = _required(entry.get("providers"), f"{path}.providers", f"{path}.providers")
    providers = [made for number, item in enumerate(listed) for made in _provider(item, f"{path}.providers[{number}]")]
    return resources, Providers(providers)


def _check_name(name: Any, path: str) -> None:
    """Raises ConfigError in upstream's words."""
    if not isinstance(name, str) or name != name.lower():
        raise _invalid(path, name, "resource name should not contain capital letters")
    resource, _, group = name.partition(".")
    problems = {
        "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources": name == "*",
        "resources which do not have REST API/s cannot be encrypted": name in _NOT_RESOURCES,
        "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in the config "
        "file": group == "events.k8s.io",
        "'extensions' group has been removed and cannot be used for encryption": group == "extensions",
        "encrypting the same resource across groups is not supported": group == "*" and resource != "*",
    }
    for text, applies in problems.items():
        if applies:
            raise _invalid(path, name, text)


def _check_overlap(resources: Sequence[str], path: str) -> None:
    parsed = [tuple(_name(name).partition(".")[::2]) for name in resources]
    if len(set(parsed)) < len(parsed):
        raise _invalid(path, list(resources), "the same resource cannot be specified multiple times")
    starred = {group for resource, group in parsed if resource == "*"}
    if len(parsed) > 1 and ("*" in starred or any(group in starred for resource, group in parsed if resource != "*")):
        text = (
            "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they "
        )
        raise _invalid(path, list(resources), text + "will be masked")


def _provider(item: Any, path: str) -> list[Provider]:
    named = [name for name in _KNOWN if isinstance(item, dict) and name in item]
    if not named:
        text = "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity"
        raise _invalid(path, item, text)
    if len(named) > 1:
        text = "more than one provider specified in a single element, should split into different list elements"
        raise _invalid(path, named, text)
    name = named[0]
    if name == "identity":
        return [Provider(b"", Identity())]
    if name == "kms":
        raise ConfigError(f"{path}.kms: KMS plugins are not supported here")
    keys = _required((item[name] or {}).get("keys"), f"{path}.{name}.keys", "keys")
    return [_keyed(name, key, f"{path}.{name}.keys[{number}]") for number, key in enumerate(keys)]


def _keyed(name: str, key: Json, path: str) -> Provider:
    make, sizes = _CIPHERS[name]
    for field in ("name", "secret"):
        if not key.get(field):
            raise ConfigError(f"{path}.{field}: Required value: {field} is a mandatory field for a key")
    try:
        secret = base64.b64decode(key["secret"], validate=True)
    except binascii.Error as problem:
        raise _invalid(f"{path}.secret", "REDACTED", "secrets must be base64 encoded") from problem
    if len(secret) not in sizes:
        expected = f"[{' '.join(map(str, sizes))}]"
        text = f"secret is not of the expected length, got {len(secret)}, expected one of {expected}"
        raise _invalid(f"{path}.secret", "REDACTED", text)
    return Provider(f"k8s:enc:{name}:v1:{key['name']}:".encode(), make(secret))


def _required(value: Any, path: str, what: str) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ConfigError(f"{path}: Required value: at least one {what} is required")
    return value


def _invalid(path: str, value: Any, text: str) -> ConfigError:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return ConfigError(f"{path}: Invalid value: {shown}: {text}")
