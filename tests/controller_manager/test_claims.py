"""Adoption and release."""

from collections.abc import Callable

import pytest

from controller_manager.claims import adoption_patch, plan_claim, release_patch
from machinery.api import kinds, meta
from machinery.api.codec import Json
from machinery.api.selectors import LabelSelector
from tests.controller_manager.objects import owned_by, pod

SELECTOR = LabelSelector.from_labels({"app": "web"})
OWNER: Json = {"metadata": {"name": "rs", "namespace": "ns", "uid": "u1"}}
LEAVING: Json = {"metadata": {**OWNER["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
MINE = [owned_by("ReplicaSet", "rs", "u1")]
ANOTHERS = [owned_by("ReplicaSet", "other", "u2")]


def _pod(app: str, owners: list[Json], **metadata: str) -> Json:
    return pod("p", metadata={"labels": {"app": app}, "ownerReferences": owners, **metadata})


@pytest.mark.parametrize(
    ("owner", "candidate", "fate"),
    [
        pytest.param(OWNER, _pod("web", MINE), "held", id="mine-and-matching"),
        pytest.param(OWNER, _pod("db", MINE), "release", id="mine-no-longer-matching"),
        pytest.param(LEAVING, _pod("db", MINE), "", id="a-leaving-owner-releases-nothing"),
        pytest.param(OWNER, _pod("web", []), "adopt", id="matching-orphan"),
        pytest.param(OWNER, _pod("db", []), "", id="orphan-of-others"),
        pytest.param(OWNER, _pod("web", [], deletionTimestamp="x"), "", id="a-leaving-orphan-is-left-alone"),
        pytest.param(LEAVING, _pod("web", []), "", id="a-leaving-owner-adopts-nothing"),
        pytest.param(OWNER, _pod("web", ANOTHERS), "", id="anothers"),
    ],
)
def test_each_candidate_is_held_adopted_released_or_left_alone(owner: Json, candidate: Json, fate: str) -> None:
    claim = plan_claim(owner, SELECTOR, [candidate])
    found = [name for name in ("held", "adopt", "release") if getattr(claim, name)]
    assert found == ([fate] if fate else [])


@pytest.mark.parametrize("patch", [lambda o, p: adoption_patch(o, kinds.REPLICA_SETS, p), release_patch])
def test_a_patch_names_the_uid_so_that_no_namesake_is_claimed(patch: Callable[[Json, Json], Json]) -> None:
    candidate = _pod("web", [])
    assert patch(OWNER, candidate)["metadata"]["uid"] == meta.uid_of(candidate)
