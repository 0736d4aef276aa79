"""Ingresses (upstream: pkg/registry/networking/ingress, pkg/apis/networking/validation)."""

import re
from typing import Any, Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, NONE, spec_of, status_of
from apiserver.validation import fields
from machinery.api import errors, kinds, meta, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

CLASS_ANNOTATION: Final = "kubernetes.io/ingress.class"
_PATH_TYPES: Final = ("Exact", "ImplementationSpecific", "Prefix")
_BAD_SEQUENCES: Final = ("//", "/./", "/../", "%2f", "%2F")
_BAD_ENDINGS: Final = ("/..", "/.")
_WILDCARD: Final = re.compile(r"\*\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_HOSTS_SHOWN: Final = 3


class IngressStrategy(KindStrategy):
    """Rules from hosts and paths to Services."""

    has_generation = True

    def check(self, obj: Json) -> list[FieldError]:
        """A rule or a default backend; the class is named once."""
        spec = spec_of(obj)
        found: list[FieldError] = []
        if not spec.get("rules") and spec.get("defaultBackend") is None:
            found.append(
                errors.invalid_value(
                    "spec", spec.get("rules") or [], "either `defaultBackend` or `rules` must be specified"
                )
            )
        for entry, path in fields.each(spec.get("tls"), "spec.tls"):
            found += _tls(entry, path)
        if spec.get("defaultBackend") is not None:
            found += _backend(spec["defaultBackend"], "spec.defaultBackend")
        for rule, path in fields.each(spec.get("rules"), "spec.rules"):
            found += _rule(rule, path)
        name = spec.get("ingressClassName")
        if name is not None:
            found += fields.satisfies(name, "spec.ingressClassName", names.is_dns_subdomain)
        return found + _one_class(obj)

    def warnings(self, obj: Json, old: Json | None) -> list[str]:
        """The annotation that came before the field."""
        if old is None and CLASS_ANNOTATION in meta.annotations_of(obj):
            return [f"annotation \"{CLASS_ANNOTATION}\" is deprecated, please use 'spec.ingressClassName' instead"]
        return []


def _one_class(obj: Json) -> list[FieldError]:
    annotation, name = meta.annotations_of(obj).get(CLASS_ANNOTATION), spec_of(obj).get("ingressClassName")
    if annotation is not None and name is not None and annotation != name:
        text = "can not be set when the class field is also set with a different value"
        return [errors.invalid_value("metadata.annotations[kubernetes.io/ingress.class]", annotation, text)]
    return []


def _tls(entry: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for host, place in fields.each(entry.get("hosts"), f"{path}.hosts"):
        found += _host(host, place)
    if entry.get("secretName"):
        found += fields.satisfies(entry["secretName"], f"{path}.secretName", names.is_dns_subdomain)
    return found


def _host(host: str, path: str) -> list[FieldError]:
    if "*" not in host:
        return fields.satisfies(host, path, names.is_dns_subdomain)
    if _WILDCARD.fullmatch(host):
        return []
    text = (
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of "
        "lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', "
        "regex used for validation is '\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
    )
    return [errors.invalid_value(path, host, text)]


def _rule(rule: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    host = rule.get("host") or ""
    if host:
        if _is_ip(host):
            found.append(errors.invalid_value(f"{path}.host", host, "must be a DNS name, not an IP address"))
        else:
            found += _host(host, f"{path}.host")
    http = rule.get("http")
    if http is None:
        return found
    if not http.get("paths"):
        found.append(errors.required(f"{path}.http.paths", ""))
    for item, place in fields.each(http.get("paths"), f"{path}.http.paths"):
        found += _path(item, place)
    return found


def _is_ip(host: str) -> bool:
    return not fields.ip_address(host, "")


def _path(item: Json, path: str) -> list[FieldError]:
    kind, text = item.get("pathType"), item.get("path") or ""
    if not kind:
        return [errors.required(f"{path}.pathType", "pathType must be specified")]
    found: list[FieldError] = []
    if kind not in _PATH_TYPES:
        found.append(errors.not_supported(f"{path}.pathType", kind, _PATH_TYPES))
    elif kind == "ImplementationSpecific":
        if text and not text.startswith("/"):
            found.append(errors.invalid_value(f"{path}.path", text, "must be an absolute path"))
    else:
        found += _plain_path(text, f"{path}.path")
    return found + _backend(item.get("backend") or {}, f"{path}.backend")


def _plain_path(text: str, path: str) -> list[FieldError]:
    if not text.startswith("/"):
        return [errors.invalid_value(path, text, "must be an absolute path")]
    found = [errors.invalid_value(path, text, f"must not contain '{part}'") for part in _BAD_SEQUENCES if part in text]
    found += [
        errors.invalid_value(path, text, f"cannot end with '{part}'") for part in _BAD_ENDINGS if text.endswith(part)
    ]
    return found


def _backend(backend: Json, path: str) -> list[FieldError]:
    service, resource = backend.get("service"), backend.get("resource")
    if service is not None and resource is not None:
        return [errors.invalid_value(path, "", "cannot set both resource and service backends")]
    if resource is not None:
        return [] if resource.get("kind") and resource.get("name") else [errors.required(f"{path}.resource.kind")]
    if not (service or {}).get("name"):
        return [errors.required(f"{path}.service.name", "")]
    service = service or {}
    found = fields.satisfies(service["name"], f"{path}.service.name", names.is_dns1035_label)
    port: dict[str, Any] = service.get("port") or {}
    if port.get("name") and port.get("number"):
        text = "cannot set both port name & port number"
        return [*found, errors.invalid_value(f"{path}", "", text)]
    if port.get("name"):
        return found + fields.satisfies(port["name"], f"{path}.service.port.name", fields.is_port_name)
    if port.get("number"):
        return found + fields.port_number(port["number"], f"{path}.service.port.number")
    return [*found, errors.required(path, "port name or number is required")]


def _hosts(ingress: Json) -> str:
    hosts = [rule["host"] for rule in spec_of(ingress).get("rules") or () if rule.get("host")]
    if not hosts:
        return "*"
    more = f" + {len(hosts) - _HOSTS_SHOWN} more..." if len(hosts) > _HOSTS_SHOWN else ""
    return ",".join(hosts[:_HOSTS_SHOWN]) + more


def _address(ingress: Json) -> str:
    points = (status_of(ingress).get("loadBalancer") or {}).get("ingress") or ()
    return ",".join(point.get("ip") or point.get("hostname") or "" for point in points)


INGRESSES: Final = Resource(
    kind=kinds.INGRESSES,
    key="ingress",
    strategy=IngressStrategy(),
    short_names=("ing",),
    columns=(
        Column(
            "Class",
            lambda ing: spec_of(ing).get("ingressClassName") or meta.annotations_of(ing).get(CLASS_ANNOTATION) or NONE,
        ),  # noqa: E501
        Column("Hosts", _hosts),
        Column("Address", _address),
        Column("Ports", lambda ing: "80, 443" if spec_of(ing).get("tls") else "80"),
        AGE,
    ),
    subresources=("status",),
)
