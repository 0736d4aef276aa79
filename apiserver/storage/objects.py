"""Encoded objects: how they lie in etcd, and how a resourceVersion gets into the bytes. No cache and no etcd here."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from apiserver.storage import keys
from apiserver.storage.interface import KeyValue
from machinery.api import codec, protobuf
from machinery.api.codec import Json
from machinery.api.selectors import FieldSelector, LabelSelector

_METADATA: Final = b'"metadata":{'
_VERSION: Final = b'"resourceVersion":"'
_MANAGERS: Final = b',"managedFields":['
_NEXT: Final = b'},"'
_NO_LABELS: Final[Mapping[str, str]] = {}


def encode(obj: Json) -> bytes:
    """The bytes for etcd: kind, apiVersion and metadata first, as upstream writes them, and no resourceVersion.

    managedFields come last in metadata, as upstream's too: `Entry.without_managers` relies on it.
    """
    metadata = {key: value for key, value in obj["metadata"].items() if key not in ("resourceVersion", "managedFields")}
    if "managedFields" in obj["metadata"]:
        metadata["managedFields"] = obj["metadata"]["managedFields"]
    head = {"kind": obj["kind"], "apiVersion": obj["apiVersion"], "metadata": metadata}
    return codec.dumps(head | {key: value for key, value in obj.items() if key not in head})


@dataclass(frozen=True, slots=True)
class Entry:
    """One object at one revision: its bytes as clients get them, and what selectors look at."""

    namespace: str
    name: str
    revision: int
    raw: bytes  # with this revision as resourceVersion, unless it is 0: what a dry run made
    offset: int  # where in `raw` the resourceVersion begins
    created: int = 0  # the revision that made the key
    labels: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, str] = field(default_factory=dict)

    def json(self, revision: int = 0) -> bytes:
        """The object as clients get it, with its own revision or another as resourceVersion."""
        if revision in (0, self.revision):
            return self.raw
        return with_version(self.stored, self.offset, revision)

    @property
    def stored(self) -> bytes:
        """The bytes as they lie in etcd: without resourceVersion."""
        if not self.revision:
            return self.raw
        end = self.raw.index(b'"', self.offset + len(_VERSION)) + 1
        return self.raw[: self.offset] + self.raw[end + (self.raw[end : end + 1] == b",") :]

    def without_managers(self, revision: int = 0) -> tuple[Json, bytes]:
        """The object without managedFields, which are half of what there is to decode; and its whole metadata's bytes.

        There is no list in managedFields, so the first bracket that closes is theirs, or stands in a text; and where
        metadata do not end behind it all is decoded. `revision` is as for `json`.
        """
        raw = self.json(revision)
        start = raw.find(_MANAGERS, self.offset)
        end = raw.find(b"]", start) + 1 if start >= 0 else 0
        if raw[end : end + len(_NEXT)] != _NEXT:
            obj = codec.loads(raw)
            return obj, codec.dumps(obj["metadata"])
        return codec.loads(raw[:start] + raw[end:]), raw[self.offset - 1 : end + 1]

    def decode(self, revision: int = 0) -> Json:
        """The object as a dict of the caller's own, with resourceVersion."""
        obj: Json = codec.loads(self.json(revision))
        return obj


def with_version(raw: bytes, offset: int, revision: int) -> bytes:
    """Stored bytes with a resourceVersion, which goes where metadata begin; 0 is none."""
    if not revision:
        return raw
    comma = b"" if raw[offset : offset + 1] == b"}" else b","
    return b'%b"resourceVersion":"%d"%b%b' % (raw[:offset], revision, comma, raw[offset:])


def entry_of_own(namespace: str, name: str, raw: bytes, revision: int) -> Entry:
    """An entry of what `encode` made, for answering only: selectors would find nothing to look at."""
    offset = raw.index(_METADATA) + len(_METADATA)
    return Entry(namespace, name, revision, with_version(raw, offset, revision), offset)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which objects of a collection a request is about."""

    namespace: str = ""
    name: str = ""
    labels: LabelSelector = LabelSelector()
    fields: FieldSelector = FieldSelector()

    def matches(self, entry: Entry) -> bool:
        """Whether an object is among them."""
        return (
            (not self.namespace or entry.namespace == self.namespace)
            and (not self.name or entry.name == self.name)
            and (self.labels.empty or self.labels.matches(entry.labels))
            and (self.fields.empty or self.fields.matches(entry.fields))
        )

    @property
    def selects(self) -> bool:
        """Whether it leaves out objects of its namespace."""
        return bool(self.name) or not (self.labels.empty and self.fields.empty)


@dataclass(frozen=True, slots=True)
class Schema:
    """What a collection must know to make entries: where it lies and what is selectable."""

    prefix: str
    namespaced: bool
    fields: Mapping[str, Callable[[Json], str]] = field(default_factory=dict)

    def entry(self, item: KeyValue) -> Entry:
        """An entry from etcd's bytes, whoever wrote them: JSON, or upstream's protobuf. Raises ValueError."""
        is_protobuf = item.value.startswith(protobuf.PREFIX)
        obj = protobuf.decode(item.value) if is_protobuf else codec.loads(item.value)
        if not isinstance(obj, dict) or not isinstance(obj.get("metadata"), dict):
            raise ValueError("the value is not an object with metadata")
        return self.entry_of(obj, item)

    def entry_of(self, obj: Json, item: KeyValue) -> Entry:
        """The same where the object is decoded already: `obj` must be what `item.value` says."""
        namespace, name = keys.split(item.key[len(self.prefix) :], self.namespaced)
        raw = item.value
        head = b'{"kind":%b,"apiVersion":%b,"metadata":{' % (
            codec.dumps(obj.get("kind")),
            codec.dumps(obj.get("apiVersion")),
        )
        if not raw.startswith(head) or "resourceVersion" in obj["metadata"]:
            raw = encode({"kind": "", "apiVersion": ""} | obj)
        labels = obj["metadata"].get("labels")
        selectable = {"metadata.name": name, "metadata.namespace": namespace}
        for path, getter in self.fields.items():
            selectable[path] = getter(obj)
        return Entry(
            sys.intern(namespace),
            name,
            item.revision,
            with_version(raw, len(head), item.revision),
            len(head),
            item.created,
            {sys.intern(key): sys.intern(value or "") for key, value in labels.items()} if labels else _NO_LABELS,
            selectable,
        )
