"""Users that an authenticating proxy names in headers, believed when its certificate is of the proxies' own CA.

Upstream: apiserver/pkg/authentication/request/headerrequest/requestheader.go. TLS has verified the certificate against
all client CAs together; which of them signed it is looked up here.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from apiserver.request import User

_REMEMBERED: Final = 1024
Headers = Iterable[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Settings:
    """The --requestheader-… flags."""

    ca_file: str
    allowed_names: Sequence[str] = ()
    username_headers: Sequence[str] = ()
    uid_headers: Sequence[str] = ()
    group_headers: Sequence[str] = ()
    extra_prefixes: Sequence[str] = ()


class FrontProxy:
    """Reads the headers of a proxy; and says whether a certificate is a proxy's and nobody else's."""

    def __init__(self, settings: Settings, client_ca: bytes = b"") -> None:
        self._settings = settings
        self._authorities = x509.load_pem_x509_certificates(Path(settings.ca_file).read_bytes())
        clients = set(x509.load_pem_x509_certificates(client_ca)) if client_ca else set()
        #: a CA that is both the proxies' and the clients' makes its certificates good for both
        self._shared = any(authority in clients for authority in self._authorities)
        self._is_of_proxy = lru_cache(_REMEMBERED)(self._signed_by_ours)

    def is_proxy_only(self, der: bytes) -> bool:
        """Whether a certificate must not count as a client's own."""
        return not self._shared and self._is_of_proxy(der)

    def user_of(self, certificate: Mapping[str, Any], der: bytes, headers: Headers) -> User | None:
        """The user a proxy speaks for; None where no proxy speaks or it names nobody."""
        names = self._settings.allowed_names
        if names and common_name(certificate) not in names:
            return None
        if not self._is_of_proxy(der):
            return None
        return user_of(headers, self._settings)

    def _signed_by_ours(self, der: bytes) -> bool:
        certificate = x509.load_der_x509_certificate(der)
        return any(_signed(certificate, authority) for authority in self._authorities)


def user_of(headers: Headers, settings: Settings) -> User | None:
    """The user in the headers: the first user name; all groups; extras by their prefix."""
    present = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
    name = _first(present, settings.username_headers)
    if not name:
        return None
    groups = [value for header in settings.group_headers for value in _values(present, header) if value]
    extra: dict[str, list[str]] = {}
    for prefix in settings.extra_prefixes:
        for header, value in present:
            if header.startswith(prefix.lower()):
                extra.setdefault(unquote(header[len(prefix) :]), []).append(value)
    return User(name, _first(present, settings.uid_headers), tuple(groups), extra)


def common_name(certificate: Mapping[str, Any]) -> str:
    """The CN of a certificate in ssl's dict form."""
    names = [value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"]
    return names[-1] if names else ""


def _values(present: Sequence[tuple[str, str]], header: str) -> list[str]:
    return [value for name, value in present if name == header.lower()]


def _first(present: Sequence[tuple[str, str]], headers: Sequence[str]) -> str:
    """The first header that has a value wins; of a repeated one its first value counts."""
    return next((values[0] for header in headers if (values := _values(present, header)) and values[0]), "")


def _signed(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
