"""Bootstrap tokens: `ID.SECRET` of a Secret in kube-system, and what is signed with one for machines that are to join.

Upstream: k8s.io/cluster-bootstrap/token (api, jws), pkg/controller/bootstrap (KEP-130).
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import string
from datetime import datetime
from typing import Final

from machinery.api import codec, times
from machinery.api.codec import Json

SECRET_TYPE: Final = "bootstrap.kubernetes.io/token"
NAMESPACE: Final = "kube-system"
SECRET_PREFIX: Final = "bootstrap-token-"
TOKEN: Final = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})")
#: the ConfigMap of kube-public by which a machine finds its cluster, and the keys of its signatures
CLUSTER_INFO: Final = "cluster-info"
CLUSTER_INFO_NAMESPACE: Final = "kube-public"
KUBECONFIG_KEY: Final = "kubeconfig"
SIGNATURE_PREFIX: Final = "jws-kubeconfig-"
_ALPHABET: Final = string.ascii_lowercase + string.digits


def generate() -> str:
    """A new token."""
    id_, secret = ("".join(secrets.choice(_ALPHABET) for _ in range(length)) for length in (6, 16))
    return f"{id_}.{secret}"


def texts_of(secret: Json) -> dict[str, str]:
    """A Secret's data as text; what is no text is left out."""
    texts: dict[str, str] = {}
    for key, value in (secret.get("data") or {}).items():
        try:
            texts[key] = base64.b64decode(value).decode()
        except (binascii.Error, UnicodeDecodeError):  # not one of the fields that are looked at
            continue
    return texts


def expiration_of(data: dict[str, str]) -> datetime | None:
    """When a token ends, None: never; raises ValueError for what is no time."""
    text = data.get("expiration", "")
    return times.parse(text) if text else None


def is_expired(data: dict[str, str], now: datetime) -> bool:
    """Whether the time in `expiration` has come; one that cannot be read has."""
    try:
        end = expiration_of(data)
    except ValueError:
        return True
    return end is not None and end <= now


def sign(content: str, token_id: str, token_secret: str) -> str:
    """A detached JWS (HS256) of a text: whoever knows the token can tell that it is from somebody who does, too."""
    header = _encoded(codec.dumps({"alg": "HS256", "kid": token_id}))
    signed = f"{header}.{_encoded(content.encode())}".encode()
    return f"{header}..{_encoded(hmac.new(token_secret.encode(), signed, hashlib.sha256).digest())}"


def is_signed(content: str, signature: str, token_id: str, token_secret: str) -> bool:
    """Whether a detached JWS is one of this text by this token."""
    return hmac.compare_digest(signature.encode(), sign(content, token_id, token_secret).encode())


def _encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
