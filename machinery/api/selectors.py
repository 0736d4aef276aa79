"""Label and field selectors: parsed once, matched often (upstream: apimachinery/pkg/labels, pkg/fields)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from machinery.api import names
from machinery.api.codec import Json

_OPERATORS: Final = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "!"}


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


_TERM: Final = re.compile(
    r"\s*(?:(?P<absent>!)\s*(?P<absent_key>[^\s,=!<>()]+)"
    r"|(?P<key>[^\s,=!<>()]+)\s*(?:(?P<set>in|notin)\s*\((?P<values>[^)]*)\)"
    r"|(?P<op>==|=|!=|>|<)\s*(?P<value>[^\s,=!<>()]*))?)\s*(?:,|$)"
)


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """A conjunction of requirements; without any it selects everything, unless it is `nothing`."""

    requirements: tuple[Requirement, ...] = ()
    nothing: bool = False

    @classmethod
    def parse(cls, text: str) -> "LabelSelector":
        """From the query string form `a=b,c in (d,e),!f`; raises ValueError."""
        terms: list[Requirement] = []
        position = 0
        while text[position:].strip():
            match = _TERM.match(text, position)
            if not match or match.end() == position:
                raise ValueError(
                    f"unable to parse requirement: found {text[position:].strip()!r}, expected: identifier"
                )
            terms.append(_requirement(match))
            position = match.end()
        return cls(tuple(terms))

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


def _requirement(match: re.Match[str]) -> Requirement:
    if match["absent"]:
        return _checked(Requirement(match["absent_key"], "!"))
    key = match["key"]
    if match["set"]:
        return _checked(Requirement(key, match["set"], frozenset(part.strip() for part in match["values"].split(","))))
    if match["op"] is None:
        return _checked(Requirement(key, "exists"))
    operator = {"==": "=", ">": "gt", "<": "lt"}.get(match["op"], match["op"])
    return _checked(Requirement(key, operator, frozenset((match["value"],))))


def _checked(term: Requirement) -> Requirement:
    problems = names.is_qualified_name(term.key)
    if problems:
        raise ValueError(f'key: Invalid value: "{term.key}": {"; ".join(problems)}')
    for value in sorted(term.values):
        problems = names.is_label_value(value)
        if problems:
            raise ValueError(f'values[0][{term.key}]: Invalid value: "{value}": {"; ".join(problems)}')
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
        for term in _split_unescaped(text):
            match = re.fullmatch(r"((?:[^=!\\]|\\.)+)(!=|==|=)(.*)", term)
            if not match:
                raise ValueError(f"invalid selector: '{text}'; can't understand '{term}'")
            operator = "!=" if match[2] == "!=" else "="
            terms.append(Requirement(match[1], operator, frozenset((re.sub(r"\\(.)", r"\1", match[3]),))))
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


def _split_unescaped(text: str) -> list[str]:
    return [part for part in re.findall(r"((?:[^,\\]|\\.)+)(?:,|$)", text) if part]
