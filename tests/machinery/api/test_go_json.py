"""What is said about bytes that are no JSON."""

import pytest

from machinery.api.go_json import complaint


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", "unexpected end of JSON input"),
        (b'{"a":[1,2', "unexpected end of JSON input"),
        (b"nul", "unexpected end of JSON input"),
        (b"x", "invalid character 'x' looking for beginning of value"),
        (b'{"a":1,}', "invalid character '}' looking for beginning of object key string"),
        (b'{"a" 1}', "invalid character '1' after object key"),
        (b'{"a":1 "b":2}', "invalid character '\"' after object key:value pair"),
        (b'{"a":[1 2]}', "invalid character '2' after array element"),
        (b'{"a]":1 2}', "invalid character '2' after object key:value pair"),
        (b"{} {}", "invalid character '{' after top-level value"),
        (b'{"a":"\n"}', "invalid character '\\n' in string literal"),
        (b'{"a":"\\q"}', "invalid character 'q' in string escape code"),
        (b'{"a":NaN}', "invalid character 'N' looking for beginning of value"),
        (b"{'a':1}", "invalid character '\\'' looking for beginning of object key string"),
        (b'{"a":tru}', "invalid character '}' in literal true (expecting 'e')"),
        (b"[" * 100_000, "exceeded max depth"),
    ],
)
def test_the_words_are_gos(raw: bytes, text: str) -> None:
    assert complaint(raw) == text
