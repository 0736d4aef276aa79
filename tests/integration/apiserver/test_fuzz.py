"""Bad input of every sort against a running server: never a 5xx, always a Status, and nothing is left behind.

The examples are the same in every run. `FUZZ_EXAMPLES=20000 pytest …` looks further; what it finds becomes a named
test in `test_bad_input.py`.
"""

import os
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

import httpx
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apiserver.resources import RESOURCES
from machinery.api import codec
from tests.integration.apiserver import bad_input
from tests.integration.apiserver.metrics import Leaks
from tests.integration.apiserver.samples import SAMPLES
from tests.integration.apiserver_process import start_apiserver

#: apiVersion and kind by path of the collection
KINDS: Final = {
    kind.path("default" if kind.namespaced else ""): {"apiVersion": kind.api_version, "kind": kind.kind}
    for kind in (row.kind for row in RESOURCES)
}
EXAMPLES: Final = int(os.environ.get("FUZZ_EXAMPLES", "300"))
fuzzed = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server of its own, with one object of each sample; it must be at rest again in the end."""
    with start_apiserver(tmp_path_factory.mktemp("fuzz")) as server, server.client(timeout=20) as client:
        prepare(client)
        leaks = Leaks(server)
        yield client
        leaks.check()
        assert "Traceback" not in server.log()


def prepare(client: httpx.Client) -> None:
    """An account for pods, and the objects that are patched."""
    client.post("/api/v1/namespaces/default/serviceaccounts", json={"metadata": {"name": "default"}})
    for path, sample in SAMPLES.items():
        body = {"metadata": {"name": "x", "labels": {"a": "b"}}} | sample
        answer = client.post(path, json=body)
        assert answer.status_code == 201, answer.text


def ask(client: httpx.Client, method: str, path: str, **options: Any) -> httpx.Response:
    """One request; its answer is upstream's kind of answer, whatever it was."""
    answer = client.request(method, path, **options)
    assert answer.status_code < 500 or is_timeout(answer), (
        f"{method} {path} {options}: {answer.status_code} {answer.text}"
    )
    if method != "HEAD" and answer.status_code >= 400 and answer.headers["content-type"] == "application/json":
        status = answer.json()
        assert (status["kind"], status["status"], status["code"]) == ("Status", "Failure", answer.status_code)
    return answer


def is_timeout(answer: httpx.Response) -> bool:
    """A revision that is not reached is told by a 504, as upstream does."""
    return answer.status_code == 504 and "Too large resource version" in answer.text


@fuzzed
@given(st.data())
def test_bodies(api: httpx.Client, data: st.DataObject) -> None:
    path, sample = data.draw(st.sampled_from(list(SAMPLES.items())))
    valid = {"metadata": {"generateName": "f-"}} | sample
    obj = data.draw(st.one_of(bad_input.spoilt(valid), bad_input.OBJECTS, bad_input.VALUES))
    body, content_type = data.draw(bad_input.written(obj))
    method, path = data.draw(st.sampled_from([("POST", path), ("PUT", f"{path}/x"), ("PUT", f"{path}/x/status")]))
    query = data.draw(st.sampled_from(["", "?fieldValidation=Strict", "?dryRun=All"]))
    ask(api, method, path + query, content=body, headers={"content-type": content_type})


@fuzzed
@given(st.data())
def test_protobuf_bodies(api: httpx.Client, data: st.DataObject) -> None:
    path, sample = data.draw(st.sampled_from(list(SAMPLES.items())))
    known = codec.copy_of(KINDS[path] | {"metadata": {"name": "x", "labels": {"a": "b"}}} | sample)
    body = data.draw(bad_input.protobufs(known))
    headers = {"content-type": "application/vnd.kubernetes.protobuf"}
    ask(api, *data.draw(st.sampled_from([("PUT", f"{path}/x"), ("POST", path)])), content=body, headers=headers)


@fuzzed
@given(st.data())
def test_patches(api: httpx.Client, data: st.DataObject) -> None:
    path, sample = data.draw(st.sampled_from(list(SAMPLES.items())))
    part = data.draw(st.sampled_from(["", "", "/status", "/scale"]))
    patch, media_type = data.draw(st.one_of(bad_input.PATCHES, st.tuples(bad_input.spoilt(sample), MERGES)))
    raw = data.draw(bad_input.damaged(orjson.dumps(patch)))
    ask(api, "PATCH", f"{path}/x{part}?fieldManager=f", content=raw, headers={"content-type": media_type})


MERGES: Final = st.sampled_from(
    ["application/merge-patch+json", "application/strategic-merge-patch+json", "application/apply-patch+yaml"]
)


@fuzzed
@given(st.data())
def test_queries_and_accepted_forms(api: httpx.Client, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(SAMPLES)))
    method = data.draw(st.sampled_from(["GET", "GET", "GET", "DELETE"]))
    name = data.draw(st.sampled_from(["", "/x", "/none"])) if method == "GET" else "/none"
    query = data.draw(bad_input.QUERIES)
    if data.draw(st.booleans()) and method == "GET":
        query |= {"watch": "true", "timeoutSeconds": "1", "resourceVersion": query.get("resourceVersion", "x")}
    with api.stream(method, path + name, params=query, headers={"accept": data.draw(bad_input.ACCEPTS)}) as answer:
        if answer.status_code == 200 and "watch" in query:
            return  # a watch that begins is left: the next one must not mind
        answer.read()
        assert answer.status_code < 500 or is_timeout(answer), f"{path} {query}: {answer.text}"


@fuzzed
@given(st.sampled_from(["GET", "POST", "PUT", "PATCH", "OPTIONS", "HEAD"]), bad_input.PATHS)
def test_paths(api: httpx.Client, method: str, segments: list[str]) -> None:
    path = "/" + "/".join(segment if segment == "%2F" else quote(segment, safe="") for segment in segments)
    if "watch" in segments:
        path += "?timeoutSeconds=1&resourceVersion=x"
    ask(api, method, httpx.URL(str(api.base_url)).copy_with(raw_path=path.encode()).__str__())


@fuzzed
@given(st.data())
def test_options_of_deletions(api: httpx.Client, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(list(SAMPLES)))
    body = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "gracePeriodSeconds": bad_input.VALUES,
                "propagationPolicy": bad_input.VALUES,
                "orphanDependents": bad_input.VALUES,
                "preconditions": bad_input.VALUES,
                "dryRun": bad_input.VALUES,
                "kind": st.sampled_from(["DeleteOptions", "Pod", 1]),
                "apiVersion": st.sampled_from(["v1", "meta.k8s.io/v1", "apps/v1", "x", None]),
            },
        )
    )
    raw, content_type = data.draw(bad_input.written(body))
    name = data.draw(st.sampled_from(["/none", "/x?dryRun=All", "?dryRun=All&limit=1"]))
    ask(api, "DELETE", path + name, content=raw, headers={"content-type": content_type})
