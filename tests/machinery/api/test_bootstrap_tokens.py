"""Tokens and what is signed with them. The signature is checked by another implementation of JWS."""

import base64
from datetime import UTC, datetime

import jwt
import pytest

from machinery.api import bootstrap_tokens as tokens

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_a_new_token_has_the_form_and_is_another_one_each_time() -> None:
    made = {tokens.generate() for _ in range(50)}
    assert len(made) == 50 and all(tokens.TOKEN.fullmatch(token) for token in made)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")  # a token's secret is that short
def test_a_signature_is_a_detached_jws() -> None:
    signature = tokens.sign("content", "abcdef", "0123456789abcdef")
    header, middle, end = signature.split(".")
    assert middle == ""
    whole = f"{header}.{base64.urlsafe_b64encode(b'content').decode().rstrip('=')}.{end}"
    decoded = jwt.api_jws.PyJWS().decode_complete(whole, "0123456789abcdef", algorithms=["HS256"])
    assert decoded["payload"] == b"content" and decoded["header"]["kid"] == "abcdef"


@pytest.mark.parametrize(
    ("content", "id_", "secret", "expected"),
    [
        pytest.param("content", "abcdef", "0123456789abcdef", True, id="the-same"),
        pytest.param("contents", "abcdef", "0123456789abcdef", False, id="another-text"),
        pytest.param("content", "abcdee", "0123456789abcdef", False, id="another-token"),
        pytest.param("content", "abcdef", "0123456789abcdee", False, id="another-secret"),
    ],
)
def test_only_who_knows_the_token_can_sign(content: str, id_: str, secret: str, expected: bool) -> None:
    signature = tokens.sign("content", "abcdef", "0123456789abcdef")
    assert tokens.is_signed(content, signature, id_, secret) is expected


@pytest.mark.parametrize(
    ("expiration", "expected"),
    [
        pytest.param("", False, id="never"),
        pytest.param("2026-01-01T00:00:01Z", False, id="soon"),
        pytest.param("2026-01-01T00:00:00Z", True, id="now"),
        pytest.param("next week", True, id="no-time"),
    ],
)
def test_when_a_token_is_over(expiration: str, expected: bool) -> None:
    assert tokens.is_expired({"expiration": expiration}, NOW) is expected
