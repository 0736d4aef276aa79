"""Keys and names: how objects are addressed, which names are legal, how generateName is filled in."""

import re
import secrets
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Final, NamedTuple


class ObjectKey(NamedTuple):
    """Namespace and name; the namespace is empty for cluster-scoped kinds."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN: Final = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_DNS1035: Final = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED: Final = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_ENV_VAR: Final = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_RELAXED_ENV_VAR: Final = re.compile(r"[ -<>-~]*")
_CONFIG_KEY: Final = re.compile(r"[-._a-zA-Z0-9]+")

_LABEL_TEXT: Final = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_SUBDOMAIN_TEXT: Final = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_DNS1035_TEXT: Final = (
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, "
    "and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is "
    "'[a-z]([-a-z0-9]*[a-z0-9])?')"
)
_QUALIFIED_TEXT: Final = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_LABEL_VALUE_TEXT: Final = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
_ENV_VAR_TEXT: Final = (
    "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not "
    "start with a digit (e.g. 'my.env-name',  or 'MY_ENV.NAME',  or 'MyEnvName1', regex used for validation is "
    "'[-._a-zA-Z][-._a-zA-Z0-9]*')"
)
_RELAXED_ENV_VAR_TEXT: Final = (
    "a valid environment variable name must consist only of printable ASCII characters other than '='"
)
_CONFIG_KEY_TEXT: Final = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)


_LONGEST_REMEMBERED: Final = 256


def _remembered(check: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """The same names come again and again; what was found of each is kept for a while."""
    known = lru_cache(maxsize=4096)(lambda value: tuple(check(value)))

    @wraps(check)
    def checked(value: str) -> list[str]:
        return list(known(value)) if len(value) <= _LONGEST_REMEMBERED else check(value)

    return checked


def _check(value: str, longest: int, pattern: re.Pattern[str], text: str) -> list[str]:
    problems = [f"must be no more than {longest} characters"] if len(value) > longest else []
    if not pattern.fullmatch(value):
        problems.append(text)
    return problems


@_remembered
def is_dns_label(value: str) -> list[str]:
    """Upstream's complaints about an RFC 1123 label; empty when it is one (upstream: util/validation/validation.go)."""
    return _check(value, 63, _LABEL, _LABEL_TEXT)


@_remembered
def is_dns_subdomain(value: str) -> list[str]:
    """Upstream's complaints about an RFC 1123 subdomain; empty when it is one."""
    return _check(value, 253, _SUBDOMAIN, _SUBDOMAIN_TEXT)


def is_dns1035_label(value: str) -> list[str]:
    """Upstream's complaints about an RFC 1035 label (Service names); empty when it is one."""
    return _check(value, 63, _DNS1035, _DNS1035_TEXT)


@_remembered
def is_qualified_name(value: str) -> list[str]:
    """Upstream's complaints about a label key, annotation key or resource name: `[prefix/]name`."""
    problems: list[str] = []
    prefix, slash, name = value.rpartition("/")
    if "/" in prefix:
        return [
            "a qualified name " + _QUALIFIED_TEXT.removeprefix("name part ") + " with an optional DNS subdomain prefix "
            "and '/' (e.g. 'example.com/MyName')"
        ]
    if slash and not prefix:
        problems.append("prefix part must be non-empty")
    elif slash:
        problems += [f"prefix part {text}" for text in is_dns_subdomain(prefix)]
    if not name:
        problems.append("name part must be non-empty")
    elif len(name) > 63:
        problems.append("name part must be no more than 63 characters")
    if not _QUALIFIED.fullmatch(name):
        problems.append(_QUALIFIED_TEXT)
    return problems


@_remembered
def is_label_value(value: str) -> list[str]:
    """Upstream's complaints about a label value; the empty value is fine."""
    problems = ["must be no more than 63 characters"] if len(value) > 63 else []
    if value and not _QUALIFIED.fullmatch(value):
        problems.append(_LABEL_VALUE_TEXT)
    return problems


def is_env_var_name(value: str) -> list[str]:
    """Upstream's complaints about the name of an environment variable."""
    if not _ENV_VAR.fullmatch(value):
        return [_ENV_VAR_TEXT]
    return [f"must not be '{value}'"] if value in (".", "..") else []


def is_relaxed_env_var_name(value: str) -> list[str]:
    """Upstream's complaints about the name of an environment variable of a pod."""
    return [] if _RELAXED_ENV_VAR.fullmatch(value) else [_RELAXED_ENV_VAR_TEXT]


def is_config_key(value: str) -> list[str]:
    """Upstream's complaints about a key of a ConfigMap or Secret."""
    problems = _check(value, 253, _CONFIG_KEY, _CONFIG_KEY_TEXT)
    if value in (".", ".."):
        problems.append(f"must not be '{value}'")
    elif value.startswith(".."):
        problems.append("must not start with '..'")
    return problems


# No vowels and no 0, 1, 3: generated names never spell a word (upstream: util/rand/rand.go).
_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"
_SUFFIX_LENGTH: Final = 5
_LONGEST_GENERATED: Final = 63


def safe_encode(value: str) -> str:
    """The characters of a string mapped into the alphabet of generated names (upstream: rand.SafeEncodeString)."""
    return "".join(_ALPHABET[ord(char) % len(_ALPHABET)] for char in value)


def random_suffix(length: int = _SUFFIX_LENGTH) -> str:
    """Random characters as upstream's generated names end with."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def generate_name(base: str) -> str:
    """A name from a generateName: base cut to fit, five random characters (upstream: storage/names/generate.go)."""
    return base[: _LONGEST_GENERATED - _SUFFIX_LENGTH] + random_suffix()
