"""The measurement of decisions stays runnable, and decides what it should."""

import pytest

from apiserver.authz.__main__ import authorizer, main, question


def test_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    main(rounds=50)
    assert capsys.readouterr().out.count("µs") == 3
    decide = authorizer()
    assert decide.decide(question(5)).allowed
    assert not decide.decide(question(5, "delete", "nodes")).allowed
