"""Objects as kubectl's YAML: keys sorted, lists flush with their key, scalars quoted as go-yaml v2 quotes them."""

import re
from datetime import date
from typing import Any, Final

import yaml

from machinery.api.codec import Json

# What go-yaml (YAML 1.1) would read as something else than a string (upstream: sigs.k8s.io/yaml/goyaml.v2/resolve.go).
_WORDS: Final = (
    {
        word
        for base in ("y", "yes", "n", "no", "true", "false", "on", "off", "null")
        for word in (base, base.upper(), base.capitalize())
    }
    | {"", "~", ".nan", ".NaN", ".NAN"}
    | {sign + inf for sign in ("", "+", "-") for inf in (".inf", ".Inf", ".INF")}
)
_NUMBER: Final = re.compile(
    r"[-+]?(?:0b[01]+|0o[0-7]+|0x[0-9a-fA-F]+|(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)"
)
_BASE_60: Final = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?")
_ZONED: Final = r"[Tt]\d{1,2}:\d{1,2}:\d{1,2}(?:\.\d+)?(?:Z|[-+]\d{2}:\d{2})"
_DATE: Final = re.compile(rf"(\d{{4}})-(\d{{1,2}})-(\d{{1,2}})(?:{_ZONED}| \d{{1,2}}:\d{{1,2}}:\d{{1,2}}(?:\.\d+)?)?")


class _Dumper(yaml.CSafeDumper):
    """libyaml, which go-yaml's emitter is a translation of, told the scalar styles go-yaml chooses."""

    # PyYAML's own table would quote words that go-yaml leaves plain ("=", "<<"); strings are judged by `style_of`.
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def ignore_aliases(self, data: Any) -> bool:
        """Never anchors: the same list twice is written twice."""
        return True


def style_of(text: str) -> str | None:
    """The style go-yaml asks its emitter for; the emitter falls back by itself where that one cannot be."""
    if "\n" in text:
        return "|"
    return '"' if _would_be_misread(text) else None


def _would_be_misread(text: str) -> bool:
    if text in _WORDS:
        return True
    if text[0] not in "0123456789+-.":
        return False
    return bool(_NUMBER.fullmatch(text.replace("_", "")) or _BASE_60.fullmatch(text)) or _is_date(text)


def _is_date(text: str) -> bool:
    found = _DATE.fullmatch(text)
    try:
        return found is not None and bool(date(*(int(part) for part in found.groups())))
    except ValueError:
        return False


def _string(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style_of(text))


def _float(dumper: yaml.CSafeDumper, number: float) -> yaml.ScalarNode:
    if number.is_integer() and abs(number) < 1e21:
        return dumper.represent_scalar("tag:yaml.org,2002:int", str(int(number)))
    return dumper.represent_scalar("tag:yaml.org,2002:float", repr(number))


_Dumper.add_representer(str, _string)
_Dumper.add_representer(float, _float)
_Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)\Z"), ["t", "f"])
_Dumper.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"null\Z"), ["n"])
_Dumper.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?[0-9]+\Z"), list("-0123456789"))
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?\Z"), list("-0123456789")
)


def to_yaml(obj: Json) -> str:
    """One YAML document, with the newline at its end."""
    return yaml.dump(obj, Dumper=_Dumper, default_flow_style=False, sort_keys=True, allow_unicode=True, width=80)
