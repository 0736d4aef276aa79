"""Records requests as the audit policy says: when they arrive, when a long answer begins, when they end.

Stands where the user is known and the impersonated one is not yet in their place (upstream: endpoints/filters/audit.go,
authn_audit.go). Requests whose credentials are refused never come here: authentication reports them.
"""

import uuid
from typing import Final

from apiserver.audit import event as events
from apiserver.audit.auditor import Auditor, Record
from apiserver.audit.policy import Level, Stage
from apiserver.authz import attributes as authz
from apiserver.filters import exchange
from apiserver.filters.authorization import field_values
from apiserver.filters.exchange import Application, Receive, Scope, Send
from machinery.api.errors import StatusError

_SWITCHED: Final = 101  # what a request that took its connection over has answered with


class AuditFilter:
    """Follows each request to its end."""

    def __init__(self, app: Application, auditor: Auditor) -> None:
        self._app = app
        self._auditor = auditor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Record, go on, record."""
        record = begin(self._auditor, scope)
        if record is None:
            await self._app(scope, receive, send)
            return
        trip = exchange.of(scope)
        trip.audit = record
        record.emit(Stage.REQUEST_RECEIVED)
        try:
            await self._app(scope, receive, send)
        except StatusError as problem:
            record.refused(problem)
            raise
        except Exception:
            record.panicked()
            raise
        except BaseException:  # cancelled: the client or the server went away
            record.ended(trip.status)
            raise
        record.ended(trip.status or _SWITCHED)


def begin(auditor: Auditor, scope: Scope) -> Record | None:
    """The record of a request, or None where the policy wants none."""
    trip = exchange.of(scope)
    asked = authz.of_request(trip.user, trip.info, field_values(trip))
    verdict = auditor.policy.verdict(asked)
    if verdict.level is Level.NONE:
        return None
    audit_id = trip.headers.get("audit-id") or str(uuid.uuid4())
    query = scope["query_string"].decode("latin-1")
    uri = f"{trip.path}?{query}" if query else trip.path
    event = events.received(verdict.level, audit_id, asked, uri, auditor.clock.now())
    address = (scope.get("client") or ("",))[0]
    event |= events.client(trip.headers.get("user-agent", ""), trip.headers.get("x-forwarded-for", ""), address)
    return Record(auditor, verdict, event)


def unauthenticated(auditor: Auditor, scope: Scope, problem: StatusError) -> None:
    """Record a request whose credentials were refused (upstream: WithFailedAuthenticationAudit)."""
    record = begin(auditor, scope)
    if record is None:
        return
    scheme = exchange.of(scope).headers.get("authorization", "").partition(" ")[0].lower()
    attempted = f", attempted: {scheme}" if scheme in ("bearer", "basic") else ""
    record.event["responseStatus"] = events.status_of(problem.status_code, problem.status())
    record.event["responseStatus"]["message"] = f"Authentication failed{attempted or ', no credentials provided'}"
    record.emit(Stage.RESPONSE_STARTED)
