"""What is asked of the authorizer, and the words of a refusal."""

import pytest

from apiserver.filters import exchange
from apiserver.filters.authorization import AuthorizationFilter, field_values
from apiserver.request import User
from machinery.api import errors
from tests.apiserver.filters.chain import End, Only, drop, nothing, scope_of


async def refusal(method: str, path: str, query: str = "") -> errors.Forbidden:
    """What a user without rights is told."""
    scope = scope_of(method, path, query=query)
    exchange.of(scope).user = User("ann")
    with pytest.raises(errors.Forbidden) as problem:
        await AuthorizationFilter(End(), Only())(scope, nothing, drop)
    return problem.value


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        pytest.param(
            "GET",
            "/api/v1/namespaces/n/pods/p",
            'pods "p" is forbidden: User "ann" cannot get resource "pods" in API group "" '
            'in the namespace "n": no rule',
            id="one-object",
        ),
        pytest.param(
            "GET",
            "/apis/apps/v1/deployments",
            'deployments.apps is forbidden: User "ann" cannot list resource "deployments" in API group "apps" '
            "at the cluster scope: no rule",
            id="a-list-everywhere",
        ),
        pytest.param(
            "POST",
            "/api/v1/namespaces/n/pods/p/exec",
            'pods "p" is forbidden: User "ann" cannot create resource "pods/exec" in API group "" '
            'in the namespace "n": no rule',
            id="a-subresource",
        ),
        pytest.param("GET", "/metrics", 'forbidden: User "ann" cannot get path "/metrics": no rule', id="a-path"),
    ],
)
async def test_refusals_read_as_upstreams(method: str, path: str, message: str) -> None:
    assert (await refusal(method, path)).message == message


async def test_a_watch_of_one_name_asks_about_that_name() -> None:
    authorizer, end = Only(("watch", "secrets", "s")), End()
    query = "watch=1&fieldSelector=metadata.name%3Ds"
    scope = scope_of("GET", "/api/v1/namespaces/n/secrets", query=query)
    await AuthorizationFilter(end, authorizer)(scope, nothing, drop)
    assert len(end.reached) == 1


@pytest.mark.parametrize(
    ("selector", "wanted"),
    [
        pytest.param("spec.nodeName=a", {"spec.nodeName": "a"}, id="equal"),
        pytest.param("spec.nodeName==a,metadata.name=b", {"spec.nodeName": "a", "metadata.name": "b"}, id="two"),
        pytest.param("spec.nodeName!=a", {}, id="unequal-requires-nothing"),
        pytest.param("nonsense", {}, id="nonsense-requires-nothing"),
    ],
)
def test_what_a_field_selector_requires(selector: str, wanted: dict[str, str]) -> None:
    scope = scope_of("GET", "/api/v1/pods", query=f"fieldSelector={selector.replace('=', '%3D')}")
    assert field_values(exchange.of(scope)) == wanted
