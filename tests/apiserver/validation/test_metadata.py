"""What metadata may look like, and what an update may not do to it."""

from typing import Any

import pytest

from apiserver.validation import metadata
from machinery.api import names
from machinery.api.codec import Json


def _obj(**fields: Any) -> Json:
    return {"metadata": {"name": "web", "namespace": "default", **fields}}


OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs", "uid": "u"}


@pytest.mark.parametrize(
    ("obj", "starts"),
    [
        pytest.param(_obj(), [], id="fine"),
        pytest.param(_obj(name=""), ["metadata.name: Required value: name or generateName is required"], id="no-name"),
        pytest.param(
            _obj(name="Web"),
            ['metadata.name: Invalid value: "Web": a lowercase RFC 1123 subdomain must consist of'],
            id="upper-case",
        ),
        pytest.param(_obj(generateName="web-"), [], id="generate-name-may-end-in-a-dash"),
        pytest.param(_obj(namespace=""), ["metadata.namespace: Required value"], id="no-namespace"),
        pytest.param(
            _obj(labels={"a b": "c", "d": "e f"}),
            [
                'metadata.labels: Invalid value: "a b": name part',
                'metadata.labels: Invalid value: "e f": a valid label',
            ],
            id="labels",
        ),
        pytest.param(_obj(annotations={"UPPER.example/x": "any thing"}), [], id="annotation-keys-in-any-case"),
        pytest.param(
            _obj(annotations={"a": "x" * (256 * 1024)}),
            ["metadata.annotations: Too long: may not be more than 262144 bytes"],
            id="too-many-annotations",
        ),
        pytest.param(_obj(ownerReferences=[OWNER]), [], id="owner"),
        pytest.param(
            _obj(ownerReferences=[{**OWNER, "uid": ""}]),
            ['metadata.ownerReferences[0].uid: Invalid value: "": must not be empty'],
            id="owner-without-uid",
        ),
        pytest.param(
            _obj(ownerReferences=[{**OWNER, "controller": True}, {**OWNER, "uid": "v", "controller": True}]),
            ["metadata.ownerReferences: Invalid value: ["],
            id="two-controllers",
        ),
        pytest.param(
            _obj(finalizers=["mine"]),
            [
                'metadata.finalizers: Invalid value: "mine": '
                "name is neither a standard finalizer name nor is it fully qualified"
            ],
            id="finalizer",
        ),
        pytest.param(_obj(finalizers=["foregroundDeletion", "example.org/mine"]), [], id="finalizers"),
    ],
)
def test_new_metadata(obj: Json, starts: list[str]) -> None:
    found = [error.message() for error in metadata.check(obj, names.is_dns_subdomain)]
    assert len(found) == len(starts)
    assert all(text.startswith(start) for text, start in zip(found, starts, strict=True))


def test_a_cluster_scoped_object_has_no_namespace() -> None:
    found = metadata.check(_obj(), names.is_dns_subdomain, namespaced=False)
    assert [error.message() for error in found] == ["metadata.namespace: Forbidden: not allowed on this type"]


OLD = _obj(uid="u", creationTimestamp="2026-01-01T00:00:00Z", generation=2, finalizers=["example.org/a"])
DELETED = _obj(deletionTimestamp="2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("new", "old", "texts"),
    [
        pytest.param(OLD, OLD, [], id="same"),
        pytest.param(
            {"metadata": {**OLD["metadata"], "uid": "v"}},
            OLD,
            ['metadata.uid: Invalid value: "v": field is immutable'],
            id="uid",
        ),
        pytest.param(
            {"metadata": {**OLD["metadata"], "generation": 1}},
            OLD,
            ["metadata.generation: Invalid value: 1: must not be decremented"],
            id="generation",
        ),
        pytest.param(
            {"metadata": {**DELETED["metadata"], "finalizers": ["example.org/b"]}},
            DELETED,
            [
                "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, "
                'found new finalizers []string{"example.org/b"}'
            ],
            id="finalizer-too-late",
        ),
        pytest.param({"metadata": {**OLD["metadata"], "finalizers": []}}, OLD, [], id="finalizer-removed"),
    ],
)
def test_changed_metadata(new: Json, old: Json, texts: list[str]) -> None:
    assert [error.message() for error in metadata.check_update(new, old)] == texts
