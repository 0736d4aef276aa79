"""The server on one page: which filters a request passes, in order, and who answers it. Each part is its own module.

request → recover → request_info → authentication → audit → impersonation → in_flight → fairness →
authorization → endpoint
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from apiserver import answers, metrics, pages
from apiserver.audit.auditor import Auditor
from apiserver.authn.authenticator import Authenticator
from apiserver.authz import attributes as authz
from apiserver.authz.attributes import Authorizer
from apiserver.filters import exchange
from apiserver.filters.audit import AuditFilter
from apiserver.filters.authentication import AuthenticationFilter
from apiserver.filters.authorization import AuthorizationFilter
from apiserver.filters.exchange import Application, Exchange, Receive, Scope, Send
from apiserver.filters.fairness import FairnessFilter, List
from apiserver.filters.impersonation import ImpersonationFilter
from apiserver.filters.in_flight import InFlightFilter, Limits
from apiserver.filters.request_info import RequestInfoFilter
from apiserver.handlers import handle, watch_socket
from apiserver.pages import Pages
from apiserver.registry.registry import Registry
from apiserver.request import Answer, Request, StreamResponse
from machinery.api import errors

logger = logging.getLogger(__name__)

#: answers a request itself; None: it took the connection over and nothing is left to write
SpecialHandler = Callable[[Request], Awaitable[Answer | None]]
#: (group, resource, subresource)
Special = Mapping[tuple[str, str, str], SpecialHandler]


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application is put together from."""

    registry: Registry
    pages: Pages
    authenticator: Authenticator
    authorizer: Authorizer
    special: Special = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    auditor: Auditor | None = None
    #: where flow schemas and priority levels are; None: --enable-priority-and-fairness=false
    fairness: List | None = None


def create(parts: Parts) -> Application:
    """The whole chain as one ASGI application."""
    app: Application = Endpoint(parts)
    app = AuthorizationFilter(app, parts.authorizer)
    if parts.fairness is not None:
        app = fair = FairnessFilter(app, parts.fairness, parts.limits.reading + parts.limits.changing)
        metrics.follow_levels(fair.dispatcher)
    limits = parts.limits if parts.fairness is None else Limits(0, 0, parts.limits.seconds)
    app = counts = InFlightFilter(app, limits)
    metrics.follow(counts)
    metrics.count_objects(parts.registry.stores())
    app = ImpersonationFilter(app, parts.authorizer)
    if parts.auditor is not None:
        app = AuditFilter(app, parts.auditor)
    app = AuthenticationFilter(app, parts.authenticator, parts.auditor)
    app = RequestInfoFilter(app)
    return Recover(app)


class Recover:
    """Outermost: whatever a request runs into becomes a Status, and the process goes on."""

    def __init__(self, app: Application) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the chain and answer for what it raises."""
        started = time.perf_counter()
        try:
            await self._answer(scope, receive, send)
        finally:
            trip = exchange.of(scope)
            seconds = time.perf_counter() - started
            if trip.info.is_resource and trip.status:
                metrics.observe(trip.info, trip.status, seconds)
            if logger.isEnabledFor(logging.DEBUG):
                ask = (trip.method, trip.path, trip.user.name, trip.headers.get("user-agent", ""))
                logger.debug("%s %s by %s (%s): %d in %.1f ms", *ask, trip.status, seconds * 1000)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        except errors.StatusError as problem:
            await answers.write_status(scope, send, problem)
        except asyncio.CancelledError:
            connection = (scope.get("extensions") or {}).get("skiff")
            if connection is None or not connection.lost:
                raise
        except Exception as problem:  # one request's bug must not take the others with it
            logger.exception("%s %s failed unexpectedly", scope["method"], scope["path"])
            await answers.write_status(scope, send, answers.unexpected(problem))


class Endpoint:
    """The end of the chain: resources to their store, a few to handlers of their own, the rest to FastAPI."""

    def __init__(self, parts: Parts) -> None:
        self._registry = parts.registry
        self._authorizer = parts.authorizer
        self._special = parts.special
        self._has = parts.pages.discovery.has
        self._others = pages.create(parts.pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        trip = exchange.of(scope)
        info = trip.info
        if not info.is_resource or not self._has(info.group, info.version):
            if info.prefix in ("api", "apis"):  # some clients ask for /apis/apps/v1/
                scope["path"] = scope["path"].rstrip("/")
            await self._others(scope, receive, send)
            return
        request = Request(trip.method, trip.path, trip.query, trip.headers, info, trip.user, scope, receive)
        request.audit = trip.audit
        request.authorize = partial(self._authorize, trip)
        special = self._special.get((info.group, info.resource, info.subresource))
        answer = await (special(request) if special else self._resource(request))
        if isinstance(answer, StreamResponse) and watch_socket.is_wanted(request):
            trip.status = 101
            await watch_socket.serve(request, answer)
        elif answer is not None:
            await answers.write(scope, send, answer, request.warnings)

    def _authorize(self, trip: Exchange, verb: str) -> None:
        """A second question about the same object: an update that turns out to be a create."""
        asked = replace(authz.of_request(trip.user, trip.info, {}), verb=verb)
        decision = self._authorizer.decide(asked)
        if not decision.allowed:
            raise authz.forbidden(asked, decision)

    async def _resource(self, request: Request) -> Answer:
        info = request.info
        store = self._registry.store_for(info.group, info.version, info.resource)
        if store is None or (info.subresource and info.subresource not in store.resource.subresources) or info.parts:
            raise errors.NotFound("the server could not find the requested resource", {})
        return await handle(request, store)
