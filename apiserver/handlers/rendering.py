"""Answers made of stored bytes: one object, a list, a watch's lines, each in the form the client asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import yaml

from apiserver.handlers import negotiation, table
from apiserver.handlers.negotiation import Accepted, Form
from apiserver.handlers.options import Token
from apiserver.registry.resource import Column, Conversion, Resource
from apiserver.request import LARGE, Answer, Request, Response, StreamResponse
from apiserver.storage.listing import Listing
from apiserver.storage.objects import Entry, encode, entry_of_own
from machinery.api import codec, errors, protobuf_encode
from machinery.api.codec import Json

#: objects per chunk of a list, with a breath for other requests between two; and where each has to be worked out
CHUNK: Final = 50
_ROWS: Final = 20
_TURNS: Final = 4  # of the loop in one breath: a request takes several, and each would wait for a chunk


_PARTIAL: Final = "PartialObjectMetadata"


@dataclass(frozen=True, slots=True)
class View:
    """How one request wants to see the objects of a resource."""

    resource: Resource
    accepted: Accepted
    include: str = ""
    pretty: bool = False
    columns: tuple[Column, ...] = ()  # of a Table

    @property
    def is_protobuf(self) -> bool:
        """Whether items are messages."""
        return self.accepted.media_type == negotiation.PROTOBUF

    @property
    def is_plain(self) -> bool:
        """Whether items are what lies in the cache."""
        return self.accepted.form is Form.OBJECT and self.resource.conversion is None and not self.is_protobuf

    def item(self, entry: Entry, revision: int = 0) -> bytes:
        """One object of a list."""
        if self.resource.conversion is not None:
            entry = _converted(entry, self.resource.conversion)
        if self.is_protobuf:
            return self._message(entry.decode(revision))
        match self.accepted.form:
            case Form.OBJECT:
                return entry.json(revision)
            case Form.TABLE:
                return table.row(self.columns, entry, self.include, self.accepted.version, revision)
            case _:
                return table.partial(entry.decode(revision), self.accepted.version)

    def items(self, entries: Iterable[Entry]) -> list[bytes]:
        """Several objects of a list; as they are cached is as nearly everybody wants them."""
        return [entry.raw for entry in entries] if self.is_plain else [self.item(entry) for entry in entries]

    def alone(self, entry: Entry, revision: int = 0, *, headers: bool = True) -> bytes:
        """One object by itself; a table of one row may go without its column definitions."""
        if self.is_protobuf:
            kind = self.resource.kind
            api_version, name = kind.api_version, kind.kind
            if self.accepted.form is not Form.OBJECT:
                api_version, name = f"meta.k8s.io/{self.accepted.version}", _PARTIAL
            return protobuf_encode.envelope(api_version, name, self.item(entry, revision))
        if self.accepted.form is not Form.TABLE:
            return self.item(entry, revision)
        metadata = {"resourceVersion": str(revision or entry.revision)}
        return self.head(metadata, headers=headers) + self.item(entry, revision) + table.TAIL

    def _message(self, obj: Json) -> bytes:
        if self.accepted.form is Form.OBJECT:
            return protobuf_encode.message(obj)
        return protobuf_encode.partial_metadata(obj["metadata"])

    def head(self, metadata: Json, *, headers: bool = True) -> bytes:
        """A list up to its first item."""
        if self.accepted.form is Form.TABLE:
            columns = table.definitions(self.resource) if headers else []
            return table.head(metadata, columns, self.accepted.version)
        return codec.dumps(self.list_head(metadata))[:-1] + b',"items":['

    def list_head(self, metadata: Json) -> Json:
        """A list without its items."""
        kind, api_version = f"{self.resource.kind.kind}List", self.resource.kind.api_version
        if self.accepted.form is not Form.OBJECT:
            kind, api_version = f"{_PARTIAL}List", f"meta.k8s.io/{self.accepted.version}"
        return {"kind": kind, "apiVersion": api_version, "metadata": metadata}


def _converted(entry: Entry, conversion: Conversion) -> Entry:
    """A stored object in another version."""
    raw = encode(conversion.from_stored(entry.decode()))
    return entry_of_own(entry.namespace, entry.name, raw, entry.revision)


def view(request: Request, resource: Resource, *, watch: bool = False) -> View:
    """What the request's headers and query say of the form; raises NotAcceptable and BadRequest."""
    accept = request.headers.get("accept", "")
    accepted = negotiation.negotiate(accept, watch=watch)
    if accepted.media_type == negotiation.PROTOBUF:
        known = protobuf_encode.knows(resource.kind.api_version, resource.kind.kind)
        accepted = negotiation.negotiate(accept, watch=watch, protobuf=known)
    agent = request.headers.get("user-agent", "")
    if not request.query:
        pretty = negotiation.is_pretty(agent, "") and not watch
        return View(resource, accepted, pretty=pretty, columns=_columns(resource, accepted))
    include = request.param("includeObject") if accepted.form is Form.TABLE else ""
    table.check_include(include)
    pretty = negotiation.is_pretty(agent, request.param("pretty")) and not watch
    return View(resource, accepted, include, pretty, _columns(resource, accepted))


def _columns(resource: Resource, accepted: Accepted) -> tuple[Column, ...]:
    return table.columns_of(resource) if accepted.form is Form.TABLE else ()


def object_answer(request: Request, resource: Resource, entry: Entry, status: int = 200) -> Answer:
    """One object as the answer."""
    shown = view(request, resource)
    if shown.accepted.form is Form.PARTIAL_LIST:
        raise _wrong_form(resource, f"{_PARTIAL}List", "the requested object is not a list type (*{}.{})")
    if shown.accepted.media_type == negotiation.YAML and len(entry.raw) > LARGE:
        return StreamResponse(_yaml_aside(shown.alone(entry)), status, negotiation.YAML)
    return encoded(shown, shown.alone(entry), status)


def _wrong_form(resource: Resource, wanted: str, what: str) -> errors.NotAcceptable:
    """Upstream: handlers/response.go, asPartialObjectMetadata and asPartialObjectMetadataList."""
    package = resource.kind.group.partition(".")[0] or "core"
    return errors.NotAcceptable(f"you requested {wanted}, but {what.format(package, resource.kind.kind)}")


def encoded(shown: View, body: bytes, status: int = 200) -> Response:
    """JSON bytes as they are, indented, or as YAML; protobuf stays as it is."""
    if shown.accepted.media_type == negotiation.YAML:
        return Response(status, _as_yaml(body), negotiation.YAML)
    if shown.pretty and not shown.is_protobuf:
        body = codec.indented(body)
    return Response(status, body, shown.accepted.media_type)


def list_answer(request: Request, resource: Resource, listing: Listing) -> Answer:
    """A list as the answer: a small one whole, a large one in chunks."""
    shown = view(request, resource)
    if shown.accepted.form is Form.PARTIAL:
        raise _wrong_form(resource, _PARTIAL, "the requested object is a list (*{}.{}List)")
    metadata = list_metadata(listing, request.info.namespace)
    chunks = _chunks_of(shown)(shown, metadata, listing.entries)
    if len(listing.entries) > CHUNK or shown.is_protobuf:
        return StreamResponse(chunks, content_type=shown.accepted.media_type)
    head = shown.head(metadata)
    return encoded(shown, head + b",".join(shown.items(listing.entries)) + b"]}")


Chunks = Callable[[View, Json, list[Entry]], AsyncIterator[bytes]]


def _chunks_of(shown: View) -> Chunks:
    if shown.is_protobuf:
        return _in_protobuf
    if shown.accepted.media_type == negotiation.YAML:
        return _in_yaml
    return _indented if shown.pretty else _chunks


async def _chunks(shown: View, metadata: Json, entries: list[Entry]) -> AsyncIterator[bytes]:
    yield shown.head(metadata)
    lead: list[bytes] = []
    size = CHUNK if shown.is_plain else _ROWS
    for start in range(0, len(entries), size):
        yield b",".join(lead + shown.items(entries[start : start + size]))
        lead = [b""]  # makes a comma
        await _breath()
    yield b"]}"


async def _breath() -> None:
    """Other requests get on."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def _indented(shown: View, metadata: Json, entries: list[Entry]) -> AsyncIterator[bytes]:
    """For people, who may have 5,000 objects too."""
    lead = _indent(shown.head(metadata) + b"]}", 0).removesuffix(b"]\n}") + b"\n    "
    for entry in entries:
        yield lead + _indent(shown.item(entry), 4)
        lead = b",\n    "
        await _breath()
    yield b"\n  ]\n}"


def _indent(raw: bytes, depth: int) -> bytes:
    return codec.indented(raw).replace(b"\n", b"\n" + b" " * depth)


async def _in_yaml(shown: View, metadata: Json, entries: list[Entry]) -> AsyncIterator[bytes]:
    """Written aside: libyaml takes a millisecond for an object."""
    async for written in _yaml_aside(b"".join([chunk async for chunk in _chunks(shown, metadata, entries)])):
        yield written


async def _yaml_aside(body: bytes) -> AsyncIterator[bytes]:
    yield await asyncio.to_thread(_as_yaml, body)


def _as_yaml(body: bytes) -> bytes:
    text: str = yaml.dump(codec.loads(body), Dumper=yaml.CSafeDumper, allow_unicode=True)
    return text.encode()


async def _in_protobuf(shown: View, metadata: Json, entries: list[Entry]) -> AsyncIterator[bytes]:
    """In one piece, for its length comes first; but not made in one go."""
    items = []
    for number, entry in enumerate(entries):
        items.append(shown.item(entry))
        if not number % _ROWS:
            await _breath()
    yield protobuf_encode.encode_list(shown.list_head(metadata), items)


def list_metadata(listing: Listing, namespace: str) -> Json:
    """metav1.ListMeta."""
    metadata: dict[str, Any] = {"resourceVersion": str(listing.revision)}
    if listing.start:
        start = listing.start.removeprefix(f"{namespace}/") if namespace else listing.start
        metadata["continue"] = Token(listing.revision, start).encode()
    if listing.remaining is not None:
        metadata["remainingItemCount"] = listing.remaining
    return metadata
