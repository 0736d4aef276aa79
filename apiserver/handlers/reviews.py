"""Questions to the authenticator and the authorizers, asked as objects that are never stored.

TokenReview, SelfSubjectReview; SubjectAccessReview, its Local and Self forms; SelfSubjectRulesReview. Specs are echoed.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from apiserver.authn.authenticator import Authenticator
from apiserver.authn.tokens import InvalidToken
from apiserver.authz.attributes import Attributes, Authorizer, Rule, RuleLister
from apiserver.handlers.body import decode_body
from apiserver.registry.resource import Resource
from apiserver.request import Answer, Request, Response, User
from machinery.api import codec, errors, kinds, times
from machinery.api.codec import Json
from machinery.api.kinds import Kind

_CREATE: Final = ("create",)
#: rows for discovery and OpenAPI; no store is behind them
RESOURCES: Final = tuple(
    Resource(kind, verbs=_CREATE)
    for kind in (
        kinds.TOKEN_REVIEWS,
        kinds.SELF_SUBJECT_REVIEWS,
        kinds.SUBJECT_ACCESS_REVIEWS,
        kinds.LOCAL_SUBJECT_ACCESS_REVIEWS,
        kinds.SELF_SUBJECT_ACCESS_REVIEWS,
        kinds.SELF_SUBJECT_RULES_REVIEWS,
    )
)


class Reviews:
    """The handlers."""

    def __init__(self, authenticator: Authenticator, authorizer: Authorizer, listers: Sequence[RuleLister]) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._listers = listers

    def table(self) -> Mapping[tuple[str, str, str], Callable[[Request], Awaitable[Answer | None]]]:
        """(group, resource, subresource) → handler."""
        handlers = {
            kinds.TOKEN_REVIEWS: self.token,
            kinds.SELF_SUBJECT_REVIEWS: self.self_subject,
            kinds.SUBJECT_ACCESS_REVIEWS: self.access,
            kinds.LOCAL_SUBJECT_ACCESS_REVIEWS: self.local_access,
            kinds.SELF_SUBJECT_ACCESS_REVIEWS: self.self_access,
            kinds.SELF_SUBJECT_RULES_REVIEWS: self.rules,
        }
        return {(kind.group, kind.plural, ""): handler for kind, handler in handlers.items()}

    async def token(self, request: Request) -> Answer:
        """Whose a token is."""
        review = await _review(request, kinds.TOKEN_REVIEWS)
        spec = _spec(review)
        if not spec.get("token"):
            raise errors.BadRequest("token is required for TokenReview in authentication")
        status: Json
        try:
            found = await self._authenticator.review(spec["token"], spec.get("audiences") or ())
        except InvalidToken as problem:
            status = {"user": {}, "error": f"[invalid bearer token, {problem}]"}
        else:
            status = {"user": {}, "error": "invalid bearer token"}
            if found is not None:
                status = {"authenticated": True, "user": _user_info(found[0])}
                if found[1]:
                    status["audiences"] = found[1]
        return _answer(review, status)

    async def self_subject(self, request: Request) -> Answer:
        """Who the client is (`kubectl auth whoami`)."""
        review = await _review(request, kinds.SELF_SUBJECT_REVIEWS)
        review.setdefault("metadata", {})["creationTimestamp"] = times.rfc3339(times.now())
        return _answer(review, {"userInfo": _user_info(request.user)})

    async def access(self, request: Request) -> Answer:
        """May somebody do something?"""
        review = await _review(request, kinds.SUBJECT_ACCESS_REVIEWS)
        return self._decided(review, _subject(review, kinds.SUBJECT_ACCESS_REVIEWS))

    async def local_access(self, request: Request) -> Answer:
        """May somebody do something in this namespace?"""
        kind = kinds.LOCAL_SUBJECT_ACCESS_REVIEWS
        review = await _review(request, kind)
        asked = (_spec(review).get("resourceAttributes") or {}).get("namespace", "")
        if _spec(review).get("nonResourceAttributes"):
            detail = "disallowed on this kind of request"
            raise _invalid(kind, errors.invalid_value("spec.nonResourceAttributes", None, detail))
        if asked != request.info.namespace:
            detail = f"must match metadata.namespace: {request.info.namespace}"
            raise _invalid(kind, errors.invalid_value("spec.resourceAttributes.namespace", asked, detail))
        return self._decided(review, _subject(review, kind))

    async def self_access(self, request: Request) -> Answer:
        """May the client do something (`kubectl auth can-i`)?"""
        review = await _review(request, kinds.SELF_SUBJECT_ACCESS_REVIEWS)
        return self._decided(review, request.user)

    async def rules(self, request: Request) -> Answer:
        """What may the client do in a namespace (`kubectl auth can-i --list`)?"""
        review = await _review(request, kinds.SELF_SUBJECT_RULES_REVIEWS)
        namespace = _spec(review).get("namespace")
        if not namespace:
            raise errors.BadRequest("no namespace on request")
        resource_rules: list[Json] = []
        url_rules: list[Json] = []
        incomplete = False
        for lister in self._listers:
            rules, partial = lister.rules_for(request.user, namespace)
            incomplete = incomplete or partial
            resource_rules += [_resource_rule(rule) for rule in rules if rule.resources]
            url_rules += [_url_rule(rule) for rule in rules if rule.urls]
        status: Json = {
            "resourceRules": resource_rules,
            "nonResourceRules": url_rules,
            "incomplete": incomplete,
        }
        return _answer(review, status)

    def _decided(self, review: Json, user: User) -> Answer:
        decision = self._authorizer.decide(_attributes(user, review))
        status: Json = {"allowed": decision.allowed}
        if decision.denied:
            status["denied"] = True
        if decision.reason:
            status["reason"] = decision.reason
        return _answer(review, status)


async def _review(request: Request, kind: Kind) -> Json:
    if request.info.verb != "create":
        raise errors.MethodNotSupported("the server does not allow this method on the requested resource")
    return await decode_body(request, Resource(kind))


def _spec(review: Json) -> Json:
    return review.get("spec") or {}


def _answer(review: Json, status: Json) -> Response:
    return Response(201, codec.dumps({"metadata": {}} | review | {"status": status}))


def _invalid(kind: Kind, cause: errors.FieldError) -> errors.Invalid:
    return errors.invalid(kind, "", [cause])


def _subject(review: Json, kind: Kind) -> User:
    spec = _spec(review)
    if not spec.get("user") and not spec.get("groups"):
        detail = "at least one of user or group must be specified"
        raise _invalid(kind, errors.required("spec.user", detail))
    extra = {key.lower(): list(values or ()) for key, values in (spec.get("extra") or {}).items()}
    return User(spec.get("user") or "", spec.get("uid") or "", tuple(spec.get("groups") or ()), extra)


def _attributes(user: User, review: Json) -> Attributes:
    spec, kind = _spec(review), review["kind"]
    resource, other = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
    if bool(resource) == bool(other):
        word = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        cause = errors.invalid_value("spec.resourceAttributes", None, word)
        found = kinds.by_kind(review["apiVersion"], kind)
        raise _invalid(found or kinds.SUBJECT_ACCESS_REVIEWS, cause)
    if other:
        return Attributes(user, other.get("verb", ""), is_resource=False, path=other.get("path", ""))
    given: dict[str, Any] = resource or {}
    return Attributes(
        user=user,
        verb=given.get("verb") or "",
        group=given.get("group") or "",
        version=given.get("version") or "",
        resource=given.get("resource") or "",
        subresource=given.get("subresource") or "",
        namespace=given.get("namespace") or "",
        name=given.get("name") or "",
        field_values=_field_values(given),
    )


def _field_values(resource: Json) -> dict[str, str]:
    requirements = (resource.get("fieldSelector") or {}).get("requirements") or ()
    return {
        term["key"]: term["values"][0]
        for term in requirements
        if term.get("operator") == "In" and len(term.get("values") or ()) == 1
    }


def _user_info(user: User) -> Json:
    info: Json = {"username": user.name}
    if user.uid:
        info["uid"] = user.uid
    if user.groups:
        info["groups"] = list(user.groups)
    if user.extra:
        info["extra"] = dict(user.extra)
    return info


def _resource_rule(rule: Rule) -> Json:
    parts = {
        "verbs": sorted(rule.verbs),
        "apiGroups": sorted(rule.groups),
        "resources": sorted(rule.resources),
        "resourceNames": sorted(rule.names),
    }
    return {key: value for key, value in parts.items() if value}


def _url_rule(rule: Rule) -> Json:
    return {"verbs": sorted(rule.verbs), "nonResourceURLs": sorted(rule.urls)}
