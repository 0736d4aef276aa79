"""CertificateApproval, CertificateSigning, CertificateSubjectRestriction, ClusterTrustBundleAttest: who may what.

Upstream: plugin/pkg/admission/certificates. RBAC's rule is about `signers` of certificates.k8s.io: the verb approve,
sign or attest, and the signer's name or `domain/*`.
"""

import base64
import binascii
from typing import ClassVar, Final, Self

from cryptography import x509
from cryptography.x509.oid import NameOID

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin, Tools
from apiserver.admission.reader import Reader
from apiserver.authz import attributes as authz
from apiserver.authz.attributes import Authorizer
from apiserver.authz.authorizer import MASTERS
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind

_CLIENT_SIGNER: Final = "kubernetes.io/kube-apiserver-client"


class _SignerPlugin(Plugin):
    """Asks the authorizer about a signer."""

    verb: ClassVar[str]

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    @classmethod
    def made_with(cls, tools: Tools) -> Self:
        """The authorizer is what it needs."""
        return cls(tools.authorizer)

    def may(self, attributes: Attributes, signer: str) -> bool:
        """Whether the client may do the verb for a signer."""
        return any(
            self._authorizer.decide(
                authz.Attributes(
                    attributes.user,
                    self.verb,
                    group="certificates.k8s.io",
                    version="*",
                    resource="signers",
                    name=name,
                )
            ).allowed
            for name in (signer, f"{signer.partition('/')[0]}/*")
        )


class CertificateApproval(_SignerPlugin):
    """Approving and denying needs the verb approve."""

    name = "CertificateApproval"
    verb = "approve"

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises Forbidden."""
        if not _is_update_of(attributes, "approval"):
            return
        signer = _signer_of(attributes.old)
        if not self.may(attributes, signer):
            raise attributes.forbidden(f'user not permitted to approve requests with signerName "{signer}"')


class CertificateSigning(_SignerPlugin):
    """Giving a certificate, or saying that none will come, needs the verb sign."""

    name = "CertificateSigning"
    verb = "sign"

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises Forbidden."""
        new, old = ((obj or {}).get("status") or {} for obj in (attributes.obj, attributes.old))
        if _is_update_of(attributes, "status"):
            same = new.get("certificate") == old.get("certificate") and _has_failed(new) == _has_failed(old)
        elif _is_update_of(attributes, "status", kinds.POD_CERTIFICATE_REQUESTS):
            same = new.get("certificateChain") == old.get("certificateChain")
        else:
            return
        signer = _signer_of(attributes.old)
        if not same and not self.may(attributes, signer):
            raise attributes.forbidden(f'user not permitted to sign requests with signerName "{signer}"')


class CertificateSubjectRestriction(Plugin):
    """Nobody gets a certificate that makes them a master by asking for one."""

    name = "CertificateSubjectRestriction"

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises Forbidden."""
        if not attributes.is_for(kinds.CERTIFICATE_SIGNING_REQUESTS, Operation.CREATE):
            return
        if _signer_of(attributes.obj) == _CLIENT_SIGNER and MASTERS in _organizations(attributes.obj or {}):
            raise attributes.forbidden(f"use of {_CLIENT_SIGNER} signer with {MASTERS} group is not allowed")


class ClusterTrustBundleAttest(_SignerPlugin):
    """Writing a signer's trust bundle needs the verb attest."""

    name = "ClusterTrustBundleAttest"
    verb = "attest"

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises Forbidden."""
        if not attributes.is_for(kinds.CLUSTER_TRUST_BUNDLES, Operation.CREATE, Operation.UPDATE):
            return
        signers = {_signer_of(obj) for obj in (attributes.obj, attributes.old)} - {""}
        for signer in sorted(signers):
            if not self.may(attributes, signer):
                raise attributes.forbidden(f'user not permitted to attest for signerName "{signer}"')


def _is_update_of(attributes: Attributes, subresource: str, kind: Kind = kinds.CERTIFICATE_SIGNING_REQUESTS) -> bool:
    return (
        attributes.kind == kind and attributes.operation is Operation.UPDATE and attributes.subresource == subresource
    )


def _signer_of(obj: Json | None) -> str:
    return ((obj or {}).get("spec") or {}).get("signerName") or ""


def _has_failed(status: Json) -> bool:
    return any(condition.get("type") == "Failed" for condition in status.get("conditions") or ())


def _organizations(csr: Json) -> list[str]:
    try:
        raw = base64.b64decode((csr.get("spec") or {}).get("request") or "")
        subject = x509.load_pem_x509_csr(raw).subject
    except (ValueError, binascii.Error):
        return []  # validation has its say about that
    return [str(attribute.value) for attribute in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
