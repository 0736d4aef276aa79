"""Objects by -o: json, yaml, name, jsonpath, custom columns. Tables made by the server are in `table`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kubectl.builder import Target
from kubectl.printers import columns, jsonpath
from kubectl.printers.json_text import to_json
from kubectl.printers.yaml_text import to_yaml
from kubectl.problems import CliError
from machinery.api import meta
from machinery.api.codec import Json

FORMATS: Final = (
    "custom-columns,custom-columns-file,go-template,go-template-file,json,jsonpath,jsonpath-as-json,jsonpath-file,name,"
    "template,templatefile,wide,yaml"
)
_WITHOUT_GO: Final = "go templates are not supported here: use -o jsonpath or -o custom-columns"


def text_of(output: str, targets: Sequence[Target], *, as_list: bool, template: str = "", managed: bool = False) -> str:
    """What -o `output` prints for objects; `as_list` makes even one of them an item of a List; raises CliError."""
    objects = [shorn(target.object or {}, managed) for target in targets]
    whole = objects[0] if len(objects) == 1 and not as_list else as_one_list(objects)
    format_, equals, spec = output.partition("=")
    spec = spec if equals else template
    match format_:
        case "json":
            return to_json(whole) + "\n"
        case "yaml":
            return to_yaml(whole)
        case "name":
            return "".join(f"{target.title}\n" for target in targets)
        case "custom-columns" | "custom-columns-file":
            wanted = (
                columns.columns_from_file(_file(spec)) if format_.endswith("file") else columns.columns_from_spec(spec)
            )
            return columns.table_of(objects, wanted)
        case "jsonpath" | "jsonpath-file" | "jsonpath-as-json":
            return _by_path(format_, spec, whole)
        case "go-template" | "go-template-file" | "template" | "templatefile":
            raise CliError(_WITHOUT_GO)
    raise CliError(
        f'unable to match a printer suitable for the output format "{output}", allowed formats are: {FORMATS}'
    )


def shorn(obj: Json, managed: bool) -> Json:
    """The object without metadata.managedFields, which people seldom want to see."""
    metadata = meta.metadata_of(obj)
    if managed or "managedFields" not in metadata:
        return obj
    return obj | {"metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def as_one_list(objects: Sequence[Json]) -> Json:
    """Objects of any kinds as one List."""
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": list(objects)}


def _by_path(format_: str, spec: str, whole: Json) -> str:
    if not spec:
        raise CliError("template format specified but no template given")
    try:
        template = jsonpath.template(_file(spec) if format_ == "jsonpath-file" else _braced(spec))
    except jsonpath.PathError as problem:
        raise CliError(f"error parsing jsonpath {spec}, {problem}") from problem
    if format_ == "jsonpath-as-json":
        found = [value for part in template.parts if isinstance(part, jsonpath.Path) for value in part.find(whole)]
        return to_json(found) + "\n"
    return template.render(whole)


def _braced(spec: str) -> str:
    return spec if "{" in spec else f"{{{spec}}}" if spec.startswith((".", "$", "@")) else spec


def _file(name: str) -> str:
    try:
        return Path(name).read_text()
    except OSError as problem:
        raise CliError(f"error reading --template {name}, open {name}: {problem.strerror}") from problem


def check(output: str) -> None:
    """Raise CliError for a format that does not exist, before anything is done."""
    if output and output.partition("=")[0] not in FORMATS.split(","):
        raise CliError(
            f'unable to match a printer suitable for the output format "{output}", allowed formats are: {FORMATS}'
        )
