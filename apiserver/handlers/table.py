"""Tables: objects as rows of cells, as `kubectl get` shows them (meta.k8s.io Table). Columns are the kinds' own."""

from collections.abc import Iterable
from typing import Any, Final

from apiserver.registry.resource import Column, Resource
from apiserver.storage.objects import Entry
from machinery.api import codec, errors, meta
from machinery.api.codec import Json

#: what of the object goes along with a row
INCLUDE_METADATA: Final = "Metadata"
INCLUDE_NONE: Final = "None"
INCLUDE_OBJECT: Final = "Object"

_NAME: Final = Column("Name", meta.name_of, format="name", description="The object's name, unique in its namespace")


def columns_of(resource: Resource) -> tuple[Column, ...]:
    """The kind's columns, with the name in front unless it has such a column somewhere."""
    if any(column.name == _NAME.name for column in resource.columns):
        return resource.columns
    return (_NAME, *resource.columns)


def definitions(resource: Resource) -> list[Json]:
    """columnDefinitions."""
    return [
        {
            "name": column.name,
            "type": column.type,
            "format": column.format,
            "description": column.description,
            "priority": column.priority,
        }
        for column in columns_of(resource)
    ]


def check_include(include: str) -> None:
    """Raises BadRequest for an includeObject that is not one."""
    if include not in ("", INCLUDE_METADATA, INCLUDE_NONE, INCLUDE_OBJECT):
        text = "must be 'Metadata', 'Object', 'None', or empty"
        problem = errors.invalid_value("includeObject", include, text)
        raise errors.BadRequest(f"Unable to convert to Table as requested: {problem.message()}")


def row(columns: Iterable[Column], entry: Entry, include: str, version: str, revision: int = 0) -> bytes:
    """One row as JSON."""
    obj, metadata = entry.without_managers(revision)
    cells = [_cell(column, obj) for column in columns]
    if include == INCLUDE_NONE:
        return b'{"cells":%b,"object":null}' % codec.dumps(cells)
    shown = entry.json(revision) if include == INCLUDE_OBJECT else _partial(metadata, version)
    return b'{"cells":%b,"object":%b}' % (codec.dumps(cells), shown)


def _cell(column: Column, obj: Json) -> Any:
    try:
        return column.cell(obj)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError):  # one odd object must not hide the others
        return "<invalid>"


def partial(obj: Json, version: str) -> bytes:
    """The object's metadata alone, as PartialObjectMetadata."""
    return _partial(codec.dumps(obj["metadata"]), version)


def _partial(metadata: bytes, version: str) -> bytes:
    return b'{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/%b","metadata":%b}' % (
        version.encode(),
        metadata,
    )


def head(metadata: Json, columns: Iterable[Json], version: str) -> bytes:
    """A Table up to its first row."""
    start = {
        "kind": "Table",
        "apiVersion": f"meta.k8s.io/{version}",
        "metadata": metadata,
        "columnDefinitions": list(columns),
    }
    return codec.dumps(start)[:-1] + b',"rows":['


TAIL: Final = b"]}"
