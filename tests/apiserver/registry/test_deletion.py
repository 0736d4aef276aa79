"""registry.deletion: the decision, as tables."""

from datetime import UTC, datetime

import pytest

from apiserver.registry import deletion
from apiserver.registry.deletion import Action, DeleteOptions
from apiserver.registry.strategy import Strategy
from machinery.api import errors, kinds
from machinery.api.codec import Json

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
THEN = "2026-01-01T12:00:30Z"  # in half a minute
RIGHT_NOW = "2026-01-01T12:00:00Z"


class _Graceful(Strategy):
    default_grace_seconds = 30


class _Held(Strategy):
    def holds_on(self, obj: Json) -> bool:
        return True

    def mark_deleted(self, obj: Json) -> None:
        obj["status"] = "going"


class _Uncollected(Strategy):
    garbage_collected = False


def _object(**metadata: object) -> Json:
    return {"metadata": {"name": "web", "uid": "u", "resourceVersion": "7", **metadata}}


def _options(grace: int | None = None, policy: str = "", orphan: bool | None = None) -> DeleteOptions:
    return DeleteOptions(grace_period_seconds=grace, propagation_policy=policy, orphan_dependents=orphan)


_DYING = {"deletionTimestamp": THEN, "deletionGracePeriodSeconds": 30}
_MARKED = {"deletionTimestamp": RIGHT_NOW, "deletionGracePeriodSeconds": 0}


@pytest.mark.parametrize(
    ("strategy", "metadata", "options", "action", "expected"),
    [
        pytest.param(Strategy(), {}, _options(), Action.REMOVE, {}, id="plain"),
        pytest.param(Strategy(), {}, _options(grace=20), Action.REMOVE, {}, id="a-grace-period-the-kind-has-not"),
        pytest.param(Strategy(), {"finalizers": ["a/b"]}, _options(), Action.MARK, _MARKED, id="finalizer"),
        pytest.param(
            Strategy(), {"finalizers": ["a/b"], **_MARKED}, _options(), Action.NOTHING, _MARKED, id="marked-already"
        ),
        pytest.param(
            Strategy(),
            {"finalizers": ["a/b"], "generation": 3},
            _options(),
            Action.MARK,
            {**_MARKED, "generation": 4},
            id="a-mark-is-a-new-generation",
        ),
        pytest.param(_Graceful(), {}, _options(), Action.MARK, _DYING, id="graceful-by-default"),
        pytest.param(
            _Graceful(),
            {},
            _options(grace=5),
            Action.MARK,
            {"deletionTimestamp": "2026-01-01T12:00:05Z", "deletionGracePeriodSeconds": 5},
            id="graceful-as-asked",
        ),
        pytest.param(_Graceful(), {}, _options(grace=0), Action.REMOVE, _MARKED, id="at-once"),
        pytest.param(
            _Graceful(),
            {},
            _options(grace=-5),
            Action.MARK,
            {"deletionGracePeriodSeconds": 1},
            id="a-negative-period-is-a-second",
        ),
        pytest.param(_Graceful(), _DYING, _options(), Action.NOTHING, _DYING, id="dying-already"),
        pytest.param(_Graceful(), _DYING, _options(grace=40), Action.NOTHING, _DYING, id="no-longer-than-before"),
        pytest.param(
            _Graceful(),
            _DYING,
            _options(grace=10),
            Action.MARK,
            {"deletionTimestamp": "2026-01-01T12:00:10Z", "deletionGracePeriodSeconds": 10},
            id="shortened",
        ),
        pytest.param(_Graceful(), _DYING, _options(grace=0), Action.REMOVE, _MARKED, id="shortened-to-nothing"),
        pytest.param(
            _Graceful(),
            {**_DYING, "finalizers": ["a/b"]},
            _options(grace=0),
            Action.MARK,
            _MARKED,
            id="shortened-but-finalizers",
        ),
        pytest.param(_Held(), {}, _options(), Action.MARK, _MARKED, id="held-by-its-strategy"),
        pytest.param(
            Strategy(),
            {},
            _options(policy="Foreground"),
            Action.MARK,
            {"finalizers": ["foregroundDeletion"]},
            id="foreground",
        ),
        pytest.param(
            Strategy(), {}, _options(policy="Orphan"), Action.MARK, {"finalizers": ["orphan"]}, id="orphan-dependents"
        ),
        pytest.param(
            Strategy(), {}, _options(orphan=True), Action.MARK, {"finalizers": ["orphan"]}, id="orphan-the-old-way"
        ),
        pytest.param(
            Strategy(),
            {"finalizers": ["foregroundDeletion"]},
            _options(),
            Action.MARK,
            {"finalizers": ["foregroundDeletion"]},
            id="an-earlier-policy-stays",
        ),
        pytest.param(
            Strategy(), {"finalizers": ["orphan"]}, _options(policy="Background"), Action.REMOVE, {}, id="policy-wins"
        ),
        pytest.param(_Uncollected(), {}, _options(policy="Orphan"), Action.REMOVE, {}, id="not-garbage-collected"),
    ],
)
def test_what_a_deletion_comes_to(
    strategy: Strategy, metadata: Json, options: DeleteOptions, action: Action, expected: Json
) -> None:
    current = _object(**metadata)
    plan = deletion.plan(strategy, current, options, NOW)
    assert plan.action is action
    assert {name: plan.obj["metadata"].get(name) for name in expected} == expected
    assert current == _object(**metadata)


def test_the_strategy_marks_once() -> None:
    plan = deletion.plan(_Held(), _object(), _options(), NOW)
    assert plan.obj["status"] == "going"
    again = deletion.plan(_Held(), {**plan.obj, "status": "gone"}, _options(), NOW)
    assert (again.action, again.obj["status"]) == (Action.NOTHING, "gone")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        pytest.param(DeleteOptions(uid="u", resource_version="7"), "", id="both-right"),
        pytest.param(DeleteOptions(uid="v"), "the UID in the precondition (v)", id="another-uid"),
        pytest.param(DeleteOptions(resource_version="6"), "the ResourceVersion in the precondition (6)", id="older"),
    ],
)
def test_preconditions_name_the_object_that_is_meant(options: DeleteOptions, text: str) -> None:
    if not text:
        deletion.check_preconditions(kinds.PODS, _object(), options)
        return
    with pytest.raises(errors.Conflict) as refusal:
        deletion.check_preconditions(kinds.PODS, _object(), options)
    assert text in refusal.value.message


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        pytest.param({}, {}, False, id="not-deleted"),
        pytest.param(_MARKED, _MARKED, True, id="last-finalizer-gone"),
        pytest.param({**_MARKED, "finalizers": ["a/b"]}, _MARKED, False, id="a-finalizer-left"),
        pytest.param(_DYING, _DYING, False, id="grace-period-runs"),
        pytest.param({}, {"deletionTimestamp": THEN}, True, id="no-grace-period"),
    ],
)
def test_an_update_may_be_the_end(new: Json, old: Json, expected: bool) -> None:
    assert deletion.may_go(Strategy(), _object(**new), _object(**old)) is expected
    assert not deletion.may_go(_Held(), _object(**new), _object(**old))
