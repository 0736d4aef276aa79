"""Impersonate-User, -Group, -Uid and -Extra-: acting as somebody else, for those the authorizer lets.

Upstream: apiserver/pkg/endpoints/filters/impersonation. Each part asked for is one question, verb `impersonate`.
"""

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote

from apiserver.authn.authenticator import AUTHENTICATED, with_group
from apiserver.authz.attributes import Attributes, Authorizer, forbidden
from apiserver.filters import exchange
from apiserver.filters.exchange import Application, Exchange, Receive, Scope, Send
from apiserver.request import ANONYMOUS, User
from machinery.api import errors

_PREFIX = b"impersonate-"
_EXTRA_PREFIX = b"impersonate-extra-"
_SERVICE_ACCOUNT = "system:serviceaccount:"
_AUTHENTICATION_GROUP = "authentication.k8s.io"


class ImpersonationFilter:
    """Replaces the exchange's user by the impersonated one."""

    def __init__(self, app: Application, authorizer: Authorizer) -> None:
        self._app = app
        self._authorizer = authorizer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Impersonate if asked to, then go on."""
        for name, _ in scope["headers"]:  # a loop, for every request passes here
            if name.startswith(_PREFIX):
                wanted = wanted_user(scope)
                if wanted is not None:
                    self._impersonate(exchange.of(scope), wanted)
                break
        await self._app(scope, receive, send)

    def _impersonate(self, trip: Exchange, wanted: User) -> None:
        for question in questions(trip.user, wanted):
            decision = self._authorizer.decide(question)
            if not decision.allowed:
                raise forbidden(question, decision)
        trip.impersonator, trip.user = trip.user, _completed(wanted)
        if trip.audit is not None:
            trip.audit.impersonated(trip.user)


def wanted_user(scope: Scope) -> User | None:
    """The user the headers describe, None for none; raises InternalError (as upstream) for parts without a name."""
    names = exchange.header_values(scope, b"impersonate-user")
    extra: dict[str, list[str]] = {}
    for header, value in scope["headers"]:
        if header.startswith(_EXTRA_PREFIX):
            key = unquote(header.removeprefix(_EXTRA_PREFIX).decode("latin-1")).lower()
            extra.setdefault(key, []).append(value.decode("latin-1"))
    groups = tuple(exchange.header_values(scope, b"impersonate-group"))
    uids = exchange.header_values(scope, b"impersonate-uid")
    if not names or not names[0]:
        if not groups and not extra and not any(uids):
            return None
        raise errors.InternalError("requested groups, extra or uid without impersonating a user")
    return User(names[0], uids[0] if uids else "", groups, extra)


def questions(user: User, wanted: User) -> Iterator[Attributes]:
    """What has to be allowed for this impersonation."""
    account = _service_account(wanted.name)
    if account:
        yield _ask(user, "serviceaccounts", account[1], namespace=account[0])
    else:
        yield _ask(user, "users", wanted.name)
    for group in wanted.groups:
        yield _ask(user, "groups", group)
    for key, values in wanted.extra.items():
        for value in values:
            yield _ask(user, "userextras", value, group=_AUTHENTICATION_GROUP, subresource=key)
    if wanted.uid:
        yield _ask(user, "uids", wanted.uid, group=_AUTHENTICATION_GROUP)


def _ask(
    user: User, resource: str, name: str, *, namespace: str = "", group: str = "", subresource: str = ""
) -> Attributes:
    return Attributes(
        user,
        "impersonate",
        group=group,
        version="v1",
        resource=resource,
        subresource=subresource,
        namespace=namespace,
        name=name,
    )


def _completed(wanted: User) -> User:
    account = _service_account(wanted.name)
    if account and not wanted.groups:
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{account[0]}", AUTHENTICATED)
        return replace(wanted, groups=groups)
    if wanted.name == ANONYMOUS.name:
        return replace(wanted, groups=(*wanted.groups, *ANONYMOUS.groups))
    return with_group(wanted)


def _service_account(name: str) -> tuple[str, str] | None:
    parts = name.removeprefix(_SERVICE_ACCOUNT).split(":") if name.startswith(_SERVICE_ACCOUNT) else []
    return (parts[0], parts[1]) if len(parts) == 2 else None
