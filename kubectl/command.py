"""What a verb is made of, and the flags verbs share. The verbs are in `commands/`, the table of them in `__main__`."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kubectl.flags import Args, Flag, listing, number, seconds, switch, text
from kubectl.problems import CliError
from kubectl.session import Session

Run = Callable[[Session, Args], Awaitable[int | None]]


@dataclass(frozen=True, slots=True)
class Command:
    """A verb: how it is used, its flags and its code, or a group of subcommands. `run` returns an exit code or None."""

    usage: str
    help: str
    flags: tuple[Flag, ...] = ()
    run: Run | None = None
    subcommands: Mapping[str, "Command"] = field(default_factory=dict)


GLOBAL_FLAGS: Final = (
    text("kubeconfig", "Path to the kubeconfig file to use."),
    text("context", "The kubeconfig context to use."),
    text("cluster", "The kubeconfig cluster to use."),
    text("user", "The kubeconfig user to use."),
    text("namespace", "The namespace to work in.", "n"),
    text("server", "The address and port of the API server.", "s"),
    text("token", "Bearer token for authentication to the API server."),
    text("certificate-authority", "Path to the certificate file of the server's authority."),
    text("client-certificate", "Path to a client certificate file."),
    text("client-key", "Path to the client certificate's key."),
    switch("insecure-skip-tls-verify", "Do not check the server's certificate."),
    text("tls-server-name", "The name to check the server's certificate against."),
    text("as", "User to act as."),
    listing("as-group", "Group to act as; can be repeated.", commas=False),
    text("as-uid", "UID to act as."),
    Flag("request-timeout", "How long to wait for one answer: 1s, 2m; 0 means without limit.", "", "seconds", 0.0),
    Flag("v", "How much to tell about requests: 6 and above shows them.", "v", "int", 0),
    switch("help", "Show this help.", "h"),
)

OUTPUT: Final = text("output", "Output format: json, yaml, name, wide, jsonpath=…, custom-columns=….", "o")
SELECTOR: Final = text("selector", "Label selector: a=b, a!=b, a in (b,c), !a.", "l")
FIELD_SELECTOR: Final = text("field-selector", "Field selector: metadata.name=web,status.phase=Running.")
ALL_NAMESPACES: Final = switch("all-namespaces", "In every namespace.", "A")
FILES: Final = (
    listing("filename", "File, folder or URL with objects; - is standard input.", "f"),
    switch("recursive", "Read folders inside folders too.", "R"),
)
DRY_RUN: Final = text(
    "dry-run", "none, client (only print) or server (all but storing).", default="none", bare="unchanged"
)
FIELD_MANAGER: Final = "field-manager"
SHOW_MANAGED_FIELDS: Final = switch("show-managed-fields", "Keep metadata.managedFields in JSON and YAML.")
TIMEOUT: Final = seconds("timeout", "How long to wait at most; 0 means without limit.")
ALL: Final = switch("all", "All objects of the given types in the namespace.")
RESOURCE_VERSION: Final = text("resource-version", "Only if the object has this resourceVersion.")
PRINT_FLAGS: Final = (OUTPUT, SHOW_MANAGED_FIELDS, text("template", "The template for -o jsonpath."))
LIMIT: Final = number("chunk-size", "Ask for lists in pieces of this many objects.", 500)


def dry_run_of(args: Args) -> str:
    """`none`, `client` or `server`; raises CliError for anything else, a bare flag included."""
    value = args.text("dry-run")
    if value == "unchanged":
        raise CliError("--dry-run is deprecated and can be replaced with --dry-run=client")
    if value not in ("none", "client", "server"):
        raise CliError(f'Invalid dry-run value ({value}). Must be "none", "server", or "client".')
    return value


def dry_run_suffix(dry_run: str) -> str:
    """What results carry behind their verb."""
    return {"client": " (dry run)", "server": " (server dry run)"}.get(dry_run, "")


def write_params(args: Args, dry_run: str, manager: str) -> dict[str, str]:
    """Query parameters of a write."""
    params = {"fieldManager": args.text(FIELD_MANAGER) if FIELD_MANAGER in args.values else manager}
    if dry_run == "server":
        params["dryRun"] = "All"
    return params
