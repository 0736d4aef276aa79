"""What paths and methods mean."""

import pytest

from apiserver.filters.request_info import is_long_running, request_info
from apiserver.request import RequestInfo


@pytest.mark.parametrize(
    ("method", "path", "query", "wanted"),
    [
        pytest.param("GET", "/version", {}, ("get", "", "", "", "", ""), id="no-resource"),
        pytest.param("GET", "/api/v1", {}, ("get", "", "", "", "", ""), id="discovery-of-a-version"),
        pytest.param("GET", "/apis/apps/v1", {}, ("get", "", "", "", "", ""), id="discovery-of-a-group"),
        pytest.param("GET", "/api/v1/nodes", {}, ("list", "", "nodes", "", "", ""), id="list-cluster-scoped"),
        pytest.param("GET", "/api/v1/nodes/a", {}, ("get", "", "nodes", "", "a", ""), id="get-cluster-scoped"),
        pytest.param(
            "GET", "/api/v1/namespaces/n/pods", {"watch": ["true"]}, ("watch", "", "pods", "n", "", ""), id="watch"
        ),
        pytest.param(
            "GET", "/api/v1/namespaces/n/pods", {"watch": ["0"]}, ("list", "", "pods", "n", "", ""), id="watch-is-off"
        ),
        pytest.param("GET", "/api/v1/watch/pods", {}, ("watch", "", "pods", "", "", ""), id="watch-in-the-path"),
        pytest.param(
            "POST", "/apis/apps/v1/namespaces/n/deployments", {}, ("create", "apps", "deployments", "n", "", "")
        ),
        pytest.param("PUT", "/api/v1/namespaces/n/pods/p/status", {}, ("update", "", "pods", "n", "p", "status")),
        pytest.param("PATCH", "/api/v1/namespaces/n/pods/p", {}, ("patch", "", "pods", "n", "p", "")),
        pytest.param("DELETE", "/api/v1/namespaces/n/pods/p", {}, ("delete", "", "pods", "n", "p", "")),
        pytest.param("DELETE", "/api/v1/namespaces/n/pods", {}, ("deletecollection", "", "pods", "n", "", "")),
        pytest.param("HEAD", "/api/v1/namespaces/n/pods/p", {}, ("get", "", "pods", "n", "p", "")),
        pytest.param("GET", "/api/v1/namespaces", {}, ("list", "", "namespaces", "", "", ""), id="list-namespaces"),
        pytest.param("GET", "/api/v1/namespaces/n", {}, ("get", "", "namespaces", "n", "n", ""), id="one-namespace"),
        pytest.param(
            "PUT",
            "/api/v1/namespaces/n/finalize",
            {},
            ("update", "", "namespaces", "n", "n", "finalize"),
            id="finalize",
        ),
        pytest.param(
            "POST", "/api/v1/namespaces/n/pods/p/exec", {}, ("create", "", "pods", "n", "p", "exec"), id="exec"
        ),
    ],
)
def test_a_request_becomes_verb_and_object(
    method: str, path: str, query: dict[str, list[str]], wanted: tuple[str, ...]
) -> None:
    info = request_info(method, path, query)
    assert (info.verb, info.group, info.resource, info.namespace, info.name, info.subresource) == wanted
    assert info.is_resource == bool(info.resource)


def test_the_rest_of_a_proxy_path_is_kept() -> None:
    info = request_info("GET", "/api/v1/namespaces/n/services/http:web:80/proxy/a/b", {})
    assert (info.name, info.subresource, info.parts) == ("http:web:80", "proxy", ("a", "b"))


@pytest.mark.parametrize(
    ("info", "wanted"),
    [
        (RequestInfo("", "watch", True, resource="pods"), True),
        (RequestInfo("", "get", True, resource="pods", subresource="log"), True),
        (RequestInfo("", "create", True, resource="pods", subresource="exec"), True),
        (RequestInfo("", "list", True, resource="pods"), False),
    ],
)
def test_what_may_last(info: RequestInfo, wanted: bool) -> None:
    assert is_long_running(info) is wanted
