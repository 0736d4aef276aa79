"""handlers.negotiation: from Accept to a form."""

import pytest

from apiserver.handlers.negotiation import PROTOBUF, YAML, Accepted, Form, content_type, negotiate
from machinery.api import errors

_TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        pytest.param("", Accepted(), id="nothing-said"),
        pytest.param("*/*", Accepted(), id="anything"),
        pytest.param("application/json", Accepted(), id="json"),
        pytest.param("application/vnd.kubernetes.protobuf,application/json", Accepted(), id="go-clients"),
        pytest.param("application/vnd.kubernetes.protobuf, */*", Accepted(), id="protobuf-or-anything"),
        pytest.param("application/yaml", Accepted(media_type=YAML), id="yaml"),
        pytest.param("application/yaml;q=0.5, application/json", Accepted(), id="quality"),
        pytest.param(
            f"{_TABLE},application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json",
            Accepted(Form.TABLE),
            id="kubectl-get",
        ),
        pytest.param(
            "application/json;as=Table;v=v1beta1;g=meta.k8s.io", Accepted(Form.TABLE, version="v1beta1"), id="old-table"
        ),
        pytest.param(
            "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json",
            Accepted(Form.PARTIAL_LIST),
            id="metadata-informer",
        ),
        pytest.param(
            "application/json;as=Table;v=v2;g=meta.k8s.io,application/json", Accepted(), id="a-version-not-served"
        ),
        pytest.param(
            "application/json;as=Unknown;v=v1;g=meta.k8s.io,application/json", Accepted(), id="a-form-not-served"
        ),
        pytest.param(
            "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io," + _TABLE,
            Accepted(Form.TABLE),
            id="table-in-protobuf-first",
        ),
    ],
)
def test_the_first_form_that_is_served_is_taken(accept: str, expected: Accepted) -> None:
    assert negotiate(accept) == expected


@pytest.mark.parametrize(
    "accept", ["text/html", "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", "application/cbor"]
)
def test_what_cannot_be_served_is_not_acceptable(accept: str) -> None:
    with pytest.raises(errors.NotAcceptable, match="only the following media types are accepted: application/json"):
        negotiate(accept)


def test_a_watch_is_not_served_in_yaml() -> None:
    with pytest.raises(errors.NotAcceptable) as refusal:
        negotiate("application/yaml", watch=True)
    assert refusal.value.message == (
        "only the following media types are accepted: application/json;stream=watch, "
        "application/vnd.kubernetes.protobuf;stream=watch"
    )


def test_protobuf_is_for_who_takes_nothing_else() -> None:
    partial = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    assert negotiate(PROTOBUF) == Accepted(media_type=PROTOBUF)
    assert negotiate(partial) == Accepted(Form.PARTIAL, PROTOBUF)
    assert negotiate(f"{partial},application/json") == Accepted(Form.PARTIAL, PROTOBUF)
    assert negotiate(f"{PROTOBUF},application/yaml,application/json") == Accepted()


def test_a_kind_without_protobuf_has_its_metadata_in_it_all_the_same() -> None:
    partial = "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
    assert negotiate(partial, protobuf=False) == Accepted(Form.PARTIAL, PROTOBUF)
    with pytest.raises(errors.NotAcceptable):
        negotiate(PROTOBUF, protobuf=False)


def test_a_content_type_is_taken_without_its_parameters() -> None:
    assert content_type("application/json; charset=utf-8", ("application/json",)) == "application/json"
    assert content_type("", ("application/json",)) == "application/json"
    with pytest.raises(errors.UnsupportedMediaType, match="accepted media types include: application/json"):
        content_type("application/vnd.kubernetes.protobuf", ("application/json",))
