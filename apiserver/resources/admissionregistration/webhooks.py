"""What the two kinds of webhook configurations share (upstream: pkg/apis/admissionregistration)."""

from typing import Any, Final
from urllib.parse import urlsplit

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE
from apiserver.resources.core.pods.defaults import fill
from apiserver.validation import fields, selectors
from machinery.api import errors, lazy, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError
from machinery.api.kinds import Kind

_EXPRESSIONS: Final = "apiserver.validation.expressions"  # which brings CEL along
FAILURE_POLICIES: Final = ("Fail", "Ignore")
MATCH_POLICIES: Final = ("Equivalent", "Exact")
OPERATIONS: Final = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
SCOPES: Final = ("*", "Cluster", "Namespaced")
_SIDE_EFFECTS: Final = ("None", "NoneOnDryRun")
_VERSIONS: Final = ("v1", "v1beta1")
_LONGEST_WAIT: Final = 30


class WebhookConfigurationStrategy(KindStrategy):
    """A list of webhooks, each with a name of its own."""

    namespaced = False
    has_generation = True

    def defaults(self, obj: Json) -> None:
        """Failing calls refuse, equivalent requests match, ten seconds."""
        for webhook in obj.get("webhooks") or ():
            fill(webhook, {"failurePolicy": "Fail", "matchPolicy": "Equivalent", "timeoutSeconds": 10})
            fill(webhook, {"namespaceSelector": {}, "objectSelector": {}})
            fill(webhook, self.webhook_defaults())
            service = (webhook.get("clientConfig") or {}).get("service")
            if service:
                fill(service, {"port": 443})
            for rule in webhook.get("rules") or ():
                fill(rule, {"scope": "*"})

    def webhook_defaults(self) -> Json:
        """What a kind adds."""
        return {}

    def check(self, obj: Json) -> list[FieldError]:
        """Each webhook, names once."""
        webhooks = fields.each(obj.get("webhooks"), "webhooks")
        found = fields.unique((item.get("name"), f"{path}.name") for item, path in webhooks)
        for item, path in webhooks:
            found += _webhook(item, path)
        return found


def _webhook(webhook: Json, path: str) -> list[FieldError]:
    found = fully_qualified(webhook.get("name") or "", f"{path}.name")
    for rule, place in fields.each(webhook.get("rules"), f"{path}.rules"):
        found += check_rule(rule, place)
    found += fields.one_of(webhook.get("failurePolicy"), FAILURE_POLICIES, f"{path}.failurePolicy")
    found += fields.one_of(webhook.get("matchPolicy"), MATCH_POLICIES, f"{path}.matchPolicy")
    effects = webhook.get("sideEffects")
    if effects is None:
        found.append(errors.required(f"{path}.sideEffects", "must specify one of None, NoneOnDryRun"))
    elif effects not in _SIDE_EFFECTS:
        found.append(errors.not_supported(f"{path}.sideEffects", effects, _SIDE_EFFECTS))
    seconds = webhook.get("timeoutSeconds")
    if seconds is not None and not 1 <= seconds <= _LONGEST_WAIT:
        text = "the timeout value must be between 1 and 30 seconds"
        found.append(errors.invalid_value(f"{path}.timeoutSeconds", seconds, text))
    for name in ("namespaceSelector", "objectSelector"):
        found += selectors.label_selector(webhook.get(name), f"{path}.{name}")
    versions = webhook.get("admissionReviewVersions") or []
    if not versions:
        text = f"must specify one of {', '.join(_VERSIONS)}"
        found.append(errors.required(f"{path}.admissionReviewVersions", text))
    elif not set(versions) & set(_VERSIONS):
        text = f"must include at least one of {', '.join(_VERSIONS)}"
        found.append(errors.invalid_value(f"{path}.admissionReviewVersions", versions, text))
    if conditions := webhook.get("matchConditions"):
        found += lazy.load(_EXPRESSIONS).of_conditions(conditions, f"{path}.matchConditions")
    return found + client_config(webhook.get("clientConfig") or {}, f"{path}.clientConfig")


def client_config(config: Json, path: str) -> list[FieldError]:
    """A URL or a Service."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        return [errors.required(path, "exactly one of url or service is required")]
    return _url(url, f"{path}.url") if url is not None else _service(service or {}, f"{path}.service")


def _url(url: str, path: str) -> list[FieldError]:
    form, parts = "; desired format: https://host[/path]", urlsplit(url)
    found: list[FieldError] = []
    if parts.scheme != "https":
        text = f"'https' is the only allowed URL scheme{form}"
        found.append(errors.invalid_value(path, parts.scheme, text))
    if not parts.netloc:
        found.append(errors.invalid_value(path, parts.netloc, f"host must be specified{form}"))
    if parts.username:
        text = "user information is not permitted in the URL"
        found.append(errors.invalid_value(path, parts.username, text))
    if parts.fragment:
        found.append(errors.invalid_value(path, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        found.append(errors.invalid_value(path, parts.query, "query parameters are not permitted in the URL"))
    return found


def _service(service: Json, path: str) -> list[FieldError]:
    found = [
        errors.required(f"{path}.{name}", f"service {name} is required")
        for name in ("name", "namespace")
        if not service.get(name)
    ]
    port: Any = service.get("port", 443)
    if not 1 <= port <= 65535:
        found.append(errors.invalid_value(f"{path}.port", port, f"port is not valid: {fields.PORT_TEXT}"))
    if service.get("path") and not service["path"].startswith("/"):
        found.append(errors.invalid_value(f"{path}.path", service["path"], "must start with a '/'"))
    return found


def check_rule(rule: Json, path: str) -> list[FieldError]:
    """Groups, versions, resources, operations and scope."""
    found: list[FieldError] = []
    for name in ("apiGroups", "apiVersions", "resources", "operations"):
        values = rule.get(name) or []
        if not values:
            found.append(errors.required(f"{path}.{name}", ""))
        if "*" in values and len(values) > 1 and name != "resources":
            text = f"if '*' is present, must not specify other {_WORDS[name]}"
            found.append(errors.invalid_value(f"{path}.{name}", values, text))
    for operation, place in fields.each(rule.get("operations"), f"{path}.operations"):
        if operation not in OPERATIONS:
            found.append(errors.not_supported(place, operation, OPERATIONS))
    return found + fields.one_of(rule.get("scope"), SCOPES, f"{path}.scope")


_WORDS: Final = {"apiGroups": "API groups", "apiVersions": "API versions", "operations": "operations"}


def fully_qualified(name: str, path: str) -> list[FieldError]:
    """A domain of three parts at least."""
    if not name:
        return [errors.required(path, "")]
    found = fields.satisfies(name, path, names.is_dns_subdomain)
    if not found and name.count(".") < 2:
        text = "should be a domain with at least three segments separated by dots"
        found.append(errors.invalid_value(path, name, text))
    return found


def configuration(kind: Kind, strategy: WebhookConfigurationStrategy) -> Resource:
    """The row of one of the two kinds."""
    return Resource(
        kind=kind,
        key=kind.plural,
        strategy=strategy,
        columns=(Column("Webhooks", lambda obj: len(obj.get("webhooks") or ()), type="integer"), AGE),
        categories=("api-extensions",),
    )
