"""Which credentials count, and what happens without or with bad ones."""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

import pytest

from apiserver.authn.authenticator import Authenticator
from apiserver.authn.token_file import TokenFile
from apiserver.filters.authentication import AuthenticationFilter
from apiserver.filters.exchange import Scope
from apiserver.request import User
from machinery.api import errors
from tests.apiserver.filters.chain import End, drop, nothing, scope_of

CERTIFICATE = {"subject": ((("organizationName", "devs"),), (("organizationName", "ops"),), (("commonName", "ann"),))}
TOKENS = {"t0ken": User("bob", "7", ("team",))}


class _Peer:
    def client_certificate(self) -> tuple[Mapping[str, Any], bytes] | None:
        return CERTIFICATE, b"der"


async def user_of(scope: Scope, **options: Any) -> User:
    """Who gets through the filter."""
    end = End()
    await AuthenticationFilter(end, Authenticator([TokenFile(TOKENS)], **options))(scope, nothing, drop)
    return end.reached[0].user


async def test_a_certificate_is_a_user_with_groups() -> None:
    user = await user_of(scope_of("GET", "/api", skiff=_Peer()))
    assert (user.name, user.groups) == ("ann", ("devs", "ops", "system:authenticated"))


async def test_a_certificate_comes_before_a_token() -> None:
    scope = scope_of("GET", "/api", ("authorization", "Bearer t0ken"), skiff=_Peer())
    assert (await user_of(scope)).name == "ann"


async def test_a_static_token_is_a_user() -> None:
    user = await user_of(scope_of("GET", "/api", ("authorization", "bearer  t0ken ")))
    assert user == User("bob", "7", ("team", "system:authenticated"))


async def test_a_websocket_may_carry_its_token_as_a_protocol() -> None:
    encoded = urlsafe_b64encode(b"t0ken").rstrip(b"=").decode()
    protocols = f"v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.{encoded}"
    assert (await user_of(scope_of("GET", "/api", ("sec-websocket-protocol", protocols)))).name == "bob"


async def test_without_credentials_it_is_anonymous() -> None:
    user = await user_of(scope_of("GET", "/api"))
    assert (user.name, user.groups) == ("system:anonymous", ("system:unauthenticated",))


@pytest.mark.parametrize(
    ("headers", "anonymous"),
    [
        pytest.param([("authorization", "Bearer wrong")], True, id="unknown-token"),
        pytest.param([("authorization", "Bearer ")], True, id="empty-token"),
        pytest.param([], False, id="anonymous-is-off"),
        pytest.param(
            [("sec-websocket-protocol", "base64url.bearer.authorization.k8s.io.!!!!!")], True, id="broken-protocol"
        ),
    ],
)
async def test_the_rest_is_401(headers: list[tuple[str, str]], anonymous: bool) -> None:
    with pytest.raises(errors.Unauthorized) as problem:
        await user_of(scope_of("GET", "/api", *headers), anonymous=anonymous)
    assert problem.value.message == "Unauthorized"
