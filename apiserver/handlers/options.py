"""Query options and DeleteOptions: from text to values, refused in upstream's words. What they do is the verbs'."""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NoReturn

from apiserver.filters.request_info import is_set
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
_UINT64: Final = 2**64 - 1
_LONGEST_SECONDS: Final = 10 * 365 * 24 * 3600  # of what becomes a date or a timer
_LONGEST_NUMBER: Final = 4000  # digits; more are refused unread, as Python does itself
_INTEGER: Final = re.compile(r"[+-]?[0-9]+")
_FIELD_VALIDATION: Final = ("Ignore", "Strict", "Warn")
_POLICIES: Final = ("Foreground", "Background", "Orphan")
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
    problems: list[FieldError] = []
    if len(manager.encode()) > _MANAGER_LENGTH:
        problems.append(errors.too_long("fieldManager", _MANAGER_LENGTH))
    problems += [
        errors.invalid_value("fieldManager", manager, f"invalid character U+{ord(char):04X} (at position {place})")
        for place, char in enumerate(manager)
        if not char.isprintable()
    ]
    problems += _dry_run_problems(query.get("dryRun", ()))
    if validation and validation not in _FIELD_VALIDATION:
        problems.append(errors.not_supported("fieldValidation", validation, ("", *_FIELD_VALIDATION)))
    if problems:
        _refuse(kind, problems)
    return WriteOptions("All" in query.get("dryRun", ()), validation or "Warn", manager, flag(request, "force"))


def _dry_run_problems(values: Sequence[str]) -> list[FieldError]:
    if all(value == "All" for value in values):
        return []
    return [errors.not_supported("dryRun", list(values), ("All",))]


# deletes


def delete_options(request: Request, body: Json | None) -> DeleteOptions:
    """DeleteOptions out of the body, or out of the query where there is no body. Raises BadRequest and Invalid."""
    given = _from_query(request) if body is None else body
    dry_run = given.get("dryRun") or ()
    problems: list[FieldError] = []
    policy, orphan = given.get("propagationPolicy"), given.get("orphanDependents")
    if orphan is not None and policy is not None:
        text = "orphanDependents and deletionPropagation cannot be both set"
        problems.append(errors.invalid_value("propagationPolicy", policy, text))
    if policy is not None and policy not in _POLICIES:
        problems.append(errors.not_supported("propagationPolicy", policy, (*_POLICIES, "nil"), in_order=True))
    problems += _dry_run_problems(dry_run)
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
            value = codec.loads(base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True))
            version, revision, start = str(value.get("v", "")), value.get("rv", 0), value.get("start", "")
        except (ValueError, AttributeError, binascii.Error) as problem:
            raise _bad_token(f": {problem}") from problem
        if version != _TOKEN_VERSION:
            raise _bad_token(f": server does not recognize this encoded version {version}")
        if type(revision) is not int or not isinstance(start, str) or abs(revision) > _INT64:
            raise _bad_token(": json: cannot unmarshal into Go struct field continueToken")
        if not revision:
            raise _bad_token(f": incorrect encoded start resourceVersion (version {_TOKEN_VERSION})")
        if not start:
            raise _bad_token(f": encoded start key empty (version {_TOKEN_VERSION})")
        key = start.removeprefix("/")
        if any(part in ("", ".", "..") for part in key.split("/")):  # it must not lead out of its collection
            raise _bad_token(f": {start}")
        return cls(revision, key)


def _bad_token(why: str) -> errors.BadRequest:
    return errors.BadRequest(f"invalid continue token: continue key is not valid{why}")


def list_query(request: Request, resource: Resource) -> Query:
    """What a LIST (or DELETE of a collection) asks for; raises BadRequest and Invalid."""
    version, match = request.param("resourceVersion"), request.param("resourceVersionMatch")
    token = request.param("continue")
    limit = max(integer(request, "limit"), 0)
    integer(request, "timeoutSeconds")
    chosen = selection(request, resource)
    _check_list_options(request, version, match, token)
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
        problems.append(errors.not_supported(path, match, ("Exact", "NotOlderThan", ""), in_order=True))
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
    if not text.isascii() or not text.isdigit():
        raise _bad_version(text, "invalid syntax")
    if len(text) > 20 or int(text) > _UINT64:
        raise _bad_version(text, "value out of range")
    return min(int(text), _INT64)


def _bad_version(text: str, why: str) -> errors.BadRequest:
    shown = codec.dumps(text).decode()
    problem = errors.invalid_value("resourceVersion", text, f"strconv.ParseUint: parsing {shown}: {why}")
    return errors.BadRequest(f"invalid resource version: {problem.message()}")


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


#: kinds whose refusals have words of their own (upstream: pkg/apis/batch/v1, apps/v1: conversion.go)
_FIELD_TEXTS: Final = {
    ("batch", "jobs"): 'field label "{}" not supported for batchv1.Job',
    ("apps", "statefulsets"): "field label not supported for appsv1.StatefulSet: {}",
}


def _unsupported_field(resource: Resource, path: str) -> str:
    if text := _FIELD_TEXTS.get((resource.kind.group, resource.kind.plural)):
        return text.format(path)
    if resource.fields:
        return f"field label not supported: {path}"
    return f'"{path}" is not a known field selector: only "metadata.name", "metadata.namespace"'


# scalars


def flag(request: Request, name: str, default: bool = False) -> bool:
    """A boolean (see request_info.is_set)."""
    return is_set(request.query, name, default)


def integer(request: Request, name: str, default: int = 0) -> int:
    """A whole number; raises BadRequest, also where the parameter is there and empty."""
    values = request.query.get(name)
    if not values:
        return default
    text = values[0]
    if not _INTEGER.fullmatch(text):
        raise errors.BadRequest(f"strconv.ParseInt: parsing {codec.dumps(text).decode()}: invalid syntax")
    if len(text) > _LONGEST_NUMBER or abs(int(text)) > _INT64:
        raise errors.BadRequest(f"strconv.ParseInt: parsing {codec.dumps(text).decode()}: value out of range")
    return int(text)


def seconds(request: Request, name: str) -> int:
    """A whole number of seconds, 0 where there is none; raises BadRequest."""
    return min(integer(request, name), _LONGEST_SECONDS)
