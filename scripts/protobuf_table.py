"""Makes machinery/api/protobuf_table.json out of upstream's type definitions. Reading messages with it is `protobuf`.

`python -m scripts.protobuf_table K8S_IO`: K8S_IO is a directory that holds the Go modules k8s.io/api and
k8s.io/apimachinery as `api/` and `apimachinery/` (Debian: golang-k8s-api-dev and golang-k8s-apimachinery-dev, then
usr/share/gocode/src/k8s.io). Only facts are taken: a field's number and type from `generated.proto`, its JSON name and
whether JSON leaves a zero out from the tags of the Go struct.

The table holds the kinds of machinery.api.kinds, those of OTHERS below, and all they reach: a kind that is added to
one of the two is there after the next run.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from machinery.api import kinds, protobuf

TABLE: Final = Path(protobuf.__file__).with_name("protobuf_table.json")
#: what requests carry and no kind of machinery.api.kinds is: (apiVersion, kind); meta.k8s.io's come with any apiVersion
OTHERS: Final = (
    ("v1", "Binding"),
    ("policy/v1", "Eviction"),
    ("autoscaling/v1", "Scale"),
    ("authentication.k8s.io/v1", "TokenRequest"),
    (protobuf.ANY_VERSION, "DeleteOptions"),
    (protobuf.ANY_VERSION, "CreateOptions"),
    (protobuf.ANY_VERSION, "UpdateOptions"),
    (protobuf.ANY_VERSION, "PatchOptions"),
    (protobuf.ANY_VERSION, "Status"),
)

#: kinds whose messages are declared in other modules, or are newer than the packages one can get
ELSEWHERE: Final = (
    kinds.CUSTOM_RESOURCE_DEFINITIONS,
    kinds.API_SERVICES,
    kinds.STORAGE_VERSION_MIGRATIONS,
    kinds.CLUSTER_TRUST_BUNDLES,
    kinds.POD_CERTIFICATE_REQUESTS,
    kinds.DEVICE_TAINT_RULES,
)

_GROUP: Final = re.compile(r'^const GroupName = "(.*)"', re.M)
_PACKAGE: Final = re.compile(r"^package ([\w.]+);", re.M)
_MESSAGE: Final = re.compile(r"^message (\w+) \{\n(.*?)^\}", re.M | re.S)
_PROTO_FIELD: Final = re.compile(
    r"^ *(?:(?P<label>optional|required|repeated) +)?(?:map<string, (?P<value>[\w.]+)>|(?P<type>[\w.]+)) +"
    r"(?P<name>\w+) = (?P<number>\d+)[ ;]",
    re.M,
)
_STRUCT: Final = re.compile(r"^(?:type )?\t?(\w+) struct \{\n(.*?)^\t?\}", re.M | re.S)
_GO_FIELD: Final = re.compile(r"^\s+(?:(?P<name>\w+)\s+)?(?P<type>\S+)\s+`(?P<tags>[^`]*)`", re.M)
_TAG: Final = re.compile(r'(\w+):"([^"]*)"')


@dataclass(frozen=True, slots=True)
class Tags:
    """What a Go struct says about one field's JSON."""

    name: str  # "" for what is inlined
    pointer: bool
    omit_empty: bool
    omit_zero: bool


@dataclass(frozen=True, slots=True)
class ProtoField:
    """One field of a .proto message; the type is a scalar's or a message's short name."""

    number: int
    name: str
    type: str
    prefix: str  # "[]" of a list, "{}" of a map from strings


@dataclass(slots=True)
class Upstream:
    """All messages of the packages, by short name, and which package serves a group's version."""

    messages: dict[str, list[ProtoField]] = field(default_factory=dict)
    tags: dict[str, dict[int, Tags]] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)  # apiVersion → package


def short(package: str) -> str:
    """`core.v1` of `k8s.io.api.core.v1`, `runtime` of `k8s.io.apimachinery.pkg.runtime`."""
    parts = package.lstrip(".").split(".")
    return ".".join(parts[-2:] if re.fullmatch(r"v\d\w*", parts[-1]) else parts[-1:])


def read_upstream(root: Path) -> Upstream:
    """Every package under `root` that has a generated.proto."""
    found = Upstream()
    for path in sorted(root.rglob("generated.proto")):
        if "testapigroup" not in path.parts:
            _read_package(found, path)
    return found


def _read_package(found: Upstream, path: Path) -> None:
    text = re.sub(r"^\s*//.*\n", "", path.read_text(encoding="utf-8"), flags=re.M)
    declared = _PACKAGE.search(text)
    if declared is None:
        return
    package = short(declared[1])
    for name, body in _MESSAGE.findall(text):
        found.messages[f"{package}.{name}"] = [_proto_field(match, package) for match in _PROTO_FIELD.finditer(body)]
    for go_file in path.parent.glob("*.go"):
        if not go_file.name.endswith((".pb.go", "_test.go")):
            _read_go(found, package, go_file.read_text(encoding="utf-8"))


def _proto_field(match: re.Match[str], package: str) -> ProtoField:
    wanted = match["value"] or match["type"]
    if wanted.startswith("."):
        owner, _, name = wanted.rpartition(".")
        wanted = f"{short(owner)}.{name}"
    elif wanted not in protobuf.SCALARS:
        wanted = f"{package}.{wanted}"
    prefix = "{}" if match["value"] else "[]" if match["label"] == "repeated" else ""
    return ProtoField(int(match["number"]), match["name"], wanted, prefix)


def _read_go(found: Upstream, package: str, text: str) -> None:
    group = _GROUP.search(text)
    if group is not None:
        version = package.rpartition(".")[2]
        found.packages[f"{group[1]}/{version}" if group[1] else version] = package
    for name, body in _STRUCT.findall(text):
        found.tags.setdefault(f"{package}.{name}", {}).update(_tags(body))


def _tags(struct: str) -> Iterator[tuple[int, Tags]]:
    for match in _GO_FIELD.finditer(struct):
        tags = dict(_TAG.findall(match["tags"]))
        if "protobuf" not in tags or "json" not in tags:
            continue
        name, *options = tags["json"].split(",")
        number = int(tags["protobuf"].split(",")[1])
        yield number, Tags(name, match["type"].startswith("*"), "omitempty" in options, "omitzero" in options)


# the table


def build(upstream: Upstream, wanted: Sequence[tuple[str, str]]) -> tuple[dict[str, str], dict[str, str]]:
    """Kinds (`apps/v1 Deployment` → message) and messages (→ fields in words) that the wanted kinds reach.

    Raises KeyError for a kind upstream does not have, ValueError for a field whose JSON name nothing tells.
    """
    roots = {
        f"{version} {kind}": f"{upstream.packages.get(version, protobuf.META_PACKAGE)}.{kind}"
        for version, kind in sorted(wanted)
    }
    waiting, messages = list(roots.values()), dict[str, str]()
    while waiting:
        name = waiting.pop()
        if name in messages or name in protobuf.SPECIAL:
            continue
        fields = upstream.messages[name]
        messages[name] = ", ".join(filter(None, (_in_words(upstream, name, each) for each in fields)))
        waiting += [each.type for each in fields if each.type not in protobuf.SCALARS]
    return roots, dict(sorted(messages.items()))


def _in_words(upstream: Upstream, message: str, item: ProtoField) -> str:
    package = message.rpartition(".")[0]
    type_ = item.type.removeprefix(package + ".")
    if message not in upstream.tags and (item.name, item.prefix) == ("items", "[]"):
        return f"{item.number} . []{type_}"  # a Go slice type, such as ExtraValue: the message is its list
    tags = upstream.tags.get(message, {}).get(item.number)
    if tags is None:
        raise ValueError(f"{message}.{item.name}: no struct field with a JSON name has the number {item.number}")
    if tags.name == "-":
        return ""
    keep = "=" if not item.prefix and _keeps_zero(tags, item.type) else ""
    return f"{item.number} {tags.name or '.'} {keep}{item.prefix}{type_}"


def _keeps_zero(tags: Tags, type_: str) -> bool:
    """Whether Go's JSON shows the zero of a field that is on the wire (omitempty never leaves a struct out)."""
    if tags.pointer:
        return True
    return not tags.omit_zero and (not tags.omit_empty or type_ not in protobuf.SCALARS)


def wanted_kinds() -> list[tuple[str, str]]:
    """Every kind the table is to have."""
    return [(kind.api_version, kind.kind) for kind in kinds.ALL if kind not in ELSEWHERE] + list(OTHERS)


def render(roots: Mapping[str, str], messages: Mapping[str, str]) -> str:
    """JSON with one line per kind and message, so that a difference can be read."""

    def section(rows: Mapping[str, str]) -> str:
        return ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())

    return f'{{"kinds": {{\n{section(roots)}\n}}, "messages": {{\n{section(messages)}\n}}}}\n'


def main(argv: Sequence[str]) -> int:
    """Write the table; the exit code."""
    if len(argv) != 1:
        print("usage: python -m scripts.protobuf_table K8S_IO", file=sys.stderr)
        return 2
    TABLE.write_text(render(*build(read_upstream(Path(argv[0])), wanted_kinds())), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
