"""Service-account tokens: whose they are, and when they stop being good."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from apiserver.authn.authenticator import REMEMBER_SECONDS, Authenticator
from apiserver.authn.keys import PrivateKey, jwks, verification_key
from apiserver.authn.service_accounts import Binding, Lifetime, Signer, Verifier
from apiserver.authn.tokens import InvalidToken
from machinery.aio.clock import FakeClock
from machinery.api import errors, kinds, times
from machinery.api.codec import Json
from machinery.api.kinds import Kind

ISSUER = "https://issuer.example"
EC_KEY = ec.generate_private_key(ec.SECP256R1())
NOW = int(times.now().timestamp())
HOUR = Lifetime(NOW, NOW + 3600)


def named(name: str, uid: str, namespace: str = "ns", **metadata: str) -> Json:
    """An object that is only metadata."""
    return {"metadata": {"name": name, "namespace": namespace, "uid": uid, **metadata}}


ACCOUNT, POD, NODE = named("robot", "a-1"), named("web", "p-1"), named("n1", "n-1", "")


class World:
    """What the cache has."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Kind, str, str], Json] = {
            (kinds.SERVICE_ACCOUNTS, "ns", "robot"): ACCOUNT,
            (kinds.PODS, "ns", "web"): POD,
        }

    def lookup(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """One object."""
        return self.objects.get((kind, namespace, name))


def verifier(world: World, key: PrivateKey = EC_KEY) -> Verifier:
    """Who verifies with the key."""
    return Verifier([verification_key(key.public_key())], [ISSUER], [ISSUER], world.lookup)


async def test_a_token_tells_account_pod_and_node() -> None:
    token = Signer(EC_KEY, ISSUER).sign(Binding(ACCOUNT, pod=POD, node=NODE), [ISSUER], HOUR)
    found = await verifier(World()).verify(token)
    assert found is not None
    user, audiences = found
    assert (user.name, user.uid) == ("system:serviceaccount:ns:robot", "a-1")
    assert user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns")
    assert user.extra["authentication.kubernetes.io/pod-name"] == ["web"]
    assert user.extra["authentication.kubernetes.io/pod-uid"] == ["p-1"]
    assert user.extra["authentication.kubernetes.io/node-name"] == ["n1"]
    assert user.extra["authentication.kubernetes.io/credential-id"][0].startswith("JTI=")
    assert audiences == [ISSUER]


@pytest.mark.parametrize("key", [EC_KEY, rsa.generate_private_key(65537, 2048)], ids=["ES256", "RS256"])
def test_the_published_key_verifies(key: PrivateKey) -> None:
    token = Signer(key, ISSUER).sign(Binding(ACCOUNT), ["x"], HOUR)
    published = jwks([verification_key(key.public_key())])["keys"][0]
    assert jwt.get_unverified_header(token)["kid"] == published["kid"]
    assert jwt.decode(token, jwt.PyJWK(published).key, [published["alg"]], audience="x")["iss"] == ISSUER


def remove_account(world: World) -> None:
    del world.objects[kinds.SERVICE_ACCOUNTS, "ns", "robot"]


def replace_account(world: World) -> None:
    world.objects[kinds.SERVICE_ACCOUNTS, "ns", "robot"] = named("robot", "a-2")


def remove_pod(world: World) -> None:
    del world.objects[kinds.PODS, "ns", "web"]


def end_pod(world: World) -> None:
    long_ago = times.rfc3339(times.now() - timedelta(minutes=5))
    world.objects[kinds.PODS, "ns", "web"] = named("web", "p-1", deletionTimestamp=long_ago)


@pytest.mark.parametrize("change", [remove_account, replace_account, remove_pod, end_pod])
async def test_a_token_dies_with_what_it_is_bound_to(change: Callable[[World], None]) -> None:
    world = World()
    token = Signer(EC_KEY, ISSUER).sign(Binding(ACCOUNT, pod=POD), [ISSUER], HOUR)
    assert await verifier(world).verify(token) is not None
    change(world)
    with pytest.raises(InvalidToken):
        await verifier(world).verify(token)


@pytest.mark.parametrize(
    ("signer", "audience", "life"),
    [
        pytest.param(Signer(EC_KEY, ISSUER), "somebody else", HOUR, id="another-audience"),
        pytest.param(Signer(EC_KEY, ISSUER), ISSUER, Lifetime(NOW - 7200, NOW - 3600), id="expired"),
        pytest.param(Signer(ec.generate_private_key(ec.SECP256R1()), ISSUER), ISSUER, HOUR, id="another-key"),
    ],
)
async def test_what_is_not_for_us_is_refused(signer: Signer, audience: str, life: Lifetime) -> None:
    with pytest.raises(InvalidToken):
        await verifier(World()).verify(signer.sign(Binding(ACCOUNT), [audience], life))


@pytest.mark.parametrize(
    "token", ["", "x", "a.b.c", Signer(EC_KEY, "https://other").sign(Binding(ACCOUNT), ["x"], HOUR)]
)
async def test_what_does_not_claim_to_be_ours_is_no_opinion(token: str) -> None:
    assert await verifier(World()).verify(token) is None


async def test_an_unsigned_token_is_refused() -> None:
    claims: dict[str, Any] = {"iss": ISSUER, "sub": "system:serviceaccount:ns:robot", "aud": [ISSUER]}
    with pytest.raises(InvalidToken):
        await verifier(World()).verify(jwt.encode(claims, "", algorithm="none"))


async def test_a_good_answer_is_remembered_for_a_while_and_a_bad_one_is_not() -> None:
    world, clock = World(), FakeClock()
    authenticator = Authenticator([verifier(world)], clock=clock)
    token = Signer(EC_KEY, ISSUER).sign(Binding(ACCOUNT, pod=POD), [ISSUER], HOUR)
    assert (await authenticator.authenticate(None, token)).name == "system:serviceaccount:ns:robot"
    remove_pod(world)
    assert (await authenticator.authenticate(None, token)).name == "system:serviceaccount:ns:robot"
    await clock.advance(REMEMBER_SECONDS + 1)
    with pytest.raises(errors.Unauthorized):
        await authenticator.authenticate(None, token)
    world.objects[kinds.PODS, "ns", "web"] = POD
    assert "system:authenticated" in (await authenticator.authenticate(None, token)).groups
