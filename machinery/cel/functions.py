"""Kubernetes' own functions of CEL: lists, regular expressions, URLs, addresses, quantities, versions, sets.

Upstream: k8s.io/apiserver/pkg/cel/library. Named formats are `formats`. Google's library chooses an overload by the
kinds of its arguments, and all our types are of one kind to it; functions that several have (`isGreaterThan`) take
anything and look for themselves. That cannot be done with `string`, which the library has itself: it is there for an IP
and missing for a CIDR.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from cel_expr_python import cel

from machinery.api import quantity
from machinery.cel import messages

Type = cel.Type
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LONGEST_INT: Final = 2**63
_SEMVER: Final = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?", re.ASCII
)


# declaring


def function(name: str, result: cel.Type, *parameters: cel.Type, impl: Callable[..., Any]) -> cel.FunctionDecl:
    """`name(…)`."""
    return _declared(name, False, ((result, parameters, impl),))


def method(name: str, result: cel.Type, *parameters: cel.Type, impl: Callable[..., Any]) -> cel.FunctionDecl:
    """`first.name(…)`."""
    return _declared(name, True, ((result, parameters, impl),))


def methods(name: str, *overloads: tuple[cel.Type, Sequence[cel.Type], Callable[..., Any]]) -> cel.FunctionDecl:
    """A method with several overloads: result, parameters, what it does."""
    return _declared(name, True, overloads)


def _declared(
    name: str, is_member: bool, overloads: Iterable[tuple[cel.Type, Sequence[cel.Type], Callable[..., Any]]]
) -> cel.FunctionDecl:
    made = []
    for result, parameters, impl in overloads:
        kinds = "_".join(re.sub(r"\W+", "_", parameter.name()).lower() for parameter in parameters)
        id_ = f"{'member' if is_member else 'global'}_{name.replace('.', '_')}_{kinds}"
        made.append(cel.Overload(id_, result, list(parameters), is_member=is_member, impl=impl))
    return cel.FunctionDecl(name, made)


# lists


def _is_sorted(items: list[Any]) -> bool:
    return all(first <= second for first, second in zip(items, items[1:], strict=False))


def _smallest(items: list[Any]) -> Any:
    if not items:
        raise ValueError("min called on empty list")
    return min(items)


def _largest(items: list[Any]) -> Any:
    if not items:
        raise ValueError("max called on empty list")
    return max(items)


def _index(items: list[Any], wanted: Any) -> int:
    return items.index(wanted) if wanted in items else -1


def _last_index(items: list[Any], wanted: Any) -> int:
    return len(items) - 1 - items[::-1].index(wanted) if wanted in items else -1


# regular expressions


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as problem:
        raise ValueError(f"Illegal regex: {problem}") from problem


def _find(text: str, pattern: str) -> str:
    found = _pattern(pattern).search(text)
    return found[0] if found else ""


def _find_all(text: str, pattern: str, most: int = -1) -> list[str]:
    found = [match[0] for match in _pattern(pattern).finditer(text)]
    return found if most < 0 else found[:most]


# URLs


def split_url(text: str) -> Any:
    """The parts of an absolute URL or path; raises ValueError."""
    parts = urlsplit(text)
    if not (parts.scheme and parts.netloc) and not text.startswith("/"):
        raise ValueError(f"URL parse error during conversion from string: parse {text!r}: invalid URI for request")
    _ = parts.port  # raises ValueError
    return parts


def _host(value: Any) -> str:
    return str(split_url(value.text).netloc.rpartition("@")[2])


def _hostname(value: Any) -> str:
    return split_url(value.text).hostname or ""


def _port(value: Any) -> str:
    return str(split_url(value.text).port or "")


def _query(value: Any) -> dict[str, list[str]]:
    return parse_qs(split_url(value.text).query, keep_blank_values=True)


# addresses


def _address(text: str) -> Address:
    found = ipaddress.ip_address(text)
    if "%" in text or (found.version == 6 and found.ipv4_mapped is not None):
        raise ValueError(f"IP Address {text!r} parse error during conversion from string")
    return found


def _network(text: str) -> Network:
    if "/" not in text:
        raise ValueError(f"network address parse error during conversion from string: {text!r}: no '/'")
    return ipaddress.ip_network(text, strict=False)


def _contains_ip(value: Any, other: Any) -> bool:
    return _address(other if isinstance(other, str) else other.text) in _network(value.text)


def _contains_cidr(value: Any, other: Any) -> bool:
    outer, inner = _network(value.text), _network(other if isinstance(other, str) else other.text)
    return outer.version == inner.version and inner.subnet_of(outer)  # type: ignore[arg-type]


def _prefix_length(value: Any) -> int:
    return int(value.text.rpartition("/")[2])


def _is_link_local_multicast(value: Any) -> bool:
    return _address(value.text) in _network("224.0.0.0/24" if ":" not in value.text else "ff02::/16")


def _is_global_unicast(value: Any) -> bool:
    address = _address(value.text)
    special = address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local
    return not special and str(address) != "255.255.255.255"


# quantities and versions: what is compared


@lru_cache(maxsize=1024)
def _version(text: str) -> tuple[Any, ...]:
    """A sort key by semver's rules of precedence; raises ValueError."""
    found = _SEMVER.fullmatch(text)
    if found is None:
        raise ValueError(f"No Major.Minor.Patch elements found in {text!r}")
    numbers = tuple(int(part) for part in found.group(1, 2, 3))
    parts = (found[4] or "").split(".") if found[4] else []
    marks = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts)
    return (*numbers, not parts, marks)


def _version_part(place: int) -> Callable[[Any], int]:
    return lambda value: int(_version(value.text)[place])


def _measure(value: Any) -> Any:
    if messages.is_a(value, "Quantity"):
        return quantity.parse(value.text)
    if messages.is_a(value, "Semver"):
        return _version(value.text)
    raise ValueError("no such overload")


def _compare(one: Any, other: Any) -> int:
    first, second = _measure(one), _measure(other)
    return int(first > second) - int(first < second)


def _sum(sign: int) -> Callable[[Any, Any], Any]:
    def added(one: Any, other: Any) -> Any:
        second = other if isinstance(other, int) else quantity.parse(other.text)
        return _quantity(quantity.in_family_of(one.text, quantity.parse(one.text) + sign * second))

    return added


def _as_integer(value: Any) -> int:
    found = quantity.parse(value.text)
    if found.denominator != 1 or not -_LONGEST_INT <= found < _LONGEST_INT:
        raise ValueError("cannot convert value to integer")
    return int(found)


def _is_integer(value: Any) -> bool:
    return _holds(lambda: _as_integer(value))


def _sign(value: Any) -> int:
    found = quantity.parse(value.text)
    return (found > 0) - (found < 0)


def _holds(parse: Callable[[], Any]) -> bool:
    try:
        parse()
    except ValueError:
        return False
    return True


def _made(name: str, check: Callable[[str], Any]) -> Callable[[str], Any]:
    def make(text: str) -> Any:
        check(text)
        return messages.new(name, text=text)

    return make


def _parses(check: Callable[[str], Any]) -> Callable[[str], bool]:
    return lambda text: _holds(lambda: check(text))


def _text(value: Any) -> str:
    return str(value.text)


_quantity: Final = _made("Quantity", quantity.parse)
_ip: Final = _made("IP", _address)
_cidr: Final = _made("CIDR", _network)

_LISTS: Final = (
    method("isSorted", Type.BOOL, Type.LIST, impl=_is_sorted),
    method("sum", Type.DYN, Type.LIST, impl=sum),
    method("min", Type.DYN, Type.LIST, impl=_smallest),
    method("max", Type.DYN, Type.LIST, impl=_largest),
    method("indexOf", Type.INT, Type.LIST, Type.DYN, impl=_index),
    method("lastIndexOf", Type.INT, Type.LIST, Type.DYN, impl=_last_index),
    function("sets.contains", Type.BOOL, Type.LIST, Type.LIST, impl=lambda a, b: all(item in a for item in b)),
    function("sets.intersects", Type.BOOL, Type.LIST, Type.LIST, impl=lambda a, b: any(item in a for item in b)),
    function(
        "sets.equivalent",
        Type.BOOL,
        Type.LIST,
        Type.LIST,
        impl=lambda a, b: all(item in a for item in b) and all(item in b for item in a),
    ),
)
_TEXTS: Final = (
    method("find", Type.STRING, Type.STRING, Type.STRING, impl=_find),
    methods(
        "findAll",
        (Type.List(Type.STRING), (Type.STRING, Type.STRING), _find_all),
        (Type.List(Type.STRING), (Type.STRING, Type.STRING, Type.INT), _find_all),
    ),
)
_URLS: Final = (
    function("url", messages.URL, Type.STRING, impl=_made("URL", split_url)),
    function("isURL", Type.BOOL, Type.STRING, impl=_parses(split_url)),
    method("getScheme", Type.STRING, messages.URL, impl=lambda value: split_url(value.text).scheme),
    method("getHost", Type.STRING, messages.URL, impl=_host),
    method("getHostname", Type.STRING, messages.URL, impl=_hostname),
    method("getPort", Type.STRING, messages.URL, impl=_port),
    method("getEscapedPath", Type.STRING, messages.URL, impl=lambda value: split_url(value.text).path),
    method("getQuery", Type.Map(Type.STRING, Type.List(Type.STRING)), messages.URL, impl=_query),
)
_ADDRESSES: Final = (
    cel.FunctionDecl(
        "ip",
        [
            cel.Overload("string_to_ip", messages.IP, [Type.STRING], impl=_ip),
            cel.Overload(
                "cidr_ip",
                messages.IP,
                [messages.CIDR],
                is_member=True,
                impl=lambda value: _ip(value.text.rpartition("/")[0]),
            ),
        ],
    ),
    function("isIP", Type.BOOL, Type.STRING, impl=_parses(_address)),
    function("ip.isCanonical", Type.BOOL, Type.STRING, impl=lambda text: str(_address(text)) == text),
    method("family", Type.INT, messages.IP, impl=lambda value: _address(value.text).version),
    method("isUnspecified", Type.BOOL, messages.IP, impl=lambda value: _address(value.text).is_unspecified),
    method("isLoopback", Type.BOOL, messages.IP, impl=lambda value: _address(value.text).is_loopback),
    method("isLinkLocalUnicast", Type.BOOL, messages.IP, impl=lambda value: _address(value.text).is_link_local),
    method("isLinkLocalMulticast", Type.BOOL, messages.IP, impl=_is_link_local_multicast),
    method("isGlobalUnicast", Type.BOOL, messages.IP, impl=_is_global_unicast),
    function("cidr", messages.CIDR, Type.STRING, impl=_cidr),
    function("isCIDR", Type.BOOL, Type.STRING, impl=_parses(_network)),
    method("containsIP", Type.BOOL, messages.CIDR, Type.DYN, impl=_contains_ip),
    method("containsCIDR", Type.BOOL, messages.CIDR, Type.DYN, impl=_contains_cidr),
    method("masked", messages.CIDR, messages.CIDR, impl=lambda value: _cidr(str(_network(value.text)))),
    method("prefixLength", Type.INT, messages.CIDR, impl=_prefix_length),
)
_QUANTITIES: Final = (
    function("quantity", messages.QUANTITY, Type.STRING, impl=_quantity),
    function("isQuantity", Type.BOOL, Type.STRING, impl=_parses(quantity.parse)),
    method("sign", Type.INT, messages.QUANTITY, impl=_sign),
    method("isInteger", Type.BOOL, messages.QUANTITY, impl=_is_integer),
    method("asInteger", Type.INT, messages.QUANTITY, impl=_as_integer),
    method("asApproximateFloat", Type.DOUBLE, messages.QUANTITY, impl=lambda value: float(quantity.parse(value.text))),
    method("add", messages.QUANTITY, messages.QUANTITY, Type.DYN, impl=_sum(1)),
    method("sub", messages.QUANTITY, messages.QUANTITY, Type.DYN, impl=_sum(-1)),
    function("semver", messages.SEMVER, Type.STRING, impl=_made("Semver", _version)),
    function("isSemver", Type.BOOL, Type.STRING, impl=_parses(_version)),
    method("major", Type.INT, messages.SEMVER, impl=_version_part(0)),
    method("minor", Type.INT, messages.SEMVER, impl=_version_part(1)),
    method("patch", Type.INT, messages.SEMVER, impl=_version_part(2)),
    method("isLessThan", Type.BOOL, Type.DYN, Type.DYN, impl=lambda one, other: _compare(one, other) < 0),
    method("isGreaterThan", Type.BOOL, Type.DYN, Type.DYN, impl=lambda one, other: _compare(one, other) > 0),
    method("compareTo", Type.INT, Type.DYN, Type.DYN, impl=_compare),
    cel.FunctionDecl("string", [cel.Overload("kubernetes_to_string", Type.STRING, [messages.IP], impl=_text)]),
)
FUNCTIONS: Final = (*_LISTS, *_TEXTS, *_URLS, *_ADDRESSES, *_QUANTITIES)
