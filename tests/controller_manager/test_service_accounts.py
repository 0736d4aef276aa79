"""Tokens in Secrets, and the root CA in ConfigMaps."""

import base64

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from controller_manager.root_ca_publisher import plan_config_map
from controller_manager.service_account_tokens import ACCOUNT_UID, TYPE, TokenSigner, plan_secret
from machinery.api import meta
from machinery.api.codec import Json

ACCOUNT: Json = {"metadata": {"name": "robot", "namespace": "ns", "uid": "u1"}}
SECRET: Json = {
    "type": TYPE,
    "metadata": {
        "name": "robot-token",
        "namespace": "ns",
        "annotations": {"kubernetes.io/service-account.name": "robot"},
    },
}
KEYS: dict[str, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey] = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
}


def _signer(algorithm: str = "ES256") -> TokenSigner:
    return TokenSigner(KEYS[algorithm].private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _plain(secret: Json, field: str) -> str:
    return base64.b64decode(secret["data"][field]).decode()


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_secret_gets_token_ca_and_namespace(algorithm: str) -> None:
    filled = plan_secret(SECRET, ACCOUNT, b"CA", _signer(algorithm))
    assert filled is not None
    assert (_plain(filled, "ca.crt"), _plain(filled, "namespace")) == ("CA", "ns")
    assert meta.annotations_of(filled)[ACCOUNT_UID] == "u1"
    assert jwt.decode(_plain(filled, "token"), KEYS[algorithm].public_key(), algorithms=[algorithm]) == {
        "iss": "kubernetes/serviceaccount",
        "sub": "system:serviceaccount:ns:robot",
        "kubernetes.io/serviceaccount/namespace": "ns",
        "kubernetes.io/serviceaccount/secret.name": "robot-token",
        "kubernetes.io/serviceaccount/service-account.name": "robot",
        "kubernetes.io/serviceaccount/service-account.uid": "u1",
    }


def test_a_full_secret_is_left_alone_and_a_new_ca_replaces_the_old_one_only() -> None:
    filled = plan_secret(SECRET, ACCOUNT, b"CA", _signer()) or {}
    assert plan_secret(filled, ACCOUNT, b"CA", _signer()) is None
    renewed = plan_secret(filled, ACCOUNT, b"NEW", _signer()) or {}
    assert _plain(renewed, "ca.crt") == "NEW"
    assert renewed["data"]["token"] == filled["data"]["token"]


def test_a_key_of_another_make_is_refused() -> None:
    odd = ed25519.Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with pytest.raises(ValueError, match="neither RSA nor ECDSA"):
        TokenSigner(odd)


def test_the_config_map_is_made_repaired_and_then_left_alone() -> None:
    made = plan_config_map("ns", None, "CA")
    assert made is not None and made["data"] == {"ca.crt": "CA"}
    assert plan_config_map("ns", made, "CA") is None
    repaired = plan_config_map("ns", {**made, "data": {"ca.crt": "forged", "more": "x"}}, "CA")
    assert (repaired or {})["data"] == {"ca.crt": "CA"}
