"""The graph of owners, and what becomes of one object."""

from typing import Any

import pytest

from controller_manager.garbage_collector.decisions import (
    Fate,
    Verdict,
    judge,
    owners_patch,
    owners_unblocked,
    owners_without,
    without_finalizer,
)
from controller_manager.garbage_collector.graph import Graph
from machinery.api.codec import Json


def _ref(uid: str, *, blocks: bool = True, name: str = "") -> Json:
    return {"apiVersion": "v1", "kind": "Thing", "name": name or uid, "uid": uid, "blockOwnerDeletion": blocks}


def _obj(uid: str, *owners: Json, **metadata: Any) -> Json:
    return {
        "metadata": {"name": uid, "namespace": "ns", "uid": uid, "ownerReferences": list(owners)} | metadata,
    }


FOREGROUND = {"deletionTimestamp": "x", "finalizers": ["foregroundDeletion"]}
ORPHAN = {"deletionTimestamp": "x", "finalizers": ["orphan"]}


class _Watched:
    """A graph, and short ways to feed it."""

    def __init__(self, *objects: Json) -> None:
        self.graph = Graph()
        for obj in objects:
            self.put(obj)

    def put(self, obj: Json) -> set[str]:
        """An object is seen."""
        return self.graph.put("v1", "Thing", obj)


def test_an_object_without_owners_asks_for_nothing() -> None:
    assert _Watched().put(_obj("a")) == set()


def test_an_owner_nobody_has_shown_is_to_be_verified() -> None:
    watched = _Watched()
    assert watched.put(_obj("child", _ref("owner"))) == {"owner"}
    owner = watched.graph.get("owner")
    assert owner is not None and owner.virtual and owner.dependents == {"child"}
    assert watched.put(_obj("owner")) == set()
    assert not owner.virtual


def test_a_virtual_owner_goes_with_its_last_dependent() -> None:
    watched = _Watched(_obj("child", _ref("owner")))
    watched.graph.remove("child")
    assert len(watched.graph) == 0


def test_the_dependents_of_what_went_away_are_looked_at() -> None:
    watched = _Watched(_obj("owner"), _obj("one", _ref("owner")), _obj("two", _ref("owner")))
    assert watched.graph.remove("owner") == {"one", "two"}
    assert watched.graph.remove("owner") == {"one", "two"}  # only virtual now: still safe to look


def test_an_owner_in_foreground_deletion_has_its_dependents_and_itself_looked_at() -> None:
    watched = _Watched(_obj("owner"), _obj("child", _ref("owner")))
    assert watched.put(_obj("owner", **FOREGROUND)) == {"owner", "child"}
    assert watched.put(_obj("owner", **FOREGROUND)) == set()
    assert watched.put(_obj("late", _ref("owner"))) == {"late"}
    assert "owner" in watched.graph.remove("child")


def test_an_owner_freed_of_a_blocking_reference_is_looked_at() -> None:
    watched = _Watched(_obj("owner"), _obj("child", _ref("owner")))
    watched.put(_obj("owner", **FOREGROUND))
    assert "owner" in watched.put(_obj("child", _ref("owner", blocks=False)))
    watched.put(_obj("child", _ref("owner")))
    assert "owner" in watched.put(_obj("child"))
    assert watched.graph.dependents_of("owner") == []


def test_an_owner_with_the_finalizer_orphan_is_looked_at() -> None:
    assert _Watched(_obj("owner")).put(_obj("owner", **ORPHAN)) == {"owner"}


def test_a_reference_with_the_right_uid_and_the_wrong_name_is_looked_at() -> None:
    assert _Watched(_obj("owner")).put(_obj("child", _ref("owner", name="other"))) == {"child"}


def test_a_resource_that_is_gone_takes_its_objects_with_it() -> None:
    watched = _Watched(_obj("owner"))
    watched.graph.put("v1", "Other", _obj("child", _ref("owner")))
    assert watched.graph.forget_kind("v1", "Thing") == {"child"}


@pytest.mark.parametrize(
    ("fates", "more", "expected"),
    [
        pytest.param({}, {}, Verdict(), id="no-owners"),
        pytest.param({"a": Fate.SOLID}, {}, Verdict(), id="owned"),
        pytest.param({"a": Fate.DANGLING}, {}, Verdict(delete="Background"), id="its-owner-is-gone"),
        pytest.param({"a": Fate.DANGLING, "b": Fate.SOLID}, {}, Verdict(drop=frozenset("a")), id="one-of-two-is-gone"),
        pytest.param({"a": Fate.WAITING}, {}, Verdict(delete="Background"), id="its-owner-waits-for-it"),
        pytest.param(
            {"a": Fate.WAITING},
            {"has_dependents": True},
            Verdict(delete="Foreground"),
            id="its-owner-waits-and-it-has-dependents",
        ),
        pytest.param(
            {"a": Fate.WAITING},
            {"has_dependents": True, "dependents_waiting": True},
            Verdict(delete="Foreground", unblock=True),
            id="a-circle",
        ),
        pytest.param(
            {"a": Fate.WAITING, "b": Fate.SOLID}, {}, Verdict(drop=frozenset("a")), id="another-owner-keeps-it"
        ),
    ],
)
def test_the_fate_of_the_owners_decides(fates: dict[str, Fate], more: dict[str, bool], expected: Verdict) -> None:
    flags = {"has_dependents": False, "dependents_waiting": False} | more
    assert judge(_obj("x"), fates, **flags) == expected


@pytest.mark.parametrize(
    ("finalizers", "policy"),
    [([], "Background"), (["orphan"], "Orphan"), (["foregroundDeletion"], "Foreground"), (["other"], "Background")],
)
def test_its_own_finalizers_choose_the_policy(finalizers: list[str], policy: str) -> None:
    verdict = judge(
        _obj("x", finalizers=finalizers), {"a": Fate.DANGLING}, has_dependents=False, dependents_waiting=False
    )
    assert verdict.delete == policy


def test_patches_touch_only_the_very_object_that_was_read() -> None:
    obj = _obj("x", _ref("a"), _ref("b"), finalizers=["orphan", "other"], resourceVersion="7")
    kept = owners_without(obj, frozenset("a"))
    assert owners_patch(obj, kept)["metadata"] == {"uid": "x", "resourceVersion": "7", "ownerReferences": [_ref("b")]}
    assert owners_patch(obj, [])["metadata"]["ownerReferences"] is None
    assert without_finalizer(obj, "orphan")["metadata"]["finalizers"] == ["other"]
    assert all(not reference["blockOwnerDeletion"] for reference in owners_unblocked(obj))
