"""storage.collection: order, history and watchers, without a storage."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apiserver.storage import collection as module
from apiserver.storage.collection import Bookmark, Collection, Event, Watcher
from apiserver.storage.errors import Compacted
from apiserver.storage.interface import KeyValue
from apiserver.storage.objects import Selection
from machinery.api import codec
from machinery.api.codec import Json
from machinery.api.selectors import FieldSelector, LabelSelector
from tests.apiserver.storage.objects import PODS, key, pod, raw


class _World:
    """A collection that is written to."""

    def __init__(self) -> None:
        self.collection = Collection(PODS)
        self.revision = 0

    def put(self, obj: Json, at: float = 0.0) -> int:
        self.revision += 1
        item = KeyValue(key(obj), raw(obj), self.revision)
        self.collection.apply(item.key[len(PODS.prefix) :], PODS.entry(item), self.revision, at)
        return self.revision

    def delete(self, tail: str) -> int:
        self.revision += 1
        self.collection.apply(tail, None, self.revision, 0.0)
        return self.revision

    def names(self, selection: Selection | None = None) -> list[str]:
        return [f"{entry.namespace}/{entry.name}" for entry in self.collection.select(selection or Selection())]


async def _told(watcher: Watcher) -> list[tuple[str, str, str]]:
    lines = []
    for type_, what in await watcher.fetch():
        assert isinstance(what, Event)
        line = codec.loads(what.frame(type_))
        assert line["type"] == type_
        metadata = line["object"]["metadata"]
        lines.append((type_, metadata["name"], metadata["resourceVersion"]))
    return lines


def test_a_namespace_is_listed_apart_from_one_whose_name_it_begins() -> None:
    world = _World()
    for namespace in ("b", "a-b", "a", "a.b"):
        world.put(pod("y", namespace))
        world.put(pod("x", namespace))
    assert world.names() == ["a-b/x", "a-b/y", "a.b/x", "a.b/y", "a/x", "a/y", "b/x", "b/y"]
    assert world.names(Selection(namespace="a")) == ["a/x", "a/y"]
    assert world.names(Selection(namespace="c")) == []
    assert [entry.name for entry in world.collection.select(Selection("a"), start="a/x\0")] == ["y"]


async def test_a_watch_with_a_selector_turns_changes_into_arrivals_and_departures() -> None:
    world = _World()
    watcher = world.collection.watch(Selection(labels=LabelSelector.parse("app=x")), 0)
    world.put(pod("web"))
    world.put(pod("web", labels={"app": "x"}))
    world.put(pod("web", labels={"app": "x", "v": "2"}))
    world.put(pod("web", labels={"app": "y"}))
    world.put(pod("web", labels={"app": "x"}))
    world.delete("a/web")
    assert await _told(watcher) == [
        ("ADDED", "web", "2"),
        ("MODIFIED", "web", "3"),
        ("DELETED", "web", "4"),
        ("ADDED", "web", "5"),
        ("DELETED", "web", "6"),
    ]


async def test_what_left_a_selection_is_shown_as_it_was_in_it() -> None:
    world = _World()
    world.put(pod("web", node="n1", labels={"v": "1"}))
    watcher = world.collection.watch(Selection(fields=FieldSelector.parse("spec.nodeName=n1")), 1)
    world.put(pod("web", node="n2", labels={"v": "2"}))
    [(type_, event)] = await watcher.fetch()
    assert isinstance(event, Event)
    shown = codec.loads(event.frame(type_))["object"]
    assert (type_, shown["spec"]["nodeName"], shown["metadata"]["labels"]) == ("DELETED", "n1", {"v": "1"})
    assert shown["metadata"]["resourceVersion"] == "2"


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        pytest.param(Selection(), ["a/x", "b/y"], id="all"),
        pytest.param(Selection(namespace="a"), ["a/x"], id="namespace"),
        pytest.param(Selection(name="y"), ["b/y"], id="name"),
        pytest.param(Selection(namespace="a", name="y"), [], id="name-elsewhere"),
        pytest.param(Selection(fields=FieldSelector.parse("spec.nodeName=n1")), ["a/x"], id="field"),
        pytest.param(Selection(fields=FieldSelector.parse("spec.nodeName!=n1")), ["b/y"], id="not-field"),
    ],
)
async def test_every_bucket_of_watchers_is_told(selection: Selection, expected: list[str]) -> None:
    world = _World()
    watcher = world.collection.watch(selection, 0)
    world.put(pod("x", "a", node="n1"))
    world.put(pod("y", "b", node="n2"))
    watcher.close()
    assert [_place(what) for _, what in await watcher.fetch()] == expected
    world.collection.unwatch(watcher)
    assert world.collection.watchers() == []


def _place(what: Event | Bookmark) -> str:
    assert isinstance(what, Event)
    entry = what.subject("ADDED")
    return f"{entry.namespace}/{entry.name}"


async def test_a_watch_from_a_revision_begins_with_what_came_after_it() -> None:
    world = _World()
    for number in range(5):
        world.put(pod(f"p{number}"))
    assert [line[2] for line in await _told(world.collection.watch(Selection(), 3))] == ["4", "5"]


async def test_a_watch_from_the_future_waits_for_it() -> None:
    world = _World()
    watcher = world.collection.watch(Selection(), 2)
    for number in range(4):
        world.put(pod(f"p{number}"))
    assert [line[2] for line in await _told(watcher)] == ["3", "4"]


def test_a_watch_from_a_forgotten_revision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HISTORY_LENGTH", 3)
    world = _World()
    for number in range(5):
        world.put(pod(f"p{number}"))
    world.collection.watch(Selection(), 2)
    with pytest.raises(Compacted):
        world.collection.watch(Selection(), 1)


def test_changes_are_forgotten_after_their_time() -> None:
    world = _World()
    world.put(pod("old"), at=0.0)
    world.put(pod("young"), at=module.HISTORY_SECONDS)
    world.collection.watch(Selection(), 0)
    world.put(pod("new"), at=module.HISTORY_SECONDS + 1.0)
    with pytest.raises(Compacted):
        world.collection.watch(Selection(), 0)
    world.collection.watch(Selection(), 1)


async def test_a_slow_watcher_is_dropped_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCHER_BACKLOG", 3)
    world = _World()
    slow, quick = world.collection.watch(Selection(), 0), world.collection.watch(Selection(), 0)
    for number in range(5):
        world.put(pod(f"p{number}"))
        if not quick.closed:
            assert len(await quick.fetch()) == 1
    assert (slow.closed, quick.closed) == (True, False)
    assert len(await slow.fetch()) == 3
    assert await slow.fetch() == []


async def test_a_bookmark_comes_after_what_was_told_before_it() -> None:
    world = _World()
    watcher = world.collection.watch(Selection(), 0)
    world.put(pod("p"))
    watcher.bookmark(1)
    watcher.close()
    assert [(type_, type(what)) for type_, what in await watcher.fetch()] == [("ADDED", Event), ("BOOKMARK", Bookmark)]


async def test_a_frame_is_made_once_for_all_watchers() -> None:
    world = _World()
    watchers = [world.collection.watch(Selection(), 0) for _ in range(3)]
    world.put(pod("p"))
    frames = {id(event.frame(type_)) for w in watchers for type_, event in await w.fetch() if isinstance(event, Event)}
    assert len(frames) == 1


_OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["a/x", "a/y", "b/x"]),
        st.sampled_from(["put", "delete"]),
        st.sampled_from(["", "n1", "n2"]),
    ),
    max_size=40,
)
_SELECTIONS = [
    Selection(),
    Selection(namespace="a"),
    Selection(name="x"),
    Selection(fields=FieldSelector.parse("spec.nodeName=n1")),
    Selection(namespace="a", fields=FieldSelector.parse("spec.nodeName!=n2")),
]


@given(operations=_OPERATIONS, start=st.integers(0, 40), selection=st.sampled_from(_SELECTIONS))
def test_a_list_and_the_watch_after_it_give_a_later_list(
    operations: list[tuple[str, str, str]], start: int, selection: Selection
) -> None:
    world = _World()
    seen: dict[str, bytes] = {}
    watcher: Watcher | None = None
    for number, (tail, operation, node) in enumerate(operations):
        if number == start:
            seen = {f"{entry.namespace}/{entry.name}": entry.json() for entry in world.collection.select(selection)}
            watcher = world.collection.watch(selection, world.revision)
        namespace, name = tail.split("/")
        if operation == "put":
            world.put(pod(name, namespace, node=node))
        else:
            world.delete(tail)
    if watcher is not None:
        _replay(watcher, seen)
        expected = {f"{entry.namespace}/{entry.name}": entry.json() for entry in world.collection.select(selection)}
        assert seen == expected


def _replay(watcher: Watcher, seen: dict[str, bytes]) -> None:
    revisions = []
    for type_, event in watcher.waiting():
        assert isinstance(event, Event)
        entry = event.subject(type_)
        tail = f"{entry.namespace}/{entry.name}"
        assert (tail in seen) is (type_ != "ADDED")
        revisions.append(event.revision)
        if type_ == "DELETED":
            del seen[tail]
        else:
            seen[tail] = entry.json()
    assert revisions == sorted(set(revisions))


async def test_of_a_crowd_each_gets_the_first_change_at_once_and_what_follows_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "PACE_PER_WATCHER", 1.0)
    monkeypatch.setattr(module, "LONGEST_PACE", 0.02)
    world = _World()
    watcher = world.collection.watch(Selection(), 0)
    world.put(pod("a"))
    assert len(await watcher.fetch()) == 1
    world.put(pod("b"))
    following = asyncio.create_task(watcher.fetch())
    await asyncio.sleep(0)
    world.put(pod("c"))
    assert len(await following) == 2
    watcher.close()
    assert await watcher.fetch() == []
