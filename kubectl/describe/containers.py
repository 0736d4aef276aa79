"""The part of a description that is about containers: image, ports, state, resources, probes, environment, mounts."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from kubectl.describe.text import NONE, lower, moment, yes_no
from machinery.api import quantity
from machinery.api.codec import Json

_STANDARD: Final = ("cpu", "memory", "ephemeral-storage")


def containers(title: str, found: Sequence[Json], statuses: Sequence[Json] | None, pod: Json | None) -> Iterator[str]:
    """A section of containers; without a pod (a template) indented by two, and without states."""
    space, indent = ("", "") if pod is not None else ("  ", " ")
    by_name = {status["name"]: status for status in statuses or ()}
    yield f"{space}{title}:" + ("" if found else f" {NONE}")
    for container in found:
        yield f"  {indent}{container.get('name', '')}:"
        status = by_name.get(container.get("name"))
        yield from _basics(container, status)
        yield from _words("Command", container.get("command"))
        yield from _words("Args", container.get("args"))
        if status is not None:
            yield from _states(status)
        yield from resources(container.get("resources") or {}, "    ")
        yield from _probes(container)
        yield from _env_from(container)
        yield from _env(container, pod)
        yield from _mounts(container)


def _basics(container: Json, status: Json | None) -> Iterator[str]:
    if status is not None:
        yield f"    Container ID:\t{status.get('containerID', '')}"
    yield f"    Image:\t{container.get('image', '')}"
    if status is not None:
        yield f"    Image ID:\t{status.get('imageID', '')}"
    ports = container.get("ports") or []
    yield _ports("Port", ports, "containerPort")
    yield _ports("Host Port", ports, "hostPort")
    profile = (container.get("securityContext") or {}).get("seccompProfile") or {}
    if profile:
        yield f"    SeccompProfile:\t{profile.get('type', '')}"
        if profile.get("type") == "Localhost":
            yield f"      LocalhostProfile:\t{profile.get('localhostProfile', '')}"


def _ports(title: str, ports: Sequence[Json], field: str) -> str:
    shown = [f"{port.get(field, 0)}/{port.get('protocol', '')}" for port in ports]
    return f"    {title}{'s' if len(shown) > 1 else ''}:\t{', '.join(shown) or NONE}"


def _words(title: str, words: Sequence[str] | None) -> Iterator[str]:
    if words:
        yield f"    {title}:"
        yield from (f"      {line}" for word in words for line in word.split("\n"))


def _states(status: Json) -> Iterator[str]:
    yield from _state("State", status.get("state") or {})
    last = status.get("lastState") or {}
    if last.get("terminated"):
        yield from _state("Last State", last)
    yield f"    Ready:\t{yes_no(status.get('ready'))}"
    yield f"    Restart Count:\t{status.get('restartCount', 0)}"


def _state(title: str, state: Json) -> Iterator[str]:
    if (running := state.get("running")) is not None:
        yield f"    {title}:\tRunning"
        yield f"      Started:\t{moment(running.get('startedAt'))}"
    elif (ended := state.get("terminated")) is not None:
        yield f"    {title}:\tTerminated"
        yield from _ended(ended)
    else:
        yield f"    {title}:\tWaiting"
        if reason := (state.get("waiting") or {}).get("reason"):
            yield f"      Reason:\t{reason}"


def _ended(ended: Json) -> Iterator[str]:
    for title, field in (("Reason", "reason"), ("Message", "message")):
        if ended.get(field):
            yield f"      {title}:\t{ended[field]}"
    yield f"      Exit Code:\t{ended.get('exitCode', 0)}"
    if ended.get("signal"):
        yield f"      Signal:\t{ended['signal']}"
    yield f"      Started:\t{moment(ended.get('startedAt'))}"
    yield f"      Finished:\t{moment(ended.get('finishedAt'))}"


def resources(given: Json, indent: str) -> Iterator[str]:
    """Limits and requests."""
    for title in ("Limits", "Requests"):
        amounts = given.get(title.lower()) or {}
        if amounts:
            yield f"{indent}{title}:"
        yield from (f"{indent}  {name}:\t{amount}" for name, amount in sorted(amounts.items()))


def _probes(container: Json) -> Iterator[str]:
    for title in ("Liveness", "Readiness", "Startup"):
        if probe := container.get(f"{title.lower()}Probe"):
            yield f"    {title}:\t{probe_text(probe)}"


def probe_text(probe: Json) -> str:
    """A probe in one line."""
    attributes = (
        f"delay={probe.get('initialDelaySeconds', 0)}s timeout={probe.get('timeoutSeconds', 0)}s "
        f"period={probe.get('periodSeconds', 0)}s #success={probe.get('successThreshold', 0)} "
        f"#failure={probe.get('failureThreshold', 0)}"
    )
    if (run := probe.get("exec")) is not None:
        return f"exec [{' '.join(run.get('command') or ())}] {attributes}"
    if (http := probe.get("httpGet")) is not None:
        host = f"{http.get('host', '')}:{http.get('port', '')}"
        path = http.get("path", "")
        path = path if path.startswith("/") or not path else f"/{path}"
        return f"http-get {http.get('scheme', '').lower()}://{host}{path} {attributes}"
    if (tcp := probe.get("tcpSocket")) is not None:
        return f"tcp-socket {tcp.get('host', '')}:{tcp.get('port', '')} {attributes}"
    if (grpc := probe.get("grpc")) is not None:
        return f"grpc <pod>:{grpc.get('port', '')} {grpc.get('service') or ''} {attributes}"
    return f"unknown {attributes}"


def _env_from(container: Json) -> Iterator[str]:
    sources = container.get("envFrom") or []
    if sources:
        yield "    Environment Variables from:"
    for source in sources:
        kind = "ConfigMap" if "configMapRef" in source else "Secret"
        reference = source.get("configMapRef") or source.get("secretRef") or {}
        prefix = f" with prefix '{source['prefix']}'" if source.get("prefix") else ""
        yield f"      {reference.get('name', '')}\t{kind}{prefix}\tOptional: {lower(reference.get('optional'))}"


def _env(container: Json, pod: Json | None) -> Iterator[str]:
    variables = container.get("env") or []
    yield "    Environment:" + ("" if variables else f"\t{NONE}")
    for variable in variables:
        name, source = variable["name"], variable.get("valueFrom")
        if source is not None:
            yield from (f"      {name}:\t{text}" for text in _sourced(source, container, pod))
            continue
        first, *more = (variable.get("value") or "").split("\n")
        yield f"      {name}:\t{first}"
        yield from (f"      \t{line}" for line in more)


def _sourced(source: Json, container: Json, pod: Json | None) -> Iterator[str]:
    if field := source.get("fieldRef"):
        value = pod_field(pod, field.get("fieldPath", "")) if pod is not None else ""
        yield f"{value} ({field.get('apiVersion', '')}:{field.get('fieldPath', '')})"
    elif resource := source.get("resourceFieldRef"):
        yield f"{_amount(resource, container)} ({resource.get('resource', '')})"
    elif secret := source.get("secretKeyRef"):
        name, optional = secret.get("name", ""), lower(secret.get("optional"))
        yield f"<set to the key '{secret.get('key', '')}' in secret '{name}'>\tOptional: {optional}"
    elif config := source.get("configMapKeyRef"):
        name, optional = config.get("name", ""), lower(config.get("optional"))
        yield f"<set to the key '{config.get('key', '')}' of config map '{name}'>\tOptional: {optional}"


def pod_field(pod: Json, path: str) -> str:
    """The value of a downward API field of a pod; empty when it is not there and, as upstream's, for one label."""
    if path == "status.podIPs":
        return ",".join(entry["ip"] for entry in (pod.get("status") or {}).get("podIPs") or ())
    here: Any = pod
    for name in path.split("."):
        here = here.get(name) if isinstance(here, dict) else None
    if isinstance(here, dict):
        return "\n".join(f'{name}="{value}"' for name, value in sorted(here.items()))
    return "" if here is None else str(here)


def _amount(reference: Json, container: Json) -> str:
    section, _, name = str(reference.get("resource", "")).partition(".")
    given = ((container.get("resources") or {}).get(section) or {}).get(name, "0")
    divisor = quantity.parse(reference.get("divisor") or "1") or quantity.parse("1")
    amount = -int(-(quantity.parse(given) / divisor) // 1)
    if amount == 0 and section == "limits" and name in _STANDARD[:2]:
        return "node allocatable"
    return str(amount)


def _mounts(container: Json) -> Iterator[str]:
    mounts = sorted(container.get("volumeMounts") or (), key=lambda mount: str(mount.get("mountPath")))
    yield "    Mounts:" + ("" if mounts else f"\t{NONE}")
    for mount in mounts:
        flags = "ro" if mount.get("readOnly") else "rw"
        flags += f',path="{mount["subPath"]}"' if mount.get("subPath") else ""
        yield f"      {mount.get('mountPath')} from {mount.get('name')} ({flags})"
    devices = sorted(container.get("volumeDevices") or (), key=lambda device: str(device.get("devicePath")))
    if devices:
        yield "    Devices:"
        yield from (f"      {device.get('devicePath')} from {device.get('name')}" for device in devices)
