"""`skiff get`: tables as the server lays them out, or objects in any other format; `-w` goes on with what changes.

Upstream: kubectl/pkg/cmd/get/get.go.
"""

from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from kubectl.builder import Listing, Target, Wanted, list_page, select, typed
from kubectl.command import (
    ALL_NAMESPACES,
    FIELD_SELECTOR,
    FILES,
    LIMIT,
    PRINT_FLAGS,
    SELECTOR,
    Command,
)
from kubectl.discovery import ApiResource
from kubectl.flags import Args, listing, switch, text
from kubectl.printers import jsonpath, objects
from kubectl.printers.table import TablePrinter, sort_key, sorted_rows
from kubectl.problems import CliError, raise_all
from kubectl.session import Session
from machinery.api import errors, meta
from machinery.api.codec import Json

TABLE: Final = (
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
)
_NO_TYPE: Final = (
    'You must specify the type of resource to get. Use "skiff api-resources" for a complete list of supported '
    "resources.\n\nerror: Required resource not specified.\n"
    'Use "skiff explain <resource>" for a detailed description of that resource (e.g. skiff explain pods).\n'
    "See 'skiff get -h' for help and examples"
)


@dataclass(frozen=True, slots=True)
class Options:
    """The flags, read once."""

    output: str
    wanted: Wanted
    sort_by: jsonpath.Path | None
    ignore_not_found: bool
    subresource: str
    chunk: int

    @property
    def human(self) -> bool:
        """Whether a table is wanted."""
        return self.output in ("", "wide")


@dataclass(frozen=True, slots=True)
class Part:
    """What the server answered for one target or listing."""

    resource: ApiResource
    answer: Json
    one: bool


async def run(session: Session, args: Args) -> int | None:
    """Print what is asked for; problems with single objects come after the others were printed."""
    if args.text("raw"):
        answer = await session.response("GET", args.text("raw"))
        session.write_bytes(answer.content)
        return None
    options = _options(args)
    if not args.words and not options.wanted.files:
        raise CliError(_NO_TYPE, bare=True)
    selected = await select(session, args.words, options.wanted)
    if args.on("watch") or args.on("watch-only"):
        await _watch(session, args, options, selected)
        return None
    parts, problems = await _ask(session, options, selected)
    if options.human:
        _print_tables(session, args, options, parts, problems)
    else:
        _print_objects(session, args, options, selected, parts)
    raise_all(problems)
    return None


def _options(args: Args) -> Options:
    sort_by = args.text("sort-by")
    try:
        path = jsonpath.relaxed(sort_by) if sort_by else None
    except jsonpath.PathError as problem:
        raise CliError(str(problem)) from problem
    return Options(
        args.text("output"),
        Wanted.of(args, everything=True),
        path,
        args.on("ignore-not-found"),
        args.text("subresource"),
        0 if sort_by else args.number("chunk-size"),
    )


async def _ask(
    session: Session, options: Options, selected: Sequence[Target | Listing]
) -> tuple[list[Part], list[Exception]]:
    parts: list[Part] = []
    problems: list[Exception] = []
    for one in selected:
        try:
            answer = await (_get(session, options, one) if isinstance(one, Target) else _list(session, options, one))
        except errors.NotFound as problem:
            if not options.ignore_not_found:
                problems.append(problem)
        except errors.StatusError as problem:
            problems.append(problem)
        else:
            parts.append(Part(one.resource, answer, isinstance(one, Target)))
    return parts, problems


def _headers(options: Options) -> dict[str, str]:
    return {"accept": TABLE if options.human else "application/json"}


async def _get(session: Session, options: Options, target: Target) -> Json:
    path = target.kind.path(target.namespace, target.name, options.subresource)
    params = {"includeObject": "Object"} if options.human and options.sort_by else {}
    return await session.call("GET", path, params=params, headers=_headers(options))


async def _list(session: Session, options: Options, wanted: Listing) -> Json:
    """All pages of a list as one answer."""
    params = wanted.params | ({"limit": str(options.chunk)} if options.chunk else {})
    if options.human and options.sort_by:
        params["includeObject"] = "Object"
    whole = await list_page(session, wanted, params, _headers(options))
    token = meta.metadata_of(whole).get("continue")
    while token:
        page = await list_page(session, wanted, params | {"continue": token}, _headers(options))
        for field in ("rows", "items"):
            if page.get(field):
                whole[field] = (whole.get(field) or []) + page[field]
        token = meta.metadata_of(page).get("continue")
    return whole


# --- tables ----------------------------------------------------------------------------------------------------------


def _print_tables(
    session: Session, args: Args, options: Options, parts: Sequence[Part], problems: Sequence[Exception]
) -> None:
    with_kind = len({part.resource for part in parts}) > 1 or args.on("show-kind")
    texts = []
    for resource, tables in _grouped(parts):
        printer = _printer(args, options, resource, with_kind)
        table = _joined(tables)
        if options.sort_by:
            table = sorted_rows(table, [options.sort_by.find(row.get("object") or {}) for row in table["rows"]])
        if text_ := printer.text_of(table):
            texts.append(text_)
    session.write(("" if args.on("no-headers") else "\n").join(texts))
    if not texts and not problems and not options.ignore_not_found:
        namespaced = all(part.resource.kind.namespaced for part in parts) and not options.wanted.all_namespaces
        session.warn(f"No resources found in {session.namespace} namespace." if namespaced else "No resources found")


def _grouped(parts: Sequence[Part]) -> Iterator[tuple[ApiResource, list[Json]]]:
    """Neighbours of one kind together."""
    group: list[Json] = []
    for index, part in enumerate(parts):
        group.append(_as_table(part))
        if index + 1 == len(parts) or parts[index + 1].resource != part.resource:
            yield part.resource, group
            group = []


def _joined(tables: Sequence[Json]) -> Json:
    return tables[0] | {"rows": [row for table in tables for row in table.get("rows") or ()]}


def _as_table(part: Part) -> Json:
    """The answer, or, from a server that makes no tables, names and ages."""
    if part.answer.get("kind") == "Table":
        return part.answer
    items = [part.answer] if part.one else part.answer.get("items") or []
    rows = [
        {"cells": [meta.name_of(item), meta.metadata_of(item).get("creationTimestamp")], "object": item}
        for item in items
    ]
    names = [{"name": "Name", "format": "name"}, {"name": "Created At"}]
    return {"kind": "Table", "columnDefinitions": names, "rows": rows}


def _printer(args: Args, options: Options, resource: ApiResource, with_kind: bool) -> TablePrinter:
    return TablePrinter(
        wide=options.output == "wide",
        headers=not args.on("no-headers"),
        with_namespace=options.wanted.all_namespaces and resource.kind.namespaced,
        show_labels=args.on("show-labels"),
        label_columns=args.list("label-columns"),
        kind=resource.title if with_kind else "",
    )


# --- objects ---------------------------------------------------------------------------------------------------------


def _print_objects(
    session: Session, args: Args, options: Options, selected: Sequence[Target | Listing], parts: Sequence[Part]
) -> None:
    found = [target for part in parts for target in _targets(part)]
    if options.sort_by:
        by = options.sort_by
        found.sort(key=lambda target: sort_key(by.find(target.object)))
    as_list = len(selected) != 1 or not isinstance(selected[0], Target)
    if found or as_list and len(parts) == len(selected):
        session.write(_text(args, options, found, as_list))


def _text(args: Args, options: Options, found: Sequence[Target], as_list: bool) -> str:
    managed = args.on("show-managed-fields")
    text_ = objects.text_of(options.output, found, as_list=as_list, template=args.text("template"), managed=managed)
    if args.on("no-headers") and options.output.startswith("custom-columns"):
        return text_.partition("\n")[2]
    return text_


def _targets(part: Part) -> Iterator[Target]:
    items = [part.answer] if part.one else [typed(item, part.answer) for item in part.answer.get("items") or ()]
    for item in items:
        yield Target(part.resource, meta.namespace_of(item), meta.name_of(item), item)


# --- watching --------------------------------------------------------------------------------------------------------


async def _watch(session: Session, args: Args, options: Options, selected: Sequence[Target | Listing]) -> None:
    if len({one.resource for one in selected}) != 1 or len(selected) != 1:
        raise CliError("you may only specify a single resource type")
    one = selected[0]
    if isinstance(one, Target):
        await _get(session, options, one)  # says that it is not there, if so
        one = Listing(one.resource, one.namespace, field_selector=f"metadata.name={one.name}")
    printer = _WatchPrinter(session, args, options, one.resource)
    answer = await _list(session, options, one)
    if not args.on("watch-only"):
        printer.show_list(answer)
    params = one.params | {"resourceVersion": meta.resource_version_of(answer)}
    async with aclosing(session.events(one.path, params=params, headers=_headers(options))) as events:
        async for event in events:
            printer.show_event(event)


class _WatchPrinter:
    """Prints a list and then events, in one table or as objects one after the other."""

    def __init__(self, session: Session, args: Args, options: Options, resource: ApiResource) -> None:
        self._session, self._args, self._options, self._resource = session, args, options, resource
        self._table = _printer(args, options, resource, args.on("show-kind"))
        self._table.remember = True
        self._printed = 0

    def show_list(self, answer: Json) -> None:
        """What was there at the start."""
        part = Part(self._resource, answer, False)
        if self._options.human:
            self._session.write(self._table.text_of(_as_table(part), self._word("ADDED")))
            return
        for target in _targets(part):
            self._show_object(target, "ADDED")

    def show_event(self, event: Json) -> None:
        """One change; raises the error that an ERROR event carries."""
        kind, obj = event["type"], event["object"]
        if kind == "ERROR":
            raise errors.from_status(obj)
        if kind == "BOOKMARK":
            return
        if self._options.human:
            part = Part(self._resource, obj, True)
            self._session.write(self._table.text_of(_as_table(part), self._word(kind)))
        else:
            self._show_object(Target(self._resource, meta.namespace_of(obj), meta.name_of(obj), obj), kind)

    def _word(self, kind: str) -> str:
        return kind if self._args.on("output-watch-events") else ""

    def _show_object(self, target: Target, kind: str) -> None:
        if word := self._word(kind):
            event = {"type": word, "object": target.object}
            target = Target(target.resource, target.namespace, target.name, event)
        separator = "---\n" if self._printed and self._options.output == "yaml" else ""
        self._printed += 1
        self._session.write(separator + _text(self._args, self._options, [target], False))


COMMAND = Command(
    "get (TYPE[,TYPE…] [NAME…] | TYPE/NAME… | -f FILE) [FLAGS]",
    "Show one or many objects, as a table or in another format.",
    (
        *PRINT_FLAGS,
        *FILES,
        SELECTOR,
        FIELD_SELECTOR,
        ALL_NAMESPACES,
        LIMIT,
        switch("watch", "Go on showing what changes.", "w"),
        switch("watch-only", "Only show what changes."),
        switch("output-watch-events", "Show what kind of change it was."),
        listing("label-columns", "Labels to show in columns of their own.", "L"),
        switch("show-labels", "Show all labels in the last column."),
        switch("show-kind", "Put the kind before names."),
        switch("no-headers", "Do not print headers."),
        switch("ignore-not-found", "It is no error when an object is not there."),
        text("sort-by", "JSONPath to sort by: .metadata.creationTimestamp."),
        text("subresource", "Get this subresource of the object: status, scale."),
        text("raw", "A path to get from the server as it is."),
        switch("server-print", "Let the server lay out tables.", default=True),
        switch("allow-missing-template-keys", "Missing keys in templates are empty.", default=True),
    ),
    run,
)
