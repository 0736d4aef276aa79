"""Bootstrap tokens: which Secrets make one good."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.authn.bootstrap import BootstrapTokens
from machinery.aio.clock import FakeClock
from machinery.api import kinds
from machinery.api.bootstrap_tokens import SECRET_TYPE
from machinery.api.codec import Json
from machinery.api.kinds import Kind

TOKEN = "abcdef.0123456789abcdef"
GOOD = {"token-id": "abcdef", "token-secret": "0123456789abcdef", "usage-bootstrap-authentication": "true"}


def secret(data: Mapping[str, str], **more: Any) -> Json:
    """A Secret of the token's name."""
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return {"metadata": {"name": "bootstrap-token-abcdef"}, "type": SECRET_TYPE, "data": encoded} | more


def tokens(found: Json | None) -> BootstrapTokens:
    """Over a cache with one Secret."""

    def lookup(kind: Kind, namespace: str, name: str) -> Json | None:
        asked = (kind, namespace, name) == (kinds.SECRETS, "kube-system", "bootstrap-token-abcdef")
        return found if asked else None

    return BootstrapTokens(lookup, ["api"], FakeClock(start=datetime(2026, 1, 1, tzinfo=UTC)))


async def test_a_token_is_a_user_of_its_own_in_the_bootstrappers() -> None:
    extra = {"auth-extra-groups": "system:bootstrappers:workers,system:bootstrappers:kubeadm:default-node-token"}
    found = await tokens(secret(GOOD | extra | {"expiration": "2026-01-01T00:00:01Z"})).verify(TOKEN)
    assert found is not None
    user, audiences = found
    assert user.name == "system:bootstrap:abcdef"
    assert user.groups == (
        "system:bootstrappers",
        "system:bootstrappers:kubeadm:default-node-token",
        "system:bootstrappers:workers",
    )
    assert audiences == ["api"]


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(None, id="no-secret"),
        pytest.param(secret(GOOD, type="Opaque"), id="another-type"),
        pytest.param(secret(GOOD | {"token-secret": "0123456789abcdeX"}), id="another-secret"),
        pytest.param(secret(GOOD | {"token-id": "abcdeg"}), id="another-id"),
        pytest.param(secret(GOOD | {"expiration": "2025-12-31T23:59:59Z"}), id="expired"),
        pytest.param(secret(GOOD | {"expiration": "soon"}), id="expiry-unreadable"),
        pytest.param(secret(GOOD | {"usage-bootstrap-authentication": "yes"}), id="not-for-authentication"),
        pytest.param(secret(GOOD | {"auth-extra-groups": "system:masters"}), id="a-group-out-of-bounds"),
        pytest.param(
            secret(GOOD) | {"metadata": {"name": "x", "deletionTimestamp": "2026-01-01T00:00:00Z"}}, id="being-deleted"
        ),
    ],
)
async def test_what_makes_no_good_token_is_nobody(found: Json | None) -> None:
    assert await tokens(found).verify(TOKEN) is None


@pytest.mark.parametrize("token", ["abcdef", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef0", "abcdef/x.y"])
async def test_what_does_not_look_like_one_is_not_looked_up(token: str) -> None:
    assert await tokens(secret(GOOD)).verify(token) is None
