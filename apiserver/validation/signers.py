"""Names of signers and what hangs on them (upstream: pkg/apis/core/validation/names.go)."""

from typing import Final

from apiserver.validation import fields, metadata
from machinery.api import errors, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError

MOST_SECONDS: Final = 91 * 24 * 60 * 60
KUBERNETES_MOST_SECONDS: Final = 24 * 60 * 60
LEAST_SECONDS: Final = 60 * 60
UNSIGNED_BUNDLE: Final = 'ClusterTrustBundle without signer name must not have ":" in its name'
_LONGEST_DOMAIN: Final = 253
_LONGEST_NAME: Final = 571  # a domain, a slash, a namespace, a dot and a resource's name
_NO_PATH: Final = "must be a fully qualified domain and path of the form 'example.com/signer-name'"
_NO_KEY: Final = 'must be a domain-prefixed key (such as "acme.io/foo")'


def name(value: str, path: str) -> list[FieldError]:
    """`domain/name` (upstream: ValidateSignerName)."""
    if not value:
        return [errors.required(path)]
    domain, slash, rest = value.partition("/")
    if not slash or "/" in rest:
        return [errors.invalid_value(path, value, _NO_PATH)]
    found: list[FieldError] = []
    if len(domain) > _LONGEST_DOMAIN:
        found.append(errors.too_long(path, _LONGEST_DOMAIN))
    found += _labels(domain, path, names.is_dns_label)
    if "." not in domain:
        text = "should be a domain with at least two segments separated by dots"
        found.append(errors.invalid_value(path, domain, text))
    found += _labels(rest, path, names.is_dns_subdomain)
    return found if len(value) <= _LONGEST_NAME else [*found, errors.too_long(path, _LONGEST_NAME)]


def _labels(value: str, path: str, check: fields.Check) -> list[FieldError]:
    """The complaints about the first part that there are any about."""
    for label in value.split("."):
        problems = check(label)
        if problems:
            texts = [f'validating label "{label}": {text}' for text in problems]
            return [errors.invalid_value(path, value, text) for text in texts]
    return []


def most_seconds(signer: str) -> int:
    """How long a certificate of a signer may be good for."""
    domain = signer.partition("/")[0]
    is_own = domain == "kubernetes.io" or domain.endswith(".kubernetes.io")
    return KUBERNETES_MOST_SECONDS if is_own else MOST_SECONDS


def bundle_name(value: str) -> list[str]:
    """Complaints about a ClusterTrustBundle's name, whosever it is (upstream: ValidateClusterTrustBundleName)."""
    signer, colon, rest = value.rpartition(":")
    return [UNSIGNED_BUNDLE] if colon and not signer else names.is_dns_subdomain(rest)


def user_annotations(values: Json | None, path: str) -> list[FieldError]:
    """What a pod tells its signer: keys have a domain (upstream: ValidateUserAnnotations)."""
    found: list[FieldError] = []
    for key in map(str.lower, values or ()):
        problems = fields.qualified_name(key, path) if key else [errors.required(path)]
        if not problems and "/" not in key:
            problems = [errors.invalid_value(path, key, _NO_KEY)]
        found += problems
    return found + metadata.annotations_size(values, path)
