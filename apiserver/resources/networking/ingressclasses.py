"""IngressClasses (upstream: pkg/registry/networking/ingressclass)."""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, NONE, spec_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import fields
from machinery.api import errors, kinds, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_SCOPES: Final = ("Cluster", "Namespace")
_LONGEST_CONTROLLER: Final = 250


class IngressClassStrategy(KindStrategy):
    """Who implements ingresses, and with which parameters."""

    namespaced = False
    has_generation = True

    def defaults(self, obj: Json) -> None:
        """Parameters are the cluster's."""
        parameters = obj.setdefault("spec", {}).get("parameters")
        if parameters:
            fill(parameters, {"scope": "Cluster"})

    def check(self, obj: Json) -> list[FieldError]:
        """A controller with a domain, complete parameters."""
        spec = spec_of(obj)
        found: list[FieldError] = []
        controller = spec.get("controller") or ""
        if len(controller) > _LONGEST_CONTROLLER:
            found.append(errors.too_long("spec.controller", _LONGEST_CONTROLLER))
        found += _domain_path(controller, "spec.controller")
        parameters = spec.get("parameters")
        return found + (_parameters(parameters, "spec.parameters") if parameters else [])

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """The controller stays."""
        return fields.immutable(spec_of(obj).get("controller"), spec_of(old).get("controller"), "spec.controller")


def _domain_path(value: str, path: str) -> list[FieldError]:
    if not value:
        return [errors.required(path, "")]
    domain, slash, rest = value.partition("/")
    if not slash or not domain or not rest:
        text = 'must be a domain-prefixed path (such as "acme.io/foo")'
        return [errors.invalid_value(path, value, text)]
    return fields.satisfies(domain, path, names.is_dns_subdomain)


def _parameters(parameters: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for name in ("kind", "name"):
        if not parameters.get(name):
            found.append(errors.required(f"{path}.{name}", f"{name} is required"))
    scope, namespace = parameters.get("scope"), parameters.get("namespace")
    if scope not in _SCOPES:
        found.append(errors.not_supported(f"{path}.scope", scope, _SCOPES))
    elif scope == "Namespace" and not namespace:
        text = "parameters.scope is set to 'Namespace'"
        found.append(errors.required(f"{path}.namespace", text))
    elif scope == "Cluster" and namespace is not None:
        text = "parameters.scope is set to 'Cluster'"
        found.append(errors.forbidden_field(f"{path}.namespace", text))
    return found


def _shown(ingress_class: Json) -> str:
    parameters = spec_of(ingress_class).get("parameters")
    if not parameters:
        return NONE
    group = f".{parameters['apiGroup']}" if parameters.get("apiGroup") else ""
    return f"{parameters.get('kind')}{group}/{parameters.get('name')}"


INGRESS_CLASSES: Final = Resource(
    kind=kinds.INGRESS_CLASSES,
    key="ingressclasses",
    strategy=IngressClassStrategy(),
    columns=(
        Column("Controller", lambda item: spec_of(item).get("controller") or ""),
        Column("Parameters", _shown),
        AGE,
    ),
)
