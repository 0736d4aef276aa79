"""Where the API server is and who we are to it: kubeconfig files and the in-cluster service account."""

import base64
import os
import ssl
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml

_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class ConfigError(Exception):
    """The kubeconfig cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """One server and one identity. Certificates are PEM bytes; `insecure` skips verification of the server."""

    server: str
    ca: bytes = b""
    certificate: bytes = b""
    key: bytes = b""
    #: where certificate and key come from, if from files: they are read again when they changed
    certificate_file: str = ""
    key_file: str = ""
    token: str = ""
    token_file: str = ""
    insecure: bool = False
    tls_server_name: str = ""
    namespace: str = "default"
    impersonate: str = ""

    def ssl_context(self) -> ssl.SSLContext | None:
        """The TLS settings, or None for plain HTTP; raises ConfigError for certificates that do not load."""
        if not self.server.startswith("https"):
            return None
        try:
            context = ssl.create_default_context(cadata=self.ca.decode() if self.ca else None)
            if self.insecure:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.certificate:
                self._load_certificate(context)
        except (ssl.SSLError, ValueError) as problem:
            raise ConfigError(f"unable to load the certificates for {self.server}: {problem}") from problem
        return context

    def _load_certificate(self, context: ssl.SSLContext) -> None:
        # The ssl module loads a key pair from files only; this one lives no longer than the call, unreadable to others.
        with tempfile.NamedTemporaryFile() as pair:
            pair.write(self.certificate + b"\n" + self.key)
            pair.flush()
            context.load_cert_chain(pair.name)

    def bearer_token(self) -> str:
        """The token to send; one from a file is read anew each time, since kubelets rotate it."""
        if self.token_file:
            try:
                return Path(self.token_file).read_text().strip()
            except OSError:
                return self.token
        return self.token


def load_kubeconfig(path: str | Path, context: str = "") -> ClientConfig:
    """The config of a context (default: the current one); raises ConfigError."""
    file = Path(path)
    try:
        document = yaml.safe_load(file.read_text()) or {}
    except (OSError, yaml.YAMLError) as problem:
        raise ConfigError(f"error loading config file {str(file)!r}: {problem}") from problem
    name = context or document.get("current-context") or ""
    chosen = _named(document, "contexts", name, "context")
    if chosen is None:
        raise ConfigError(f'context "{name}" does not exist' if name else "no current context in " + str(file))
    cluster = _named(document, "clusters", chosen.get("cluster", ""), "cluster")
    if not cluster or not cluster.get("server"):
        raise ConfigError(f'cluster "{chosen.get("cluster", "")}" does not exist')
    user = _named(document, "users", chosen.get("user", ""), "user") or {}
    return ClientConfig(
        server=cluster["server"].rstrip("/"),
        ca=_material(cluster, "certificate-authority", file.parent),
        certificate=_material(user, "client-certificate", file.parent),
        key=_material(user, "client-key", file.parent),
        certificate_file=_file(user, "client-certificate", file.parent),
        key_file=_file(user, "client-key", file.parent),
        token=user.get("token") or "",
        token_file=_resolved(user.get("tokenFile") or "", file.parent),
        insecure=bool(cluster.get("insecure-skip-tls-verify")),
        tls_server_name=cluster.get("tls-server-name") or "",
        namespace=chosen.get("namespace") or "default",
        impersonate=user.get("as") or "",
    )


def in_cluster() -> ClientConfig:
    """The config of a process inside a pod; raises ConfigError outside one."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port or not (_SERVICE_ACCOUNT / "token").exists():
        raise ConfigError(
            "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and "
            "KUBERNETES_SERVICE_PORT must be defined"
        )
    host = f"[{host}]" if ":" in host else host
    namespace = _SERVICE_ACCOUNT / "namespace"
    return ClientConfig(
        server=f"https://{host}:{port}",
        ca=(_SERVICE_ACCOUNT / "ca.crt").read_bytes(),
        token_file=str(_SERVICE_ACCOUNT / "token"),
        namespace=namespace.read_text().strip() if namespace.exists() else "default",
    )


def load(kubeconfig: str, master: str = "") -> ClientConfig:
    """What a component's --kubeconfig and --master say; without a kubeconfig, the in-cluster config."""
    config = load_kubeconfig(kubeconfig) if kubeconfig else in_cluster()
    return replace(config, server=master.rstrip("/")) if master else config


def _named(document: dict[str, Any], section: str, name: str, field: str) -> dict[str, Any] | None:
    for entry in document.get(section) or ():
        if entry.get("name") == name:
            return entry.get(field) or {}
    return None


def _material(section: dict[str, Any], field: str, folder: Path) -> bytes:
    data = section.get(field + "-data")
    if data:
        return base64.b64decode(str(data))
    path = str(section.get(field) or "")
    if not path:
        return b""
    try:
        return (folder / path).read_bytes()
    except OSError as problem:
        raise ConfigError(f"unable to read {field} {path}: {problem.strerror}") from problem


def _file(section: dict[str, Any], field: str, folder: Path) -> str:
    """The path of what `_material` reads; empty where it stands in the kubeconfig itself."""
    return "" if section.get(field + "-data") else _resolved(str(section.get(field) or ""), folder)


def _resolved(path: str, folder: Path) -> str:
    return str(folder / path) if path else ""
