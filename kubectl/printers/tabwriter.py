"""Elastic tab stops, as Go's text/tabwriter lays them out: kubectl's output is made with it. No colours, no wrapping.

A cell ends at a tab; the text after a line's last tab belongs to no column. A column is a run of consecutive lines that
all have a cell there: it is as wide as its widest cell plus the padding, and at least `minimum`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class TabWriter:
    """Lays out text. With `remember`, columns of a later text are never narrower than those before (watches)."""

    minimum: int = 0
    padding: int = 2
    remember: bool = False
    _remembered: list[int] = field(default_factory=list)

    def layout(self, text: str) -> str:
        """The text with its tabs turned into spaces."""
        lines = [line.split("\t") for line in text.split("\n")]
        out: list[str] = [""] * len(lines)
        self._format(lines, (0, len(lines)), [], out)
        return "\n".join(out)

    def _format(self, lines: Sequence[list[str]], span: tuple[int, int], widths: list[int], out: list[str]) -> None:
        column = len(widths)
        this, end = span
        while this < end:
            if column >= len(lines[this]) - 1:
                out[this] = _written(lines[this], widths)
                this += 1
                continue
            block_end = this
            while block_end < end and column < len(lines[block_end]) - 1:
                block_end += 1
            width = self._width(column, [lines[index][column] for index in range(this, block_end)])
            self._format(lines, (this, block_end), [*widths, width], out)
            this = block_end

    def _width(self, column: int, cells: Sequence[str]) -> int:
        width = max(self.minimum, max(len(cell) for cell in cells) + self.padding)
        if not self.remember:
            return width
        if column < len(self._remembered):
            width = max(width, self._remembered[column])
            self._remembered[column] = width
        else:
            self._remembered.append(width)
        return width


def _written(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=False)]
    return "".join([*padded, *cells[len(padded) :]])
