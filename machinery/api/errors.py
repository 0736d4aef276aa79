"""The StatusError family: what the API answers when it does not do what was asked, on both sides of the wire.

The reason identifies the class, never the HTTP code: AlreadyExists and Conflict are both 409. Texts are upstream's
(apimachinery/pkg/api/errors/errors.go, util/validation/field/errors.go). Who writes a Status to a socket is not here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from machinery.api.codec import Json, dumps
from machinery.api.kinds import Kind


class StatusError(Exception):
    """A failure with upstream's code, reason, message and details."""

    code: ClassVar[int] = 500
    reason: str = ""

    def __init__(
        self, message: str, details: Json | None = None, *, code: int | None = None, reason: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.details = details
        self.status_code = code or type(self).code
        if reason is not None:
            self.reason = reason  # in other people's words, which no class stands for

    def status(self) -> Json:
        """The Status object clients receive."""
        status: Json = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        status["message"] = self.message
        if self.reason:
            status["reason"] = self.reason
        if self.details:
            status["details"] = self.details
        return status | {"code": self.status_code}


class BadRequest(StatusError):
    """400: the request itself is malformed."""

    code, reason = 400, "BadRequest"


class Unauthorized(StatusError):
    """401: nobody vouches for the client."""

    code, reason = 401, "Unauthorized"


class Forbidden(StatusError):
    """403: known, but not allowed."""

    code, reason = 403, "Forbidden"


class NotFound(StatusError):
    """404: no such object or resource."""

    code, reason = 404, "NotFound"


class MethodNotSupported(StatusError):
    """405: the resource does not know the verb."""

    code, reason = 405, "MethodNotAllowed"


class NotAcceptable(StatusError):
    """406: none of the asked media types can be served."""

    code, reason = 406, "NotAcceptable"


class AlreadyExists(StatusError):
    """409: the name is taken."""

    code, reason = 409, "AlreadyExists"


class Conflict(StatusError):
    """409: the object changed meanwhile, or a precondition failed."""

    code, reason = 409, "Conflict"


class Gone(StatusError):
    """410: the resource is gone for good."""

    code, reason = 410, "Gone"


class Expired(StatusError):
    """410: the asked revision was compacted; list again."""

    code, reason = 410, "Expired"


class RequestEntityTooLarge(StatusError):
    """413: the body is over the limit."""

    code, reason = 413, "RequestEntityTooLarge"


class UnsupportedMediaType(StatusError):
    """415: the body's content type is not understood."""

    code, reason = 415, "UnsupportedMediaType"


class Invalid(StatusError):
    """422: understood, but semantically wrong; details name the fields."""

    code, reason = 422, "Invalid"


class TooManyRequests(StatusError):
    """429: try again later; details.retryAfterSeconds says when."""

    code, reason = 429, "TooManyRequests"


class InternalError(StatusError):
    """500: the server's fault."""

    code, reason = 500, "InternalError"


class ServiceUnavailable(StatusError):
    """503: not now."""

    code, reason = 503, "ServiceUnavailable"


class Timeout(StatusError):
    """504: it took too long."""

    code, reason = 504, "Timeout"


class ServerTimeout(StatusError):
    """500: the server gave up; the client may try again."""

    code, reason = 500, "ServerTimeout"


def _family(root: type[StatusError]) -> list[type[StatusError]]:
    return [root] + [member for child in root.__subclasses__() for member in _family(child)]


_BY_REASON = {error.reason: error for error in _family(StatusError)}
_BY_CODE = {
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    405: MethodNotSupported,
    410: Gone,
    413: RequestEntityTooLarge,
}
_BY_CODE |= {415: UnsupportedMediaType, 422: Invalid, 429: TooManyRequests, 503: ServiceUnavailable, 504: Timeout}


def from_status(status: Json, code: int = 500) -> StatusError:
    """The error a Status stands for, by its reason; a Status without one (a proxy's answer) goes by the HTTP code.

    So does one with a reason that is not upstream's, which is kept.
    """
    code = status.get("code") or code
    family = _BY_REASON.get(status.get("reason") or "-") or _BY_CODE.get(code, StatusError)
    message = status.get("message") or f"the server answered {code}"
    return family(message, status.get("details"), code=code, reason=status.get("reason"))


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field; `type` is upstream's ErrorType (`FieldValueInvalid` …)."""

    type: str
    field: str
    detail: str = ""
    value: Any = None

    def message(self) -> str:
        """As upstream prints it: `spec.replicas: Invalid value: -1: must be greater than or equal to 0`."""
        return f"{self.field}: {self.body()}"

    def body(self) -> str:
        """The message without the field (upstream: Error.ErrorBody)."""
        title = _TITLES.get(self.type, self.type)
        is_shown = self.type in _SHOW_VALUE and self.value is not _OMITTED
        text = f"{title}: {_shown(self.value)}" if is_shown else title
        return f"{text}: {self.detail}" if self.detail else text

    def cause(self) -> Json:
        """The entry of details.causes."""
        return {"reason": self.type, "message": self.body(), "field": self.field}


_TITLES = {
    "FieldValueNotFound": "Not found",
    "FieldValueRequired": "Required value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "InternalError": "Internal error",
    "FieldValueTypeInvalid": "Invalid value",
}
_SHOW_VALUE = {
    "FieldValueNotFound",
    "FieldValueDuplicate",
    "FieldValueInvalid",
    "FieldValueNotSupported",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
}


#: in place of a value that is wrong but not shown (upstream: OmitValueType)
_OMITTED: Final = object()


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return str(value)
    return dumps(value).decode()


def required(field: str, detail: str = "") -> FieldError:
    """A missing value."""
    return FieldError("FieldValueRequired", field, detail)


def invalid_value(field: str, value: Any, detail: str) -> FieldError:
    """A value that is wrong, with the reason."""
    return FieldError("FieldValueInvalid", field, detail, value)


def invalid_without_value(field: str, detail: str) -> FieldError:
    """A value that is wrong, and not shown."""
    return FieldError("FieldValueInvalid", field, detail, _OMITTED)


def not_supported(field: str, value: Any, supported: Sequence[str], *, in_order: bool = False) -> FieldError:
    """A value outside an enumeration; the choices are listed quoted, and sorted unless they are `in_order`."""
    choices = ", ".join(f'"{choice}"' for choice in (supported if in_order else sorted(supported)))
    return FieldError("FieldValueNotSupported", field, f"supported values: {choices}", value)


def forbidden_field(field: str, detail: str) -> FieldError:
    """A field that may not be set or changed here."""
    return FieldError("FieldValueForbidden", field, detail)


def not_found_value(field: str, value: Any, detail: str = "") -> FieldError:
    """A value that refers to nothing."""
    return FieldError("FieldValueNotFound", field, detail, value)


def duplicate(field: str, value: Any) -> FieldError:
    """A value that may occur once only."""
    return FieldError("FieldValueDuplicate", field, "", value)


def too_long(field: str, limit: int) -> FieldError:
    """A text over its limit in bytes."""
    return FieldError("FieldValueTooLong", field, f"may not be more than {limit} bytes")


def too_many(field: str, count: int, limit: int) -> FieldError:
    """A list over its limit of items."""
    return FieldError("FieldValueTooMany", field, f"must have at most {limit} items", count)


def _details(kind: Kind, name: str) -> Json:
    details = {"name": name, "group": kind.group, "kind": kind.plural}
    return {key: value for key, value in details.items() if value}


def not_found(kind: Kind, name: str) -> NotFound:
    """`pods "web" not found`."""
    return NotFound(f'{kind.resource} "{name}" not found', _details(kind, name))


def already_exists(kind: Kind, name: str) -> AlreadyExists:
    """`pods "web" already exists`."""
    return AlreadyExists(f'{kind.resource} "{name}" already exists', _details(kind, name))


def name_not_generated(kind: Kind, name: str) -> AlreadyExists:
    """The last name that was tried is taken, as those before (upstream: NewGenerateNameConflict)."""
    text = f'{kind.resource} "{name}" already exists, the server was not able to generate a unique name for the object'
    return AlreadyExists(text, _details(kind, name) | {"retryAfterSeconds": 1})


def conflict(kind: Kind, name: str, why: str) -> Conflict:
    """`Operation cannot be fulfilled on pods "web": …`."""
    return Conflict(f'Operation cannot be fulfilled on {kind.resource} "{name}": {why}', _details(kind, name))


MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"


def forbidden(kind: Kind, name: str, why: str) -> Forbidden:
    """`pods "web" is forbidden: …`; without a name, `pods is forbidden: …`."""
    subject = f'{kind.resource} "{name}"' if name else kind.resource
    return Forbidden(f"{subject} is forbidden: {why}", _details(kind, name))


def invalid(kind: Kind, name: str, causes: Sequence[FieldError]) -> Invalid:
    """`Deployment.apps "web" is invalid: spec.replicas: …`; several causes stand in brackets."""
    who = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    texts = list(dict.fromkeys(cause.message() for cause in causes))
    what = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = {"name": name, "group": kind.group, "kind": kind.kind, "causes": [cause.cause() for cause in causes]}
    return Invalid(f'{who} "{name}" is invalid: {what}', {key: value for key, value in details.items() if value})
