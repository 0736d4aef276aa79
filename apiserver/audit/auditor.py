"""What is recorded of one request while it goes on, and where it goes. Which requests there are is filters/audit's."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

import orjson

from apiserver.audit import event as events
from apiserver.audit.policy import Level, Policy, Stage, Verdict
from apiserver.request import Answer, Response, StreamResponse, User
from machinery.aio.clock import REAL, Clock
from machinery.api import codec
from machinery.api.codec import Json
from machinery.api.errors import StatusError

_DECISION: Final = "authorization.k8s.io/decision"
_REASON: Final = "authorization.k8s.io/reason"


class Backend(Protocol):
    """A place for events."""

    def write(self, events: Sequence[Json]) -> None:
        """Take them; may not wait."""
        ...


@dataclass(frozen=True, slots=True)
class Auditor:
    """The policy and the backends."""

    policy: Policy
    backends: Sequence[Backend]
    clock: Clock = REAL

    def emit(self, event: Json, stage: Stage) -> None:
        """Hand an event to all backends."""
        done = events.at(event, stage, self.clock.now())
        for backend in self.backends:
            backend.write([done])


@dataclass(slots=True)
class Record:
    """One request that is recorded. Filters and handlers tell it what they find out."""

    auditor: Auditor
    verdict: Verdict
    event: Json
    _body: bytes = b""
    _chunks: list[bytes] = field(default_factory=list)

    @property
    def audit_id(self) -> str:
        """Which the answer's header tells as well."""
        found: str = self.event["auditID"]
        return found

    def emit(self, stage: Stage) -> None:
        """Make the stage's event, unless the policy leaves it out."""
        if stage not in self.verdict.omitted:
            self.auditor.emit(self.event, stage)

    def decided(self, *, allowed: bool, reason: str) -> None:
        """What authorization said."""
        found = {_DECISION: "allow" if allowed else "forbid", _REASON: reason}
        self.event["annotations"] = self.event.get("annotations", {}) | found

    def annotate(self, key: str, value: str) -> None:
        """An annotation of a plugin or webhook; the first one of a key stays (upstream: AddAuditAnnotation)."""
        self.event.setdefault("annotations", {}).setdefault(key, value)

    def annotate_body(self, key: str, value: str) -> None:
        """An annotation that shows some of the body (upstream: AddAuditAnnotation at LevelRequest)."""
        if self.verdict.level >= Level.REQUEST:
            self.annotate(key, value)

    def impersonated(self, user: User) -> None:
        """Who the client acts as."""
        self.event["impersonatedUser"] = events.user_info(user)

    def sent(self, obj: Json) -> None:
        """The object a client sent, as it was decoded and before anything changed it."""
        events.with_object(self.event, obj)
        if self.verdict.level >= Level.REQUEST:
            shown = events.without_managed_fields(obj) if self.verdict.omit_managed_fields else obj
            self.event["requestObject"] = orjson.Fragment(codec.dumps(shown))

    def sent_patch(self, patch: bytes) -> None:
        """The patch a client sent, which is JSON."""
        if self.verdict.level >= Level.REQUEST:
            self.event["requestObject"] = orjson.Fragment(patch)

    def answering(self, answer: Answer, *, long_running: bool) -> Answer:
        """What a client is about to get; a list that is made piece by piece is kept as it goes by."""
        if long_running:
            self.event["responseStatus"] = events.status_of(answer.status, None)
            self.emit(Stage.RESPONSE_STARTED)
        elif self.verdict.level >= Level.REQUEST_RESPONSE:
            if isinstance(answer, StreamResponse):
                return replace(answer, chunks=self._kept(answer))
            self._chunks = [answer.body]
        elif isinstance(answer, Response) and answer.status >= 400:
            self._chunks = [answer.body]
        return answer

    def ended(self, status: int) -> None:
        """The request is over, with an answer."""
        body = _json(b"".join(self._chunks))
        self.event["responseStatus"] = events.status_of(status, body)
        if body is not None and self.verdict.level >= Level.REQUEST_RESPONSE:
            shown = events.without_managed_fields(body) if self.verdict.omit_managed_fields else body
            self.event["responseObject"] = shown
        self.emit(Stage.RESPONSE_COMPLETE)

    def refused(self, problem: StatusError) -> None:
        """The request is over, with an error."""
        self._chunks = [codec.dumps(problem.status())]
        self.ended(problem.status_code)

    def panicked(self) -> None:
        """The request ran into a defect of this server."""
        status = {"metadata": {}, "status": "Failure", "message": "APIServer panic'd", "reason": "InternalError"}
        self.event["responseStatus"] = status | {"code": 500}
        self.emit(Stage.PANIC)

    async def _kept(self, answer: StreamResponse) -> AsyncIterator[bytes]:
        async for chunk in answer.chunks:
            self._chunks.append(chunk)
            yield chunk


def _json(body: bytes) -> Json | None:
    """The answer, if it is an object in JSON: logs, YAML and pages are not kept."""
    if not body.startswith(b"{"):
        return None
    try:
        found: Json = codec.loads(body)
    except ValueError:
        return None
    return found
