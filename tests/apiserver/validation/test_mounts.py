"""Mounts of containers, in upstream's words."""

from typing import Any

import pytest

from apiserver.resources.core.pods.defaults import pod_spec_defaults
from apiserver.validation import pod_spec
from machinery.api.codec import Json

M = "spec.containers[0].volumeMounts"


def _problems(mount: Json, container: Json) -> list[str]:
    mounts = [{"name": "v", "mountPath": "/v", **mount}]
    spec: Json = {"containers": [{"name": "c", "image": "x", "volumeMounts": mounts, **container}]}
    spec["volumes"] = [{"name": "v", "image": {"reference": "x"}}]
    pod_spec_defaults(spec)
    return [error.message() for error in pod_spec.check(spec, "spec")]


def _row(name: str, mount: Json, *texts: str, **container: Any) -> Any:
    return pytest.param(mount, container, list(texts), id=name)


PRIVILEGED: Json = {"privileged": True}
ONLY_PRIVILEGED = "Bidirectional mount propagation is available only to privileged containers"
BOTH_WAYS: Json = {"mountPropagation": "Bidirectional"}


@pytest.mark.parametrize(
    ("mount", "container", "texts"),
    [
        _row("fine", {"mountPropagation": "HostToContainer", "subPath": "a"}),
        _row("both-ways", BOTH_WAYS, securityContext=PRIVILEGED),
        _row("both-ways-unprivileged", BOTH_WAYS, f"{M}.mountPropagation: Forbidden: {ONLY_PRIVILEGED}"),
        _row(
            "no-such-way",
            {"mountPropagation": "Up"},
            f'{M}.mountPropagation: Unsupported value: "Up": supported values: "Bidirectional", "HostToContainer", '
            '"None"',
        ),
        _row("recursive", {"recursiveReadOnly": "Enabled", "readOnly": True, "mountPropagation": "None"}),
        _row("not-recursive", {"recursiveReadOnly": "Disabled"}),
        _row(
            "recursive-and-writable",
            {"recursiveReadOnly": "IfPossible"},
            f"{M}.recursiveReadOnly: Forbidden: may only be specified when readOnly is true",
        ),
        _row(
            "recursive-and-propagated",
            {"recursiveReadOnly": "Enabled", "readOnly": True, "mountPropagation": "HostToContainer"},
            f"{M}.recursiveReadOnly: Forbidden: may only be specified when mountPropagation is None or not specified",
        ),
        _row(
            "perhaps-recursive",
            {"recursiveReadOnly": "Perhaps"},
            f'{M}.recursiveReadOnly: Unsupported value: "Perhaps": supported values: "Disabled", "Enabled", '
            '"IfPossible"',
        ),
        _row(
            "two-sub-paths",
            {"subPath": "a", "subPathExpr": "/$(B)"},
            f'{M}[0].subPathExpr: Invalid value: "/$(B)": subPathExpr and subPath are mutually exclusive',
            f'{M}.subPathExpr: Invalid value: "/$(B)": must be a relative path',
        ),
    ],
)
def test_what_is_wrong_with_a_mount(mount: Json, container: Json, texts: list[str]) -> None:
    assert _problems(mount, container) == texts
