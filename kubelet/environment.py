"""A container's environment, command and arguments: references, field paths, $(VAR) expansion. Pure; lookups come in.

Upstream: pkg/kubelet/kubelet_pods.go (makeEnvironmentVariables), envvars/envvars.go, expansion/expand.go.
"""

import base64
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final

from machinery.api import meta, quantity
from machinery.api.codec import Json


class ConfigError(Exception):
    """The container cannot be configured (CreateContainerConfigError); the text is what users see."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a pod's environment is drawn from. A ConfigMap or Secret that does not exist is missing in its mapping."""

    config_maps: Mapping[str, Json] = field(default_factory=dict)
    secrets: Mapping[str, Json] = field(default_factory=dict)
    services: tuple[Json, ...] = ()
    pod_ips: tuple[str, ...] = ()
    host_ips: tuple[str, ...] = ()
    allocatable: Mapping[str, str] = field(default_factory=dict)


def references(container: Json) -> tuple[set[str], set[str]]:
    """The names of the ConfigMaps and of the Secrets that the environment of a container refers to."""
    config_maps: set[str] = set()
    secrets: set[str] = set()
    for source in container.get("envFrom") or ():
        config_maps.update(_names(source.get("configMapRef")))
        secrets.update(_names(source.get("secretRef")))
    for variable in container.get("env") or ():
        origin = variable.get("valueFrom") or {}
        config_maps.update(_names(origin.get("configMapKeyRef")))
        secrets.update(_names(origin.get("secretKeyRef")))
    return config_maps, secrets


def _names(reference: Json | None) -> list[str]:
    return [reference["name"]] if reference and reference.get("name") else []


def environment_of(pod: Json, container: Json, sources: Sources) -> dict[str, str]:
    """All variables, services' first and the container's own last; raises ConfigError."""
    spec = pod.get("spec") or {}
    links = spec.get("enableServiceLinks")
    services = service_variables(sources.services, meta.namespace_of(pod), links=links is None or bool(links))
    result: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        result.update(_env_from(pod, source, sources))
    for variable in container.get("env") or ():
        value = _value(pod, container, variable, {**services, **result}, sources)
        if value is not None:
            result[variable["name"]] = value
    return {**services, **result}


def _env_from(pod: Json, source: Json, sources: Sources) -> dict[str, str]:
    prefix = source.get("prefix") or ""
    if source.get("configMapRef"):
        data = _config_map(pod, source["configMapRef"], sources)
        return {prefix + key: value for key, value in (data.get("data") or {}).items()}
    secret = _secret(pod, source.get("secretRef") or {}, sources)
    return {prefix + key: _text(value) for key, value in (secret.get("data") or {}).items()}


def _value(pod: Json, container: Json, variable: Json, known: Mapping[str, str], sources: Sources) -> str | None:
    origin = variable.get("valueFrom")
    if not origin:
        return expand(variable.get("value") or "", known)
    if "fieldRef" in origin:
        return _field(pod, origin["fieldRef"].get("fieldPath") or "", sources)
    if "resourceFieldRef" in origin:
        return resource_field(pod, container, origin["resourceFieldRef"], sources.allocatable)
    if "configMapKeyRef" in origin:
        return _key_of_config_map(pod, origin["configMapKeyRef"], sources)
    if "secretKeyRef" in origin:
        return _key_of_secret(pod, origin["secretKeyRef"], sources)
    raise ConfigError(f"environment variable {variable['name']} has an unknown source")


def _config_map(pod: Json, reference: Json, sources: Sources) -> Json:
    return _referred("configmap", reference, sources.config_maps)


def _secret(pod: Json, reference: Json, sources: Sources) -> Json:
    return _referred("secret", reference, sources.secrets)


def _referred(what: str, reference: Json, known: Mapping[str, Json]) -> Json:
    name = reference.get("name") or ""
    found = known.get(name)
    if found is not None:
        return found
    if reference.get("optional"):
        return {}
    raise ConfigError(f'{what} "{name}" not found')


def _key_of_config_map(pod: Json, reference: Json, sources: Sources) -> str | None:
    data = _config_map(pod, reference, sources).get("data") or {}
    return _key(pod, "ConfigMap", reference, data)


def _key_of_secret(pod: Json, reference: Json, sources: Sources) -> str | None:
    data = _secret(pod, reference, sources).get("data") or {}
    value = _key(pod, "Secret", reference, data)
    return None if value is None else _text(value)


def _key(pod: Json, kind: str, reference: Json, data: Mapping[str, str]) -> str | None:
    key = reference.get("key") or ""
    if key in data:
        return data[key]
    if reference.get("optional"):
        return None
    raise ConfigError(f"couldn't find key {key} in {kind} {meta.namespace_of(pod)}/{reference.get('name')}")


def _text(encoded: str) -> str:
    return base64.b64decode(encoded).decode(errors="surrogateescape")


# ---- fields


def _field(pod: Json, path: str, sources: Sources) -> str:
    addresses = {
        "status.podIP": sources.pod_ips[:1],
        "status.podIPs": sources.pod_ips,
        "status.hostIP": sources.host_ips[:1],
        "status.hostIPs": sources.host_ips,
    }
    if path in addresses:
        return ",".join(addresses[path])
    return field_of(pod, path)


def field_of(pod: Json, path: str) -> str:
    """What the downward API shows for a field path; raises ConfigError (upstream: pkg/fieldpath)."""
    metadata, spec = meta.metadata_of(pod), pod.get("spec") or {}
    if path.startswith(("metadata.labels[", "metadata.annotations[")) and path.endswith("']"):
        section, _, key = path.removesuffix("']").partition("['")
        return str((metadata.get(section.removeprefix("metadata.")) or {}).get(key, ""))
    simple = {
        "metadata.name": metadata.get("name"),
        "metadata.namespace": metadata.get("namespace"),
        "metadata.uid": metadata.get("uid"),
        "spec.nodeName": spec.get("nodeName"),
        "spec.serviceAccountName": spec.get("serviceAccountName"),
    }
    if path in simple:
        return simple[path] or ""
    if path in ("metadata.labels", "metadata.annotations"):
        return "\n".join(f'{k}="{_escaped(v)}"' for k, v in sorted((metadata.get(path[9:]) or {}).items()))
    raise ConfigError(f"unsupported fieldPath: {path}")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")


def resource_field(pod: Json, container: Json, reference: Json, allocatable: Mapping[str, str]) -> str:
    """A limit or request in units of the divisor, rounded up; a missing limit is the node's allocatable."""
    chosen = _container_named(pod, reference.get("containerName") or "") or container
    section, _, name = (reference.get("resource") or "").partition(".")
    resources = chosen.get("resources") or {}
    amount = (resources.get(section) or {}).get(name)
    if amount is None and section == "requests":
        amount = (resources.get("limits") or {}).get(name)
    if amount is None and section == "limits":
        amount = allocatable.get(name)
    divisor = quantity.parse(reference.get("divisor") or "1") or Fraction(1)
    return str(math.ceil(quantity.parse(amount or "0") / divisor))


def _container_named(pod: Json, name: str) -> Json | None:
    spec = pod.get("spec") or {}
    everyone = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    return next((container for container in everyone if name and container["name"] == name), None)


# ---- services


def service_variables(services: Iterable[Json], namespace: str, *, links: bool) -> dict[str, str]:
    """Docker-link style variables; without links only those of default/kubernetes."""
    chosen: dict[str, Json] = {}
    for service in services:
        name, home = meta.name_of(service), meta.namespace_of(service)
        master = home == "default" and name == "kubernetes"
        if (links and home == namespace) or (master and name not in chosen):
            chosen[name] = service
    result: dict[str, str] = {}
    for name in sorted(chosen):
        result.update(_variables_of(name, chosen[name].get("spec") or {}))
    return result


_NO_ADDRESS: Final = (None, "", "None")


def _variables_of(name: str, spec: Json) -> dict[str, str]:
    address, ports = spec.get("clusterIP"), spec.get("ports") or []
    if address in _NO_ADDRESS or not ports:
        return {}
    prefix = name.upper().replace("-", "_")
    result = {f"{prefix}_SERVICE_HOST": str(address), f"{prefix}_SERVICE_PORT": str(ports[0]["port"])}
    for port in ports:
        if port.get("name"):
            result[f"{prefix}_SERVICE_PORT_{port['name'].upper().replace('-', '_')}"] = str(port["port"])
    host = f"[{address}]" if ":" in str(address) else address
    for index, port in enumerate(ports):
        protocol = port.get("protocol") or "TCP"
        url = f"{protocol.lower()}://{host}:{port['port']}"
        if index == 0:
            result[f"{prefix}_PORT"] = url
        one = f"{prefix}_PORT_{port['port']}_{protocol}"
        result |= {one: url, one + "_PROTO": protocol.lower()}
        result |= {one + "_PORT": str(port["port"]), one + "_ADDR": str(address)}
    return result


# ---- $(VAR)


def expand(text: str, known: Mapping[str, str]) -> str:
    """`$(NAME)` becomes its value where it is known, `$$` a dollar; everything else stays as it is."""
    out: list[str] = []
    at = 0
    while True:
        dollar = text.find("$", at)
        if dollar < 0 or dollar + 1 >= len(text):
            out.append(text[at:])
            return "".join(out)
        out.append(text[at:dollar])
        piece, at = _piece(text, dollar + 1, known)
        out.append(piece)


def _piece(text: str, at: int, known: Mapping[str, str]) -> tuple[str, int]:
    if text[at] == "$":
        return "$", at + 1
    if text[at] != "(":
        return "$" + text[at], at + 1
    end = text.find(")", at)
    if end < 0:
        return "$(", at + 1
    name = text[at + 1 : end]
    return known.get(name, f"$({name})"), end + 1
