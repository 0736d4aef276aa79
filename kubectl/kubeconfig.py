"""Which server, who and which namespace: kubeconfig files merged, flags laid over them. Making requests is `session`'s.

The order is kubectl's (client-go/tools/clientcmd), with the local cluster's own file before ~/.kube/config:
--kubeconfig, $KUBECONFIG (several files, the first to name a thing wins), the cluster `skiff up` made, ~/.kube/config,
the pod we are in.
"""

import base64
import os
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from kubectl.flags import Args
from kubectl.problems import CliError
from machinery.api import codec
from machinery.api.codec import Json

if TYPE_CHECKING:
    from machinery.client.config import ClientConfig

NO_CONFIG_SERVER: Final = "http://localhost:8080"  # upstream's default when nothing names a server
_FILE_FIELDS: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_SECTIONS: Final = (("clusters", "cluster"), ("contexts", "context"), ("users", "user"))


@dataclass(frozen=True, slots=True)
class Chosen:
    """The parts of a merged kubeconfig that the flags and its current context choose."""

    cluster: Json
    user: Json
    namespace: str


def files(args: Args) -> list[Path]:
    """The kubeconfig files to read, first one first; they may not exist."""
    if named := args.text("kubeconfig"):
        return [Path(named)]
    if listed := os.environ.get("KUBECONFIG"):
        return [Path(name) for name in listed.split(":") if name]
    own = cluster_home() / "admin.conf"
    return [own if _readable(own) else Path.home() / ".kube" / "config"]


def cluster_home() -> Path:
    """Where the cluster on this machine has its files, if there is one."""
    # The rule of cluster.config.default_home, repeated: importing it would cost every command 0.2 s of start-up.
    if chosen := os.environ.get("SKIFF_HOME"):
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/skiff")
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "skiff"


def _readable(path: Path) -> bool:
    return os.access(path, os.R_OK)


def load(args: Args) -> Json:
    """All files as one document, file references absolute; raises CliError for a file that cannot be read."""
    merged: Json = {"apiVersion": "v1", "kind": "Config", "preferences": {}, "current-context": ""}
    merged |= {section: [] for section, _ in _SECTIONS}
    for path in files(args):
        _merge(merged, _document(path, must_exist=args.given("kubeconfig")))
    return merged


def _document(path: Path, must_exist: bool) -> Json:
    try:
        document: Json = yaml.load(path.read_text(), Loader=yaml.CSafeLoader) or {}
    except FileNotFoundError as problem:
        if must_exist:
            raise CliError(f"stat {path}: no such file or directory") from problem
        return {}
    except (OSError, yaml.YAMLError) as problem:
        raise CliError(f'error loading config file "{path}": {problem}') from problem
    for section, field in _SECTIONS:
        for entry in document.get(section) or ():
            _make_absolute(entry.get(field) or {}, path.absolute().parent)
    return document


def _make_absolute(entry: Json, folder: Path) -> None:
    for field in _FILE_FIELDS:
        if entry.get(field):
            entry[field] = str(folder / entry[field])


def _merge(merged: Json, document: Json) -> None:
    for section, _ in _SECTIONS:
        known = {entry["name"] for entry in merged[section]}
        merged[section] += [entry for entry in document.get(section) or () if entry.get("name") not in known]
    merged["current-context"] = merged["current-context"] or document.get("current-context") or ""


def named(document: Json, section: str, name: str) -> Json | None:
    """The body of the entry of that name."""
    field = dict(_SECTIONS)[section]
    for entry in document.get(section) or ():
        if entry.get("name") == name:
            return entry.get(field) or {}
    return None


def choose(document: Json, args: Args) -> Chosen:
    """What context, cluster and user flags say, else the current context; raises CliError for an unknown name."""
    context_name = args.text("context") or document.get("current-context") or ""
    context = named(document, "contexts", context_name) if context_name else {}
    if context is None:
        if args.given("context"):
            raise CliError(f'context "{context_name}" does not exist')
        raise CliError(f"context was not found for specified context: {context_name}")
    cluster_name = args.text("cluster") or context.get("cluster") or ""
    user_name = args.text("user") or context.get("user") or ""
    cluster = named(document, "clusters", cluster_name)
    user = named(document, "users", user_name)
    if args.given("cluster") and cluster is None:
        raise CliError(f'cluster "{cluster_name}" does not exist')
    if user_name and user is None:
        raise CliError(f'auth info "{user_name}" does not exist')
    namespace = args.text("namespace") or context.get("namespace") or "default"
    return Chosen(_with_cluster_flags(cluster or {}, args), _with_user_flags(user or {}, args), namespace)


def _with_cluster_flags(cluster: Json, args: Args) -> Json:
    given = {
        "server": args.text("server"),
        "certificate-authority": args.text("certificate-authority"),
        "insecure-skip-tls-verify": args.on("insecure-skip-tls-verify"),
        "tls-server-name": args.text("tls-server-name"),
    }
    return cluster | {field: value for field, value in given.items() if value}


def _with_user_flags(user: Json, args: Args) -> Json:
    given = {
        "token": args.text("token"),
        "client-certificate": args.text("client-certificate"),
        "client-key": args.text("client-key"),
        "as": args.text("as"),
    }
    return user | {field: value for field, value in given.items() if value}


def client_config(chosen: Chosen, make: "type[ClientConfig]") -> "ClientConfig":
    """The client's settings (`make` is its class, handed in because importing it costs start-up time)."""
    server = chosen.cluster.get("server") or NO_CONFIG_SERVER
    config = make(
        server=(server if "://" in server else f"http://{server}").rstrip("/"),
        ca=_material(chosen.cluster, "certificate-authority"),
        certificate=_material(chosen.user, "client-certificate"),
        key=_material(chosen.user, "client-key"),
        token=chosen.user.get("token") or "",
        token_file=chosen.user.get("tokenFile") or "",
        insecure=bool(chosen.cluster.get("insecure-skip-tls-verify")),
        tls_server_name=chosen.cluster.get("tls-server-name") or "",
        namespace=chosen.namespace,
        impersonate=chosen.user.get("as") or "",
    )
    plugin = chosen.user.get("exec")
    return _with_credential(config, _run_plugin(plugin)) if plugin and not config.token else config


def _material(section: Json, field: str) -> bytes:
    if section.get(f"{field}-data"):
        return base64.b64decode(str(section[f"{field}-data"]))
    path = str(section.get(field) or "")
    if not path:
        return b""
    try:
        return Path(path).read_bytes()
    except OSError as problem:
        raise CliError(
            f"unable to read {field} {path} due to open {path}: {(problem.strerror or '').lower()}"
        ) from problem


def _run_plugin(plugin: Json) -> Json:
    # Credential plugins (KEP-541): a command prints an ExecCredential; another one, in the environment, is its input.
    request = {"apiVersion": plugin.get("apiVersion"), "kind": "ExecCredential", "spec": {"interactive": False}}
    environment = os.environ | {"KUBERNETES_EXEC_INFO": codec.dumps(request).decode()}
    environment |= {entry["name"]: entry["value"] for entry in plugin.get("env") or ()}
    command = [plugin.get("command") or "", *(plugin.get("args") or ())]
    try:
        done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
        status: Json = codec.loads(done.stdout)["status"]
    except (OSError, subprocess.CalledProcessError, ValueError, KeyError) as problem:
        raise CliError(f"getting credentials: exec: {problem}") from problem
    return status


def _with_credential(config: "ClientConfig", status: Json) -> "ClientConfig":
    changes: dict[str, Any] = {"token": status.get("token") or ""}
    if status.get("clientCertificateData"):
        changes["certificate"] = status["clientCertificateData"].encode()
        changes["key"] = (status.get("clientKeyData") or "").encode()
    return replace(config, **changes)
