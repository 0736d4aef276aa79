"""CEL's named formats: `format.dns1123Label().validate(name)`. The names of Kubernetes themselves are `api.names`.

Upstream: k8s.io/apiserver/pkg/cel/library/format.go. There `validate` and `format.named` answer with an optional, which
a function in Python cannot. Here it is a message with `hasValue()` and `value()`, which `optMap` makes an optional of;
`orValue` without it does not compile.
"""

import base64
import datetime
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

from cel_expr_python import cel

from machinery.api import names
from machinery.cel import messages
from machinery.cel.functions import function, method, split_url

Check = Callable[[str], list[str]]
Type = cel.Type

_UUID: Final = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME: Final = re.compile(r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(.\d+)?(z|[+-]\d\d:\d\d)", re.ASCII)
_LINES: Final = "\n"


def _as_prefix(check: Check, text: str) -> list[str]:
    """Of what more is to come after: a dash may end it."""
    return check(text[:-2] + "a" if len(text) > 1 and text.endswith("-") else text)


def _uri(text: str) -> list[str]:
    try:
        split_url(text)
    except ValueError:
        return [f'parse "{text}": {"invalid URI for request" if text else "empty url"}']
    return []


def _holds(test: Callable[[str], bool], complaint: str, text: str) -> list[str]:
    return [] if test(text) else [complaint]


def _is_uuid(text: str) -> bool:
    return _UUID.fullmatch(text) is not None


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False


def _is_date(text: str) -> bool:
    try:
        return _DATE.fullmatch(text) is not None and bool(datetime.date.fromisoformat(text))
    except ValueError:
        return False


def _is_datetime(text: str) -> bool:
    day, _, time = text.lower().partition("t")
    return _is_date(day) and _TIME.fullmatch(time) is not None


_CHECKS: Final[Mapping[str, Check]] = {
    "dns1123Label": names.is_dns_label,
    "dns1123Subdomain": names.is_dns_subdomain,
    "dns1035Label": names.is_dns1035_label,
    "dns1123LabelPrefix": partial(_as_prefix, names.is_dns_label),
    "dns1123SubdomainPrefix": partial(_as_prefix, names.is_dns_subdomain),
    "dns1035LabelPrefix": partial(_as_prefix, names.is_dns1035_label),
    "qualifiedName": names.is_qualified_name,
    "labelValue": names.is_label_value,
    "uri": _uri,
    "uuid": partial(_holds, _is_uuid, "does not match the UUID format"),
    "byte": partial(_holds, _is_base64, "invalid base64"),
    "date": partial(_holds, _is_date, "invalid date"),
    "datetime": partial(_holds, _is_datetime, "invalid datetime"),
}


def _format(name: str) -> Any:
    return messages.new("NamedFormat", text=name)


def _named(name: str) -> Any:
    return messages.new("Perhaps", format=name if name in _CHECKS else "")


def _validate(chosen: Any, text: str) -> Any:
    return messages.new("Perhaps", problems=_LINES.join(_CHECKS[chosen.text](text)))


def _has_value(answer: Any) -> bool:
    return bool(answer.format or answer.problems)


def _value(answer: Any) -> Any:
    if not _has_value(answer):
        raise ValueError("optional.none() dereference")
    return _format(answer.format) if answer.format else answer.problems.split(_LINES)


FORMATS: Final = (
    *(
        cel.FunctionDecl(
            f"format.{name}",
            [cel.Overload(f"format.{name}", messages.NAMED_FORMAT, [], impl=partial(_format, name))],
        )
        for name in _CHECKS
    ),
    function("format.named", messages.PERHAPS, Type.STRING, impl=_named),
    method("validate", messages.PERHAPS, messages.NAMED_FORMAT, Type.STRING, impl=_validate),
    method("hasValue", Type.BOOL, messages.PERHAPS, impl=_has_value),
    method("value", Type.DYN, messages.PERHAPS, impl=_value),
)
