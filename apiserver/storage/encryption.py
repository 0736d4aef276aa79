"""Encryption at rest: a Storage that seals values on their way to etcd. What is sealed how is encryption_config's.

The layout is upstream's (apiserver/pkg/storage/value): `k8s:enc:CIPHER:v1:KEYNAME:` and what the cipher made, so that
either server reads what the other wrote. The first provider of a key's list writes, every one of them reads; a value
that another than the first one wrote is stale, and the next update rewrites it even where it changes nothing. That is
how keys are rotated: `kubectl get secrets -A -o json | kubectl replace -f -`.

A value that no provider can read is passed on sealed: readers of many objects log it and go on, a reader of that one
object is told.
"""

import logging
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final, Protocol

import nacl.exceptions
import nacl.secret
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher as Block
from cryptography.hazmat.primitives.ciphers import algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.padding import PKCS7

from apiserver.storage.errors import RevisionConflict
from apiserver.storage.interface import Change, Changes, KeyValue, Page, Storage

logger = logging.getLogger(__name__)

SEALED: Final = b"k8s:enc:"
_GCM_NONCE: Final = 12
_BLOCK: Final = 16


class CannotOpen(ValueError):
    """No provider can read a value; the text is upstream's."""


class Cipher(Protocol):
    """Seals and opens; `where` is the key in etcd, which an authenticated cipher binds the value to."""

    def seal(self, plain: bytes, where: bytes) -> bytes:
        """What is stored."""
        ...

    def open(self, sealed: bytes, where: bytes) -> bytes:
        """What was sealed; raises CannotOpen."""
        ...


class Identity:
    """No encryption."""

    def seal(self, plain: bytes, where: bytes) -> bytes:
        """As it is."""
        return plain

    def open(self, sealed: bytes, where: bytes) -> bytes:
        """As it is, unless somebody encrypted it."""
        if sealed.startswith(SEALED):
            raise CannotOpen("identity transformer tried to read encrypted data")
        return sealed


@dataclass(frozen=True, slots=True)
class AesGcm:
    """Authenticated, bound to its place; a key may seal some 2^32 values, then it has to be rotated."""

    key: bytes

    def seal(self, plain: bytes, where: bytes) -> bytes:
        """Nonce, ciphertext and tag."""
        nonce = os.urandom(_GCM_NONCE)
        return nonce + AESGCM(self.key).encrypt(nonce, plain, where)

    def open(self, sealed: bytes, where: bytes) -> bytes:
        """See Cipher."""
        try:
            return AESGCM(self.key).decrypt(sealed[:_GCM_NONCE], sealed[_GCM_NONCE:], where)
        except (InvalidTag, ValueError) as problem:
            raise CannotOpen("cipher: message authentication failed") from problem


@dataclass(frozen=True, slots=True)
class AesCbc:
    """Not authenticated: who can write to etcd can change what is read. There for data that has it already."""

    key: bytes

    def seal(self, plain: bytes, where: bytes) -> bytes:
        """Initialisation vector and padded ciphertext."""
        vector, padder = os.urandom(_BLOCK), PKCS7(8 * _BLOCK).padder()
        encryptor = Block(algorithms.AES(self.key), modes.CBC(vector)).encryptor()
        return vector + encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()

    def open(self, sealed: bytes, where: bytes) -> bytes:
        """See Cipher."""
        try:
            decryptor = Block(algorithms.AES(self.key), modes.CBC(sealed[:_BLOCK])).decryptor()
            padded = decryptor.update(sealed[_BLOCK:]) + decryptor.finalize()
            unpadder = PKCS7(8 * _BLOCK).unpadder()
            return unpadder.update(padded) + unpadder.finalize()
        except ValueError as problem:
            raise CannotOpen("invalid padding on input") from problem


@dataclass(frozen=True, slots=True)
class SecretBox:
    """XSalsa20 and Poly1305 (NaCl's secretbox)."""

    key: bytes

    def seal(self, plain: bytes, where: bytes) -> bytes:
        """Nonce, tag and ciphertext."""
        return bytes(nacl.secret.SecretBox(self.key).encrypt(plain))

    def open(self, sealed: bytes, where: bytes) -> bytes:
        """See Cipher."""
        try:
            return nacl.secret.SecretBox(self.key).decrypt(sealed)
        except (nacl.exceptions.CryptoError, ValueError) as problem:
            raise CannotOpen("cipher: message authentication failed") from problem


@dataclass(frozen=True, slots=True)
class Provider:
    """One key of one cipher, known by the prefix of what it sealed."""

    prefix: bytes
    cipher: Cipher


class Providers:
    """The list for one resource; the first writes."""

    def __init__(self, providers: Sequence[Provider]) -> None:
        self._providers = tuple(providers)

    def seal(self, plain: bytes, where: bytes) -> bytes:
        """What is stored at `where`."""
        writer = self._providers[0]
        return writer.prefix + writer.cipher.seal(plain, where)

    def open(self, sealed: bytes, where: bytes) -> tuple[bytes, bool]:
        """What was sealed, and whether it is stale; raises CannotOpen."""
        problem = CannotOpen("no matching prefix found")
        for number, provider in enumerate(self._providers):
            if sealed.startswith(provider.prefix):
                try:
                    return provider.cipher.open(sealed[len(provider.prefix) :], where), number > 0
                except CannotOpen as found:
                    problem = found
        raise problem


#: key → its providers; None: it is stored as it is
Choose = Callable[[str], Providers | None]


class EncryptedStorage:
    """Another Storage, sealed. Revisions and order are the other's."""

    def __init__(self, inner: Storage, choose: Choose) -> None:
        self._inner = inner
        self._choose = choose
        self._stale: set[str] = set()

    def is_stale(self, key: str) -> bool:
        """Whether the value that was last seen under a key should be written again."""
        return key in self._stale

    async def get(self, key: str) -> KeyValue | None:
        """See Storage."""
        item = await self._inner.get(key)
        return self._opened(item) if item is not None else None

    async def create(self, key: str, value: bytes, *, ttl_seconds: int = 0) -> int:
        """See Storage."""
        return await self._inner.create(key, self._sealed(key, value), ttl_seconds=ttl_seconds)

    async def update(self, key: str, value: bytes, revision: int, *, ttl_seconds: int = 0) -> int:
        """See Storage."""
        try:
            return await self._inner.update(key, self._sealed(key, value), revision, ttl_seconds=ttl_seconds)
        except RevisionConflict as conflict:
            raise RevisionConflict(self._opened(conflict.current)) from conflict

    async def delete(self, key: str, revision: int) -> int:
        """See Storage."""
        try:
            return await self._inner.delete(key, revision)
        except RevisionConflict as conflict:
            raise RevisionConflict(self._opened(conflict.current)) from conflict

    async def range(self, prefix: str, *, start: str = "", limit: int = 0, revision: int = 0) -> Page:
        """See Storage."""
        page = await self._inner.range(prefix, start=start, limit=limit, revision=revision)
        return replace(page, items=[self._opened(item) for item in page.items])

    async def current_revision(self) -> int:
        """See Storage."""
        return await self._inner.current_revision()

    async def watch(self, prefix: str, revision: int) -> AsyncGenerator[Changes, None]:
        """See Storage."""
        async with aclosing(self._inner.watch(prefix, revision)) as stream:
            async for changes in stream:
                yield replace(changes, changes=[self._opened_change(change) for change in changes.changes])

    def _sealed(self, key: str, value: bytes) -> bytes:
        providers = self._choose(key)
        return providers.seal(value, key.encode()) if providers is not None else value

    def _opened(self, item: KeyValue) -> KeyValue:
        plain = self._open(item.key, item.value)
        return item if plain is item.value else replace(item, value=plain)

    def _opened_change(self, change: Change) -> Change:
        if change.value is None:
            self._stale.discard(change.key)
            return change
        plain = self._open(change.key, change.value)
        return change if plain is change.value else replace(change, value=plain)

    def _open(self, key: str, value: bytes) -> bytes:
        providers = self._choose(key)
        if providers is None:
            return value
        try:
            plain, stale = providers.open(value, key.encode())
        except CannotOpen as problem:
            logger.error("unable to transform key %r: %s", key, problem)
            return value
        (self._stale.add if stale else self._stale.discard)(key)
        return plain
