"""Writes the table of kinds in docs/api.md out of the rows. The rest of that page is written by hand.

`python -m scripts.api_table`; a test says when it is due.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from apiserver.registry.resource import Resource
from apiserver.rows import ROWS

PAGE: Final = Path(__file__).parents[1] / "docs" / "api.md"
BEGIN: Final = "<!-- kinds: written by scripts/api_table.py -->"
END: Final = "<!-- end of kinds -->"
_ALL: Final = frozenset(("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"))


def table(rows: Iterable[Resource]) -> str:
    """The table, one line for each resource, groups and resources in order."""
    lines = [
        "| group/version | resource | kind | short | scope | verbs | subresources |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [_line(row) for row in sorted(rows, key=lambda row: (row.kind.group, row.kind.version, row.kind.plural))]
    return "\n".join(lines)


def _line(row: Resource) -> str:
    kind = row.kind
    verbs = "all" if frozenset(row.verbs) == _ALL else " ".join(sorted(row.verbs))
    scope = "namespace" if kind.namespaced else "cluster"
    cells = (kind.api_version, kind.plural, kind.kind, " ".join(row.short_names), scope, verbs)
    return f"| {' | '.join(cells)} | {' '.join(sorted(row.subresources))} |".replace("|  |", "| |")


def renewed(page: str) -> str:
    """The page with the table as it is now; raises ValueError for a page without its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{PAGE} has no place for the table")
    return f"{before}{BEGIN}\n{table(ROWS)}\n{END}{after}"


def main() -> Iterator[str]:
    """Rewrite the page; says what was done."""
    PAGE.write_text(renewed(PAGE.read_text()))
    yield f"{PAGE} is current"


if __name__ == "__main__":
    for line in main():
        print(line)
