"""Label and field selectors: parsed once, matched often (upstream: apimachinery/pkg/labels, pkg/fields)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from machinery.api import names
from machinery.api.codec import Json, dumps

_OPERATORS: Final = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}

#: of one selector; each is asked of every object in memory
_MOST_TERMS: Final = 250
_TOO_MANY: Final = f"a selector has at most {_MOST_TERMS} terms"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term: key, operator (`=`, `!=`, `in`, `notin`, `exists`, `!`, `gt`, `lt`), values."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels satisfy the term; a missing label satisfies the negative operators."""
        value = labels.get(self.key)
        match self.operator:
            case "=" | "in":
                return value in self.values
            case "!=" | "notin":
                return value not in self.values
            case "exists":
                return value is not None
            case "!":
                return value is None
            case _:
                return self._compares(value)

    def _compares(self, value: str | None) -> bool:
        try:
            actual, bound = int(value or ""), int(next(iter(self.values)))
        except ValueError:
            return False
        return actual > bound if self.operator == "gt" else actual < bound

    def __str__(self) -> str:
        values = ",".join(sorted(self.values))
        match self.operator:
            case "exists":
                return self.key
            case "!":
                return f"!{self.key}"
            case "in" | "notin":
                return f"{self.key} {self.operator} ({values})"
            case "gt" | "lt":
                return f"{self.key}{'>' if self.operator == 'gt' else '<'}{values}"
            case _:
                return f"{self.key}{self.operator}{values}"


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A conjunction of requirements; without any it selects everything, unless it is `nothing`."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    @classmethod
    def parse(cls, text: str) -> "LabelSelector":
        """From the query string form `a=b,c in (d,e),!f`; raises ValueError."""
        return cls(_Parser(text).requirements())

    @classmethod
    def from_dict(cls, selector: Json | None) -> "LabelSelector":
        """From a metav1.LabelSelector; None selects nothing, an empty one everything. Raises ValueError."""
        if selector is None:
            return NOTHING
        terms = [
            Requirement(key, "=", frozenset((value,))) for key, value in (selector.get("matchLabels") or {}).items()
        ]
        for expression in selector.get("matchExpressions") or ():
            operator = _OPERATORS.get(expression.get("operator", ""))
            if operator is None:
                raise ValueError(f'"{expression.get("operator")}" is not a valid label selector operator')
            terms.append(Requirement(expression.get("key") or "", operator, frozenset(expression.get("values") or ())))
        return cls(tuple(terms))

    @classmethod
    def from_labels(cls, labels: Mapping[str, str]) -> "LabelSelector":
        """From plain pairs, as a Service's or ReplicationController's selector has them."""
        return cls(tuple(Requirement(key, "=", frozenset((value,))) for key, value in labels.items()))

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels satisfy every requirement."""
        return not self.nothing and all(term.matches(labels) for term in self.requirements)

    @property
    def empty(self) -> bool:
        """Whether everything is selected."""
        return not self.nothing and not self.requirements

    def __str__(self) -> str:
        return ",".join(str(term) for term in self.requirements)


_TOKEN: Final = re.compile(r"[ \t\r\n]*([^ \t\r\n=!(),<>]+|[=!(),<>]+|)")
_SYMBOLS: Final = frozenset((")", ",", "!", "==", "=", ">", "<", "!=", "("))
_SPECIAL: Final = frozenset("=!(),<>")
_BINARY: Final = {"in": "in", "notin": "notin", "=": "=", "==": "=", "!=": "!=", ">": "gt", "<": "lt"}
_EXPECTED_OPERATORS: Final = "in, notin, =, ==, !=, gt, lt"


class _Parser:
    """The grammar of the query string form, with upstream's refusals (apimachinery/pkg/labels/selector.go)."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._place = 0

    def requirements(self) -> tuple[Requirement, ...]:
        """All terms; raises ValueError."""
        found: dict[Requirement, None] = {}
        while (token := self._next) != "":
            if token != "!" and not _is_identifier(token):
                raise ValueError(f"found '{token}', expected: !, identifier, or 'end of string'")
            try:
                found[self._requirement()] = None
            except ValueError as problem:
                raise ValueError(f"unable to parse requirement: {problem}") from problem
            separator = self._take()
            if len(found) > _MOST_TERMS:
                raise ValueError(_TOO_MANY)
            if separator not in ("", ","):
                raise ValueError(f"found '{separator}', expected: ',' or 'end of string'")
            if separator and self._next != "!" and not _is_identifier(self._next):
                raise ValueError(f"found '{self._next}', expected: identifier after ','")
        return tuple(found)

    @property
    def _next(self) -> str:
        return self._tokens[self._place]

    def _take(self) -> str:
        token = self._tokens[self._place]
        self._place = min(self._place + 1, len(self._tokens) - 1)
        return token

    def _requirement(self) -> Requirement:
        key, negated = self._take(), False
        if key == "!":
            key, negated = self._take(), True
        if not _is_identifier(key):
            raise ValueError(f"found '{key}', expected: identifier")
        _check_key(key)
        if negated or self._next in ("", ","):
            return Requirement(key, "!" if negated else "exists")
        sign = self._take()
        operator = _BINARY.get(sign)
        if operator is None:
            raise ValueError(f"found '{sign}', expected: {_EXPECTED_OPERATORS}")
        values = self._values() if operator in ("in", "notin") else frozenset((self._value(),))
        return _checked(Requirement(key, operator, values))

    def _value(self) -> str:
        if self._next in ("", ","):
            return ""
        token = self._take()
        if not _is_identifier(token):
            raise ValueError(f"found '{token}', expected: identifier")
        return token

    def _values(self) -> frozenset[str]:
        token = self._take()
        if token != "(":
            raise ValueError(f"found '{token}' expected: '('")
        found: list[str] = []
        value = ""
        while (token := self._take()) != ")":
            if token == ",":
                found.append(value)
                value = ""
            elif _is_identifier(token) and not value:
                value = token
            else:
                raise ValueError(f"found '{token}', expected: ',' or ')'" if value else _no_value(token))
        return frozenset((*found, value))


def _no_value(token: str) -> str:
    return f"found '{token}', expected: ',', ')' or identifier"


def _is_identifier(token: str) -> bool:
    return token != "" and token[0] not in _SPECIAL


def _tokens(text: str) -> Iterable[str]:
    """Identifiers and symbols, then "" for the end; raises ValueError for symbols that are none."""
    for match in _TOKEN.finditer(text):
        token = match[1]
        if _is_identifier(token):
            yield token
            continue
        while token:
            symbol = token[:2] if token[:2] in _SYMBOLS else token[:1]
            yield symbol
            token = token[len(symbol) :]
    yield ""


def _check_key(key: str) -> None:
    if problems := names.is_qualified_name(key):
        raise ValueError(f"<nil>: Invalid value: {dumps(key).decode()}: {'; '.join(problems)}")


def _checked(term: Requirement) -> Requirement:
    problems: list[str] = []
    for place, value in enumerate(sorted(term.values)):
        shown = dumps(value).decode()
        if term.operator in ("gt", "lt") and not re.fullmatch(r"[+-]?\d{1,18}", value):
            text = "for 'Gt', 'Lt' operators, the value must be an integer"
            problems.append(f"values[{place}]: Invalid value: {shown}: {text}")
        if complaints := names.is_label_value(value):
            problems.append(f"values[{place}][{term.key}]: Invalid value: {shown}: {'; '.join(complaints)}")
    if problems:
        raise ValueError(problems[0] if len(problems) == 1 else f"[{', '.join(problems)}]")
    return term


EVERYTHING: Final = LabelSelector()
NOTHING: Final = LabelSelector(nothing=True)


@dataclass(frozen=True, slots=True)
class FieldSelector:
    """A conjunction of `field=value` and `field!=value` terms."""

    requirements: tuple[Requirement, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "FieldSelector":
        """From `metadata.name=x,spec.nodeName!=y`, with `\\,`, `\\=` and `\\\\` escaped; raises ValueError."""
        terms = []
        for term in sorted(_split_unescaped(text)):
            match = _FIELD_TERM.match(term)
            if not match:
                raise ValueError(f"invalid selector: '{text}'; can't understand '{term}'")
            operator = "!=" if match[2] == "!=" else "="
            terms.append(Requirement(match[1], operator, frozenset((_unescaped(match[3]),))))
        if len(terms) > _MOST_TERMS:
            raise ValueError(_TOO_MANY)
        return cls(tuple(terms))

    def matches(self, fields: Mapping[str, str]) -> bool:
        """Whether the fields satisfy every term; a missing field counts as empty."""
        return all((fields.get(term.key, "") in term.values) == (term.operator == "=") for term in self.requirements)

    def keys(self) -> Iterable[str]:
        """The fields the selector looks at."""
        return (term.key for term in self.requirements)

    def exact(self, key: str) -> str | None:
        """The value a field must have, if the selector says so."""
        return next((next(iter(t.values)) for t in self.requirements if t.key == key and t.operator == "="), None)

    @property
    def empty(self) -> bool:
        """Whether everything is selected."""
        return not self.requirements

    def __str__(self) -> str:
        return ",".join(str(term) for term in self.requirements)


_FIELD_TERM: Final = re.compile(r"(.*?)(!=|==|=)(.*)", re.S)


def _split_unescaped(text: str) -> list[str]:
    return [part for part in re.findall(r"((?:[^,\\]|\\.?)*)(?:,|$)", text, re.S) if part]


def _unescaped(value: str) -> str:
    """A field's value as it is meant; raises ValueError (upstream: fields.UnescapeValue)."""
    if wrong := re.search(r"(?<!\\)(?:\\\\)*\\(?![\\,=])(.?)", value, re.S):
        raise ValueError(f"invalid field selector: invalid escape sequence: \\{wrong[1]}")
    if bare := re.search(r"(?<!\\)(?:\\\\)*([,=])", value):
        raise ValueError(f"invalid field selector: unescaped character in value: {ord(bare[1])}")
    return re.sub(r"\\(.)", r"\1", value, flags=re.S)
