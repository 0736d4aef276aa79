"""The static token file."""

from pathlib import Path

import pytest

from apiserver.authn import token_file
from apiserver.request import User


def test_columns_are_token_user_uid_and_groups(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text('# a comment\n\nabc,ann,1\ndef,bob,2,"devs,ops"\n')
    assert token_file.load(str(path)) == {"abc": User("ann", "1"), "def": User("bob", "2", ("devs", "ops"))}


def test_a_line_without_a_uid_is_named(tmp_path: Path) -> None:
    path = tmp_path / "tokens.csv"
    path.write_text("abc,ann,1\nabc,ann\n")
    with pytest.raises(ValueError, match="tokens.csv:2"):
        token_file.load(str(path))
