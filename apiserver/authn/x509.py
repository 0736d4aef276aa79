"""A verified client certificate as a user: the common name, and the organizations as groups. TLS verified it before."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from apiserver.request import User

CREDENTIAL_ID: Final = "authentication.kubernetes.io/credential-id"


def user_of(certificate: Mapping[str, Any], der: bytes) -> User | None:
    """The user of a certificate in ssl's dict form; None without a common name (upstream: CommonNameUserConversion)."""
    name, groups = "", []
    for part in certificate.get("subject", ()):
        for key, value in part:
            if key == "commonName":
                name = value
            elif key == "organizationName":
                groups.append(value)
    if not name:
        return None
    return User(name, groups=tuple(groups), extra={CREDENTIAL_ID: [f"X509SHA256={sha256(der).hexdigest()}"]})
