"""`-o custom-columns=HEADER:PATH,…`: a table whose columns the user names. The server's own tables are in `table`."""

from collections.abc import Iterable
from typing import Any

from kubectl.printers import jsonpath
from kubectl.printers.tabwriter import TabWriter
from kubectl.problems import CliError
from machinery.api.codec import Json


def columns_from_spec(spec: str) -> list[tuple[str, jsonpath.Path]]:
    """Headers with their paths; raises CliError in kubectl's words."""
    if not spec:
        raise CliError("custom-columns format specified but no custom columns given")
    columns = []
    for part in spec.split(","):
        header, colon, wanted = part.partition(":")
        if not colon:
            raise CliError(f"unexpected custom-columns spec: {part}, expected <header>:<json-path-expr>")
        columns.append((header, jsonpath.relaxed(wanted)))
    return columns


def columns_from_file(text: str) -> list[tuple[str, jsonpath.Path]]:
    """Two lines: headers, paths."""
    lines = text.splitlines()
    if len(lines) < 2 or len(lines[0].split()) != len(lines[1].split()):
        raise CliError("number of headers and paths differ in the custom-columns file")
    return [
        (header, jsonpath.relaxed(wanted)) for header, wanted in zip(*(line.split() for line in lines[:2]), strict=True)
    ]


def table_of(objects: Iterable[Json], columns: list[tuple[str, jsonpath.Path]], headers: bool = True) -> str:
    """The text of the table."""
    lines = ["\t".join(header for header, _ in columns)] if headers else []
    lines += ["\t".join(_cell(wanted.find(obj)) for _, wanted in columns) for obj in objects]
    return TabWriter(minimum=6, padding=3).layout("".join(line + "\n" for line in lines))


def _cell(found: list[Any]) -> str:
    return ",".join(_shown(value) for value in found) if found else "<none>"


def _shown(value: Any) -> str:
    if isinstance(value, dict):  # Go prints a map so
        return "map[" + " ".join(f"{key}:{_shown(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(_shown(item) for item in value) + "]"
    return "<nil>" if value is None else jsonpath.shown(value)
