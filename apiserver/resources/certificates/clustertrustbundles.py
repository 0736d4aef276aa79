"""ClusterTrustBundles (KEP-3257; upstream: pkg/registry/certificates/clustertrustbundle, validation)."""

from typing import Final

from cryptography import x509

from apiserver.registry.resource import Column, Resource
from apiserver.resources.base import KindStrategy
from apiserver.resources.columns import AGE, spec_of
from apiserver.validation import fields, signers
from machinery.api import errors, kinds, meta, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError


class ClusterTrustBundleStrategy(KindStrategy):
    """Authorities, of a signer or of nobody."""

    namespaced = False

    def name_check(self, name: str) -> list[str]:
        """Names of a signer's bundles begin with it, a colon for its slash."""
        return names.is_dns_subdomain(name.rpartition(":")[2]) if ":" in name else names.is_dns_subdomain(name)

    def check(self, obj: Json) -> list[FieldError]:
        """Certificates; a name that fits the signer."""
        signer, name = spec_of(obj).get("signerName") or "", meta.name_of(obj)
        found: list[FieldError] = []
        if signer:
            found += signers.name(signer, "spec.signerName")
            prefix = signer.replace("/", ":") + ":"
            if not name.startswith(prefix):
                text = f"ClusterTrustBundle for signerName {signer} must be named with prefix {prefix}"
                found.append(errors.invalid_value("metadata.name", name, text))
        elif ":" in name:
            found.append(errors.invalid_value("metadata.name", name, signers.UNSIGNED_BUNDLE))
        return found + _bundle(spec_of(obj).get("trustBundle") or "")

    def check_update(self, obj: Json, old: Json) -> list[FieldError]:
        """The signer stays."""
        return fields.immutable(spec_of(obj).get("signerName"), spec_of(old).get("signerName"), "spec.signerName")


def _bundle(text: str) -> list[FieldError]:
    try:
        found = x509.load_pem_x509_certificates(text.encode())
    except ValueError:
        found = []
    if not found:
        return [
            errors.invalid_value("spec.trustBundle", "<value omitted>", "at least one trust anchor must be provided")
        ]
    return []


CLUSTER_TRUST_BUNDLES: Final = Resource(
    kind=kinds.CLUSTER_TRUST_BUNDLES,
    key="clustertrustbundles",
    strategy=ClusterTrustBundleStrategy(),
    columns=(Column("SignerName", lambda obj: spec_of(obj).get("signerName") or "<none>"), AGE),
    fields={"spec.signerName": lambda obj: spec_of(obj).get("signerName") or ""},
)
