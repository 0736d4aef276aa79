"""kubectl's JSONPath templates: `{.items[*].metadata.name}`, range, filters, slices, `..`. No Go templates.

A template is text with actions in braces. A path is a tuple of steps; a step turns the values found so far into the
next ones, so that finding is a loop over steps (upstream: client-go/util/jsonpath).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kubectl.printers.json_text import to_json

_MISSING: Final = object()


class PathError(ValueError):
    """The template cannot be read, or a key it names is not there and may not be missing."""


Step = Callable[[Any], Iterator[Any]]


@dataclass(frozen=True, slots=True)
class Path:
    """One path; `text` is how it was written."""

    text: str
    steps: tuple[Step, ...]

    def find(self, value: Any) -> list[Any]:
        """Everything the path leads to; nothing when a key is missing."""
        found = [value]
        for step in self.steps:
            found = [following for here in found for following in step(here)]
        return found


@dataclass(frozen=True, slots=True)
class Range:
    """`{range PATH}` … `{end}`: the body once for each value found."""

    path: Path
    body: "tuple[Part, ...]"


Part = str | Path | Range


@dataclass(frozen=True, slots=True)
class Template:
    """Parts in order."""

    parts: tuple[Part, ...]

    def render(self, value: Any) -> str:
        """The template's text for one object."""
        return "".join(_render(part, value) for part in self.parts)


def template(text: str) -> Template:
    """Read a whole template; raises PathError."""
    return Template(_parts(list(_actions(text)), inside=False))


def path(text: str) -> Path:
    """Read one path, with or without `$`; raises PathError."""
    return Path(text, tuple(_steps(text)))


def relaxed(text: str) -> Path:
    """A path as flags take it: `x.y`, `.x.y`, `{.x.y}` (upstream: get.RelaxedJSONPathExpression)."""
    bare = text.strip()
    if bare.startswith("{"):
        if not bare.endswith("}"):
            raise PathError(
                f"unexpected path string, expected a 'name1.name2' or '.name1.name2' or '{{name1.name2}}': {text}"
            )
        bare = bare[1:-1]
    return path("." + bare.removeprefix("$").removeprefix("."))


def shown(value: Any) -> str:
    """A found value as text: strings bare, objects and lists as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    return to_json(value, indent=None)


def _render(part: Part, value: Any) -> str:
    if isinstance(part, str):
        return part
    if isinstance(part, Path):
        return " ".join(shown(found) for found in part.find(value))
    return "".join(_render(inner, found) for found in part.path.find(value) for inner in part.body)


# --- reading ---------------------------------------------------------------------------------------------------------

_ACTION: Final = re.compile(r"""\{((?:"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[^{}"'])*)\}""")


def _actions(text: str) -> Iterator[tuple[str, str]]:
    """("text", …) and ("action", …) in order."""
    position = 0
    while position < len(text):
        opened = text.find("{", position)
        if opened < 0:
            yield "text", text[position:]
            return
        if opened > position:
            yield "text", text[position:opened]
        found = _ACTION.match(text, opened)
        if found is None:
            raise PathError("unclosed action")
        yield "action", found[1].strip()
        position = found.end()


def _parts(actions: list[tuple[str, str]], *, inside: bool) -> tuple[Part, ...]:
    """Consumes `actions` up to the `end` that closes this level."""
    parts: list[Part] = []
    while actions:
        kind, body = actions.pop(0)
        if kind == "text":
            parts.append(body)
        elif body == "end":
            if not inside:
                raise PathError("not in range, nothing to end")
            return tuple(parts)
        elif body.startswith("range "):
            parts.append(Range(path(body[6:].strip()), _parts(actions, inside=True)))
        else:
            parts.extend(_expressions(body))
    if inside:
        raise PathError("unexpected end of template: range without end")
    return tuple(parts)


def _expressions(body: str) -> Iterator[Part]:
    for word in re.findall(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|(?:\[[^\]]*\]|\\.|[^\s"\'\[])+', body):
        yield _unquoted(word) if word[0] in "\"'" else path(word)


def _unquoted(word: str) -> str:
    plain = {"n": "\n", "t": "\t", "r": "\r"}
    return re.sub(r"\\(.)", lambda found: plain.get(found[1], found[1]), word[1:-1])


_TOKEN: Final = re.compile(
    r"""(?P<deep>\.\.)|\.?\[(?P<bracket>(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|[^\]'"])*)\]|\.?(?P<name>(?:\\.|[^.\[\]\\])+)|(?P<dot>\.)"""
)


def _steps(text: str) -> Iterator[Step]:
    rest = text.strip()
    if rest[:1] in ("$", "@"):
        rest = rest[1:]
    position = 0
    while position < len(rest):
        found = _TOKEN.match(rest, position)
        if found is None:
            raise PathError(f"unrecognized character in action: {rest[position:]!r}")
        position = found.end()
        if found["deep"]:
            yield _descend
        elif found["bracket"] is not None:
            yield _bracket(found["bracket"].strip())
        elif found["name"]:
            yield _every if found["name"] == "*" else _field(re.sub(r"\\(.)", r"\1", found["name"]))


def _bracket(body: str) -> Step:
    if body == "*" or not body:
        return _every
    if body.startswith("?"):
        return _filter(body[1:].strip().removeprefix("(").removesuffix(")"))
    choices = re.findall(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[^,]+", body)
    return _union([_choice(choice.strip()) for choice in choices])


def _choice(word: str) -> Step:
    if word[0] in "\"'":
        return _field(_unquoted(word))
    if re.fullmatch(r"-?\d+", word):
        return _item(int(word))
    if re.fullmatch(r"-?\d*(:-?\d*){1,2}", word):
        return _slice([int(number) if number else None for number in word.split(":")])
    raise PathError(f"invalid array index {word}")


# --- steps -----------------------------------------------------------------------------------------------------------


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()


def _descend(value: Any) -> Iterator[Any]:
    yield value
    for inner in _every(value):
        if isinstance(inner, dict | list):
            yield from _descend(inner)


def _item(index: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _slice(numbers: Sequence[int | None]) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list):
            yield from value[slice(*numbers)]

    return step


def _union(choices: Sequence[Step]) -> Step:
    def step(value: Any) -> Iterator[Any]:
        for choice in choices:
            yield from choice(value)

    return step


def _filter(body: str) -> Step:
    found = re.fullmatch(r"\s*(.+?)\s*(?:(==|!=|<=|>=|<|>)\s*(.+?))?\s*", body)
    if found is None:
        raise PathError(f"invalid filter: {body}")
    left, operator, right = _operand(found[1]), found[2], _operand(found[3]) if found[3] else None

    def step(value: Any) -> Iterator[Any]:
        for element in value if isinstance(value, list) else ():
            here = left(element)
            if here is not _MISSING if right is None else _compared(here, operator, right(element)):
                yield element

    return step


def _operand(word: str) -> Callable[[Any], Any]:
    if word[0] in "@$":
        wanted = path(word)
        return lambda element: next(iter(wanted.find(element)), _MISSING)
    constant: Any = _literal(word)
    return lambda _: constant


def _literal(word: str) -> Any:
    if word[0] in "\"'":
        return _unquoted(word)
    if word in ("true", "false"):
        return word == "true"
    try:
        return float(word)
    except ValueError:
        raise PathError(f"unrecognized literal in filter: {word}") from None


def _compared(left: Any, operator: str, right: Any) -> bool:
    if left is _MISSING or right is _MISSING:
        return False
    if operator in ("==", "!="):
        return bool((left == right) == (operator == "=="))
    if isinstance(left, str) is not isinstance(right, str):
        return False
    return bool({"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[operator])
