"""The server's Table (meta.k8s.io/v1) as text, as kubectl prints it. Which columns there are is the server's business.

Upstream: cli-runtime/pkg/printers/tableprinter.go.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from kubectl.printers.tabwriter import TabWriter
from machinery.api import meta
from machinery.api.codec import Json

_BREAK = re.compile("[\f\n\r]")
_ESCAPES = {code: f"^{chr(code + 64)}" for code in range(32) if chr(code) not in "\t\n\r"}


@dataclass
class TablePrinter:
    """Prints the tables of one kind; `kind` is put before names (`pod/web`), `remember` keeps widths between tables."""

    wide: bool = False
    headers: bool = True
    with_namespace: bool = False
    show_labels: bool = False
    label_columns: Sequence[str] = ()
    kind: str = ""
    remember: bool = False
    _columns: list[Json] = field(default_factory=list)
    _headers_done: bool = False
    _writer: TabWriter = field(default_factory=lambda: TabWriter(minimum=6, padding=3))

    def text_of(self, table: Json, event: str = "") -> str:
        """The table's lines; headers the first time only; empty when there are no rows."""
        self._columns = table.get("columnDefinitions") or self._columns
        rows = table.get("rows") or []
        if not rows:
            return ""
        self._writer.remember = self.remember
        lines = []
        if self.headers and not self._headers_done:
            lines.append("\t".join((["EVENT"] if event else []) + list(self._header_cells())))
        self._headers_done = True
        lines += ["\t".join(([event] if event else []) + self._row_cells(row)) for row in rows]
        return self._writer.layout("".join(line + "\n" for line in lines))

    def _shown(self) -> Iterator[tuple[int, Json]]:
        for index, column in enumerate(self._columns):
            if self.wide or not column.get("priority"):
                yield index, column

    def _header_cells(self) -> Iterator[str]:
        if self.with_namespace:
            yield "NAMESPACE"
        for _, column in self._shown():
            yield column["name"].upper()
        for label in self.label_columns:
            yield label.rpartition("/")[2].upper()
        if self.show_labels:
            yield "LABELS"

    def _row_cells(self, row: Json) -> list[str]:
        obj = row.get("object") or {}
        cells = row.get("cells") or []
        line = [meta.namespace_of(obj) or ""] if self.with_namespace else []
        for index, column in self._shown():
            cell = _text(cells[index]) if index < len(cells) else ""
            is_name = column.get("format") == "name" or (index == 0 and column["name"] == "Name")
            line.append(f"{self.kind}/{cell}" if self.kind and is_name else cell)
        labels = meta.labels_of(obj)
        line += [labels.get(label, "") for label in self.label_columns]
        if self.show_labels:
            line.append(labels_text(labels.items()))
        return line


def labels_text(labels: Iterable[tuple[str, str]]) -> str:
    """`a=b,c=d`, sorted; `<none>` when there are none."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels)) or "<none>"


def _text(cell: Any) -> str:
    if isinstance(cell, str):
        first, *more = _BREAK.split(cell, maxsplit=1)
        return first.translate(_ESCAPES).replace("\t", " ") + ("..." if more else "")
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if cell is None:
        return ""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def sorted_rows(table: Json, values: Sequence[list[Any]]) -> Json:
    """The table with its rows in the order of `values` (one list of found values a row; nothing found sorts first)."""
    order = sorted(range(len(values)), key=lambda index: sort_key(values[index]))
    return table | {"rows": [table["rows"][index] for index in order]}


def sort_key(found: list[Any]) -> tuple[int, float, str]:
    """Orders what a path found: missing, then numbers, then text."""
    if not found or found[0] is None:
        return 0, 0.0, ""
    if isinstance(found[0], bool | int | float):
        return 1, float(found[0]), ""
    return 2, 0.0, str(found[0])


def without_objects(rows: Iterable[Json]) -> list[Json]:
    """The objects behind rows, for those who want to look at them."""
    return [row.get("object") or {} for row in rows]
