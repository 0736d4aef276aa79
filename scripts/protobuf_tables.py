"""Makes machinery/api/protobuf_tables.txt out of the Go sources of k8s.io/api and k8s.io/apimachinery. Run by hand.

    python -m scripts.protobuf_tables FOLDER_OF_K8S_IO > machinery/api/protobuf_tables.txt

Facts only are taken: for each message, its field numbers, JSON names and types, whether a zero is told apart from
nothing (a pointer), and whether JSON leaves it out. machinery.api.protobuf reads the file and describes its notation.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGES = (
    *("core/v1", "apps/v1", "batch/v1", "rbac/v1", "coordination/v1", "discovery/v1", "events/v1", "policy/v1"),
    *("authentication/v1", "authorization/v1", "autoscaling/v1", "autoscaling/v2", "networking/v1", "storage/v1"),
    *("certificates/v1", "scheduling/v1", "node/v1", "admissionregistration/v1", "resource/v1"),
)
SPECIAL = {
    "resource.Quantity": "Q",
    "intstr.IntOrString": "I",
    "meta/v1.Time": "T",
    "meta/v1.MicroTime": "M",
    "meta/v1.Duration": "D",
    "runtime.RawExtension": "R",
    "meta/v1.FieldsV1": "R",
}
SCALARS = {"string": "s", "bool": "b", "[]byte": "y", "float64": "d"}
SCALARS |= dict.fromkeys(("int", "int32", "int64", "uint32", "uint64", "uint8", "byte", "rune"), "i")

_STRUCT = re.compile(r"^type (\w+) struct \{\n(.*?)^\}", re.M | re.S)
_NAMED = re.compile(r"^type (\w+) =? ?([\w\[\]\.\*]+)\s*$", re.M)
_FIELD = re.compile(r"^\s+(?:(\w+)\s+)?([\w\[\]\.\*]+)\s+`(.*?)`", re.M)
_TAG = re.compile(r'protobuf:"(\w+),(\d+)(?:,(opt|rep|req)\b)?')
_JSON = re.compile(r'json:"([^"]*)"')
_IMPORT = re.compile(r'^\s+(?:(\w+) )?"k8s\.io/(?:api|apimachinery/pkg/apis|apimachinery/pkg)/([\w/]+)"', re.M)


@dataclass
class Package:
    """One Go package: its structs' text, its other named types, what its imports are called."""

    structs: dict[str, str] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    imports: dict[str, str] = field(default_factory=dict)


def read_package(folder: Path) -> Package:
    """All types.go-like files of a folder."""
    package = Package()
    for path in sorted(folder.glob("*.go")):
        if path.name.startswith(("generated", "zz_")) or path.name.endswith("_test.go"):
            continue
        text = path.read_text()
        package.structs |= dict(_STRUCT.findall(text))
        package.named |= dict(_NAMED.findall(text))
        for alias, target in _IMPORT.findall(text):
            package.imports[alias or target.split("/")[-1]] = target
    return package


class Tables:
    """Messages by name, found from the top-level kinds on."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._packages: dict[str, Package] = {}
        self.messages: dict[str, list[str]] = {}

    def package(self, name: str) -> Package:
        """A package by its short path (`core/v1`)."""
        if name not in self._packages:
            base = "apimachinery/pkg/apis" if name.startswith("meta/") else "api"
            self._packages[name] = read_package(self._root / base / name)
        return self._packages[name]

    def add(self, package: str, name: str) -> None:
        """A message and all it refers to."""
        key = f"{package}.{name}"
        if key in self.messages:
            return
        fields = self.messages[key] = []
        for _, go_type, tags in _FIELD.findall(self.package(package).structs[name]):
            tag, json = _TAG.search(tags), _JSON.search(tags)
            if tag and json:
                fields.append(self._entry(package, go_type, tag, json.group(1)))

    def _entry(self, package: str, go_type: str, tag: re.Match[str], json: str) -> str:
        _, number, cardinality = tag.groups()
        name, *options = json.split(",")
        flags = "p" if go_type.startswith("*") else ""
        flags += "o" if "omitempty" in options else ""
        flags += "n" if "inline" in options and not name else ""
        go_type = go_type.lstrip("*")
        # The tag alone does not tell: a bool of upstream's says `rep`, and slices of named types say `opt` at times.
        is_named_list = cardinality == "rep" and self.package(package).named.get(go_type, "").startswith("[]")
        if (go_type.startswith("[]") and go_type != "[]byte") or is_named_list:
            go_type, flags = self._element(package, go_type), flags + "r"
        code = self._code(package, go_type, listed="r" in flags)
        if "{" in code:
            flags = flags.replace("r", "")
        return f"{number}:{name or '-'}:{code}" + (f"|{flags}" if flags else "")

    def _element(self, package: str, go_type: str) -> str:
        named = self.package(package).named.get(go_type, "")
        return (named if named.startswith("[]") else go_type).removeprefix("[]")

    def _code(self, package: str, go_type: str, *, listed: bool = False) -> str:
        go_type = go_type.lstrip("*")
        if go_type in SCALARS:
            return SCALARS[go_type]
        if go_type.startswith("map["):
            return "{" + self._code(package, go_type[go_type.index("]") + 1 :]) + "}"
        where, _, name = go_type.rpartition(".")
        target = self._target(package, where)
        if f"{target}.{name}" in SPECIAL:
            return SPECIAL[f"{target}.{name}"]
        if target in ("types", "runtime"):
            return "s"
        named = self.package(target).named.get(name)
        if named is not None:
            return "l" if named == "[]string" and not listed else self._code(target, named, listed=listed)
        self.add(target, name)
        return f"@{target}.{name}"

    def _target(self, package: str, alias: str) -> str:
        target = self.package(package).imports.get(alias, alias) if alias else package
        return {"api/resource": "resource", "util/intstr": "intstr"}.get(target, target)


def kinds_of(package: Package) -> Iterator[str]:
    """Structs that are objects of their own."""
    for name, body in package.structs.items():
        if "metav1.TypeMeta" in body and not name.endswith(("List", "Options")):
            yield name


def main() -> None:
    """Print the tables."""
    root = Path(sys.argv[1])
    tables = Tables(root)
    for name in PACKAGES:
        text = (root / "api" / name / "register.go").read_text()
        group = re.search(r'GroupName\s*=\s*"(.*)"', text)
        version = name.split("/")[1]
        print(f"= {name} {group.group(1) + '/' if group and group.group(1) else ''}{version}")
        for kind in kinds_of(tables.package(name)):
            tables.add(name, kind)
    tables.add("meta/v1", "DeleteOptions")
    for message, fields in sorted(tables.messages.items()):
        print(message, *fields)


if __name__ == "__main__":
    main()
