"""Objects made from flags: pure, in the form and with the empty fields kubectl's generators give them.

Upstream: kubectl/pkg/cmd/create, run, expose. Sending them is the verbs'.
"""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

from kubectl.problems import CliError
from machinery.api.codec import Json
from machinery.api.names import is_dns_subdomain


def named(api_version: str, kind: str, name: str) -> Json:
    """The head every generated object has."""
    return {"apiVersion": api_version, "kind": kind, "metadata": {"creationTimestamp": None, "name": name}}


def namespace(name: str) -> Json:
    """A Namespace."""
    return named("v1", "Namespace", name) | {"spec": {}, "status": {}}


def service_account(name: str) -> Json:
    """A ServiceAccount."""
    return named("v1", "ServiceAccount", name)


def deployment(name: str, images: Sequence[str], replicas: int, port: int, command: Sequence[str]) -> Json:
    """A Deployment with one container for each image, named after it."""
    labels = {"app": name}
    containers = [_container(image) for image in images]
    if len(containers) == 1:
        containers[0] |= {"command": list(command)} if command else {}
    if port:
        containers[0]["ports"] = [{"containerPort": port}]
    template = {"metadata": {"creationTimestamp": None, "labels": labels}, "spec": {"containers": containers}}
    head = named("apps/v1", "Deployment", name)
    head["metadata"]["labels"] = labels
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "strategy": {}, "template": template}
    return head | {"spec": spec, "status": {}}


def _container(image: str) -> Json:
    name = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return {"image": image, "name": name.replace("_", "-"), "resources": {}}


def pod(name: str, image: str, labels: Mapping[str, str], restart: str) -> Json:
    """A Pod of one container."""
    head = named("v1", "Pod", name)
    head["metadata"]["labels"] = dict(labels) or {"run": name}
    container: Json = {"image": image, "name": name, "resources": {}}
    spec: Json = {"containers": [container], "dnsPolicy": "ClusterFirst", "restartPolicy": restart}
    return head | {"spec": spec, "status": {}}


def config_map(name: str, sources: Mapping[str, bytes]) -> Json:
    """A ConfigMap; what is no text becomes binaryData."""
    head = named("v1", "ConfigMap", name)
    text = {key: value.decode() for key, value in sources.items() if _is_text(value)}
    binary = {key: base64.b64encode(value).decode() for key, value in sources.items() if not _is_text(value)}
    return head | ({"data": text} if text else {}) | ({"binaryData": binary} if binary else {})


def secret(name: str, type_: str, sources: Mapping[str, bytes]) -> Json:
    """A Secret."""
    data = {key: base64.b64encode(value).decode() for key, value in sources.items()}
    return named("v1", "Secret", name) | ({"data": data} if data else {}) | ({"type": type_} if type_ else {})


def service(name: str, type_: str, ports: Sequence[str]) -> Json:
    """A Service for the pods with the label app=NAME; ports are PORT or PORT:TARGET."""
    head = named("v1", "Service", name)
    head["metadata"]["labels"] = {"app": name}
    spec = {"ports": [_port(text) for text in ports], "selector": {"app": name}, "type": type_}
    return head | {"spec": spec, "status": {"loadBalancer": {}}}


def _port(text: str) -> Json:
    port, _, target = text.partition(":")
    if not port.isdigit():
        raise CliError(f"invalid port: {text}")
    shown = port if not target else f"{port}-{target}"
    goal: int | str = int(target or port) if (target or port).isdigit() else target
    return {"name": shown, "port": int(port), "protocol": "TCP", "targetPort": goal}


def _is_text(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def sources_of(literals: Sequence[str], files: Sequence[str], env_files: Sequence[str]) -> dict[str, bytes]:
    """Keys and values of --from-literal, --from-file and --from-env-file; raises CliError."""
    found: dict[str, bytes] = {}
    for literal in literals:
        key, equals, value = literal.partition("=")
        if not key or not equals:
            raise CliError(f"invalid literal source {literal}, expected key=value")
        _add(found, key, value.encode())
    for file in files:
        _add_file(found, file)
    for file in env_files:
        for line in _read(Path(file)).decode().splitlines():
            if line.strip() and not line.lstrip().startswith("#"):
                key, _, value = line.strip().partition("=")
                _add(found, key, value.encode())
    return found


def _add_file(found: dict[str, bytes], text: str) -> None:
    key, equals, name = text.partition("=")
    path = Path(name if equals else text)
    if path.is_dir():
        if equals:
            raise CliError("cannot give a key name for a directory path")
        for inside in sorted(path.iterdir()):
            if inside.is_file():
                _add(found, inside.name, _read(inside))
        return
    _add(found, key if equals else path.name, _read(path))


def _add(found: dict[str, bytes], key: str, value: bytes) -> None:
    if problems := is_dns_subdomain(key.lower().replace("_", "-").strip(".")):
        raise CliError(f'"{key}" is not valid key name: {"; ".join(problems)}')
    if key in found:
        raise CliError(f'cannot add key "{key}", another key by that name already exists in Data')
    found[key] = value


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise CliError(f"error reading {path}: {(problem.strerror or str(problem)).lower()}") from problem
