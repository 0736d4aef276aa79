"""The proxy's /healthz and /livez, and its /metrics and /proxyMode. Checks of single services are not here."""

import json
from collections.abc import Callable
from datetime import datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from machinery.aio.clock import Clock
from machinery.component import metrics


class Health:
    """Healthy while no change has waited longer than `timeout` seconds for the rules to follow it.

    Upstream: pkg/proxy/healthcheck/proxy_health.go. A node that is about to go fails /healthz, so that load balancers
    leave it, and not /livez, so that nobody restarts the proxy for it.
    """

    def __init__(self, clock: Clock, timeout: float) -> None:
        self._clock = clock
        self._timeout = timeout
        self._waiting_since: datetime | None = None
        self._last_updated = clock.now()
        self.eligible = True

    def queued(self) -> None:
        """A change waits for the rules to follow it."""
        if self._waiting_since is None:
            self._waiting_since = self._clock.now()

    def updated(self) -> None:
        """The rules are as the objects say."""
        self._waiting_since = None
        self._last_updated = self._clock.now()

    def is_healthy(self) -> bool:
        """Whether the rules follow the objects."""
        waiting = self._waiting_since
        return waiting is None or (self._clock.now() - waiting).total_seconds() < self._timeout

    def report(self, *, with_eligibility: bool) -> tuple[int, str]:
        """Status code and body, as upstream writes them."""
        healthy = self.is_healthy()
        now = self._clock.now()
        body: dict[str, object] = {
            "lastUpdated": _stamp(now if healthy else self._last_updated),
            "currentTime": _stamp(now),
        }
        if with_eligibility:
            body["nodeEligible"] = self.eligible
            healthy = healthy and self.eligible
        return (200 if healthy else 503), json.dumps(body)


def health_app(health: Health) -> Starlette:
    """/healthz and /livez for load balancers and probes."""

    def answer(*, with_eligibility: bool) -> Callable[[Request], Response]:
        def respond(request: Request) -> Response:
            code, body = health.report(with_eligibility=with_eligibility)
            headers = {"x-content-type-options": "nosniff"}
            return Response(body, code, headers, media_type="application/json")

        return respond

    routes = [Route("/healthz", answer(with_eligibility=True)), Route("/livez", answer(with_eligibility=False))]
    return Starlette(routes=routes)


def metrics_app(mode: str) -> Starlette:
    """/metrics, /proxyMode and a plain /healthz for people on the node."""

    async def expose(request: Request) -> Response:
        return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)

    async def proxy_mode(request: Request) -> Response:
        return PlainTextResponse(mode)

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok")

    return Starlette(routes=[Route("/metrics", expose), Route("/proxyMode", proxy_mode), Route("/healthz", healthz)])


def _stamp(moment: datetime) -> str:
    """As Go prints a time."""
    return f"{moment:%Y-%m-%d %H:%M:%S.%f} +0000 UTC"
