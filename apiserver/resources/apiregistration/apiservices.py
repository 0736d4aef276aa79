"""APIServices as objects (upstream: kube-aggregator, pkg/apis/apiregistration). Proxying to them is custom's.

Each group and version that is served here has one too, without a Service: `Local`, made at start.
"""

from typing import Final

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of, status_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import fields
from machinery.api import errors, kinds, meta, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class APIServiceStrategy(KindStrategy):
    """A group and version, and who serves it."""

    namespaced = False
    drops_status = True

    def defaults(self, obj: Json) -> None:
        """Services listen on 443."""
        service = obj.setdefault("spec", {}).get("service")
        if service:
            fill(service, {"port": 443})

    def name_check(self, name: str) -> list[str]:
        """Whatever can be part of a path: the core group's is called `v1.`."""
        return []

    def check(self, obj: Json) -> list[FieldError]:
        """A name that says group and version; priorities; a complete Service."""
        spec = spec_of(obj)
        group, version = spec.get("group") or "", spec.get("version") or ""
        found: list[FieldError] = []
        if meta.name_of(obj) != f"{version}.{group}":
            text = f'must be `spec.version+"."+spec.group`: "{version}.{group}"'
            found.append(errors.invalid_value("metadata.name", meta.name_of(obj), text))
        if group:
            found += fields.satisfies(group, "spec.group", names.is_dns_subdomain)
        found += fields.satisfies(version, "spec.version", names.is_dns1035_label)
        for name, most in (("groupPriorityMinimum", 20000), ("versionPriority", 1000)):
            value = spec.get(name) or 0
            if not 0 < value <= most:
                found.append(errors.invalid_value(f"spec.{name}", value, f"must be positive and less than {most}"))
        service = spec.get("service")
        if service is None:
            if spec.get("caBundle"):
                found.append(
                    errors.invalid_value("spec.caBundle", "<bytes>", "local APIServices may not have a caBundle")
                )
            if spec.get("insecureSkipTLSVerify"):
                text = "local APIServices may not have insecureSkipTLSVerify"
                found.append(errors.invalid_value("spec.insecureSkipTLSVerify", True, text))
            return found
        found += [
            errors.required(f"spec.service.{name}", "") for name in ("namespace", "name") if not service.get(name)
        ]
        if spec.get("insecureSkipTLSVerify") and spec.get("caBundle"):
            text = "may not be true if caBundle is present"
            found.append(errors.invalid_value("spec.insecureSkipTLSVerify", True, text))
        return found


def _service(obj: Json) -> str:
    service = spec_of(obj).get("service")
    return f"{service.get('namespace')}/{service.get('name')}" if service else "Local"


def _available(obj: Json) -> str:
    for condition in status_of(obj).get("conditions") or ():
        if condition.get("type") == "Available":
            reason = f" ({condition.get('reason')})" if condition.get("status") != "True" else ""
            return f"{condition.get('status')}{reason}"
    return "Unknown"


API_SERVICES: Final = Resource(
    kind=kinds.API_SERVICES,
    key="apiregistration.k8s.io/apiservices",
    strategy=APIServiceStrategy(),
    categories=("api-extensions",),
    columns=(Column("Service", _service), Column("Available", _available), AGE),
    subresources=("status",),
)
