"""Which methods which paths have."""

import pytest

from apiserver import handlers
from apiserver.filters.request_info import request_info
from apiserver.registry.resource import Resource
from apiserver.resources.core.namespaces import NAMESPACES
from apiserver.resources.core.nodes import NODES
from apiserver.resources.core.pods import PODS
from machinery.api import errors

_POD = "/api/v1/namespaces/a/pods/x"


@pytest.mark.parametrize(
    ("resource", "method", "path", "refusal"),
    [
        pytest.param(PODS, "GET", "/api/v1/pods", None, id="list-everywhere"),
        pytest.param(PODS, "DELETE", "/api/v1/pods", errors.MethodNotSupported, id="nobody-deletes-everywhere"),
        pytest.param(PODS, "POST", "/api/v1/pods", errors.MethodNotSupported, id="nor-creates"),
        pytest.param(PODS, "DELETE", "/api/v1/namespaces/a/pods", None, id="delete-collection"),
        pytest.param(PODS, "PUT", "/api/v1/namespaces/a/pods", errors.MethodNotSupported, id="put-a-collection"),
        pytest.param(PODS, "POST", _POD, errors.MethodNotSupported, id="post-an-object"),
        pytest.param(PODS, "HEAD", _POD, errors.MethodNotSupported, id="head"),
        pytest.param(PODS, "OPTIONS", _POD, errors.MethodNotSupported, id="options"),
        pytest.param(PODS, "PUT", f"{_POD}/status", None, id="status"),
        pytest.param(PODS, "GET", "/api/v1/pods/x", errors.NotFound, id="no-namespace"),
        pytest.param(NODES, "GET", "/api/v1/namespaces/a/nodes", errors.NotFound, id="a-namespace-too-many"),
        pytest.param(NODES, "DELETE", "/api/v1/nodes", None, id="delete-collection-of-the-cluster"),
        pytest.param(NAMESPACES, "DELETE", "/api/v1/namespaces/a", None, id="a-namespace"),
        pytest.param(NAMESPACES, "PUT", "/api/v1/namespaces/a/finalize", None, id="finalize"),
        pytest.param(PODS, "GET", "/api/v1/watch/namespaces/a/pods/x", None, id="the-old-watch"),
        pytest.param(PODS, "DELETE", "/api/v1/watch/namespaces/a/pods", errors.MethodNotSupported, id="delete-a-watch"),
    ],
)
def test_paths_have_the_methods_upstream_has(
    resource: Resource, method: str, path: str, refusal: type[errors.StatusError] | None
) -> None:
    info = request_info(method, path, {})
    if refusal is None:
        handlers.check_route(method, info, resource)
        return
    with pytest.raises(refusal):
        handlers.check_route(method, info, resource)
