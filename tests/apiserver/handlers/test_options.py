"""handlers.options: queries in, values or upstream's refusals out."""

import base64

import pytest

from apiserver.handlers import options
from apiserver.handlers.options import Token, WriteOptions
from apiserver.registry.deletion import DeleteOptions
from apiserver.registry.resource import Resource
from apiserver.resources.apps.statefulsets import STATEFUL_SETS
from apiserver.resources.batch.jobs import JOBS
from apiserver.resources.core.configmaps import CONFIG_MAPS
from apiserver.resources.core.pods import PODS
from apiserver.storage.listing import Match, Query
from apiserver.storage.objects import Selection
from machinery.api import codec, errors
from machinery.api.codec import Json
from tests.apiserver.handlers.calls import request


def _encoded(token: Json) -> str:
    return base64.urlsafe_b64encode(codec.dumps(token)).decode().rstrip("=")


_TOKEN = Token(7, "b\0").encode()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("", Query(Selection("a")), id="plain"),
        pytest.param("resourceVersion=0", Query(Selection("a"), Match.ANY), id="any"),
        pytest.param("resourceVersion=5", Query(Selection("a"), Match.NOT_OLDER_THAN, 5), id="not-older"),
        pytest.param("resourceVersion=5&limit=2", Query(Selection("a"), Match.EXACT, 5, limit=2), id="limited-exact"),
        pytest.param(
            "resourceVersion=5&limit=2&resourceVersionMatch=NotOlderThan",
            Query(Selection("a"), Match.NOT_OLDER_THAN, 5, limit=2),
            id="limited-not-older",
        ),
        pytest.param("resourceVersion=5&resourceVersionMatch=Exact", Query(Selection("a"), Match.EXACT, 5), id="exact"),
        pytest.param(f"continue={_TOKEN}&limit=2", Query(Selection("a"), Match.EXACT, 7, "a/b\0", 2), id="continued"),
        pytest.param(
            f"continue={Token(-1, 'b').encode()}", Query(Selection("a"), start="a/b"), id="continued-inconsistently"
        ),
        pytest.param("fieldSelector=metadata.name%3Dx", None, id="name-by-field"),
    ],
)
def test_what_a_list_asks_for(query: str, expected: Query | None) -> None:
    asked = request("GET", f"/api/v1/namespaces/a/configmaps?{query}")
    read = options.list_query(asked, CONFIG_MAPS)
    assert read == expected if expected else read.selection.name == "x"


@pytest.mark.parametrize(
    ("query", "expected", "text"),
    [
        pytest.param("limit=x", errors.BadRequest, 'strconv.ParseInt: parsing "x": invalid syntax', id="limit"),
        pytest.param(f"limit={2**63}", errors.BadRequest, "value out of range", id="huge-limit"),
        pytest.param(f"resourceVersion={2**64}", errors.BadRequest, "value out of range", id="huge-version"),
        pytest.param("limit=", errors.BadRequest, 'strconv.ParseInt: parsing "": invalid syntax', id="empty-limit"),
        pytest.param("timeoutSeconds=1s", errors.BadRequest, 'parsing "1s": invalid syntax', id="timeout"),
        pytest.param("resourceVersion=" + "9" * 5000, errors.BadRequest, "invalid resource", id="endless-version"),
        pytest.param(
            f"continue={Token(2**64 - 1, 'x').encode()}", errors.BadRequest, "cannot unmarshal", id="huge-token"
        ),
        pytest.param(
            "resourceVersion=x",
            errors.BadRequest,
            'invalid resource version: resourceVersion: Invalid value: "x": strconv.ParseUint: parsing "x": invalid ',
            id="version",
        ),
        pytest.param(
            "resourceVersionMatch=Exact",
            errors.Invalid,
            'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden '
            "unless resourceVersion is provided",
            id="match-alone",
        ),
        pytest.param(
            "resourceVersionMatch=Exact&resourceVersion=0", errors.Invalid, 'forbidden for resourceVersion "0"', id="0"
        ),
        pytest.param("sendInitialEvents=true", errors.Invalid, "sendInitialEvents is forbidden for list", id="events"),
        pytest.param(
            "continue=%21", errors.BadRequest, "invalid continue token: continue key is not valid: ", id="token"
        ),
        pytest.param(
            f"continue={_encoded({'v': 'v2', 'rv': 1, 'start': 'x'})}",
            errors.BadRequest,
            "continue key is not valid: server does not recognize this encoded version v2",
            id="token-of-another-version",
        ),
        pytest.param(
            f"continue={_encoded({'v': 'meta.k8s.io/v1', 'rv': 0, 'start': 'x'})}",
            errors.BadRequest,
            "continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            id="token-without-version",
        ),
        pytest.param(
            f"continue={_encoded({'v': 'meta.k8s.io/v1', 'rv': 1})}",
            errors.BadRequest,
            "continue key is not valid: encoded start key empty (version meta.k8s.io/v1)",
            id="token-without-start",
        ),
        pytest.param(
            f"continue={Token(1, '../secrets').encode()}",
            errors.BadRequest,
            "continue key is not valid: ../secrets",
            id="token-out-of-its-collection",
        ),
        pytest.param(
            f"continue={_TOKEN}&resourceVersion=3",
            errors.BadRequest,
            "specifying resource version is not allowed when using continue",
            id="token-and-version",
        ),
        pytest.param("labelSelector=%3D%3D", errors.BadRequest, "found '==', expected: !, identifier", id="labels"),
        pytest.param("fieldSelector=nonsense", errors.BadRequest, "invalid selector", id="fields"),
        pytest.param("fieldSelector=spec.x%3D1", errors.BadRequest, "field label not supported: spec.x", id="field"),
    ],
)
def test_what_a_list_cannot_ask_for(query: str, expected: type[errors.StatusError], text: str) -> None:
    with pytest.raises(expected) as refusal:
        options.list_query(request("GET", f"/api/v1/namespaces/a/pods?{query}"), PODS)
    assert text in refusal.value.message


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", WriteOptions()),
        ("dryRun=All&fieldManager=me&fieldValidation=Strict", WriteOptions(True, "Strict", "me")),
    ],
)
def test_what_a_write_asks_for(query: str, expected: WriteOptions) -> None:
    assert options.write_options(request("POST", f"/api/v1/pods?{query}"), "CreateOptions") == expected


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("dryRun=Some", 'dryRun: Unsupported value: ["Some"]: supported values: "All"'),
        ("fieldValidation=Often", 'fieldValidation: Unsupported value: "Often"'),
        ("fieldManager=" + "x" * 129, "fieldManager: Too long: may not be more than 128 bytes"),
    ],
)
def test_what_a_write_cannot_ask_for(query: str, text: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        options.write_options(request("POST", f"/api/v1/pods?{query}"), "CreateOptions")
    assert text in refusal.value.message


@pytest.mark.parametrize(
    ("query", "body", "expected"),
    [
        pytest.param("", None, DeleteOptions(), id="nothing"),
        pytest.param("gracePeriodSeconds=3", {}, DeleteOptions(), id="an-empty-body-is-a-body"),
        pytest.param(
            "gracePeriodSeconds=3&propagationPolicy=Orphan&dryRun=All",
            None,
            DeleteOptions(3, propagation_policy="Orphan", dry_run=True),
            id="query",
        ),
        pytest.param(
            "gracePeriodSeconds=3",
            {"gracePeriodSeconds": 0, "preconditions": {"uid": "u", "resourceVersion": "8"}},
            DeleteOptions(0, "u", "8"),
            id="body-before-query",
        ),
        pytest.param("orphanDependents=false", None, DeleteOptions(orphan_dependents=False), id="the-old-way"),
    ],
)
def test_what_a_delete_asks_for(query: str, body: Json | None, expected: DeleteOptions) -> None:
    assert options.delete_options(request("DELETE", f"/api/v1/pods/x?{query}"), body) == expected


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"propagationPolicy": "Never"}, 'propagationPolicy: Unsupported value: "Never"'),
        ({"propagationPolicy": "Orphan", "orphanDependents": True}, "cannot be both set"),
    ],
)
def test_what_a_delete_cannot_ask_for(body: Json, text: str) -> None:
    with pytest.raises(errors.Invalid) as refusal:
        options.delete_options(request("DELETE", "/api/v1/pods/x"), body)
    assert text in refusal.value.message


def test_a_token_survives_the_trip() -> None:
    token = Token(123, "a/web\0")
    assert Token.decode(token.encode()) == token


@pytest.mark.parametrize(
    ("resource", "text"),
    [
        (PODS, "field label not supported: x.y"),
        (CONFIG_MAPS, '"x.y" is not a known field selector: only "metadata.name", "metadata.namespace"'),
        (JOBS, 'field label "x.y" not supported for batchv1.Job'),
        (STATEFUL_SETS, "field label not supported for appsv1.StatefulSet: x.y"),
    ],
)
def test_a_field_that_cannot_be_selected_is_refused_in_the_kinds_words(resource: Resource, text: str) -> None:
    with pytest.raises(errors.BadRequest) as refusal:
        options.list_query(request("GET", f"/x/namespaces/a/{resource.kind.plural}?fieldSelector=x.y%3D1"), resource)
    assert refusal.value.message == text
