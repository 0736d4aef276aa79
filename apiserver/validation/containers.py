"""Containers of a pod (upstream: validateContainers, validateInitContainers, validateContainerCommon)."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from apiserver.validation import (
    compute_resources,
    fields,
    handlers,
    mounts,
    pod_claims,
    references,
    resize_policy,
    restarts,
    security,
    volume_devices,
)
from machinery.api import errors, names, pods
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_PROTOCOLS: Final = ("SCTP", "TCP", "UDP")
_PULL_POLICIES: Final = ("Always", "IfNotPresent", "Never")
_MESSAGE_POLICIES: Final = ("FallbackToLogsOnError", "File")
_INIT_TEXT: Final = "may not be set for init containers without restartPolicy=Always"
_EPHEMERAL: Final = "cannot be set for an Ephemeral Container"
#: what fundamental services of a pod need, which an ephemeral container is not to be
_NOT_EPHEMERAL: Final = (
    *("lifecycle", "livenessProbe", "ports", "readinessProbe", "resizePolicy", "resources", "restartPolicy"),
    *("restartPolicyRules", "startupProbe"),
)


def check(spec: Json, path: str) -> list[FieldError]:
    """All containers of a pod spec."""
    containers, inits = spec.get("containers"), spec.get("initContainers")
    volumes = {volume.get("name"): volume for volume in spec.get("volumes") or ()}
    found: list[FieldError] = [] if containers else [errors.required(f"{path}.containers")]
    for container, at in fields.each(containers, f"{path}.containers"):
        found += _container(container, at, spec, volumes)
        found += _running(container, at, spec)
        found += restarts.check(container, at)
    for container, at in fields.each(inits, f"{path}.initContainers"):
        found += _container(container, at, spec, volumes)
        found += _init(container, at, spec)
    everyone = [*fields.each(containers, f"{path}.containers"), *fields.each(inits, f"{path}.initContainers")]
    found += fields.unique((container.get("name"), f"{at}.name") for container, at in everyone)
    found += _host_ports(fields.each(containers, f"{path}.containers"), host_network=bool(spec.get("hostNetwork")))
    return found


def ephemeral(spec: Json, path: str) -> list[FieldError]:
    """The ephemeral containers of a pod spec (upstream: validateEphemeralContainers)."""
    volumes = {volume.get("name"): volume for volume in spec.get("volumes") or ()}
    targets = {container.get("name") for container in spec.get("containers") or ()}
    taken = targets | {container.get("name") for container in spec.get("initContainers") or ()}
    found: list[FieldError] = []
    for container, at in fields.each(spec.get("ephemeralContainers"), f"{path}.ephemeralContainers"):
        found += _container(container, at, spec, volumes)
        name = container.get("name")
        if name and name in taken:
            found.append(errors.duplicate(f"{at}.name", name))
        taken.add(name)
        target = container.get("targetContainerName")
        if target and target not in targets:
            found.append(errors.not_found_value(f"{at}.targetContainerName", target))
        found += [
            errors.forbidden_field(f"{at}.{field}", _EPHEMERAL) for field in _NOT_EPHEMERAL if container.get(field)
        ]
        for mount, mount_at in fields.each(container.get("volumeMounts"), f"{at}.volumeMounts"):
            for field in ("subPath", "subPathExpr"):
                if mount.get(field):
                    found.append(errors.forbidden_field(f"{mount_at}.{field}", _EPHEMERAL))
    return found


def _container(container: Json, path: str, spec: Json, volumes: Mapping[Any, Json]) -> list[FieldError]:
    name, image = container.get("name") or "", container.get("image") or ""
    found = fields.dns_label(name, f"{path}.name") if name else [errors.required(f"{path}.name")]
    if not image:
        found.append(errors.required(f"{path}.image"))
    elif image != image.strip():
        found.append(errors.invalid_value(f"{path}.image", image, "must not have leading or trailing whitespace"))
    found += fields.one_of(container.get("imagePullPolicy"), _PULL_POLICIES, f"{path}.imagePullPolicy", needed=True)
    policy = container.get("terminationMessagePolicy")
    found += fields.one_of(policy, _MESSAGE_POLICIES, f"{path}.terminationMessagePolicy", needed=True)
    found += _ports(container.get("ports"), f"{path}.ports")
    found += _environment(container.get("env"), f"{path}.env", volumes)
    found += _env_from(container.get("envFrom"), f"{path}.envFrom")
    found += mounts.check(container, path, volumes)
    if container.get("volumeDevices"):
        found += volume_devices.check(container, path, volumes)
        if spec.get("hostUsers") is False:
            found.append(errors.forbidden_field(f"{path}.volumeDevices", "when `hostUsers` is false"))
    resources = container.get("resources") or {}
    found += compute_resources.check(resources, f"{path}.resources")
    if resources.get("claims"):
        found += pod_claims.named(resources["claims"], spec.get("resourceClaims"), f"{path}.resources.claims")
    if container.get("resizePolicy"):
        found += resize_policy.check(container["resizePolicy"], f"{path}.resizePolicy", spec.get("restartPolicy"))
    return found + security.container(container.get("securityContext"), f"{path}.securityContext", spec)


def _running(container: Json, path: str, spec: Json) -> list[FieldError]:
    """What only containers that keep running have."""
    found = handlers.lifecycle(container.get("lifecycle"), f"{path}.lifecycle", spec)
    found += handlers.probe(container.get("livenessProbe"), f"{path}.livenessProbe", once=True)
    found += handlers.probe(container.get("readinessProbe"), f"{path}.readinessProbe")
    readiness = container.get("readinessProbe") or {}
    if readiness.get("terminationGracePeriodSeconds") is not None:
        text = "must not be set for readinessProbes"
        at = f"{path}.readinessProbe.terminationGracePeriodSeconds"
        found.append(errors.invalid_value(at, readiness["terminationGracePeriodSeconds"], text))
    return found + handlers.probe(container.get("startupProbe"), f"{path}.startupProbe", once=True)


def _init(container: Json, path: str, spec: Json) -> list[FieldError]:
    found = restarts.check(container, path)
    if pods.is_sidecar(container):
        return found + _running(container, path, spec)
    if container.get("resizePolicy"):
        found += resize_policy.of_init(container["resizePolicy"], f"{path}.resizePolicy")
    forbidden = ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")
    return found + [
        errors.forbidden_field(f"{path}.{name}", _INIT_TEXT) for name in forbidden if container.get(name) is not None
    ]


def _ports(ports: list[Json] | None, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for port, at in fields.each(ports, path):
        if port.get("name"):
            found += fields.satisfies(port["name"], f"{at}.name", fields.is_port_name)
        if not port.get("containerPort"):
            found.append(errors.required(f"{at}.containerPort"))
        else:
            found += fields.port_number(port["containerPort"], f"{at}.containerPort")
        if port.get("hostPort"):
            found += fields.port_number(port["hostPort"], f"{at}.hostPort")
        found += fields.one_of(port.get("protocol"), _PROTOCOLS, f"{at}.protocol", needed=True)
    return found + fields.unique((port.get("name"), f"{at}.name") for port, at in fields.each(ports, path))


def _host_ports(containers: Iterable[tuple[Json, str]], *, host_network: bool) -> list[FieldError]:
    """Host ports are taken once per pod; on the host's network they are the container's ports."""
    ports = [item for container, path in containers for item in fields.each(container.get("ports"), f"{path}.ports")]
    taken = [(port, path) for port, path in ports if port.get("hostPort")]
    found = fields.unique(
        (f"{port.get('protocol')}/{port.get('hostIP') or ''}/{port['hostPort']}", f"{path}.hostPort")
        for port, path in taken
    )
    if not host_network:
        return found
    text = "must match `hostPort` when `hostNetwork` is true"
    return found + [
        errors.invalid_value(f"{path}.containerPort", port.get("containerPort"), text)
        for port, path in ports
        if port.get("hostPort") != port.get("containerPort")
    ]


def _environment(variables: list[Json] | None, path: str, volumes: Mapping[Any, Json]) -> list[FieldError]:
    """Environment variables: a name, and a value or where it comes from."""
    found: list[FieldError] = []
    for variable, at in fields.each(variables, path):
        name = variable.get("name") or ""
        if not name:
            found.append(errors.required(f"{at}.name"))
        elif names.is_relaxed_env_var_name(name):
            found += fields.satisfies(name, f"{at}.name", names.is_relaxed_env_var_name)
        source = variable.get("valueFrom")
        if source is not None:
            found += _value_from(variable, source, f"{at}.valueFrom")
            if source.get("fileKeyRef") is not None:
                found += references.file_volume(source["fileKeyRef"], f"{at}.valueFrom.fileKeyRef", volumes)
    return found


_SOURCES: Final = {
    "fieldRef": references.env_field,
    "resourceFieldRef": references.resource_field,
    "configMapKeyRef": references.key_selector,
    "secretKeyRef": references.key_selector,
    "fileKeyRef": references.file_key,
}
_NO_SOURCE: Final = (
    "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
)


def _value_from(variable: Json, source: Json, path: str) -> list[FieldError]:
    chosen = [name for name, value in source.items() if value is not None]
    if not chosen:
        return [errors.invalid_value(path, "", _NO_SOURCE)]
    found: list[FieldError] = []
    if variable.get("value"):
        found.append(errors.invalid_value(path, "", "may not be specified when `value` is not empty"))
    if len(chosen) > 1:
        return [*found, errors.invalid_value(path, "", "may not have more than one field specified at a time")]
    check_source = _SOURCES.get(chosen[0])
    return found + (check_source(source[chosen[0]], f"{path}.{chosen[0]}") if check_source else [])


def _env_from(sources: list[Json] | None, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for source, at in fields.each(sources, path):
        if source.get("prefix"):
            found += fields.satisfies(source["prefix"], f"{at}.prefix", names.is_relaxed_env_var_name)
        chosen = [name for name in ("configMapRef", "secretRef") if source.get(name) is not None]
        if not chosen:
            found.append(errors.invalid_value(at, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(chosen) > 1:
            found.append(errors.invalid_value(at, "", "may not have more than one field specified at a time"))
        elif not source[chosen[0]].get("name"):
            found.append(errors.required(f"{at}.{chosen[0]}.name"))
    return found
