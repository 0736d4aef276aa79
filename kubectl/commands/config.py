"""`skiff config`: looks at kubeconfig files and switches contexts. How they are chosen and merged is `kubeconfig`'s.

Upstream: kubectl/pkg/cmd/config.
"""

import base64
from pathlib import Path
from typing import Any, Final

import yaml

from kubectl import kubeconfig
from kubectl.command import Command
from kubectl.flags import Args, switch, text
from kubectl.printers.json_text import to_json
from kubectl.printers.tabwriter import TabWriter
from kubectl.printers.yaml_text import to_yaml
from kubectl.problems import CliError
from kubectl.session import Session
from machinery.api.codec import Json

_HIDDEN: Final = {
    "certificate-authority-data": "DATA+OMITTED",
    "client-certificate-data": "DATA+OMITTED",
    "client-key-data": "DATA+OMITTED",
    "token": "REDACTED",
    "password": "REDACTED",
}
_FILES: Final = ("certificate-authority", "client-certificate", "client-key")


async def view(session: Session, args: Args) -> int | None:
    """The merged kubeconfig, its secrets hidden unless --raw."""
    document = kubeconfig.load(args)
    if args.on("minify"):
        document = _minified(document, args)
    if args.on("flatten"):
        _each_entry(document, _flattened)
    if not args.on("raw"):
        _each_entry(document, _hidden)
    output = args.text("output")
    if output not in ("yaml", "json"):
        raise CliError(
            f'unable to match a printer suitable for the output format "{output}", allowed formats are: json,yaml'
        )
    shown = {key: value or None if isinstance(value, list) else value for key, value in document.items()}
    session.write(to_yaml(shown) if output == "yaml" else to_json(shown) + "\n")
    return None


def _minified(document: Json, args: Args) -> Json:
    name = _current(document, args)
    context = kubeconfig.named(document, "contexts", name) or {}
    keep = {"contexts": name, "clusters": context.get("cluster"), "users": context.get("user")}
    reduced = {section: [e for e in document[section] if e["name"] == kept] for section, kept in keep.items()}
    return document | reduced | {"current-context": name}


def _current(document: Json, args: Args) -> str:
    name = args.text("context") or document["current-context"]
    if not name:
        raise CliError("current-context must exist in order to minify")
    return str(name)


def _each_entry(document: Json, change: Any) -> None:
    for section, field in (("clusters", "cluster"), ("users", "user")):
        for entry in document[section]:
            entry[field] = change(entry.get(field) or {})


def _hidden(entry: Json) -> Json:
    return {key: _HIDDEN.get(key, value) if value else value for key, value in entry.items()}


def _flattened(entry: Json) -> Json:
    flat = dict(entry)
    for field in _FILES:
        if path := flat.pop(field, None):
            flat[f"{field}-data"] = base64.b64encode(Path(path).read_bytes()).decode()
    return flat


async def current_context(session: Session, args: Args) -> int | None:
    """The name of the context in use."""
    name = kubeconfig.load(args)["current-context"]
    if not name:
        raise CliError("current-context is not set")
    session.print(name)
    return None


async def use_context(session: Session, args: Args) -> int | None:
    """Make another context the current one."""
    if len(args.words) != 1:
        raise CliError("Unexpected args: [" + " ".join(args.words) + "]\nSee 'skiff config use-context -h' for help")
    name = args.words[0]
    if kubeconfig.named(kubeconfig.load(args), "contexts", name) is None:
        raise CliError(f'no context exists with the name: "{name}"')
    path, document = _file_to_change(args)
    document["current-context"] = name
    _save(path, document)
    session.print(f'Switched to context "{name}".')
    return None


async def set_context(session: Session, args: Args) -> int | None:
    """Change or make a context: its namespace, cluster and user."""
    path, document = _file_to_change(args)
    name = document.get("current-context") or "" if args.on("current") else (args.words or [""])[0]
    if not name:
        raise CliError("you must specify a context name or use --current")
    changes = {field: args.text(field) for field in ("namespace", "cluster", "user") if args.given(field)}
    contexts = document.get("contexts") or []
    for entry in contexts:
        if entry["name"] == name:
            entry["context"] = (entry.get("context") or {}) | changes
            said = "modified"
            break
    else:
        document["contexts"] = [*contexts, {"name": name, "context": {"cluster": "", "user": ""} | changes}]
        said = "created"
    _save(path, document)
    session.print(f'Context "{name}" {said}.')
    return None


def _file_to_change(args: Args) -> tuple[Path, Json]:
    path = next((file for file in kubeconfig.files(args) if file.exists()), kubeconfig.files(args)[0])
    document: Json = yaml.safe_load(path.read_text()) if path.exists() else {}
    return path, document or {"apiVersion": "v1", "kind": "Config"}


def _save(path: Path, document: Json) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(to_yaml(document))


async def get_contexts(session: Session, args: Args) -> int | None:
    """A table of contexts; with -o name their names."""
    document = kubeconfig.load(args)
    entries = sorted(document["contexts"], key=lambda entry: str(entry["name"]))
    if args.text("output") == "name":
        session.write("".join(f"{entry['name']}\n" for entry in entries))
        return None
    rows = [] if args.on("no-headers") else ["CURRENT\tNAME\tCLUSTER\tAUTHINFO\tNAMESPACE"]
    for entry in entries:
        context = entry.get("context") or {}
        mark = "*" if entry["name"] == document["current-context"] else ""
        cells = [mark, entry["name"], *(str(context.get(field) or "") for field in ("cluster", "user", "namespace"))]
        rows.append("\t".join(cells))
    session.write(TabWriter(minimum=6, padding=3).layout("".join(f"{row}\n" for row in rows)))
    return None


COMMAND = Command(
    "config (view | current-context | use-context | get-contexts | set-context)",
    "Look at and change kubeconfig files.",
    subcommands={
        "view": Command(
            "config view [--minify] [--raw] [--flatten]",
            "Show the merged kubeconfig.",
            (
                text("output", "yaml or json.", "o", "yaml"),
                switch("minify", "Only what the current context uses."),
                switch("raw", "Show secrets."),
                switch("flatten", "Put the contents of certificate files in."),
            ),
            view,
        ),
        "current-context": Command("config current-context", "Show the context in use.", (), current_context),
        "use-context": Command("config use-context NAME", "Make another context the current one.", (), use_context),
        "get-contexts": Command(
            "config get-contexts",
            "List contexts.",
            (text("output", "name: only names.", "o"), switch("no-headers", "Do not print headers.")),
            get_contexts,
        ),
        "set-context": Command(
            "config set-context (NAME | --current) [--namespace=N] [--cluster=C] [--user=U]",
            "Change or make a context.",
            (switch("current", "Change the current one."),),
            set_context,
        ),
    },
)
