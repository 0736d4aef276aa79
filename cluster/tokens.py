"""Bootstrap tokens of a cluster: made, listed, deleted, and the command a machine joins with."""

import base64
import hashlib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from cluster.errors import ClusterError
from machinery.api import bootstrap_tokens as tokens
from machinery.api import times

_SECRETS: Final = f"/api/v1/namespaces/{tokens.NAMESPACE}/secrets"


@dataclass(frozen=True, slots=True)
class Token:
    """One token as it is listed."""

    text: str
    expires: str
    description: str


def create(http: httpx.Client, hours: float, description: str = "", token: str = "") -> str:
    """Make a token that is good for so long (0: for ever); returns it. Raises ClusterError."""
    text = token or tokens.generate()
    parts = tokens.TOKEN.fullmatch(text)
    if parts is None:
        raise ClusterError(
            f'the bootstrap token "{text}" is not of the form ID.SECRET, such as abcdef.0123456789abcdef'
        )
    data = {
        "token-id": parts[1],
        "token-secret": parts[2],
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true",
        "auth-extra-groups": "system:bootstrappers:skiff:nodes",
    }
    if hours:
        data["expiration"] = times.rfc3339(times.now() + timedelta(hours=hours))
    if description:
        data["description"] = description
    secret = {"metadata": {"name": f"{tokens.SECRET_PREFIX}{parts[1]}"}, "type": tokens.SECRET_TYPE, "stringData": data}
    _ask(http, "POST", _SECRETS, json=secret)
    return text


def listed(http: httpx.Client) -> list[Token]:
    """All tokens; raises ClusterError."""
    answer = _ask(http, "GET", f"{_SECRETS}?fieldSelector=type%3D{tokens.SECRET_TYPE.replace('/', '%2F')}")
    found = []
    for secret in answer["items"]:
        data = tokens.texts_of(secret)
        text = f"{data.get('token-id', '')}.{data.get('token-secret', '')}"
        found.append(Token(text, data.get("expiration", ""), data.get("description", "")))
    return found


def delete(http: httpx.Client, token: str) -> None:
    """Delete a token by itself or by its id; raises ClusterError."""
    _ask(http, "DELETE", f"{_SECRETS}/{tokens.SECRET_PREFIX}{token.partition('.')[0]}")


def ca_hash(ca: bytes) -> str:
    """What tells a cluster from any other: `sha256:` and the hash of its CA's public key (as kubeadm writes it)."""
    key = x509.load_pem_x509_certificate(ca).public_key()
    raw = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def join_command(program: str, server: str, token: str, ca_file: Path) -> str:
    """What to type on the machine that is to join."""
    pin = ca_hash(ca_file.read_bytes())
    return f"{program} join {server} --token {token} --discovery-token-ca-cert-hash {pin}"


def cluster_info(server: str, ca: bytes) -> dict[str, Any]:
    """The kubeconfig by which a machine finds the cluster; it names nobody."""
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca).decode()}
    return {"apiVersion": "v1", "kind": "Config", "clusters": [{"name": "", "cluster": cluster}]}


def _ask(http: httpx.Client, method: str, path: str, **more: Any) -> dict[str, Any]:
    try:
        answer = http.request(method, path, **more)
    except httpx.HTTPError as problem:
        raise ClusterError(f"the API server did not answer: {problem}") from problem
    body: dict[str, Any] = answer.json()
    if answer.status_code >= 400:
        raise ClusterError(str(body.get("message") or answer.text))
    return body
