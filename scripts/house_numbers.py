"""Measures the tree's own Python against its house numbers and names the offenders. Style and arrows are not here.

`python scripts/house_numbers.py [ROOT]`: exit code 0 when all numbers hold, 1 when one does not.
A function's length is what an editor shows: from its `def` (without decorators) to its last line, docstring included.
"""

import ast
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

FUNCTION_MEDIAN: Final = 8
FUNCTION_P95: Final = 45
FUNCTION_MAX: Final = 80
FILE_P95: Final = 600
FILE_MAX: Final = 800
MOCKS_PER_100_TESTS: Final = 10

SKIPPED_DIRECTORIES: Final = frozenset({"build", "dist", "node_modules", "__pycache__"})
MOCK_CALLS: Final = frozenset({"Mock", "MagicMock", "AsyncMock", "NonCallableMock", "PropertyMock", "create_autospec"})

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """One function: where it is and how many lines it has."""

    path: Path
    name: str
    line: int
    length: int


@dataclass
class Figures:
    """What was counted in one file, or in all of them together."""

    files: dict[Path, int] = field(default_factory=dict)
    functions: list[Function] = field(default_factory=list)
    tests: int = 0
    mocks: int = 0
    offences: list[str] = field(default_factory=list)

    def add(self, other: "Figures") -> None:
        """Take another file's figures in."""
        self.files |= other.files
        self.functions += other.functions
        self.tests += other.tests
        self.mocks += other.mocks
        self.offences += other.offences


def percentile(values: Sequence[int], share: float) -> int:
    """The nearest-rank percentile (`share` from 0 to 1); 0 when there are no values."""
    if not values:
        return 0
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(share * len(ordered)) - 1))]


def own_files(root: Path) -> Iterator[Path]:
    """The Python files people wrote: nothing hidden, built or generated."""
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if any(part.startswith(".") or part in SKIPPED_DIRECTORIES or part.endswith(".egg-info") for part in parts):
            continue
        if not path.stem.endswith(("_pb2", "_pb2_grpc")):
            yield path


def measure_file(path: Path, source: str) -> Figures:
    """Everything counted in one file; raises SyntaxError when it is not Python."""
    tree = ast.parse(source, filename=str(path))
    figures = Figures(files={path: source.count("\n") + (not source.endswith("\n") and bool(source))})
    if source.strip() and not ast.get_docstring(tree):
        figures.offences.append(f"{path}:1: module without a docstring")
    mock_names = _names_from_mock(tree)
    is_test_file = path.name.startswith("test_")
    for node in ast.walk(tree):
        if isinstance(node, FunctionNode):
            _measure_function(figures, path, node, is_test_file)
        elif isinstance(node, ast.Call) and _is_mock(node.func, mock_names):
            figures.mocks += 1
    return figures


def _measure_function(figures: Figures, path: Path, node: FunctionNode, is_test_file: bool) -> None:
    length = (node.end_lineno or node.lineno) - node.lineno + 1
    figures.functions.append(Function(path, node.name, node.lineno, length))
    figures.tests += is_test_file and node.name.startswith("test_")
    for inner in _own_statements(node):
        if isinstance(inner, ast.Import | ast.ImportFrom):
            figures.offences.append(f"{path}:{inner.lineno}: import inside {node.name}()")


def _own_statements(node: FunctionNode) -> Iterator[ast.AST]:
    """The function's nodes without those of functions inside it, which are visited on their own."""
    waiting: list[ast.AST] = list(node.body)
    while waiting:
        here = waiting.pop()
        if not isinstance(here, FunctionNode):
            yield here
            waiting += ast.iter_child_nodes(here)


def _names_from_mock(tree: ast.Module) -> set[str]:
    """What the file calls the things it took from unittest.mock: `patch` alone could be a client's method."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "unittest.mock":
            names |= {
                alias.asname or alias.name for alias in node.names if alias.name not in ("ANY", "call", "sentinel")
            }
    return names


def _is_mock(called: ast.expr, mock_names: set[str]) -> bool:
    if isinstance(called, ast.Name):
        return called.id in mock_names
    if not isinstance(called, ast.Attribute):
        return False
    owner = called.value
    if isinstance(owner, ast.Name) and owner.id in mock_names | {"mock", "mocker"}:
        return True
    return called.attr in MOCK_CALLS or (
        called.attr == "setattr" and isinstance(owner, ast.Name) and owner.id == "monkeypatch"
    )


def measure(root: Path) -> Figures:
    """The whole tree's figures, paths relative to `root`."""
    total = Figures()
    for path in own_files(root):
        total.add(measure_file(path.relative_to(root), path.read_text(encoding="utf-8")))
    return total


def offences_of(figures: Figures) -> list[str]:
    """Every number that does not hold, in words; empty when all hold."""
    functions = [function.length for function in figures.functions]
    files = list(figures.files.values())
    found = [
        *_over("functions: median", percentile(functions, 0.5), FUNCTION_MEDIAN),
        *_over("functions: p95", percentile(functions, 0.95), FUNCTION_P95),
        *_over("files: p95", percentile(files, 0.95), FILE_P95),
        *_over("mocks per 100 tests:", round(mocks_per_100_tests(figures)), MOCKS_PER_100_TESTS),
    ]
    for function in figures.functions:
        found += _over(f"{function.path}:{function.line}: {function.name}() lines:", function.length, FUNCTION_MAX)
    for path, length in figures.files.items():
        found += _over(f"{path}: lines:", length, FILE_MAX)
    return found + figures.offences


def _over(what: str, value: int, limit: int) -> list[str]:
    return [f"{what} {value} > {limit}"] if value > limit else []


def mocks_per_100_tests(figures: Figures) -> float:
    """Mocks made per hundred test functions; 0 in a tree without tests."""
    return 100 * figures.mocks / figures.tests if figures.tests else 0.0


def report(figures: Figures) -> Iterable[str]:
    """The figures, for people."""
    functions = [function.length for function in figures.functions]
    files = list(figures.files.values())
    yield _row("functions", functions, f"median {percentile(functions, 0.5)}  p95 {percentile(functions, 0.95)}")
    yield _row("files", files, f"p95 {percentile(files, 0.95)}  lines {sum(files)}")
    yield f"tests      {figures.tests:6}  mocks {figures.mocks} ({mocks_per_100_tests(figures):.1f} per 100 tests)"


def _row(what: str, values: Sequence[int], middle: str) -> str:
    return f"{what:10} {len(values):6}  {middle}  max {max(values, default=0)}"


def main(argv: Sequence[str], write: Callable[[str], object] = print) -> int:
    """Measure the tree that is named, or the current directory."""
    figures = measure(Path(argv[0] if argv else "."))
    for line in report(figures):
        write(line)
    offences = offences_of(figures)
    for line in offences:
        write(line)
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
