"""The house numbers' own tests: what is counted and what is an offence."""

from pathlib import Path

import pytest

from scripts import house_numbers

DOC = '"""What it is."""\n'


def offences(source: str, name: str = "module.py") -> list[str]:
    """The offences of a tree that is one file."""
    return house_numbers.offences_of(house_numbers.measure_file(Path(name), source))


def function_of(lines: int) -> str:
    """A function of so many lines."""
    return "def long():\n" + "    pass\n" * (lines - 1)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(DOC + "x = 1\n", [], id="nothing-wrong"),
        pytest.param("", [], id="an-empty-file-needs-no-docstring"),
        pytest.param("x = 1\n", ["module.py:1: module without a docstring"], id="no-docstring"),
        pytest.param(DOC + "def f():\n    import os\n", ["module.py:3: import inside f()"], id="import-inside"),
        pytest.param(
            DOC + "def f():\n    def g():\n        import os\n", ["module.py:4: import inside g()"], id="named-once"
        ),
        pytest.param(
            DOC + function_of(81) + "def f(): ...\n" * 30,
            ["module.py:2: long() lines: 81 > 80"],
            id="one-long-function",
        ),
        pytest.param(DOC + function_of(9), ["functions: median 9 > 8"], id="median"),
        pytest.param(DOC + "x = 1\n" * 800, ["files: p95 801 > 600", "module.py: lines: 801 > 800"], id="long-file"),
    ],
)
def test_an_offence_is_named_with_its_place(source: str, expected: list[str]) -> None:
    assert offences(source) == expected


@pytest.mark.parametrize(
    ("line", "mocks"),
    [
        pytest.param("from unittest.mock import Mock\nx = Mock()", 1, id="mock"),
        pytest.param("from unittest import mock\nx = mock.AsyncMock()", 1, id="module"),
        pytest.param("from unittest.mock import patch\nx = patch.object(a, 'b')", 1, id="patch"),
        pytest.param("monkeypatch.setattr(a, 'b', 1)", 1, id="monkeypatch"),
        pytest.param("monkeypatch.setenv('A', 'b')", 0, id="environment"),
        pytest.param("client.patch('pods')", 0, id="a-clients-patch"),
    ],
)
def test_a_mock_is_told_from_what_only_sounds_like_one(line: str, mocks: int) -> None:
    assert house_numbers.measure_file(Path("test_x.py"), DOC + line + "\n").mocks == mocks


@pytest.mark.parametrize(
    ("share", "expected"),
    [pytest.param(0.5, 5, id="p50"), pytest.param(0.95, 10, id="p95"), pytest.param(0, 1, id="p0")],
)
def test_a_percentile_is_one_of_the_values(share: float, expected: int) -> None:
    assert house_numbers.percentile(range(1, 11), share) == expected


def test_generated_and_hidden_files_are_not_counted(tmp_path: Path) -> None:
    for name in ("own.py", "api_pb2.py", ".venv/lib.py", "build/copy.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(DOC)
    assert [path.name for path in house_numbers.own_files(tmp_path)] == ["own.py"]


def test_the_exit_code_is_one_when_a_number_does_not_hold(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("x = 1\n")
    said: list[str] = []
    assert house_numbers.main([str(tmp_path)], said.append) == 1
    assert said[-1] == "bad.py:1: module without a docstring"
