"""The smallest checks, as functions from value and field path to errors. Texts are upstream's.

Upstream: apimachinery/pkg/util/validation, pkg/apis/core/validation/validation.go.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from machinery.api import errors, names
from machinery.api.errors import FieldError

Check = Callable[[str], list[str]]

NEGATIVE: Final = "must be greater than or equal to 0"
IMMUTABLE: Final = "field is immutable"
PORT_TEXT: Final = "must be between 1 and 65535, inclusive"
_PORT_NAME: Final = re.compile(r"[-a-z0-9]+")


def child(path: str, name: str) -> str:
    """`path.name`, or `name` at the root."""
    return f"{path}.{name}" if path else name


def each(items: Sequence[Any] | None, path: str) -> Sequence[tuple[Any, str]]:
    """The items of a list with their paths: `ports[0]` …"""
    return [(item, f"{path}[{index}]") for index, item in enumerate(items)] if items else ()


def satisfies(value: str, path: str, check: Check) -> list[FieldError]:
    """One FieldValueInvalid per complaint of `check`."""
    return [errors.invalid_value(path, value, text) for text in check(value)]


def non_negative(value: int | None, path: str) -> list[FieldError]:
    """Not below zero; None is fine."""
    return [errors.invalid_value(path, value, NEGATIVE)] if value is not None and value < 0 else []


def one_of(value: str | None, allowed: Sequence[str], path: str, *, needed: bool = False) -> list[FieldError]:
    """A member of an enumeration; empty is fine unless needed."""
    if not value:
        return [errors.required(path)] if needed else []
    return [] if value in allowed else [errors.not_supported(path, value, allowed)]


def port_number(value: int, path: str) -> list[FieldError]:
    """1 to 65535."""
    return [] if 1 <= value <= 65535 else [errors.invalid_value(path, value, PORT_TEXT)]


def is_port_name(value: str) -> list[str]:
    """Upstream's complaints about an IANA service name (upstream: IsValidPortName)."""
    problems = ["must be no more than 15 characters"] if len(value) > 15 else []
    if not _PORT_NAME.fullmatch(value):
        problems.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", value):
        problems.append("must contain at least one letter (a-z)")
    if "--" in value:
        problems.append("must not contain consecutive hyphens")
    if value.startswith("-") or value.endswith("-"):
        problems.append("must not begin or end with a hyphen")
    return problems


def port_number_or_name(value: int | str, path: str) -> list[FieldError]:
    """A port in range or a port name."""
    return port_number(value, path) if isinstance(value, int) else satisfies(value, path, is_port_name)


def ip_address(value: str, path: str) -> list[FieldError]:
    """A valid IPv4 or IPv6 address."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        text = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
        return [errors.invalid_value(path, value, text)]
    return []


def cidr(value: str, path: str) -> list[FieldError]:
    """A valid address block."""
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return [errors.invalid_value(path, value, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")]
    return [] if "/" in value else cidr("-", path)


def unique(values: Iterable[tuple[Any, str]]) -> list[FieldError]:
    """A FieldValueDuplicate for each value seen before; empty values do not count."""
    seen: set[Any] = set()
    found: list[FieldError] = []
    for value, path in values:
        if value and value in seen:
            found.append(errors.duplicate(path, value))
        seen.add(value)
    return found


def immutable(new: Any, old: Any, path: str) -> list[FieldError]:
    """`field is immutable` when the two differ."""
    return [] if new == old else [errors.invalid_value(path, new, IMMUTABLE)]


def relative_path(value: str, path: str) -> list[FieldError]:
    """A path inside a volume: not absolute, no `..` (upstream: validateLocalDescendingPath)."""
    problems = [errors.invalid_value(path, value, "must be a relative path")] if value.startswith("/") else []
    if ".." in value.split("/"):
        problems.append(errors.invalid_value(path, value, "must not contain '..'"))
    return problems


def unreserved_path(value: str, path: str) -> list[FieldError]:
    """Nor may it begin with two dots, as the kubelet's own files do (upstream: ValidateLocalNonReservedPath)."""
    found = relative_path(value, path)
    if value.startswith("..") and not value.startswith("../"):
        found.append(errors.invalid_value(path, value, "must not start with '..'"))
    return found


def no_backsteps(value: str, path: str) -> list[FieldError]:
    """No `..` element (upstream: validatePathNoBacksteps)."""
    return [errors.invalid_value(path, value, "must not contain '..'")] if ".." in value.split("/") else []


def dns_label(value: str, path: str) -> list[FieldError]:
    """An RFC 1123 label."""
    return satisfies(value, path, names.is_dns_label)


def qualified_name(value: str, path: str) -> list[FieldError]:
    """A label key, resource name or the like."""
    return satisfies(value, path, names.is_qualified_name)
