"""CustomResourceDefinitions as objects (upstream: apiextensions-apiserver). Serving their kinds is custom's."""

from typing import Final

from apiserver.registry.resource import Resource
from apiserver.registry.strategy import Context
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import CREATED_AT, spec_of, status_of
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import fields
from machinery.api import errors, kinds, meta, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

_SCOPES: Final = ("Cluster", "Namespaced")
_STRATEGIES: Final = ("None", "Webhook")


class CustomResourceDefinitionStrategy(KindStrategy):
    """A kind, its names, its versions with their schemas."""

    namespaced = False
    has_generation = True

    def defaults(self, obj: Json) -> None:
        """Names that follow from the kind; no conversion."""
        spec = obj.setdefault("spec", {})
        wanted = spec.setdefault("names", {})
        kind = wanted.get("kind") or ""
        fill(wanted, {"singular": kind.lower(), "listKind": f"{kind}List" if kind else ""})
        fill(spec.setdefault("conversion", {}), {"strategy": "None"})

    def prepare_for_create(self, obj: Json, context: Context) -> None:
        """The stored version is remembered; the rest of the status is written by who serves it."""
        super().prepare_for_create(obj, context)
        stored = [item.get("name") for item in spec_of(obj).get("versions") or () if item.get("storage")]
        obj["status"] = {"storedVersions": stored}

    def prepare_for_update(self, obj: Json, old: Json, context: Context) -> None:
        """A new stored version joins those that were."""
        super().prepare_for_update(obj, old, context)
        known = status_of(obj).get("storedVersions") or []
        for item in spec_of(obj).get("versions") or ():
            if item.get("storage") and item.get("name") not in known:
                obj["status"] = {**status_of(obj), "storedVersions": [*known, item.get("name")]}

    def check(self, obj: Json) -> list[FieldError]:
        """Group, names, scope, versions."""
        spec = spec_of(obj)
        found: list[FieldError] = []
        group, wanted = spec.get("group") or "", spec.get("names") or {}
        expected = f"{wanted.get('plural') or ''}.{group}"
        if meta.name_of(obj) != expected:
            text = 'must be spec.names.plural+"."+spec.group'
            found.append(errors.invalid_value("metadata.name", meta.name_of(obj), text))
        if not group:
            found.append(errors.required("spec.group", ""))
        elif names.is_dns_subdomain(group) or "." not in group:
            text = "should be a domain with at least one dot"
            found.append(errors.invalid_value("spec.group", group, text))
        found += fields.one_of(spec.get("scope"), _SCOPES, "spec.scope", needed=True)
        found += _names(wanted, "spec.names") + _versions(spec.get("versions") or [], "spec.versions")
        conversion = spec.get("conversion") or {}
        found += fields.one_of(conversion.get("strategy"), _STRATEGIES, "spec.conversion.strategy", needed=True)
        if conversion.get("strategy") == "Webhook" and not (conversion.get("webhook") or {}).get("clientConfig"):
            text = "required when strategy is set to Webhook"
            found.append(errors.required("spec.conversion.webhookClientConfig", text))
        return found

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """Group, scope and names stay while objects may exist; no stored version goes."""
        spec, before = spec_of(obj), spec_of(old)
        found = fields.immutable(spec.get("group"), before.get("group"), "spec.group")
        served = {item.get("name") for item in spec.get("versions") or ()}
        for stored in status_of(old).get("storedVersions") or ():
            if stored not in served:
                text = "must appear in spec.versions"
                place = f"status.storedVersions[{(status_of(old)['storedVersions']).index(stored)}]"
                found.append(errors.invalid_value(place, stored, text))
        found += fields.immutable(spec.get("scope"), before.get("scope"), "spec.scope")
        for name in ("plural", "kind"):
            new, was = (spec.get("names") or {}).get(name), (before.get("names") or {}).get(name)
            found += fields.immutable(new, was, f"spec.names.{name}")
        return found


def _names(wanted: Json, path: str) -> list[FieldError]:
    found: list[FieldError] = []
    for name in ("plural", "singular", "kind", "listKind"):
        value = wanted.get(name) or ""
        if not value and name in ("plural", "kind"):
            found.append(errors.required(f"{path}.{name}", ""))
        elif value:
            found += fields.satisfies(value.lower(), f"{path}.{name}", names.is_dns1035_label)
    for value, place in fields.each(wanted.get("shortNames"), f"{path}.shortNames"):
        found += fields.satisfies(value, place, names.is_dns1035_label)
    for value, place in fields.each(wanted.get("categories"), f"{path}.categories"):
        found += fields.satisfies(value, place, names.is_dns1035_label)
    if wanted.get("kind") and wanted.get("kind") == wanted.get("listKind"):
        text = "kind and listKind may not be the same"
        found.append(errors.invalid_value(f"{path}.listKind", wanted["listKind"], text))
    return found


def _versions(versions: list[Json], path: str) -> list[FieldError]:
    found: list[FieldError] = []
    listed = fields.each(versions, path)
    stored = [item for item in versions if item.get("storage")]
    if len(stored) != 1:
        text = "must have exactly one version marked as storage version"
        found.append(errors.invalid_value(path, versions, text))
    found += fields.unique((item.get("name"), f"{place}.name") for item, place in listed)
    for item, place in listed:
        found += fields.satisfies(item.get("name") or "", f"{place}.name", names.is_dns1035_label)
        schema = (item.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            found.append(errors.required(f"{place}.schema.openAPIV3Schema", "schemas are required"))
        elif schema.get("type") != "object":
            text = 'must be "object" at the root' if schema.get("type") else "must not be empty at the root"
            where = f"{place}.schema.openAPIV3Schema.type"
            found.append(
                errors.invalid_value(where, schema["type"], text)
                if schema.get("type")
                else errors.required(where, text)
            )
    return found


CUSTOM_RESOURCE_DEFINITIONS: Final = Resource(
    kind=kinds.CUSTOM_RESOURCE_DEFINITIONS,
    key="apiextensions.k8s.io/customresourcedefinitions",
    strategy=CustomResourceDefinitionStrategy(),
    short_names=("crd", "crds"),
    categories=("api-extensions",),
    columns=(CREATED_AT,),
    subresources=("status",),
)
