"""Which certificates may speak for others, and what their headers mean."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from apiserver.authn.authenticator import Authenticator
from apiserver.authn.front_proxy import FrontProxy, Settings
from apiserver.request import User
from machinery.api import errors
from machinery.component import tls
from machinery.component.tls import CertRequest, KeyPair

PROXY_CA, CLIENT_CA = tls.create_ca("front-proxy-ca"), tls.create_ca("client-ca")
HEADERS = [
    (b"x-remote-user", b"ann"),
    (b"X-Remote-Group", b"devs"),
    (b"x-remote-group", b"ops"),
    (b"x-remote-uid", b"u-1"),
    (b"X-Remote-Extra-example.com%2Fscope", b"read"),
]


def settings(folder: Path, **more: Any) -> Settings:
    """Upstream's usual header names."""
    (folder / "proxy.crt").write_bytes(PROXY_CA.cert_pem())
    return Settings(
        str(folder / "proxy.crt"),
        username_headers=["X-Remote-User"],
        uid_headers=["X-Remote-Uid"],
        group_headers=["X-Remote-Group"],
        extra_prefixes=["X-Remote-Extra-"],
        **more,
    )


def certificate(authority: KeyPair, name: str) -> tuple[Mapping[str, Any], bytes]:
    """A client certificate in ssl's dict form and as DER."""
    pair = tls.issue(authority, CertRequest(name, client=True))
    return {"subject": ((("commonName", name),),)}, pair.certificate.public_bytes(Encoding.DER)


async def test_a_proxy_names_user_groups_and_extras(tmp_path: Path) -> None:
    authenticator = Authenticator(front_proxy=FrontProxy(settings(tmp_path), CLIENT_CA.cert_pem()))
    user = await authenticator.authenticate(certificate(PROXY_CA, "aggregator"), None, HEADERS)
    assert user == User("ann", "u-1", ("devs", "ops", "system:authenticated"), {"example.com/scope": ["read"]})


async def test_another_clients_headers_are_not_believed(tmp_path: Path) -> None:
    authenticator = Authenticator(front_proxy=FrontProxy(settings(tmp_path), CLIENT_CA.cert_pem()))
    user = await authenticator.authenticate(certificate(CLIENT_CA, "eve"), None, HEADERS)
    assert (user.name, user.groups) == ("eve", ("system:authenticated",))


async def test_a_proxys_certificate_is_no_clients(tmp_path: Path) -> None:
    authenticator = Authenticator(front_proxy=FrontProxy(settings(tmp_path), CLIENT_CA.cert_pem()), anonymous=False)
    with pytest.raises(errors.Unauthorized):
        await authenticator.authenticate(certificate(PROXY_CA, "system:admin"), None, ())


async def test_only_the_allowed_names_are_proxies(tmp_path: Path) -> None:
    proxy = FrontProxy(settings(tmp_path, allowed_names=["aggregator"]), CLIENT_CA.cert_pem())
    assert proxy.user_of(*certificate(PROXY_CA, "aggregator"), HEADERS) is not None
    assert proxy.user_of(*certificate(PROXY_CA, "somebody"), HEADERS) is None


async def test_an_empty_name_names_nobody(tmp_path: Path) -> None:
    proxy = FrontProxy(settings(tmp_path), CLIENT_CA.cert_pem())
    assert proxy.user_of(*certificate(PROXY_CA, "aggregator"), [(b"x-remote-user", b"")]) is None


async def test_one_authority_for_both_makes_its_certificates_good_for_both(tmp_path: Path) -> None:
    authenticator = Authenticator(front_proxy=FrontProxy(settings(tmp_path), PROXY_CA.cert_pem()))
    assert (await authenticator.authenticate(certificate(PROXY_CA, "bob"), None, ())).name == "bob"
