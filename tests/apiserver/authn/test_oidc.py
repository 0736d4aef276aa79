"""ID tokens, verified against a real HTTPS issuer."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from apiserver.authn.keys import PrivateKey, algorithm_of, jwks, verification_key
from apiserver.authn.oidc import OIDC, Settings
from apiserver.authn.tokens import InvalidToken
from apiserver.request import User
from machinery.aio.clock import FakeClock
from machinery.api import times
from machinery.component import tls
from machinery.component.tls import CertRequest

FIRST, SECOND = rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP256R1())
NOW = int(times.now().timestamp())


class Issuer:
    """Serves a discovery document and keys over TLS, and signs tokens."""

    def __init__(self, folder: Path) -> None:
        self.keys: list[PrivateKey] = [FIRST]
        self.asked = 0
        authority = tls.create_ca("issuer-ca")
        files = tls.issue(authority, CertRequest("localhost", hosts=("localhost",), server=True)).write(
            folder, "issuer"
        )
        self.ca_file = folder / "ca.crt"
        self.ca_file.write_bytes(authority.cert_pem())
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.server.socket = files.server_context().wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}"

    def _handler(issuer) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler has a self of its own
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(issuer.document(self.path)).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                """Nothing."""

        return Handler

    def document(self, path: str) -> Any:
        """What is behind a path."""
        if path == "/.well-known/openid-configuration":
            return {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        self.asked += 1
        return jwks(verification_key(key.public_key()) for key in self.keys)

    def token(self, key: PrivateKey = FIRST, **claims: Any) -> str:
        """A token of this issuer for client `skiff`."""
        standard = {"iss": self.url, "aud": "skiff", "exp": NOW + 600, "sub": "42", "email": "ann@example.com"}
        found = {name: value for name, value in (standard | claims).items() if value is not None}
        key_id = verification_key(key.public_key()).key_id
        return jwt.encode(found, key, algorithm=algorithm_of(key), headers={"kid": key_id})

    def oidc(self, **more: Any) -> OIDC:
        """Who verifies its tokens."""
        defaults: dict[str, Any] = {"algorithms": ("RS256", "ES256"), "ca_file": str(self.ca_file)}
        return OIDC(Settings(self.url, "skiff", **(defaults | more)), FakeClock(start=times.now()))


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    """Running."""
    made = Issuer(tmp_path_factory.mktemp("issuer"))
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("settings", "claims", "user"),
    [
        pytest.param({}, {}, "{issuer}#42", id="subjects-of-two-issuers-differ"),
        pytest.param({"username_prefix": "-"}, {}, "42", id="no-prefix"),
        pytest.param({"username_prefix": "oidc:"}, {}, "oidc:42", id="prefix"),
        pytest.param({"username_claim": "email"}, {}, "ann@example.com", id="email-needs-no-prefix"),
        pytest.param({}, {"aud": ["other", "skiff"]}, "{issuer}#42", id="one-of-several-audiences"),
    ],
)
async def test_claims_make_a_user_name(issuer: Issuer, settings: Any, claims: Any, user: str) -> None:
    found = await issuer.oidc(**settings).verify(issuer.token(**claims))
    assert found is not None
    assert found[0] == User(user.format(issuer=issuer.url))


@pytest.mark.parametrize(
    ("claim", "groups"),
    [(None, ()), ("devs", ("g:devs",)), (["devs", "ops"], ("g:devs", "g:ops"))],
    ids=["none", "text", "list"],
)
async def test_groups_come_from_their_claim(issuer: Issuer, claim: Any, groups: tuple[str, ...]) -> None:
    found = await issuer.oidc(groups_claim="teams", groups_prefix="g:").verify(issuer.token(teams=claim))
    assert found is not None
    assert found[0].groups == groups


@pytest.mark.parametrize(
    ("settings", "claims", "why"),
    [
        pytest.param({}, {"exp": NOW - 1}, "expired", id="expired"),
        pytest.param({}, {"exp": None}, "exp", id="no-expiry"),
        pytest.param({}, {"nbf": NOW + 3600}, "not yet valid", id="not-begun"),
        pytest.param({}, {"aud": "other"}, "[Aa]udience", id="another-client"),
        pytest.param({}, {"sub": None}, "claim not present", id="no-name"),
        pytest.param({"username_claim": "email"}, {"email_verified": False}, "email not verified", id="unverified"),
        pytest.param({"required_claims": {"hd": "example.com"}}, {}, "required claim hd", id="required-claim"),
        pytest.param({"groups_claim": "teams"}, {"teams": 5}, "groups claim", id="odd-groups"),
        pytest.param({"algorithms": ("ES256",)}, {}, "unsupported algorithm", id="algorithm"),
    ],
)
async def test_what_is_wrong_with_a_token_of_the_issuer_is_said(
    issuer: Issuer, settings: Any, claims: Any, why: str
) -> None:
    with pytest.raises(InvalidToken, match=why):
        await issuer.oidc(**settings).verify(issuer.token(**claims))


async def test_another_issuers_token_is_no_opinion(issuer: Issuer) -> None:
    assert await issuer.oidc().verify(issuer.token(iss="https://elsewhere.example")) is None
    assert await issuer.oidc().verify("no.jwt") is None


async def test_a_new_key_is_fetched_and_an_unknown_one_not_again_and_again(issuer: Issuer) -> None:
    verifier = issuer.oidc()
    assert await verifier.verify(issuer.token()) is not None
    issuer.keys.append(SECOND)
    clock = verifier._clock
    assert isinstance(clock, FakeClock)
    await clock.advance(10)
    asked = issuer.asked
    assert await verifier.verify(issuer.token(SECOND)) is not None
    assert issuer.asked == asked + 1
    stranger = ec.generate_private_key(ec.SECP256R1())
    for _ in range(5):
        with pytest.raises(InvalidToken, match="no key"):
            await verifier.verify(issuer.token(stranger))
    assert issuer.asked == asked + 1


async def test_a_key_that_only_claims_the_id_does_not_pass(issuer: Issuer) -> None:
    forged = jwt.encode(
        {"iss": issuer.url, "aud": "skiff", "exp": NOW + 600, "sub": "42"},
        rsa.generate_private_key(65537, 2048),
        algorithm="RS256",
        headers={"kid": verification_key(FIRST.public_key()).key_id},
    )
    with pytest.raises(InvalidToken, match="[Ss]ignature"):
        await issuer.oidc().verify(forged)


async def test_an_issuer_that_cannot_be_reached_is_said_and_tried_again(issuer: Issuer) -> None:
    verifier = issuer.oidc(ca_file="")
    with pytest.raises(InvalidToken, match="not initialized"):
        await verifier.verify(issuer.token())


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (Settings("http://issuer", "skiff"), "must be https"),
        (Settings("https://issuer", ""), "together"),
        (Settings("https://issuer", "skiff", algorithms=("none",)), "unsupported"),
    ],
)
def test_settings_that_are_unsafe_are_refused(settings: Settings, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        OIDC(settings)
