"""registry.store over a storage in memory: one kind with a few hooks."""

import asyncio

import pytest

from apiserver.registry.deletion import DeleteOptions
from apiserver.registry.gate import Gate
from apiserver.registry.registry import Registry
from apiserver.registry.resource import Resource
from apiserver.registry.store import Change, Store
from apiserver.registry.strategy import Context, Finish, Strategy
from apiserver.request import ANONYMOUS
from apiserver.storage.listing import Query
from machinery.api import codec, errors, kinds, names
from machinery.api.codec import Json
from machinery.api.errors import FieldError
from tests.fakes.storage import MemoryStorage


class _Strategy(Strategy):
    has_generation = True

    def __init__(self) -> None:
        self.finished: list[bool] = []
        self.deleted: list[str] = []

    def validate(self, obj: Json, context: Context) -> list[FieldError]:
        replicas = obj.get("spec", {}).get("replicas", 0)
        return [errors.invalid_value("spec.replicas", replicas, "must not be negative")] if replicas < 0 else []

    async def begin_create(self, obj: Json, context: Context) -> Finish | None:
        async def finish(success: bool) -> None:
            self.finished.append(success)

        return finish

    async def after_delete(self, obj: Json, context: Context) -> None:
        self.deleted.append(obj["metadata"]["name"])


MODIFIED = (
    'Operation cannot be fulfilled on deployments.apps "web": the object has been modified; '
    "please apply your changes to the latest version and try again"
)


@pytest.fixture
def strategy() -> _Strategy:
    """The store's strategy."""
    return _Strategy()


@pytest.fixture
def store(registry: Registry, strategy: _Strategy) -> Store:
    """An empty store."""
    return registry.add(Resource(kind=kinds.DEPLOYMENTS, key="deployments", strategy=strategy))


def _context(name: str = "web", subresource: str = "", *, dry_run: bool = False) -> Context:
    return Context(ANONYMOUS, "a", name, subresource, dry_run)


def _deployment(name: str = "web", **spec: object) -> Json:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def _put(obj: Json) -> Change:
    async def change(old: Json | None) -> Json:
        return codec.copy_of(obj)

    return change


def _set(**spec: object) -> Change:
    async def change(old: Json | None) -> Json:
        assert old is not None
        old["spec"].update(spec)
        return old

    return change


async def test_a_created_object_has_what_the_server_gives_it(store: Store) -> None:
    obj = _deployment(replicas=1)
    obj["metadata"] |= {
        "uid": "mine",
        "generation": 9,
        "deletionTimestamp": "2020-01-01T00:00:00Z",
        "labels": {"a": "b"},
    }
    entry = await store.create(obj | {"status": {"replicas": 5}}, _context(""))
    made = entry.decode()
    assert made["metadata"].keys() == {
        *("name", "namespace", "uid", "creationTimestamp", "resourceVersion", "generation", "labels")
    }
    assert (made["metadata"]["namespace"], made["metadata"]["generation"]) == ("a", 1)
    assert made["metadata"]["uid"] != "mine"
    assert "status" not in made
    assert (await store.get("a", "web")).decode() == made


@pytest.mark.parametrize(
    ("metadata", "expected", "text"),
    [
        pytest.param({"namespace": "b"}, errors.BadRequest, "does not match the namespace sent", id="elsewhere"),
        pytest.param({"resourceVersion": "1"}, errors.StatusError, "resourceVersion should not be set", id="version"),
    ],
)
async def test_a_create_that_contradicts_itself_is_refused(
    store: Store, metadata: Json, expected: type[errors.StatusError], text: str
) -> None:
    obj = _deployment()
    obj["metadata"] |= metadata
    with pytest.raises(expected, match=text):
        await store.create(obj, _context(""))


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a%2fb"])
async def test_a_name_that_cannot_be_part_of_a_path_is_invalid(store: Store, name: str) -> None:
    with pytest.raises(errors.Invalid, match=r"metadata.name: "):
        await store.create(_deployment(name), _context(""))


async def test_what_was_begun_is_told_how_it_ended(store: Store, strategy: _Strategy) -> None:
    await store.create(_deployment(), _context(""))
    with pytest.raises(errors.AlreadyExists, match='deployments.apps "web" already exists'):
        await store.create(_deployment(), _context(""))
    with pytest.raises(errors.Invalid, match=r'Deployment.apps "bad" is invalid: spec.replicas: Invalid value: -1'):
        await store.create(_deployment("bad", replicas=-1), _context(""))
    assert strategy.finished == [True, False]


async def test_a_generated_name_that_is_taken_is_generated_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    suffixes = iter(["one", "one", "one", "two"])
    monkeypatch.setattr(names, "generate_name", lambda prefix: prefix + next(suffixes))
    obj = _deployment()
    obj["metadata"] = {"generateName": "web-"}
    assert (await store.create(codec.copy_of(obj), _context(""))).name == "web-one"
    assert (await store.create(obj, _context(""))).name == "web-two"


async def test_a_name_that_cannot_be_generated_in_eight_tries_is_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[str] = []

    def always_the_same(prefix: str) -> str:
        tries.append(prefix)
        return f"{prefix}one"

    monkeypatch.setattr(names, "generate_name", always_the_same)
    obj = _deployment()
    obj["metadata"] = {"generateName": "web-"}
    await store.create(codec.copy_of(obj), _context(""))
    tries.clear()
    with pytest.raises(errors.AlreadyExists) as refusal:
        await store.create(obj, _context(""))
    assert len(tries) == 8
    text = 'deployments.apps "web-one" already exists, the server was not able to generate a unique name for the object'
    assert refusal.value.message == text
    assert refusal.value.details == {
        "name": "web-one",
        "group": "apps",
        "kind": "deployments",
        "retryAfterSeconds": 1,
    }


async def test_a_name_that_is_being_deleted_is_said_to_be(store: Store) -> None:
    obj = _deployment()
    obj["metadata"]["finalizers"] = ["a/b"]
    await store.create(obj, _context(""))
    await store.delete(_context(), DeleteOptions())
    with pytest.raises(errors.AlreadyExists, match="object is being deleted: deployments.apps"):
        await store.create(_deployment(), _context(""))


async def test_an_update_under_an_old_version_is_a_conflict(store: Store) -> None:
    first = (await store.create(_deployment(replicas=1), _context(""))).decode()
    await store.update(_set(replicas=2), _context())
    with pytest.raises(errors.Conflict) as conflict:
        await store.update(_put(first), _context())
    assert conflict.value.message == MODIFIED


async def test_an_update_without_a_version_goes_through_and_keeps_what_is_the_servers(store: Store) -> None:
    first = (await store.create(_deployment(replicas=1), _context(""))).decode()
    obj = _deployment(replicas=2)
    obj["metadata"] |= {"creationTimestamp": "2000-01-01T00:00:00Z", "generation": 77}
    entry, created = await store.update(_put(obj), _context())
    second = entry.decode()
    assert not created
    for field in ("uid", "creationTimestamp"):
        assert second["metadata"][field] == first["metadata"][field]
    assert second["metadata"]["generation"] == 2


async def test_an_update_of_another_uid_is_a_conflict(store: Store) -> None:
    await store.create(_deployment(), _context(""))
    obj = _deployment()
    obj["metadata"]["uid"] = "other"
    with pytest.raises(errors.Conflict, match="Precondition failed: UID in precondition: other, UID in object meta: "):
        await store.update(_put(obj), _context())


async def test_an_update_that_changes_nothing_costs_no_revision(store: Store, storage: MemoryStorage) -> None:
    await store.create(_deployment(replicas=1), _context(""))
    before = storage.revision
    entry, _ = await store.update(_set(replicas=1), _context())
    assert (storage.revision, entry.revision) == (before, before)
    await store.update(_set(replicas=True), _context())
    assert storage.revision == before + 1


async def test_a_status_update_touches_the_status_only_and_the_other_way_round(store: Store) -> None:
    await store.create(_deployment(replicas=1), _context(""))
    both = _deployment(replicas=9) | {"status": {"replicas": 1}}
    entry, _ = await store.update(_put(both), _context(subresource="status"))
    assert (entry.decode()["spec"], entry.decode()["status"]) == ({"replicas": 1}, {"replicas": 1})
    entry, _ = await store.update(_put(both | {"status": {}}), _context())
    assert (entry.decode()["spec"], entry.decode()["status"]) == ({"replicas": 9}, {"replicas": 1})
    assert entry.decode()["metadata"]["generation"] == 2


async def test_an_unknown_subresource_is_not_found(store: Store) -> None:
    await store.create(_deployment(), _context(""))
    with pytest.raises(errors.NotFound):
        await store.update(_set(), _context(subresource="resize"))


async def test_a_stale_cache_does_not_decide(store: Store, storage: MemoryStorage) -> None:
    await store.create(_deployment(replicas=1), _context(""))
    await store.cacher.fresh()
    storage.hold()
    seen: list[int] = []

    async def add_one(old: Json | None) -> Json:
        assert old is not None
        seen.append(old["spec"]["replicas"])
        old["spec"]["replicas"] += 1
        return old

    await store.update(add_one, _context())
    entry, _ = await store.update(add_one, _context())  # the cache still has the first one
    assert (entry.decode()["spec"]["replicas"], seen) == (3, [1, 1, 2])
    deleted = await store.delete(_context(), DeleteOptions(resource_version=str(entry.revision)))
    assert deleted.gone
    with pytest.raises(errors.NotFound):
        await store.update(add_one, _context())


async def test_a_refusal_because_of_a_stale_object_is_tried_again(store: Store, storage: MemoryStorage) -> None:
    await store.create(_deployment(replicas=1), _context(""))
    await store.cacher.fresh()
    storage.hold()
    newest, _ = await store.update(_set(replicas=2), _context())
    obj = newest.decode()
    obj["spec"]["replicas"] = 3
    entry, _ = await store.update(_put(obj), _context())  # to the cache this version is from the future
    assert entry.decode()["spec"]["replicas"] == 3


async def test_an_update_creates_where_the_kind_allows_it(registry: Registry) -> None:
    class Creating(Strategy):
        create_on_update = True

    leases = registry.add(Resource(kind=kinds.LEASES, key="leases", strategy=Creating()))
    lease = {"apiVersion": kinds.LEASES.api_version, "kind": "Lease", "metadata": {"name": "web"}}
    entry, created = await leases.update(_put(lease), _context())
    assert (created, entry.namespace, entry.name) == (True, "a", "web")
    _, created = await leases.update(_put({**lease, "spec": {}}), _context())
    assert not created


async def test_the_last_finalizer_takes_the_object_with_it(store: Store, strategy: _Strategy) -> None:
    obj = _deployment()
    obj["metadata"]["finalizers"] = ["a/b"]
    await store.create(obj, _context(""))
    deleted = await store.delete(_context(), DeleteOptions())
    assert not deleted.gone
    assert deleted.entry.decode()["metadata"]["deletionGracePeriodSeconds"] == 0
    assert strategy.deleted == []

    async def let_go(old: Json | None) -> Json:
        assert old is not None
        del old["metadata"]["finalizers"]
        return old

    await store.update(let_go, _context())
    assert strategy.deleted == ["web"]
    with pytest.raises(errors.NotFound):
        await store.get("a", "web")


async def test_a_dry_run_writes_nothing(store: Store, storage: MemoryStorage) -> None:
    entry = await store.create(_deployment(), _context("", dry_run=True))
    assert "resourceVersion" not in entry.decode()["metadata"]
    await store.create(_deployment(replicas=1), _context(""))
    before = storage.revision
    with pytest.raises(errors.AlreadyExists):
        await store.create(_deployment(), _context("", dry_run=True))
    entry, _ = await store.update(_set(replicas=2), _context(dry_run=True))
    assert entry.decode()["spec"] == {"replicas": 2}
    assert (await store.delete(_context(dry_run=True), DeleteOptions(dry_run=True))).gone
    assert storage.revision == before


async def test_the_gate_may_change_and_refuse(store: Store) -> None:
    seen: list[tuple[bool, bool]] = []

    async def mutate(obj: Json | None, old: Json | None) -> None:
        assert obj is not None
        obj["spec"]["paused"] = True

    async def validate(obj: Json | None, old: Json | None) -> None:
        seen.append((obj is None, old is None))
        if obj is not None and obj["spec"].get("replicas") == 13:
            raise errors.Forbidden("unlucky")

    gate = Gate(mutate, validate)
    made = await store.create(_deployment(replicas=1), _context(""), gate)
    assert made.decode()["spec"] == {"replicas": 1, "paused": True}
    with pytest.raises(errors.Forbidden):
        await store.update(_set(replicas=13), _context(), gate)
    await store.delete(_context(), DeleteOptions(), gate)
    assert seen == [(False, True), (False, False), (True, False)]


async def test_no_update_of_fifty_writers_is_lost(store: Store) -> None:
    await store.create(_deployment(replicas=0), _context(""))

    async def add_one(old: Json | None) -> Json:
        assert old is not None
        old["spec"]["replicas"] += 1
        return old

    await asyncio.gather(*(store.update(add_one, _context()) for _ in range(50)))
    assert (await store.get("a", "web")).decode()["spec"]["replicas"] == 50


async def test_a_collection_is_deleted_whatever_vanishes_meanwhile(store: Store, storage: MemoryStorage) -> None:
    for number in range(40):
        await store.create(_deployment(f"web-{number}"), _context(""))
    found = await store.list(Query())
    await store.delete(_context("web-7"), DeleteOptions())
    await store.delete_entries(found.entries, _context(""), DeleteOptions())
    assert (await store.list(Query())).entries == []


async def test_an_etcd_that_does_not_answer_is_service_unavailable(store: Store, storage: MemoryStorage) -> None:
    storage.available = False
    with pytest.raises(errors.ServiceUnavailable):
        await store.create(_deployment(), _context(""))
    with pytest.raises(errors.ServiceUnavailable):
        await store.list(Query())
