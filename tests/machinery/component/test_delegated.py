"""Who may read what at a component's own port, by what the API server says."""

import tracemalloc
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from machinery.aio.clock import FakeClock
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.client.rest import ConnectionProblem
from machinery.component.delegated import (
    ANONYMOUS,
    CERTIFICATE,
    Delegation,
    DelegationFlags,
    Guard,
    Reviews,
    delegation,
    user_of_certificate,
)

SUBJECT = ((("commonName", "ann"),), (("organizationName", "ops"),))


class Server:
    """An API server that knows one token, and that `ann` and `token` may read /metrics."""

    def __init__(self) -> None:
        self.asked = 0
        self.problem: Exception | None = None

    async def create(self, kind: Kind, obj: Json) -> Json:
        """Reviews."""
        self.asked += 1
        if self.problem is not None:
            raise self.problem
        spec = obj["spec"]
        if kind == kinds.TOKEN_REVIEWS:
            user = {"username": "token", "groups": ["system:authenticated"]}
            return {"status": {"authenticated": True, "user": user} if spec["token"] == "good" else {}}
        wanted = spec["nonResourceAttributes"] == {"path": "/metrics", "verb": "get"}
        return {"status": {"allowed": wanted and spec["user"] in ("ann", "token")}}

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Json:
        """The authorities of client certificates."""
        if self.problem is not None:
            raise self.problem
        assert (kind, name, namespace) == (kinds.CONFIG_MAPS, "extension-apiserver-authentication", "kube-system")
        return {"data": {"client-ca-file": "PEM"}}


def guarded(server: Any, clock: FakeClock | None = None) -> Guard:
    """A server with two pages."""

    async def page(request: Request) -> Response:
        return PlainTextResponse("read")

    app = Starlette(routes=[Route(path, page, methods=["GET", "POST"]) for path in ("/metrics", "/healthz", "/debug")])
    return Guard(app, Delegation(Reviews(server, clock or FakeClock()), open_paths=frozenset({"/healthz"})))


async def ask(guard: Guard, path: str, token: str = "", certificate: Any = None, method: str = "GET") -> httpx.Response:
    """What somebody gets."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await guard({**scope, "extensions": {CERTIFICATE: certificate}}, receive, send)

    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        return await client.request(method, path, headers=headers)


@pytest.mark.parametrize(
    ("path", "more", "status", "said"),
    [
        pytest.param("/healthz", {}, 200, "read", id="anybodys"),
        pytest.param("/metrics", {}, 403, 'User \\"system:anonymous\\" cannot get path \\"/metrics\\"', id="anonymous"),
        pytest.param("/metrics", {"token": "good"}, 200, "read", id="token"),
        pytest.param("/metrics", {"token": "bad"}, 401, "Unauthorized", id="nobodys-token"),
        pytest.param("/metrics", {"certificate": {"subject": SUBJECT}}, 200, "read", id="certificate"),
        pytest.param("/metrics", {"token": "good", "method": "POST"}, 403, "cannot post path", id="another-verb"),
        pytest.param("/debug", {"token": "good"}, 403, "cannot get path", id="another-path"),
        pytest.param("/metrics/", {}, 403, "cannot get path", id="with-a-slash"),
        pytest.param("/met%09rics", {"token": "good"}, 403, "cannot get path", id="what-urls-leave-out"),
        pytest.param("//healthz", {}, 403, "cannot get path", id="two-slashes"),
    ],
)
async def test_who_may_read_what(path: str, more: dict[str, Any], status: int, said: str) -> None:
    answer = await ask(guarded(Server()), path, **more)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text


async def test_answers_are_remembered_for_a_while() -> None:
    server, clock = Server(), FakeClock()
    guard = guarded(server, clock)
    for _ in range(3):
        await ask(guard, "/metrics", "good")
    assert server.asked == 2
    await clock.advance(301)
    await ask(guard, "/metrics", "good")
    assert server.asked == 4


async def test_long_questions_are_not_kept() -> None:
    """Nobody has to say who he is to ask for a path."""
    server: Any = Server()
    reviews = Reviews(server, FakeClock())
    tracemalloc.start()
    try:
        for number in range(20):
            path = f"/{number}/" + "x" * 50_000
            assert not await reviews.may(ANONYMOUS, {"nonResourceAttributes": {"path": path, "verb": "get"}})
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 500_000


@pytest.mark.parametrize("problem", [ConnectionProblem("refused"), errors.ServiceUnavailable("not now", {})])
async def test_an_api_server_that_is_away_lets_nobody_in(problem: Exception) -> None:
    server = Server()
    server.problem = problem
    assert (await ask(guarded(server), "/metrics")).status_code == 500
    assert (await ask(guarded(server), "/healthz")).status_code == 200


async def test_whose_certificates_count() -> None:
    server: Any = Server()
    assert (await delegation(DelegationFlags(), server)).authorities == "PEM"
    server.problem = ConnectionProblem("refused")
    assert (await delegation(DelegationFlags(), server)).authorities == ""


def test_a_certificate_without_a_name_is_nobodys() -> None:
    assert user_of_certificate({}) is None
