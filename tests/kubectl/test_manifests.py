"""Objects from files, folders, patterns, URLs and standard input."""

import io
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from kubectl import manifests
from kubectl.problems import CliError


def text_of(name: str) -> str:
    """A ConfigMap as YAML."""
    return f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three files with objects, one of them deeper, and one that is none."""
    (tmp_path / "deep").mkdir()
    for path in ("b.yaml", "a.yml", "deep/c.yaml", "readme.md"):
        (tmp_path / path).write_text(text_of(Path(path).stem))
    return tmp_path


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    """The folder over HTTP."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


async def names(*given: str, recursive: bool = False) -> list[str]:
    """The names of the objects read."""
    return [obj["metadata"]["name"] for obj, _ in await manifests.read(list(given), recursive)]


async def test_a_folder_is_read_in_the_order_of_names(folder: Path) -> None:
    assert await names(str(folder)) == ["a", "b"]
    assert await names(str(folder), recursive=True) == ["a", "b", "c"]


async def test_a_named_file_may_end_as_it_likes(folder: Path) -> None:
    assert await names(str(folder / "readme.md"), str(folder / "b.yaml")) == ["readme", "b"]


async def test_a_pattern_is_expanded(folder: Path) -> None:
    assert await names(str(folder / "*.y*ml")) == ["a", "b"]


async def test_an_url_is_downloaded(url: str) -> None:
    assert await names(f"{url}/b.yaml") == ["b"]
    with pytest.raises(CliError, match="server reported 404 File not found, status code=404"):
        await names(f"{url}/nope.yaml")


async def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(text_of("x") + "---\n" + text_of("z")))
    assert [source for _, source in await manifests.read(["-"], False)] == ["STDIN", "STDIN"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        pytest.param("nope.yaml", 'the path "nope.yaml" does not exist', id="file"),
        pytest.param("nope*.yaml", 'the path "nope\\*.yaml" does not exist', id="pattern"),
    ],
)
async def test_what_is_not_there_is_named(name: str, problem: str) -> None:
    with pytest.raises(CliError, match=problem):
        await names(name)
