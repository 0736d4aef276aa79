"""What a CertificateSigningRequest asks for and whether its signer may be asked that. Pure readings; nobody signs here.

Upstream: pkg/apis/certificates/helpers.go (ValidateKubeletClientCSR, ValidateKubeletServingCSR),
pkg/controller/certificates/signer/signer.go.
"""

import base64
from collections.abc import Callable
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from machinery.api import meta
from machinery.api.codec import Json

CLIENT: Final = "kubernetes.io/kube-apiserver-client"
KUBELET_CLIENT: Final = "kubernetes.io/kube-apiserver-client-kubelet"
KUBELET_SERVING: Final = "kubernetes.io/kubelet-serving"
LEGACY: Final = "kubernetes.io/legacy-unknown"

NODE_PREFIX: Final = "system:node:"
_CLIENT_USAGES: Final = frozenset(("digital signature", "key encipherment", "client auth"))
_SERVING_USAGES: Final = frozenset(("digital signature", "key encipherment", "server auth"))


def signer_of(csr: Json) -> str:
    """`spec.signerName`."""
    return str((csr.get("spec") or {}).get("signerName") or "")


def usages_of(csr: Json) -> set[str]:
    """`spec.usages`."""
    return set((csr.get("spec") or {}).get("usages") or ())


def has(csr: Json, condition: str) -> bool:
    """Whether it has a condition: Approved, Denied, Failed. They are never anything but true."""
    return meta.find_condition((csr.get("status") or {}).get("conditions"), condition) is not None


def certificate_of(csr: Json) -> bytes:
    """The PEM that was issued; empty: none yet."""
    return base64.b64decode((csr.get("status") or {}).get("certificate") or "")


def request_of(csr: Json) -> x509.CertificateSigningRequest:
    """The request; raises ValueError for one that cannot be read."""
    return x509.load_pem_x509_csr(base64.b64decode((csr.get("spec") or {}).get("request") or ""))


def common_name_of(request: x509.CertificateSigningRequest) -> str:
    """CN of the subject, empty where there is none."""
    names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def problem_of(signer: str, request: x509.CertificateSigningRequest, usages: set[str]) -> str:
    """Why the signer may not sign this; empty: it may."""
    rule = _RULES.get(signer)
    return rule(request, usages) if rule else ""


def _client(request: x509.CertificateSigningRequest, usages: set[str]) -> str:
    if not usages <= _CLIENT_USAGES or "client auth" not in usages:
        return f"invalid usages for client certificate: {', '.join(sorted(usages))}"
    return ""


def _kubelet_client(request: x509.CertificateSigningRequest, usages: set[str]) -> str:
    told = {
        x509.DNSName: "DNS subjectAltNames are not allowed",
        x509.RFC822Name: "email subjectAltNames are not allowed",
        x509.IPAddress: "IP subjectAltNames are not allowed",
        x509.UniformResourceIdentifier: "URI subjectAltNames are not allowed",
    }
    found = [told.get(type(name), "subjectAltNames are not allowed") for name in _alternatives(request)]
    return _of_node(request) or next(iter(found), "") or _usages(usages, _CLIENT_USAGES, "client auth")


def _kubelet_serving(request: x509.CertificateSigningRequest, usages: set[str]) -> str:
    names = _alternatives(request)
    if not any(isinstance(name, x509.DNSName | x509.IPAddress) for name in names):
        return _of_node(request) or "DNS or IP subjectAltName is required"
    if any(not isinstance(name, x509.DNSName | x509.IPAddress) for name in names):
        return "email and URI subjectAltNames are not allowed"
    return _of_node(request) or _usages(usages, _SERVING_USAGES, "server auth")


def _of_node(request: x509.CertificateSigningRequest) -> str:
    organizations = request.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    if [name.value for name in organizations] != ["system:nodes"]:
        return "subject organization is not system:nodes"
    if not common_name_of(request).startswith(NODE_PREFIX):
        return f"subject common name does not begin with {NODE_PREFIX}"
    return ""


def _usages(usages: set[str], allowed: frozenset[str], needed: str) -> str:
    if not usages <= allowed or not {"digital signature", needed} <= usages:
        return f"usages did not match {', '.join(sorted(allowed))}"
    return ""


def _alternatives(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        return [*request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value]
    except x509.ExtensionNotFound:
        return []


_RULES: Final[dict[str, Callable[[x509.CertificateSigningRequest, set[str]], str]]] = {
    CLIENT: _client,
    KUBELET_CLIENT: _kubelet_client,
    KUBELET_SERVING: _kubelet_serving,
    LEGACY: lambda request, usages: "",
}
SIGNERS: Final = frozenset(_RULES)
