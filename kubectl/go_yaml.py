"""YAML read as kubectl reads it (go-yaml v2): which words are booleans and numbers. Writing is `yaml_text`'s.

PyYAML's own table takes `22:22` for the number 1342 and dates for dates, and leaves `y` and `1e3` text: a manifest
would mean different things to the two tools.
"""

import re
from typing import Final

import yaml

_TRUE: Final = frozenset({"y", "yes", "true", "on"})
_TAG: Final = "tag:yaml.org,2002:"


class Loader(yaml.CSafeLoader):
    """For yaml.load and yaml.load_all."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


def _words(words: str) -> re.Pattern[str]:
    forms = {form for word in words.split() for form in (word, word.upper(), word.capitalize())}
    return re.compile(rf"(?:{'|'.join(sorted(forms))})\Z")


def _bool(loader: Loader, node: yaml.ScalarNode) -> bool:
    return str(node.value).lower() in _TRUE


def _int(loader: Loader, node: yaml.ScalarNode) -> int:
    text = str(node.value).replace("_", "")
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    if re.fullmatch(r"0[0-7]+", digits):  # YAML 1.1: a leading zero means octal
        return sign * int(digits, 8)
    return sign * int(digits, 0 if digits[:2].lower() in ("0x", "0b", "0o") else 10)


def _float(loader: Loader, node: yaml.ScalarNode) -> float:
    text = str(node.value).replace("_", "").lower()
    return float(text.replace(".inf", "inf").replace(".nan", "nan"))


Loader.add_implicit_resolver(_TAG + "bool", _words("y yes true on n no false off"), list("yYtToOnNfF"))
Loader.add_implicit_resolver(_TAG + "null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])
Loader.add_implicit_resolver(_TAG + "merge", re.compile(r"<<\Z"), ["<"])
Loader.add_implicit_resolver(
    _TAG + "int",
    re.compile(r"[-+]?(?:0b[01_]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0|0[0-7_]*[0-7][0-7_]*|[1-9][0-9_]*)\Z"),
    list("-+0123456789"),
)
Loader.add_implicit_resolver(
    _TAG + "float",
    re.compile(
        r"(?:[-+]?(?:\.[0-9][0-9_]*|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
    ),
    list("-+.0123456789"),
)
Loader.add_constructor(_TAG + "bool", _bool)
Loader.add_constructor(_TAG + "int", _int)
Loader.add_constructor(_TAG + "float", _float)
