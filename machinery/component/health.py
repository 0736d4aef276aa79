"""The small HTTP server of every component but the API server: /healthz, /livez, /readyz, /metrics."""

import asyncio
import ssl
from collections.abc import Callable, Mapping, Sequence

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from machinery.component import metrics
from machinery.component.delegated import CERTIFICATE, Delegation, Guard
from machinery.component.tls import TLSFiles

#: name of a check → a function that returns what is wrong, or None
Checks = Mapping[str, Callable[[], str | None]]


def health_app(checks: Checks, more: Sequence[Route] = ()) -> Starlette:
    """The ASGI application: 200 `ok`, or 500 with a line per failed check; ?verbose lists all. `more` is served too."""

    async def health(request: Request) -> Response:
        problems = {name: check() for name, check in checks.items()}
        failed = any(problems.values())
        if not failed and "verbose" not in request.query_params:
            return PlainTextResponse("ok")
        lines = [f"[-]{name} failed: {text}" if text else f"[+]{name} ok" for name, text in problems.items()]
        endpoint = request.url.path.strip("/")
        lines.append(f"{endpoint} check {'failed' if failed else 'passed'}")
        return PlainTextResponse("\n".join(lines) + "\n", status_code=500 if failed else 200)

    async def expose(request: Request) -> Response:
        return Response(metrics.exposition(), media_type=metrics.CONTENT_TYPE)

    paths = [Route(path, health) for path in ("/healthz", "/livez", "/readyz")]
    return Starlette(routes=[*paths, Route("/metrics", expose), *more])


async def serve_health(
    address: str,
    port: int,
    checks: Checks,
    more: Sequence[Route] = (),
    *,
    tls: TLSFiles | None = None,
    delegation: Delegation | None = None,
) -> None:
    """Serve until cancelled; port 0 means nothing is served. `delegation` says who may read what; without, all do."""
    app: ASGIApp = health_app(checks, more)
    if delegation is not None:
        app = Guard(app, delegation)
    if port:
        await serve(app, address, port, tls=tls, authorities=delegation.authorities if delegation else "")


class _Protocol(HttpToolsProtocol):
    """uvicorn's, which does not tell the application what certificate the client has shown."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        connection = transport.get_extra_info("ssl_object")
        self._certificate: dict[object, object] = connection.getpeercert() or {} if connection is not None else {}

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self.scope["extensions"] = {CERTIFICATE: self._certificate}  # the request's task has not begun yet


class _Server(uvicorn.Server):
    def install_signal_handlers(self) -> None:
        """The process frame handles signals."""

    async def serve_until_cancelled(self, authorities: str) -> None:
        config = self.config
        if not config.loaded:
            config.load()
        if config.ssl is not None and authorities:
            config.ssl.load_verify_locations(cadata=authorities)
            config.ssl.verify_mode = ssl.CERT_OPTIONAL
        self.lifespan = config.lifespan_class(config)
        await self.lifespan.startup()
        await self.startup()
        try:
            await self.main_loop()
        finally:
            await self.shutdown()


async def serve(app: ASGIApp, address: str, port: int, *, tls: TLSFiles | None = None, authorities: str = "") -> None:
    """Serve an ASGI application until cancelled; `authorities`: PEM of those whose client certificates count.

    Raises OSError when the address is taken.
    """
    config = uvicorn.Config(
        app,
        host=address,
        port=port,
        http=_Protocol,
        access_log=False,
        log_config=None,
        lifespan="off",
        ssl_certfile=tls.cert if tls else None,
        ssl_keyfile=str(tls.key) if tls else None,
        timeout_graceful_shutdown=2,
    )
    await _Server(config).serve_until_cancelled(authorities)
