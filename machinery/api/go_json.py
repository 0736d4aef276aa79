"""What Go's JSON decoder says about bytes that are no JSON: users and clients see its words. Decoding is `codec`.

Upstream: encoding/json as forked into sigs.k8s.io/json. Only refused bodies come here: a second parse does not matter.
"""

import json
import re
from typing import Any, Final

END: Final = "unexpected end of JSON input"
TOO_DEEP: Final = "exceeded max depth"
_CONTEXTS: Final = {
    "Expecting value": "looking for beginning of value",
    "Expecting property name enclosed in double quotes": "looking for beginning of object key string",
    "Illegal trailing comma before end of object": "looking for beginning of object key string",
    "Illegal trailing comma before end of array": "looking for beginning of value",
    "Expecting ':' delimiter": "after object key",
    "Expecting ',' delimiter": "after object key:value pair",
    "Extra data": "after top-level value",
    "Invalid control character at": "in string literal",
    "Invalid \\escape": "in string escape code",
    "Invalid \\uXXXX escape": "in \\u hexadecimal character escape",
}
_SEARCHED: Final = 1 << 16  # characters; in a longer text a list is not told from an object
_BRACKET: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[][{}]')


def complaint(raw: bytes) -> str:
    """What is wrong with bytes that do not decode."""
    text = raw.decode(errors="replace")
    try:
        json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as problem:
        return _of(text, problem)
    except RecursionError:
        return TOO_DEEP
    except ValueError as problem:
        return str(problem)
    return "invalid UTF-8 or number"  # what Python reads and Go does not


def _no_constant(name: str) -> None:
    raise ValueError(f"invalid character {quoted(name[0])} looking for beginning of value")


def _of(text: str, problem: json.JSONDecodeError) -> str:
    place = problem.pos
    if problem.msg.startswith("Unterminated string"):
        return END
    if problem.msg == "Invalid \\escape":
        place += 1
    while problem.msg.startswith("Illegal trailing comma") and text[place : place + 1] not in ("}", "]", ""):
        place += 1
    if not text[place:].strip():
        return END
    if problem.msg == "Expecting value" and (literal := _in_literal(text[place : place + 6])):
        return literal
    context = _CONTEXTS.get(problem.msg.rstrip(": "), "looking for beginning of value")
    if context == "after object key:value pair" and _in_array(text[:place]):
        context = "after array element"
    return f"invalid character {quoted(text[place])} {context}"


def _in_array(text: str) -> bool:
    """Whether what is open last is a list; the text before is well-formed."""
    open_ones: list[str] = []
    for token in _BRACKET.findall(text) if len(text) < _SEARCHED else ():
        if token in "[{":
            open_ones.append(token)
        elif token in "]}":
            open_ones.pop()
    return open_ones[-1:] == ["["]


def _in_literal(rest: str) -> str | None:
    """The complaint about what begins like true, false or null and is not."""
    for word in ("true", "false", "null"):
        if rest[0] == word[0]:
            same = next(place for place in range(1, len(word) + 1) if not rest.startswith(word[: place + 1]))
            if same == len(rest):
                return END
            return f"invalid character {quoted(rest[same])} in literal {word} (expecting {quoted(word[same])})"
    return None


def quoted(char: str) -> str:
    """A character as Go quotes it."""
    if char == "'":
        return "'\\''"
    if char == '"':
        return "'\"'"
    return "'" + json.dumps(char, ensure_ascii=False)[1:-1] + "'"


def kind_of(value: Any) -> str:
    """A JSON value's kind as Go's messages name it."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    if value is None:
        return "null"
    return "array" if isinstance(value, list) else "object"
