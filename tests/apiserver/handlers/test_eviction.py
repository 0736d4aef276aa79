"""pods/NAME/eviction."""

import pytest

from apiserver.handlers.eviction import Evictions
from apiserver.request import Response
from machinery.api import errors
from machinery.api.codec import Json
from tests.apiserver.handlers.calls import Caller, request

POD: Json = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web"},
    "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "nginx:1"}]},
}
URL = "/api/v1/namespaces/default/pods/web/eviction"


async def _evict(api: Caller, **fields: object) -> Response:
    pods = api.registry.store_for("", "v1", "pods")
    assert pods is not None
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "web"}, **fields}
    answer = await Evictions(pods).create(request("POST", URL, eviction))
    assert isinstance(answer, Response)
    return answer


async def test_an_evicted_pod_ends_as_a_deleted_one_does(api: Caller) -> None:
    await api("POST", "/api/v1/namespaces/default/pods", POD)
    assert (await _evict(api, deleteOptions={"gracePeriodSeconds": 7})).status == 201
    metadata = (await api("GET", "/api/v1/namespaces/default/pods/web")).json["metadata"]
    assert metadata["deletionGracePeriodSeconds"] == 7


async def test_a_dry_run_evicts_nothing(api: Caller) -> None:
    await api("POST", "/api/v1/namespaces/default/pods", POD)
    await _evict(api, deleteOptions={"dryRun": ["All"]})
    metadata = (await api("GET", "/api/v1/namespaces/default/pods/web")).json["metadata"]
    assert "deletionTimestamp" not in metadata


async def test_an_eviction_of_another_pod_is_a_bad_request(api: Caller) -> None:
    with pytest.raises(errors.BadRequest, match="name in URL does not match name in Eviction object"):
        await _evict(api, metadata={"name": "other"})


async def test_a_pod_that_is_not_there_is_not_found(api: Caller) -> None:
    with pytest.raises(errors.NotFound):
        await _evict(api)
