"""Secrets (upstream: pkg/registry/core/secret, ValidateSecret)."""

import base64
from collections.abc import Callable
from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE
from apiserver.validation import data, fields
from machinery.api import codec, errors, kinds, meta
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_ACCOUNT: Final = "kubernetes.io/service-account.name"
#: type → keys its data must have
_NEEDED: Final = {
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
}


class SecretStrategy(KindStrategy):
    """stringData is for writing only: it ends up in data."""

    def defaults(self, obj: Json) -> None:
        """Opaque; stringData encoded into data."""
        obj["type"] = obj.get("type") or "Opaque"
        texts = obj.pop("stringData", None)
        if texts:
            encoded = {key: base64.b64encode(value.encode()).decode() for key, value in texts.items()}
            obj["data"] = {**(obj.get("data") or {}), **encoded}

    def check(self, obj: Json) -> list[FieldError]:
        """Keys, size, and what the type demands."""
        content = obj.get("data") or {}
        found = data.keys(content, "data") + data.fits(data.decoded_size(content), "data")
        type_ = obj.get("type") or ""
        for key in _NEEDED.get(type_, ()):
            if key not in content:
                found.append(errors.required(f"data[{key}]"))
        found += [error for key in _NEEDED.get(type_, ()) if key in content for error in _content(key, content[key])]
        return found + _SPECIAL.get(type_, _nothing)(obj)

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """The type stays; an immutable secret stays altogether."""
        return fields.immutable(obj.get("type"), old.get("type"), "type") + data.immutable(obj, old, ("data",))


def _nothing(obj: Json) -> list[FieldError]:
    return []


def _content(key: str, value: str) -> list[FieldError]:
    if key not in (".dockercfg", ".dockerconfigjson"):
        return []
    try:
        codec.loads(base64.b64decode(value))
    except ValueError as error:
        return [errors.invalid_value(f"data[{key}]", "<secret contents redacted>", str(error))]
    return []


def _account_token(obj: Json) -> list[FieldError]:
    if meta.annotations_of(obj).get(_ACCOUNT):
        return []
    return [errors.required(f"metadata.annotations[{_ACCOUNT}]")]


def _basic_auth(obj: Json) -> list[FieldError]:
    if {"username", "password"} & (obj.get("data") or {}).keys():
        return []
    return [errors.required("data[username]"), errors.required("data[password]")]


_SPECIAL: Final[dict[str, Callable[[Json], list[FieldError]]]] = {
    "kubernetes.io/basic-auth": _basic_auth,
    "kubernetes.io/service-account-token": _account_token,
}

SECRETS: Final = Resource(
    kind=kinds.SECRETS,
    key="secrets",
    strategy=SecretStrategy(),
    columns=(
        Column("Type", lambda secret: secret.get("type") or ""),
        Column("Data", lambda secret: len(secret.get("data") or ())),
        AGE,
    ),
    fields={"type": lambda secret: secret.get("type") or ""},
)
