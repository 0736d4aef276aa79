"""What the server publishes as OpenAPI, taken at its word: schemathesis makes requests that the documents allow.

Every document must load, which is a test of the documents too. No answer may be a 5xx.
"""

import json
import os
from collections.abc import Iterator
from functools import cache
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from schemathesis import APIOperation, Case
from schemathesis.core.result import Ok

from tests.integration.apiserver.metrics import Leaks
from tests.integration.apiserver.test_fuzz import prepare
from tests.integration.apiserver_process import ApiserverProcess, start_apiserver

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "150"))
_SILENT = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
#: what the path's parameters are, so that not everything is a 404
_PLACES = st.fixed_dictionaries(
    {"namespace": st.sampled_from(["default", "none"]), "name": st.sampled_from(["x", "y"])}
)


class Published:
    """The operations of all documents of a server."""

    def __init__(self, client: httpx.Client) -> None:
        self.operations: list[APIOperation[Any, Any, Any, Any]] = []
        for place in client.get("/openapi/v3").json()["paths"].values():
            text = client.get(place["serverRelativeURL"]).text
            schema = schemathesis.openapi.from_dict(json.loads(text.replace('"*/*"', '"application/json"')))
            for result in schema.get_all_operations():
                assert isinstance(result, Ok), result
                self.operations.append(result.ok())

    @cache  # noqa: B019  (lives as long as the module's tests)
    def cases(self, number: int) -> SearchStrategy[Case[Any]]:
        """Requests that one operation allows."""
        return self.operations[number].as_strategy()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiserverProcess]:
    """A server of its own: its objects are odd afterwards."""
    with start_apiserver(tmp_path_factory.mktemp("schemathesis")) as running:
        yield running
        assert "Traceback" not in running.log()


@pytest.fixture(scope="module")
def published(server: ApiserverProcess) -> Published:
    """Read once."""
    with server.client() as client:
        prepare(client)
        return Published(client)


def test_the_documents_name_the_operations_of_all_kinds(published: Published) -> None:
    found = {(operation.method.upper(), operation.path) for operation in published.operations}
    assert ("PATCH", "/apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale") in found
    assert ("GET", "/api/v1/pods") in found
    assert len(found) == len(published.operations)


@pytest.mark.filterwarnings("ignore")  # of schemathesis' own making
def test_what_the_documents_allow_is_never_a_5xx(server: ApiserverProcess, published: Published) -> None:
    with server.client(timeout=20) as client:
        leaks = Leaks(server)

        @_SILENT
        @given(st.data())
        def each(data: st.DataObject) -> None:
            number = data.draw(st.integers(0, len(published.operations) - 1))
            case = data.draw(published.cases(number))
            case.path_parameters = data.draw(_PLACES)
            send(client, case)

        each()
        leaks.check()


def send(client: httpx.Client, case: Case[Any]) -> None:
    """One request; a watch is not followed."""
    asked = case.as_transport_kwargs(base_url=str(client.base_url).rstrip("/"))
    headers = {"content-type": case.media_type} if case.media_type else {}
    query = {key: value for key, value in (asked.get("params") or {}).items() if isinstance(value, str | int | list)}
    body = asked.get("json")
    content = json.dumps(body).encode("utf-8", "replace") if body is not None else None
    with client.stream(asked["method"], asked["url"], params=query, content=content, headers=headers) as answer:
        if answer.status_code != 200:
            answer.read()
            too_large = answer.status_code == 504 and "Too large resource version" in answer.text
            assert answer.status_code < 500 or too_large, f"{asked}: {answer.text}"
