"""The keys service-account tokens are signed and verified with: PEM files, key ids, the JWKS document."""

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from machinery.api.codec import Json

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_CURVES: Final = {"secp256r1": ("ES256", "P-256"), "secp384r1": ("ES384", "P-384"), "secp521r1": ("ES512", "P-521")}


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key with its id and the one algorithm it is used with."""

    key: PublicKey
    key_id: str
    algorithm: str


def load_private(path: str) -> PrivateKey:
    """An RSA or EC private key in PEM; raises ValueError for anything else."""
    key = load_pem_private_key(Path(path).read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path}: not an RSA or EC private key")
    return key


def load_public(path: str) -> list[VerificationKey]:
    """The keys of a PEM file, public or private or certificates; raises ValueError when there is none."""
    blocks = _pem_blocks(Path(path).read_bytes())
    keys = [verification_key(_public_of(block, path)) for block in blocks]
    if not keys:
        raise ValueError(f"{path}: no key in it")
    return keys


def verification_key(key: PublicKey) -> VerificationKey:
    """The key with upstream's key id (the hash of its PKIX form) and its algorithm."""
    der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return VerificationKey(key, _base64(hashlib.sha256(der).digest()), algorithm_of(key))


def algorithm_of(key: PublicKey | PrivateKey) -> str:
    """The JWS algorithm; raises ValueError for a curve that has none."""
    if isinstance(key, rsa.RSAPublicKey | rsa.RSAPrivateKey):
        return "RS256"
    if key.curve.name not in _CURVES:
        raise ValueError(f"curve {key.curve.name} has no JWS algorithm")
    return _CURVES[key.curve.name][0]


def jwks(keys: Iterable[VerificationKey]) -> Json:
    """The document of /openid/v1/jwks."""
    return {"keys": [_jwk(key) for key in keys]}


def _jwk(key: VerificationKey) -> Json:
    common = {"use": "sig", "kid": key.key_id, "alg": key.algorithm}
    public = key.key
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        return common | {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
    size = (public.curve.key_size + 7) // 8
    point = public.public_numbers()
    curve = _CURVES[public.curve.name][1]
    return common | {"kty": "EC", "crv": curve, "x": _number(point.x, size), "y": _number(point.y, size)}


def _number(value: int, size: int = 0) -> str:
    return _base64(value.to_bytes(size or (value.bit_length() + 7) // 8, "big"))


def _base64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _pem_blocks(data: bytes) -> list[bytes]:
    blocks: list[bytes] = []
    current: list[bytes] = []
    for line in data.splitlines(keepends=True):
        if line.startswith(b"-----BEGIN "):
            current = []
        current.append(line)
        if line.startswith(b"-----END "):
            blocks.append(b"".join(current))
    return [block for block in blocks if b"EC PARAMETERS" not in block]


def _public_of(block: bytes, path: str) -> PublicKey:
    key: object
    if b"CERTIFICATE" in block:
        key = x509.load_pem_x509_certificate(block).public_key()
    elif b"PRIVATE KEY" in block:
        key = load_pem_private_key(block, password=None).public_key()
    else:
        key = load_pem_public_key(block)
    if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
        raise ValueError(f"{path}: not an RSA or EC key")
    return key
