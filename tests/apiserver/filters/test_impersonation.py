"""Acting as somebody else."""

import pytest

from apiserver.filters import exchange
from apiserver.filters.impersonation import ImpersonationFilter
from apiserver.request import User
from machinery.api import errors
from tests.apiserver.filters.chain import End, Only, drop, nothing, scope_of

ANN = User("ann")


async def impersonated(authorizer: Only, *headers: tuple[str, str]) -> exchange.Exchange:
    """The exchange behind the filter."""
    scope, end = scope_of("GET", "/api", *headers), End()
    exchange.of(scope).user = ANN
    await ImpersonationFilter(end, authorizer)(scope, nothing, drop)
    return end.reached[0]


async def test_without_headers_nothing_is_asked() -> None:
    authorizer = Only()
    trip = await impersonated(authorizer)
    assert (trip.user, trip.impersonator, authorizer.asked) == (ANN, None, [])


async def test_user_groups_uid_and_extra_are_each_asked_for() -> None:
    authorizer = Only(
        ("impersonate", "users", "bob"),
        ("impersonate", "groups", "devs"),
        ("impersonate", "uids", "7"),
        ("impersonate", "userextras", "blue"),
    )
    trip = await impersonated(
        authorizer,
        ("impersonate-user", "bob"),
        ("impersonate-group", "devs"),
        ("impersonate-uid", "7"),
        ("impersonate-extra-example.com%2fcolor", "blue"),
    )
    assert trip.user == User("bob", "7", ("devs", "system:authenticated"), {"example.com/color": ["blue"]})
    assert trip.impersonator == ANN
    assert [question.subresource for question in authorizer.asked if question.resource == "userextras"] == [
        "example.com/color"
    ]


async def test_a_service_account_is_asked_for_as_one_and_gets_its_groups() -> None:
    authorizer = Only(("impersonate", "serviceaccounts", "robot"))
    trip = await impersonated(authorizer, ("impersonate-user", "system:serviceaccount:ns:robot"))
    assert trip.user.groups == ("system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated")
    assert authorizer.asked[0].namespace == "ns"


async def test_one_part_that_is_not_allowed_refuses_all() -> None:
    authorizer = Only(("impersonate", "users", "bob"))
    with pytest.raises(errors.Forbidden, match='groups "system:masters" is forbidden: User "ann" cannot impersonate'):
        await impersonated(authorizer, ("impersonate-user", "bob"), ("impersonate-group", "system:masters"))


async def test_an_empty_user_is_nobody_to_be() -> None:
    assert (await impersonated(Only(), ("impersonate-user", ""))).user == ANN


async def test_groups_without_a_user_are_refused() -> None:
    with pytest.raises(errors.InternalError):
        await impersonated(Only(), ("impersonate-group", "devs"))
