"""Objects from files, folders, URLs and standard input, YAML or JSON. What is done with them is not here."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from kubectl.go_yaml import Loader
from kubectl.problems import CliError
from machinery.api import codec
from machinery.api.codec import Json

EXTENSIONS: Final = frozenset({".json", ".yaml", ".yml"})  # what a folder's files must end with to be read


async def read(names: list[str], recursive: bool) -> list[tuple[Json, str]]:
    """Every object with the name of what it came from (`STDIN` for `-`); raises CliError."""
    found: list[tuple[Json, str]] = []
    for name in names:
        for text, source in await _texts(name, recursive):
            found += [(obj, source) for obj in objects_in(text, source)]
    return found


async def _texts(name: str, recursive: bool) -> list[tuple[str, str]]:
    if name == "-":
        return [(await asyncio.to_thread(sys.stdin.read), "STDIN")]
    if name.startswith(("http://", "https://")):
        return [(await _download(name), name)]
    paths = [path for pattern in _expanded(name) for path in _paths(Path(pattern), recursive)]
    return [(_read_file(path), str(path)) for path in paths]


async def _download(url: str) -> str:
    try:
        async with httpx.AsyncClient(follow_redirects=True, timeout=60) as client:
            answer = await client.get(url)
    except httpx.HTTPError as problem:
        raise CliError(f'Get "{url}": {problem}') from problem
    if answer.status_code != 200:
        raise CliError(
            f'unable to read URL "{url}", server reported {answer.status_code} {answer.reason_phrase}, '
            f"status code={answer.status_code}"
        )
    return answer.text


def _expanded(name: str) -> list[str]:
    if not any(letter in name for letter in "*?["):
        return [name]
    matches = sorted(str(path) for path in Path().glob(name)) if not name.startswith("/") else _absolute_glob(name)
    if not matches:
        raise CliError(f'the path "{name}" does not exist')
    return matches


def _absolute_glob(name: str) -> list[str]:
    return sorted(str(path) for path in Path("/").glob(name.lstrip("/")))


def _paths(path: Path, recursive: bool) -> Iterator[Path]:
    if not path.exists():
        raise CliError(f'the path "{path}" does not exist')
    if not path.is_dir():
        yield path
        return
    inside = sorted(path.rglob("*") if recursive else path.glob("*"))
    chosen = [file for file in inside if file.is_file() and file.suffix in EXTENSIONS]
    if not chosen:
        raise CliError(f"error reading [{path}]: recognized file extensions are [.json .yaml .yml]")
    yield from chosen


def _read_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise CliError(f"open {path}: {problem}") from problem


def objects_in(text: str, source: str) -> Iterator[Json]:
    """The objects of one text, Lists taken apart; raises CliError for what is neither YAML nor JSON nor an object."""
    for document in _documents(text, source):
        if document is None:
            continue
        if not isinstance(document, dict):
            raise CliError(f"error parsing {source}: error converting YAML to JSON: not an object")
        _check_type(document, source)
        if document["kind"].endswith("List") and isinstance(document.get("items"), list):
            for item in document["items"]:
                _check_type(item, source)
                yield item
        else:
            yield document


def _documents(text: str, source: str) -> Iterator[Any]:
    if text.lstrip().startswith("{"):
        try:
            yield codec.loads(text)
            return
        except ValueError:
            pass  # several JSON documents, or YAML's flow style: both are YAML
    try:
        yield from yaml.load_all(text, Loader=Loader)
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f"line {mark.line + 1}: " if mark else ""
        why = getattr(problem, "problem", None) or str(problem)
        raise CliError(f"error parsing {source}: error converting YAML to JSON: yaml: {where}{why}") from problem


def _check_type(document: Json, source: str) -> None:
    missing = [field for field in ("apiVersion", "kind") if not document.get(field)]
    if missing:
        words = ", ".join(f"{field} not set" for field in missing)
        raise CliError(
            f'error validating "{source}": error validating data: [{words}]'
            if len(missing) > 1
            else f'error validating "{source}": error validating data: {words}'
        )
