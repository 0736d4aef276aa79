"""A kind's fields as text, from an OpenAPI v3 document: pure. Fetching the document is `commands.explain`'s.

Upstream: kubectl/pkg/explain/v2 (templates/plaintext.tmpl), kubectl/pkg/explain/formatter.go for the wrapping.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kubectl.problems import CliError
from machinery.api.codec import Json
from machinery.api.kinds import Kind

_WIDTH: Final = 80
_NEW_LINE: Final = re.compile(r"\s|[-*+] |\d+[.)] |> ")


@dataclass(frozen=True, slots=True)
class Document:
    """The schemas of one group-version."""

    schemas: Json

    def of_kind(self, kind: Kind) -> Json:
        """The schema of a kind; raises CliError when the server does not publish one."""
        wanted = {"group": kind.group, "version": kind.version, "kind": kind.kind}
        for schema in self.schemas.values():
            if wanted in (schema.get("x-kubernetes-group-version-kind") or ()):
                found: Json = schema
                return found
        raise CliError(f'couldn\'t find resource for "{kind.api_version}, Kind={kind.kind}"')

    def resolved(self, node: Json) -> Json:
        """The schema behind a reference, alone or wrapped with a description of its own."""
        reference = _reference(node)
        found: Json = self.schemas.get(reference.rpartition("/")[2], {}) if reference else node
        return found

    def content(self, node: Json) -> Json:
        """What has the fields: of a list its elements, of a map its values."""
        while True:
            inner = node.get("items") or node.get("additionalProperties")
            if _reference(node):
                node = self.resolved(node)
            elif isinstance(inner, dict) and "properties" not in node:
                node = inner
            else:
                return node

    def type_of(self, node: Json) -> str:
        """`[]Container`, `map[string]string`, `integer`."""
        if "items" in node:
            return f"[]{self.type_of(node['items'])}"
        if isinstance(node.get("additionalProperties"), dict):
            return f"map[string]{self.type_of(node['additionalProperties'])}"
        if reference := _reference(node):
            plain = self.resolved(node).get("type")
            return plain if plain and plain != "object" else reference.rpartition(".")[2]
        return str(node.get("type") or "Object")


def _reference(node: Json) -> str:
    parts = node.get("allOf") or [node]
    return str(parts[0].get("$ref") or "") if len(parts) == 1 else ""


def header(kind: Kind) -> str:
    """Which kind it is; upstream shows this even before it finds that a field does not exist."""
    group = f"GROUP:      {kind.group}\n" if kind.group else ""
    return f"{group}KIND:       {kind.kind}\nVERSION:    {kind.version}\n\n"


def explain(document: Document, kind: Kind, path: Sequence[str], *, recursive: bool) -> str:
    """The text behind the header; raises CliError for a field that does not exist."""
    node = field = document.of_kind(kind)
    for name in path:
        properties = document.content(node).get("properties") or {}
        if name not in properties:
            raise CliError(f'field "{name}" does not exist')
        node = field = properties[name]
    lines: list[str] = []
    if path:
        lines += [f"FIELD: {path[-1]} <{document.type_of(field)}>", "", ""]
    lines += _description(document, field)
    if properties := document.content(node).get("properties"):
        lines += ["FIELDS:", *_fields(document, document.content(node), recursive, 1, frozenset())]
    return "".join(f"{line}\n" for line in [*lines, ""])


def _description(document: Document, field: Json) -> Iterator[str]:
    texts: list[str] = []
    node: Any = field
    while isinstance(node, dict):
        texts += [node["description"]] if node.get("description") else []
        node = document.resolved(node) if _reference(node) else node.get("items") or node.get("additionalProperties")
    yield "DESCRIPTION:"
    if texts:
        yield from (f"    {line}" for text in texts for line in wrapped(text, _WIDTH - 4))
    else:
        yield "    <empty>"
    yield "    "
    if values := field.get("enum"):
        yield from ("ENUM:", *(f"    {value}" for value in values))


def _fields(document: Document, schema: Json, recursive: bool, level: int, above: frozenset[int]) -> Iterator[str]:
    required = set(schema.get("required") or ())
    for name, node in sorted((schema.get("properties") or {}).items()):
        mark = " -required-" if name in required else ""
        yield f"{'  ' * level}{name}\t<{document.type_of(node)}>{mark}"
        if not recursive:
            texts = wrapped(node.get("description") or "<no description>", _WIDTH - 4)
            yield from (f"    {line}" for line in texts)
            yield ""
            continue
        content = document.content(node)
        if content.get("properties") and id(content) not in above:
            yield from _fields(document, content, True, level + 1, above | {id(content)})


def wrapped(text: str, width: int) -> list[str]:
    """The text's words in lines of at most `width`; lists, code and empty lines stay as they are."""
    lines: list[str] = []
    current = ""
    for line in text.split("\n"):
        if line.startswith("    ") or (not line.strip() and (lines or current)):
            lines += [current.rstrip()] if current else []
            lines.append(line if line.strip() else "")
            current = ""
            continue
        if current and (current.endswith(":") or _NEW_LINE.match(line)):
            lines.append(current.rstrip())
            current = ""
        for word in line.split(" "):  # two spaces between sentences stay two
            if current and len(current) + 1 + len(word) > width:
                lines.append(current.rstrip())
                current = word
            else:
                current = f"{current} {word}" if current else word
    return lines + ([current.rstrip()] if current else [])
