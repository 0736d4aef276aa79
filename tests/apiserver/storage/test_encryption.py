"""Sealing values: each cipher opens what it sealed and nothing else; the first provider writes, all of them read."""

import os

import pytest

from apiserver.storage.encryption import (
    AesCbc,
    AesGcm,
    CannotOpen,
    Cipher,
    EncryptedStorage,
    Identity,
    Provider,
    Providers,
    SecretBox,
)
from apiserver.storage.errors import RevisionConflict
from tests.fakes.storage import MemoryStorage

WHERE = b"/registry/secrets/ns/one"
PLAIN = b'{"kind":"Secret"}' * 7
CIPHERS = [
    pytest.param(AesGcm(os.urandom(16)), id="aesgcm-128"),
    pytest.param(AesGcm(os.urandom(32)), id="aesgcm-256"),
    pytest.param(AesCbc(os.urandom(32)), id="aescbc"),
    pytest.param(SecretBox(os.urandom(32)), id="secretbox"),
]


def provider(name: str, cipher: Cipher) -> Provider:
    """With upstream's kind of prefix."""
    return Provider(f"k8s:enc:{name}:v1:key:".encode() if name else b"", cipher)


OLD, NEW = provider("aescbc", AesCbc(bytes(32))), provider("secretbox", SecretBox(bytes(32)))
PLAINLY = provider("", Identity())


@pytest.mark.parametrize("cipher", CIPHERS)
def test_what_was_sealed_opens_and_is_never_the_same_twice(cipher: Cipher) -> None:
    sealed = cipher.seal(PLAIN, WHERE)
    assert cipher.open(sealed, WHERE) == PLAIN
    assert PLAIN not in sealed
    assert cipher.seal(PLAIN, WHERE) != sealed


@pytest.mark.parametrize("cipher", [CIPHERS[0], CIPHERS[1], CIPHERS[3]])
def test_what_was_tampered_with_does_not_open(cipher: Cipher) -> None:
    sealed = bytearray(cipher.seal(PLAIN, WHERE))
    sealed[-1] ^= 1
    with pytest.raises(CannotOpen, match="authentication failed"):
        cipher.open(bytes(sealed), WHERE)


def test_gcm_binds_a_value_to_its_key_in_etcd() -> None:
    cipher = AesGcm(bytes(32))
    with pytest.raises(CannotOpen):
        cipher.open(cipher.seal(PLAIN, WHERE), b"/registry/secrets/ns/another")


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("length", [0, 1, 11, 15, 16, 17, 31])
def test_a_value_cut_short_does_not_open(cipher: Cipher, length: int) -> None:
    with pytest.raises(CannotOpen):
        cipher.open(cipher.seal(PLAIN, WHERE)[:length], WHERE)


def test_every_provider_reads_and_all_but_the_first_are_stale() -> None:
    providers = Providers([NEW, OLD, PLAINLY])
    assert providers.open(Providers([NEW]).seal(PLAIN, WHERE), WHERE) == (PLAIN, False)
    assert providers.open(Providers([OLD]).seal(PLAIN, WHERE), WHERE) == (PLAIN, True)
    assert providers.open(PLAIN, WHERE) == (PLAIN, True)


def test_two_keys_of_one_name_are_both_tried() -> None:
    twin = Provider(NEW.prefix, SecretBox(b"1" * 32))
    assert Providers([twin, NEW]).open(Providers([NEW]).seal(PLAIN, WHERE), WHERE) == (PLAIN, True)


def test_what_no_provider_can_read_says_so() -> None:
    sealed = Providers([OLD]).seal(PLAIN, WHERE)
    with pytest.raises(CannotOpen, match="no matching prefix"):
        Providers([NEW]).open(sealed, WHERE)
    with pytest.raises(CannotOpen, match="identity transformer tried to read encrypted data"):
        Providers([NEW, PLAINLY]).open(sealed, WHERE)


async def test_only_what_is_chosen_is_sealed() -> None:
    memory = MemoryStorage()
    storage = EncryptedStorage(memory, lambda key: Providers([NEW]) if "/secrets/" in key else None)
    await storage.create("/registry/secrets/ns/one", PLAIN)
    await storage.create("/registry/configmaps/ns/one", PLAIN)
    secret, config_map = await memory.get("/registry/secrets/ns/one"), await memory.get("/registry/configmaps/ns/one")
    assert secret is not None and secret.value.startswith(NEW.prefix)
    assert config_map is not None and config_map.value == PLAIN


async def test_a_conflict_tells_what_is_there_in_plain() -> None:
    storage = EncryptedStorage(MemoryStorage(), lambda _: Providers([NEW]))
    revision = await storage.create("/registry/secrets/ns/one", PLAIN)
    with pytest.raises(RevisionConflict) as conflict:
        await storage.update("/registry/secrets/ns/one", b"{}", revision + 7)
    assert conflict.value.current.value == PLAIN


async def test_a_value_of_an_older_key_is_stale_until_it_is_written_again() -> None:
    memory, key = MemoryStorage(), "/registry/secrets/ns/one"
    await EncryptedStorage(memory, lambda _: Providers([OLD])).create(key, PLAIN)
    storage = EncryptedStorage(memory, lambda _: Providers([NEW, OLD]))
    page = await storage.range("/registry/secrets/")
    assert page.items[0].value == PLAIN
    assert storage.is_stale(key)
    await storage.update(key, PLAIN, page.items[0].revision)
    assert (await storage.range("/registry/secrets/")).items[0].value == PLAIN
    assert not storage.is_stale(key)


async def test_what_cannot_be_read_stays_sealed_and_the_rest_is_read() -> None:
    memory = MemoryStorage()
    await EncryptedStorage(memory, lambda _: Providers([OLD])).create("/registry/secrets/ns/a", PLAIN)
    storage = EncryptedStorage(memory, lambda _: Providers([NEW]))
    await storage.create("/registry/secrets/ns/b", PLAIN)
    first, second = (await storage.range("/registry/secrets/")).items
    assert first.value.startswith(OLD.prefix)
    assert second.value == PLAIN
