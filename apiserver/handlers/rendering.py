"""Answers made of stored bytes: one object, a list, a watch's lines, each in the form the client asked for."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final

import orjson
import yaml

from apiserver.handlers import negotiation, options, table
from apiserver.handlers.negotiation import Accepted, Form
from apiserver.handlers.options import Token
from apiserver.registry.resource import Resource
from apiserver.request import Answer, Request, Response, StreamResponse
from apiserver.storage.listing import Listing
from apiserver.storage.objects import Entry
from machinery.api import codec
from machinery.api.codec import Json

#: objects per chunk of a list, with a breath for other requests between two of them
CHUNK: Final = 50


@dataclass(frozen=True, slots=True)
class View:
    """How one request wants to see the objects of a resource."""

    resource: Resource
    accepted: Accepted
    include: str = ""
    pretty: bool = False

    def item(self, entry: Entry, revision: int = 0) -> bytes:
        """One object of a list."""
        match self.accepted.form:
            case Form.OBJECT:
                return entry.json(revision)
            case Form.TABLE:
                return table.row(self.resource, entry, self.include, self.accepted.version, revision)
            case _:
                return table.partial(entry.decode(revision), self.accepted.version)

    def alone(self, entry: Entry, revision: int = 0, *, headers: bool = True) -> bytes:
        """One object by itself; a table of one row may go without its column definitions."""
        if self.accepted.form is not Form.TABLE:
            return self.item(entry, revision)
        metadata = {"resourceVersion": str(revision or entry.revision)}
        return self.head(metadata, headers=headers) + self.item(entry, revision) + table.TAIL

    def head(self, metadata: Json, *, headers: bool = True) -> bytes:
        """A list up to its first item."""
        if self.accepted.form is Form.TABLE:
            columns = table.definitions(self.resource) if headers else []
            return table.head(metadata, columns, self.accepted.version)
        kind, api_version = f"{self.resource.kind.kind}List", self.resource.kind.api_version
        if self.accepted.form is not Form.OBJECT:
            kind, api_version = "PartialObjectMetadataList", f"meta.k8s.io/{self.accepted.version}"
        return codec.dumps({"kind": kind, "apiVersion": api_version, "metadata": metadata})[:-1] + b',"items":['


def view(request: Request, resource: Resource, *, watch: bool = False) -> View:
    """What the request's headers and query say of the form; raises NotAcceptable and Invalid."""
    accepted = negotiation.negotiate(request.headers.get("accept", ""), watch=watch)
    if not request.query:
        return View(resource, accepted)
    include = request.param("includeObject")
    table.check_include(include)
    return View(resource, accepted, include, options.flag(request, "pretty"))


def object_answer(request: Request, resource: Resource, entry: Entry, status: int = 200) -> Response:
    """One object as the answer."""
    shown = view(request, resource)
    return encoded(shown, shown.alone(entry), status)


def encoded(shown: View, body: bytes, status: int = 200) -> Response:
    """JSON bytes as they are, indented, or as YAML."""
    if shown.accepted.media_type == negotiation.YAML:
        return Response(status, yaml.safe_dump(codec.loads(body)).encode(), negotiation.YAML)
    if shown.pretty:
        body = orjson.dumps(codec.loads(body), option=orjson.OPT_INDENT_2)
    return Response(status, body, negotiation.JSON)


def list_answer(request: Request, resource: Resource, listing: Listing) -> Answer:
    """A list as the answer: a small one whole, a large one in chunks."""
    shown = view(request, resource)
    head = shown.head(list_metadata(listing, request.info.namespace))
    if len(listing.entries) <= CHUNK or shown.pretty or shown.accepted.media_type != negotiation.JSON:
        return encoded(shown, head + b",".join(shown.item(entry) for entry in listing.entries) + b"]}")
    return StreamResponse(_chunks(head, listing.entries, shown.item))


async def _chunks(head: bytes, entries: list[Entry], item: Callable[[Entry], bytes]) -> AsyncIterator[bytes]:
    for start in range(0, len(entries), CHUNK):
        lead = b"," if start else head
        yield lead + b",".join(item(entry) for entry in entries[start : start + CHUNK])
        await asyncio.sleep(0)
    yield b"]}"


def list_metadata(listing: Listing, namespace: str) -> Json:
    """metav1.ListMeta."""
    metadata: dict[str, Any] = {"resourceVersion": str(listing.revision)}
    if listing.start:
        start = listing.start.removeprefix(f"{namespace}/") if namespace else listing.start
        metadata["continue"] = Token(listing.revision, start).encode()
    if listing.remaining is not None:
        metadata["remainingItemCount"] = listing.remaining
    return metadata
