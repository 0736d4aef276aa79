"""Who may approve, sign and attest, and whose certificates nobody gets."""

import base64
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Plugin
from apiserver.admission.signers import (
    CertificateApproval,
    CertificateSigning,
    CertificateSubjectRestriction,
    ClusterTrustBundleAttest,
)
from apiserver.authz import attributes as authz
from apiserver.authz.attributes import ALLOW, NO_OPINION, Decision
from apiserver.request import ANONYMOUS
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.fakes.reader import NoObjects

SIGNER = "example.com/web"


class Allows:
    """An authorizer that allows some verbs for some signers."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self.pairs = pairs

    def decide(self, attributes: authz.Attributes) -> Decision:
        """By verb and name; only questions about signers count."""
        assert (attributes.group, attributes.resource) == ("certificates.k8s.io", "signers")
        return ALLOW if (attributes.verb, attributes.name) in self.pairs else NO_OPINION


def _csr(status: Json | None = None, signer: str = SIGNER, request: str = "") -> Json:
    return {"metadata": {"name": "r"}, "spec": {"signerName": signer, "request": request}, "status": status or {}}


def _attributes(subresource: str, obj: Json, old: Json | None = None, kind: Kind | None = None) -> Attributes:
    operation = Operation.UPDATE if old is not None else Operation.CREATE
    chosen = kind or kinds.CERTIFICATE_SIGNING_REQUESTS
    return Attributes(operation, chosen, ANONYMOUS, "", "r", subresource, obj=obj, old=old)


APPROVED: Json = {"conditions": [{"type": "Approved", "status": "True"}]}
FAILED: Json = {"conditions": [{"type": "Failed", "status": "True"}]}
SIGNED: Json = {"certificate": "abc"}


@pytest.mark.parametrize(
    ("plugin", "attributes", "verb", "refusal"),
    [
        pytest.param(
            CertificateApproval,
            _attributes("approval", _csr(APPROVED), _csr()),
            "approve",
            f'user not permitted to approve requests with signerName "{SIGNER}"',
            id="approve",
        ),
        pytest.param(
            CertificateSigning,
            _attributes("status", _csr(SIGNED), _csr()),
            "sign",
            f'user not permitted to sign requests with signerName "{SIGNER}"',
            id="sign",
        ),
        pytest.param(
            CertificateSigning,
            _attributes("status", _csr(FAILED), _csr()),
            "sign",
            f'user not permitted to sign requests with signerName "{SIGNER}"',
            id="fail",
        ),
        pytest.param(
            CertificateSigning,
            _attributes("status", _csr({"certificateChain": "abc"}), _csr(), kinds.POD_CERTIFICATE_REQUESTS),
            "sign",
            f'user not permitted to sign requests with signerName "{SIGNER}"',
            id="sign-a-pods",
        ),
        pytest.param(
            ClusterTrustBundleAttest,
            _attributes("", _csr(), kind=kinds.CLUSTER_TRUST_BUNDLES),
            "attest",
            f'user not permitted to attest for signerName "{SIGNER}"',
            id="attest",
        ),
    ],
)
async def test_it_needs_the_verb_for_the_signer_or_its_domain(
    plugin: Any, attributes: Attributes, verb: str, refusal: str
) -> None:
    with pytest.raises(errors.Forbidden) as problem:
        await plugin(Allows((verb, "example.com/other"), ("other", SIGNER))).validate(attributes, NoObjects())
    assert problem.value.message.endswith(refusal)
    for name in (SIGNER, "example.com/*"):
        await plugin(Allows((verb, name))).validate(attributes, NoObjects())


async def test_a_status_that_neither_signs_nor_fails_is_anybodys() -> None:
    attributes = _attributes("status", _csr({**SIGNED, "conditions": []}), _csr(SIGNED))
    await CertificateSigning(Allows()).validate(attributes, NoObjects())


def _request(*organizations: str) -> str:
    names = [x509.NameAttribute(NameOID.COMMON_NAME, "jane")]
    names += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, name) for name in organizations]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return base64.b64encode(signed.public_bytes(serialization.Encoding.PEM)).decode()


async def test_nobody_asks_to_be_a_master() -> None:
    plugin: Plugin = CertificateSubjectRestriction()
    client = "kubernetes.io/kube-apiserver-client"
    request = _request("developers", "system:masters")
    with pytest.raises(errors.Forbidden, match="signer with system:masters group is not allowed"):
        await plugin.validate(_attributes("", _csr(signer=client, request=request)), NoObjects())
    await plugin.validate(_attributes("", _csr(signer=client, request=_request("developers"))), NoObjects())
    await plugin.validate(_attributes("", _csr(signer=SIGNER, request=request)), NoObjects())
