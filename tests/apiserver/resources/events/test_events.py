"""Events of both groups: what is wrong with them, in upstream's words, which are those of the stored form."""

from typing import Any

import pytest

from apiserver.registry.resource import Resource
from apiserver.registry.strategy import Context
from apiserver.request import ANONYMOUS
from apiserver.resources.core.events import EVENTS
from apiserver.resources.events.events import NEW_EVENTS
from machinery.api.codec import Json

CONTEXT = Context(ANONYMOUS, "default", "e")
TIME = "2026-01-01T00:00:00.000000Z"
NEW: Json = {
    "eventTime": TIME,
    "regarding": {"namespace": "default", "name": "p"},
    "reportingController": "example.org/it",
    "reportingInstance": "it-1",
    "action": "Binding",
    "reason": "Scheduled",
    "type": "Normal",
    "note": "done",
}


def _event(row: Resource = NEW_EVENTS, namespace: str = "default", **fields: Any) -> Json:
    obj: Json = {"metadata": {"name": "e", "namespace": namespace}, **fields}
    if row.conversion is not None:
        obj = row.conversion.to_stored(obj)
    row.strategy.defaults(obj)
    return obj


def _new(namespace: str = "default", **changes: Any) -> Json:
    return _event(namespace=namespace, **(NEW | changes))


def _problems(row: Resource, obj: Json) -> list[str]:
    return [error.message() for error in row.strategy.validate(obj, CONTEXT)]


@pytest.mark.parametrize(
    ("obj", "texts"),
    [
        pytest.param(_new(), [], id="fine"),
        pytest.param(_new(series={"count": 2, "lastObservedTime": TIME}), [], id="series"),
        pytest.param(_new("kube-system", regarding={"name": "n"}), [], id="about-something-of-no-namespace"),
        pytest.param(
            _new("other", regarding={"name": "n"}),
            ['involvedObject.namespace: Invalid value: "": does not match event.namespace'],
            id="about-something-of-no-namespace-elsewhere",
        ),
        pytest.param(
            _new(eventTime=None),
            ["eventTime: Required value"],
            id="without-time",
        ),
        pytest.param(
            _new(series={"count": 1}),
            [
                'series.count: Invalid value: "": should be at least 2',
                "series.lastObservedTime: Required value",
            ],
            id="no-series",
        ),
        pytest.param(_new(type="Bad"), ['type: Invalid value: "": has invalid value: Bad'], id="type"),
        pytest.param(
            _new(reportingInstance="", action="", reason=""),
            ["reportingInstance: Required value", "action: Required value", "reason: Required value"],
            id="nobody-did-nothing",
        ),
        pytest.param(
            _new(reportingInstance="i" * 129, action="a" * 129, reason="r" * 129, note="n" * 1025),
            [
                'reportingInstance: Invalid value: "": can have at most 128 characters',
                'action: Invalid value: "": can have at most 128 characters',
                'reason: Invalid value: "": can have at most 128 characters',
                'message: Invalid value: "": can have at most 1024 characters',
            ],
            id="too-long",
        ),
        pytest.param(
            _new(
                deprecatedFirstTimestamp=TIME,
                deprecatedLastTimestamp=TIME,
                deprecatedCount=1,
                deprecatedSource={"host": "h"},
            ),
            [
                'firstTimestamp: Invalid value: "": needs to be unset',
                'lastTimestamp: Invalid value: "": needs to be unset',
                'count: Invalid value: "": needs to be unset',
                'source: Invalid value: "": needs to be unset',
            ],
            id="old-fields",
        ),
    ],
)
def test_what_is_wrong_with_a_new_event(obj: Json, texts: list[str]) -> None:
    assert _problems(NEW_EVENTS, obj) == texts


def test_a_controller_that_is_no_qualified_name_is_told_in_all_words() -> None:
    (text,) = _problems(NEW_EVENTS, _new(reportingController="a b"))
    assert text.startswith('reportingController: Invalid value: "a b": name part must consist of ')
    assert _problems(NEW_EVENTS, _new(reportingController=""))[0] == "reportingController: Required value"


OLD: Json = {"involvedObject": {"namespace": "default"}, "source": {"component": "it"}, "count": 1}


@pytest.mark.parametrize(
    ("obj", "texts"),
    [
        pytest.param(_event(EVENTS, **OLD), [], id="old"),
        pytest.param(_event(EVENTS), [], id="about-nothing"),
        pytest.param(
            _event(EVENTS, "kube-system"),
            ['involvedObject.namespace: Invalid value: "": does not match event.namespace'],
            id="about-nothing-elsewhere",
        ),
        pytest.param(
            _event(EVENTS, **OLD, eventTime=TIME, reportingInstance="i", reason="r"),
            ["action: Required value"],
            id="new-in-the-core-group",
        ),
    ],
)
def test_what_is_wrong_with_a_core_event(obj: Json, texts: list[str]) -> None:
    assert _problems(EVENTS, obj) == texts


@pytest.mark.parametrize(
    ("changes", "texts"),
    [
        pytest.param({"series": {"count": 2, "lastObservedTime": TIME}}, [], id="series"),
        pytest.param(
            {"series": {"count": 1, "lastObservedTime": TIME}},
            ['series.count: Invalid value: "": should be at least 2'],
            id="no-series",
        ),
        pytest.param(
            {"note": "else", "reportingController": "example.org/other", "deprecatedCount": 2},
            [
                'message: Invalid value: "else": field is immutable',
                "count: Invalid value: 2: field is immutable",
                'reportingController: Invalid value: "example.org/other": field is immutable',
            ],
            id="what-stays",
        ),
    ],
)
def test_only_the_series_of_a_new_event_changes(changes: Json, texts: list[str]) -> None:
    found = NEW_EVENTS.strategy.validate_update(_new(**changes), _new(), CONTEXT)
    assert [error.message() for error in found] == texts


def test_core_events_change_freely() -> None:
    new, old = _event(EVENTS, **OLD | {"count": 2, "message": "again"}), _event(EVENTS, **OLD)
    assert EVENTS.strategy.validate_update(new, old, CONTEXT) == []
