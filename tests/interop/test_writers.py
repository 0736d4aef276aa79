"""Many writers on one object lose no update, whichever way they guard their writes."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.integration.apiserver_process import ApiserverProcess

WRITERS = 50
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
Write = Callable[[httpx.Client, str], int]


def put(client: httpx.Client, path: str) -> int:
    """Add one to the count by a PUT of what was read; the answer's code."""
    found = client.get(path).json()
    found["data"]["count"] = str(int(found["data"]["count"]) + 1)
    return client.put(path, json=found).status_code


def json_patch(client: httpx.Client, path: str) -> int:
    """Add one to the count by a JSON patch that tests what was read; the answer's code."""
    count = client.get(path).json()["data"]["count"]
    patch = [
        {"op": "test", "path": "/data/count", "value": count},
        {"op": "replace", "path": "/data/count", "value": str(int(count) + 1)},
    ]
    headers = {"content-type": "application/json-patch+json"}
    return client.patch(path, json=patch, headers=headers).status_code


def merge_patch(client: httpx.Client, path: str) -> int:
    """Add one to the count by a merge patch that names the version read; the answer's code."""
    found = client.get(path).json()
    version = {"resourceVersion": found["metadata"]["resourceVersion"]}
    patch = {"metadata": version, "data": {"count": str(int(found["data"]["count"]) + 1)}}
    headers = {"content-type": "application/merge-patch+json"}
    return client.patch(path, json=patch, headers=headers).status_code


@pytest.mark.parametrize(
    ("write", "refusal"),
    [
        pytest.param(put, 409, id="put"),
        pytest.param(json_patch, 422, id="json-patch-with-test"),
        pytest.param(merge_patch, 409, id="merge-patch-with-version"),
    ],
)
def test_fifty_writers_lose_no_update(server: ApiserverProcess, write: Write, refusal: int) -> None:
    name = f"count-{write.__name__.replace('_', '-')}"
    path = f"{CONFIGMAPS}/{name}"
    with server.client(timeout=60) as client, ThreadPoolExecutor(WRITERS) as pool:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"count": "0"}}
        assert client.post(CONFIGMAPS, json=body).status_code == 201

        def write_until_taken(_: int) -> set[int]:
            codes: list[int] = []
            while 200 not in codes:
                codes.append(write(client, path))
                assert codes[-1] in (200, refusal)
            return set(codes)

        assert all(200 in codes for codes in pool.map(write_until_taken, range(WRITERS)))
        assert client.get(path).json()["data"]["count"] == str(WRITERS)


def test_managers_that_apply_at_once_lose_no_field(server: ApiserverProcess) -> None:
    path = f"{CONFIGMAPS}/applied-by-many"
    headers = {"content-type": "application/apply-patch+yaml"}

    def apply(number: int) -> list[int]:
        codes = []
        for value in range(3):
            config = {"apiVersion": "v1", "kind": "ConfigMap", "data": {f"k-{number}": str(value), "shared": "same"}}
            params = {"fieldManager": f"m-{number}"}
            codes.append(client.patch(path, params=params, json=config, headers=headers).status_code)
        return codes

    with server.client(timeout=60) as client, ThreadPoolExecutor(20) as pool:
        codes = [code for codes in pool.map(apply, range(20)) for code in codes]
        assert set(codes) <= {200, 201}
        found = client.get(path).json()
    assert found["data"] == {"shared": "same", **{f"k-{number}": "2" for number in range(20)}}
    owned = {entry["manager"]: entry["fieldsV1"]["f:data"].keys() for entry in found["metadata"]["managedFields"]}
    assert owned == {f"m-{number}": {f"f:k-{number}", "f:shared"} for number in range(20)}
