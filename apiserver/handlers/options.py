"""Query options and DeleteOptions: from text to values, refused in upstream's words. What they do is the verbs'."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from apiserver.registry.deletion import DeleteOptions
from apiserver.registry.resource import Resource
from apiserver.request import Request
from apiserver.storage.listing import Match, Query
from apiserver.storage.objects import Selection
from machinery.api import codec, errors
from machinery.api.codec import Json
from machinery.api.errors import FieldError
from machinery.api.kinds import Kind
from machinery.api.selectors import FieldSelector, LabelSelector

_INT64: Final = 2**63 - 1
_LONGEST_SECONDS: Final = 10 * 365 * 24 * 3600  # of what becomes a date or a timer
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_FIELD_VALIDATION: Final = ("Ignore", "Strict", "Warn")
_POLICIES: Final = ("Background", "Foreground", "Orphan")
_MANAGER_LENGTH: Final = 128
_TOKEN_VERSION: Final = "meta.k8s.io/v1"
#: a token's revision that says: go on with whatever is there now (upstream: handleCompactedErrorForPaging)
INCONSISTENT: Final = -1


def _refuse(options: str, problems: Sequence[FieldError]) -> NoReturn:
    raise errors.invalid(Kind("meta.k8s.io", "v1", options, options.lower()), "", problems)


# writes


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """What create, update and patch have in common (metav1.CreateOptions …)."""

    dry_run: bool = False
    field_validation: str = "Warn"
    field_manager: str = ""
    force: bool = False


_PLAIN_WRITE: Final = WriteOptions()


def write_options(request: Request, kind: str) -> WriteOptions:
    """Read the options of a write; `kind` is CreateOptions, UpdateOptions or PatchOptions. Raises Invalid."""
    query = request.query
    if not query:
        return _PLAIN_WRITE
    manager, validation = request.param("fieldManager"), request.param("fieldValidation")
    problems = _dry_run_problems(query.get("dryRun", ()))
    if len(manager) > _MANAGER_LENGTH:
        problems.append(errors.too_long("fieldManager", _MANAGER_LENGTH))
    problems += [
        errors.invalid_value("fieldManager", manager, f"invalid character U+{ord(char):04X} (at position {place})")
        for place, char in enumerate(manager)
        if not char.isprintable()
    ]
    if validation and validation not in _FIELD_VALIDATION:
        problems.append(errors.not_supported("fieldValidation", validation, ("", *_FIELD_VALIDATION)))
    if problems:
        _refuse(kind, problems)
    return WriteOptions("All" in query.get("dryRun", ()), validation or "Warn", manager, flag(request, "force"))


def _dry_run_problems(values: Sequence[str]) -> list[FieldError]:
    if all(value in ("All", "") for value in values):
        return []
    return [errors.not_supported("dryRun", list(values), ("All",))]


# deletes


def delete_options(request: Request, body: Json) -> DeleteOptions:
    """DeleteOptions out of the body, or out of the query where there is no body. Raises BadRequest and Invalid."""
    given = body or _from_query(request)
    dry_run = given.get("dryRun") or ()
    problems = _dry_run_problems(dry_run)
    policy, orphan = given.get("propagationPolicy"), given.get("orphanDependents")
    if orphan is not None and policy is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        problems.append(errors.invalid_value("propagationPolicy", policy, text))
    if policy is not None and policy not in _POLICIES:
        problems.append(errors.not_supported("propagationPolicy", policy, (*_POLICIES, "nil")))
    if problems:
        _refuse("DeleteOptions", problems)
    preconditions = given.get("preconditions") or {}
    return DeleteOptions(
        grace_period_seconds=_grace(given.get("gracePeriodSeconds")),
        uid=preconditions.get("uid"),
        resource_version=preconditions.get("resourceVersion"),
        propagation_policy=policy or "",
        orphan_dependents=orphan,
        dry_run="All" in dry_run,
    )


def _from_query(request: Request) -> Json:
    given: Json = {}
    if "gracePeriodSeconds" in request.query:
        given["gracePeriodSeconds"] = integer(request, "gracePeriodSeconds")
    if "propagationPolicy" in request.query:
        given["propagationPolicy"] = request.param("propagationPolicy")
    if "orphanDependents" in request.query:
        given["orphanDependents"] = flag(request, "orphanDependents")
    if "dryRun" in request.query:
        given["dryRun"] = list(request.query["dryRun"])
    return given


def _grace(seconds: int | None) -> int | None:
    return seconds if seconds is None else min(seconds, _LONGEST_SECONDS)


# reads


@dataclass(frozen=True, slots=True)
class Token:
    """A continue token, readable by upstream's servers too: the list's revision and the key to go on at."""

    revision: int
    start: str

    def encode(self) -> str:
        """As clients carry it."""
        raw = codec.dumps({"v": _TOKEN_VERSION, "rv": self.revision, "start": self.start})
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> "Token":
        """Raises BadRequest (upstream: apiserver/pkg/storage/continue.go)."""
        try:
            value = codec.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            token = cls(int(value["rv"]), str(value["start"]))
        except (ValueError, KeyError, TypeError, binascii.Error) as problem:
            raise errors.BadRequest(f"continue key is not valid: {problem}") from problem
        if abs(token.revision) > _INT64:
            raise errors.BadRequest("continue key is not valid: the resourceVersion is out of range")
        if value.get("v") != _TOKEN_VERSION or not token.revision or not token.start or ".." in token.start.split("/"):
            raise errors.BadRequest("continue key is not valid: incorrect encoded start resourceVersion")
        return token


def list_query(request: Request, resource: Resource) -> Query:
    """What a LIST (or DELETE of a collection) asks for; raises BadRequest and Invalid."""
    version, match = request.param("resourceVersion"), request.param("resourceVersionMatch")
    token = request.param("continue")
    _check_list_options(request, version, match, token)
    chosen = selection(request, resource)
    limit = max(integer(request, "limit"), 0)
    if token:
        return _continued(Token.decode(token), version, chosen, limit)
    revision = parse_version(version)
    return Query(chosen, _match(version, revision, match, limited=limit > 0), revision, limit=limit)


def _check_list_options(request: Request, version: str, match: str, token: str) -> None:
    problems: list[FieldError] = []
    path = "resourceVersionMatch"
    if match and not version:
        problems.append(errors.forbidden_field(path, f"{path} is forbidden unless resourceVersion is provided"))
    if match and token:
        problems.append(errors.forbidden_field(path, f"{path} is forbidden when continue is provided"))
    if match not in ("", "Exact", "NotOlderThan"):
        problems.append(errors.not_supported(path, match, ("Exact", "NotOlderThan", "")))
    if match == "Exact" and version == "0":
        problems.append(errors.forbidden_field(path, f'{path} "exact" is forbidden for resourceVersion "0"'))
    if "sendInitialEvents" in request.query:
        problems.append(errors.forbidden_field("sendInitialEvents", "sendInitialEvents is forbidden for list"))
    if problems:
        _refuse("ListOptions", problems)


def _continued(token: Token, version: str, chosen: Selection, limit: int) -> Query:
    if version not in ("", "0"):
        raise errors.BadRequest("specifying resource version is not allowed when using continue")
    start = f"{chosen.namespace}/{token.start}" if chosen.namespace else token.start
    if token.revision == INCONSISTENT:
        return Query(chosen, Match.NEWEST, start=start, limit=limit)
    return Query(chosen, Match.EXACT, token.revision, start, limit)


def _match(version: str, revision: int, match: str, *, limited: bool) -> Match:
    """What resourceVersion means (upstream: the table in the API concepts documentation)."""
    if not version:
        return Match.NEWEST
    if match == "Exact" or (not match and revision and limited):
        return Match.EXACT
    return Match.NOT_OLDER_THAN if revision else Match.ANY


def get_query(request: Request) -> Query:
    """What a GET asks for."""
    version = request.param("resourceVersion")
    revision = parse_version(version)
    return Query(match=_match(version, revision, "", limited=False), revision=revision)


def parse_version(text: str) -> int:
    """A resourceVersion as a revision; "" is 0. Raises BadRequest (upstream: Invalid in storage, 400 to clients)."""
    if not text:
        return 0
    if not text.isascii() or not text.isdigit() or len(text) > 19 or int(text) > _INT64:
        raise errors.BadRequest(f"Invalid value: {codec.dumps(text).decode()}: invalid resource version")
    return int(text)


def selection(request: Request, resource: Resource) -> Selection:
    """Namespace, name, labels and fields; raises BadRequest, also for fields the kind does not offer."""
    info = request.info
    try:
        labels = LabelSelector.parse(request.param("labelSelector"))
        fields = FieldSelector.parse(request.param("fieldSelector"))
    except ValueError as problem:
        raise errors.BadRequest(str(problem)) from problem
    for path in (term.key for term in fields.requirements):
        if path not in ("metadata.name", "metadata.namespace") and path not in resource.fields:
            raise errors.BadRequest(_unsupported_field(resource, path))
    name = fields.exact("metadata.name")
    if info.name:
        if name is not None and name != info.name:
            raise errors.BadRequest("fieldSelector metadata.name doesn't match requested name")
        name = info.name
    return Selection(info.namespace if resource.kind.namespaced else "", name or "", labels, fields)


def _unsupported_field(resource: Resource, path: str) -> str:
    if resource.fields:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


# scalars


def flag(request: Request, name: str, default: bool = False) -> bool:
    """A boolean as upstream's conversion reads it: present and empty is true, and so is what is not false or 0."""
    if name not in request.query:
        return default
    return request.param(name).lower() not in ("false", "0")


def integer(request: Request, name: str, default: int = 0) -> int:
    """A whole number; raises BadRequest."""
    text = request.param(name)
    if not text:
        return default
    if not _INTEGER.fullmatch(text):
        raise errors.BadRequest(f'strconv.ParseInt: parsing "{text}": invalid syntax')
    if len(text) > 20 or abs(int(text)) > _INT64:
        raise errors.BadRequest(f'strconv.ParseInt: parsing "{text}": value out of range')
    return int(text)


def seconds(request: Request, name: str) -> int:
    """A whole number of seconds, 0 where there is none; raises BadRequest."""
    return min(integer(request, name), _LONGEST_SECONDS)
