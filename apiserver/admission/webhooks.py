"""MutatingAdmissionWebhook and ValidatingAdmissionWebhook: other people's servers have their say.

Upstream: k8s.io/apiserver/pkg/admission/plugin/webhook/{generic,mutating,validating}. Mutating webhooks are asked one
after the other, by the names of their configurations; where one changed the object all mutating plugins run once more,
and those before it that want to (`reinvocationPolicy: IfNeeded`) are asked again. Validating ones are asked at once.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from apiserver.admission import review
from apiserver.admission.attributes import Attributes, Rounds
from apiserver.admission.chain import Plugin, Tools
from apiserver.admission.compiled import Compiled
from apiserver.admission.matching import Criteria, is_exempt
from apiserver.admission.reader import Reader
from apiserver.admission.review import BadReview, Verdict
from apiserver.admission.webhook_calls import CallFailed, Target, WebhookCaller
from machinery.api import codec, errors, kinds, lazy, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.patch import PatchError, json_patch

logger = logging.getLogger(__name__)

_EXPRESSIONS: Final = "apiserver.admission.expressions"  # which brings CEL along
_LONGEST_WARNING: Final = 256


@dataclass(frozen=True, slots=True)
class Webhook:
    """One webhook of a configuration, ready to be asked."""

    configuration: str
    name: str
    place: int  # in its configuration
    criteria: Criteria
    conditions: Any  # expressions.Conditions, None where there are none
    target: Target
    version: str  # of AdmissionReview
    seconds: float
    ignores_failures: bool
    has_side_effects: bool
    again: bool

    @property
    def key(self) -> tuple[str, int]:
        """Which it is, among all."""
        return self.configuration, self.place


@dataclass(frozen=True, slots=True)
class Call:
    """A webhook that has to be asked about a request, in this version of its kind; `place` is the word for the log."""

    webhook: Webhook
    kind: Kind
    place: str


def webhooks_of(configuration: Json, compile_conditions: Callable[[list[Json]], Any]) -> list[Webhook]:
    """The webhooks of a configuration; raises ValueError for what validation should not have let through."""
    found = []
    for place, webhook in enumerate(configuration.get("webhooks") or ()):
        known = [version for version in webhook.get("admissionReviewVersions") or () if version in review.VERSIONS]
        found.append(
            Webhook(
                configuration=meta.name_of(configuration),
                name=webhook.get("name") or "",
                place=place,
                criteria=Criteria.of(webhook, "rules"),
                conditions=compile_conditions(webhook["matchConditions"]) if webhook.get("matchConditions") else None,
                target=Target.of(webhook.get("clientConfig") or {}),
                version=known[0] if known else "v1",
                seconds=float(webhook.get("timeoutSeconds") or 10),
                ignores_failures=webhook.get("failurePolicy") == "Ignore",
                has_side_effects=webhook.get("sideEffects") not in ("None", "NoneOnDryRun"),
                again=webhook.get("reinvocationPolicy") == "IfNeeded",
            )
        )
    return found


class _Webhooks(Plugin):
    """What both have in common."""

    configurations: Kind
    #: the word in audit annotations
    phase: str

    def __init__(self, tools: Tools) -> None:
        self._caller: WebhookCaller = tools.caller
        self._authorizer = tools.authorizer
        self._compiled = Compiled(lambda configuration: webhooks_of(configuration, self._compile))

    @classmethod
    def made_with(cls, tools: Tools) -> Self:
        """Webhooks need a caller, and conditions the authorizer."""
        return cls(tools)

    def known(self, attributes: Attributes, reader: Reader) -> Sequence[Webhook]:
        """All there are, by the names of their configurations."""
        configurations = reader.all(self.configurations)
        return () if not configurations or is_exempt(attributes.kind) else self._compiled.of(configurations)

    async def kind_for(self, webhook: Webhook, attributes: Attributes, reader: Reader) -> Kind | None:
        """The kind to ask it about, if it has to be asked; raises Forbidden where its conditions cannot be evaluated.

        That is, where the webhook insists on an answer.
        """
        kind = await webhook.criteria.match(attributes, reader)
        return kind if kind is not None and self._conditions_hold(webhook, kind, attributes, reader) else None

    def _compile(self, conditions: list[Json]) -> Any:
        expressions = lazy.load(_EXPRESSIONS)
        return expressions.Conditions.compiled(conditions, expressions.environment(self._authorizer))

    def _conditions_hold(self, webhook: Webhook, kind: Kind, attributes: Attributes, reader: Reader) -> bool:
        if webhook.conditions is None:
            return True
        expressions = lazy.load(_EXPRESSIONS)
        request = review.request_of(attributes, kind, reader)
        obj, old = request.pop("object"), request.pop("oldObject")
        try:
            return bool(webhook.conditions.hold(expressions.values_of(attributes, request, obj, old)))
        except expressions.ConditionError as problem:
            if webhook.ignores_failures:
                return False
            raise attributes.forbidden(str(problem)) from problem

    async def ask(self, call: Call, attributes: Attributes, reader: Reader, *, mutating: bool) -> Verdict:
        """One webhook's answer; raises BadRequest for a dry run it cannot do, CallFailed, BadReview."""
        webhook = call.webhook
        if attributes.dry_run and webhook.has_side_effects:
            raise errors.BadRequest(f'admission webhook "{webhook.name}" does not support dry run')
        request = review.request_of(attributes, call.kind, reader)
        body = review.encode(request, webhook.version)
        raw = await self._caller.post(webhook.target, body, webhook.seconds, reader)
        verdict = review.decode(raw, request["uid"], webhook.version, mutating=mutating)
        for key, text in verdict.audit_annotations.items():
            attributes.annotate(f"{webhook.name}/{key}", text)
        for text in verdict.warnings:
            attributes.warn(text[:_LONGEST_WARNING])
        return verdict

    def failed(self, call: Call, problem: Exception, attributes: Attributes) -> None:
        """A webhook gave no answer: raises InternalError, or lets pass where its policy says so."""
        webhook = call.webhook
        if not webhook.ignores_failures:
            text = f'Internal error occurred: failed calling webhook "{webhook.name}": {problem}'
            raise errors.InternalError(text) from problem
        logger.warning('failed calling webhook, failing open "%s": %s', webhook.name, problem)
        attributes.annotate(f"failed-open.{self.phase}.webhook.admission.k8s.io/{call.place}", webhook.name)


class ValidatingAdmissionWebhook(_Webhooks):
    """Asks whether it may be."""

    name = "ValidatingAdmissionWebhook"
    configurations = kinds.VALIDATING_WEBHOOKS
    phase = "validating"

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        """Raises the first refusal in the order of the webhooks, after all have answered."""
        calls: list[Call] = []
        for webhook in self.known(attributes, reader):
            kind = await self.kind_for(webhook, attributes, reader)
            if kind is not None:
                calls.append(Call(webhook, kind, f"round_0_index_{len(calls)}"))
        if len(calls) == 1:
            await self._judge(calls[0], attributes, reader)
        elif calls:
            judged = (self._judge(call, attributes, reader) for call in calls)
            for problem in await asyncio.gather(*judged, return_exceptions=True):
                if problem is not None:
                    raise problem

    async def _judge(self, call: Call, attributes: Attributes, reader: Reader) -> None:
        try:
            verdict = await self.ask(call, attributes, reader, mutating=False)
        except (CallFailed, BadReview) as problem:
            self.failed(call, problem, attributes)
            return
        if not verdict.allowed:
            raise review.refusal(call.webhook.name, verdict.status)


class MutatingAdmissionWebhook(_Webhooks):
    """Asks what should be changed."""

    name = "MutatingAdmissionWebhook"
    configurations = kinds.MUTATING_WEBHOOKS
    phase = "mutation"

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        """Change the object as they say, or raise a refusal. Who is asked depends on what those before made of it."""
        webhooks = self.known(attributes, reader)
        if not webhooks:
            return
        rounds = attributes.rounds = attributes.rounds or Rounds()
        if rounds.second and rounds.output != attributes.obj:
            rounds.due |= rounds.asked
        for index, webhook in enumerate(webhooks):
            if rounds.second and webhook.key not in rounds.due:
                continue
            kind = await self.kind_for(webhook, attributes, reader)
            if kind is None:
                continue
            call = Call(webhook, kind, f"round_{int(rounds.second)}_index_{index}")
            if await self._change(call, attributes, reader):
                rounds.due |= rounds.asked
                rounds.wanted = True
            if webhook.again:
                rounds.asked.add(webhook.key)
        if rounds.wanted and not rounds.second:
            rounds.output = codec.copy_of(attributes.obj) if attributes.obj is not None else None

    async def _change(self, call: Call, attributes: Attributes, reader: Reader) -> bool:
        """Ask one; whether the object is another one now."""
        changed = False
        try:
            verdict = await self.ask(call, attributes, reader, mutating=True)
            if not verdict.allowed:
                raise review.refusal(call.webhook.name, verdict.status)
            if verdict.patch:
                changed = _apply(verdict.patch, call, attributes, reader)
                patch = [dict(sorted(operation.items())) for operation in verdict.patch]  # as Go writes a map
                note = _note(call, patch=patch, patchType="JSONPatch")
                attributes.annotate_body(f"patch.webhook.admission.k8s.io/{call.place}", note)
        except (CallFailed, BadReview) as problem:
            self.failed(call, problem, attributes)
        finally:
            attributes.annotate(f"mutation.webhook.admission.k8s.io/{call.place}", _note(call, mutated=changed))
        return changed


def _note(call: Call, **outcome: object) -> str:
    """The text of an annotation."""
    note = {"configuration": call.webhook.configuration, "webhook": call.webhook.name, **outcome}
    return codec.dumps(note).decode()


def _apply(patch: Sequence[Json], call: Call, attributes: Attributes, reader: Reader) -> bool:
    """Change the object by a patch of the version the webhook saw; raises InternalError for one that does not fit."""
    obj = attributes.obj
    if obj is None:
        raise errors.InternalError(
            f"Internal error occurred: admission webhook {call.webhook.name!r} attempted to modify the object, "
            "which is not supported for this operation"
        )
    special = attributes.object_kind is not None
    shown = obj if special else reader.shown(call.kind, obj)
    try:
        patched = json_patch(codec.copy_of(shown), list(patch))
        if not isinstance(patched, dict):
            raise ValueError("the patch leaves no object")
        new = patched if special else reader.taken(call.kind, patched)
    except (PatchError, ValueError, errors.StatusError) as problem:
        raise errors.InternalError(f"Internal error occurred: {problem}") from problem
    if new == obj:
        return False
    obj.clear()
    obj.update(new)
    return True
