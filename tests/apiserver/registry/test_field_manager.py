"""managedFields on the wire: entries, their order and times, resets, the cap, kubectl's change to server-side apply."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from apiserver.registry import field_manager
from apiserver.registry.field_manager import LAST_APPLIED, FieldManager, Writer, manager_name
from apiserver.registry.resource import Resource
from apiserver.resources import RESOURCES
from machinery.aio.clock import FakeClock
from machinery.api import codec, errors, kinds
from machinery.api.codec import Json

START = datetime(2026, 1, 1, tzinfo=UTC)
ANN, KUBECTL = Writer("ann"), Writer("kubectl")


def config_map(data: Json | None = None, **metadata: Any) -> Json:
    """A ConfigMap as a server has it."""
    found: Json = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n", **metadata}}
    return found | ({"data": data} if data is not None else {})


@pytest.fixture
def clock() -> FakeClock:
    """At the start of the year."""
    return FakeClock(start=START)


@pytest.fixture
def fields(clock: FakeClock) -> FieldManager:
    """Of ConfigMaps."""
    return FieldManager(Resource(kinds.CONFIG_MAPS), clock)


def names(obj: Json) -> list[str]:
    """Who manages."""
    return [entry["manager"] for entry in obj["metadata"].get("managedFields") or []]


@pytest.mark.parametrize(
    ("asked", "agent", "name"),
    [
        ("mine", "kubectl/v1.33", "mine"),
        ("", "kubectl/v1.33 (linux)", "kubectl"),
        ("", "curl", "curl"),
        ("", "x" * 200 + "/1", "x" * 128),
        ("", "a\tb\x00c/1", "abc"),
        ("", "", ""),
    ],
)
def test_a_manager_is_named_by_the_option_or_the_client(asked: str, agent: str, name: str) -> None:
    assert manager_name(asked, agent) == name


def test_a_new_object_is_its_creators_without_what_is_the_servers(fields: FieldManager) -> None:
    obj = config_map({"a": "b"}, labels={"l": "v"}, uid="u", creationTimestamp="2026-01-01T00:00:00Z")
    fields.update(obj, None, ANN)
    assert obj["metadata"]["managedFields"] == [
        {
            "manager": "ann",
            "operation": "Update",
            "apiVersion": "v1",
            "time": "2026-01-01T00:00:00Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {
                "f:data": {".": {}, "f:a": {}},
                "f:metadata": {"f:labels": {".": {}, "f:l": {}}},
            },
        }
    ]


def test_a_nameless_writer_is_unknown(fields: FieldManager) -> None:
    obj = config_map({"a": "b"})
    fields.update(obj, None, Writer(""))
    assert names(obj) == ["unknown"]


async def test_a_time_stays_while_nothing_else_changes(fields: FieldManager, clock: FakeClock) -> None:
    old = config_map({"a": "b"}, uid="u")
    fields.update(old, None, ANN)
    await clock.advance(60)
    same, other = codec.copy_of(old), codec.copy_of(old)
    applied = fields.apply(old, config_map({"a": "b"}), Writer("bob"), force=False)
    fields.update(same, old, ANN)
    assert same == old
    again = fields.apply(applied, config_map({"a": "b"}), Writer("bob"), force=False)
    fields.settle(again, applied)
    assert again == applied
    other["data"] = {"a": "c"}
    fields.update(other, old, ANN)
    assert other["metadata"]["managedFields"][0]["time"] == "2026-01-01T00:01:00Z"


@pytest.mark.parametrize(
    ("sent", "left"),
    [
        pytest.param(None, ["ann", "bob"], id="left-out"),
        pytest.param([], ["ann", "bob"], id="emptied"),
        pytest.param([{}], [], id="reset"),
        pytest.param([{"manager": "eve", "operation": "Steal"}], ["ann", "bob"], id="nonsense"),
        pytest.param(
            [{"manager": "eve", "operation": "Update", "apiVersion": "v1", "fieldsV1": {"f:data": {"f:a": {}}}}],
            ["eve", "bob"],
            id="rewritten",
        ),
    ],
)
def test_what_a_client_writes_there_counts_if_it_is_good(fields: FieldManager, sent: Any, left: list[str]) -> None:
    old = config_map({"a": "b"}, uid="u")
    fields.update(old, None, ANN)
    obj = config_map({"a": "b", "more": "x"}, uid="u", managedFields=sent)
    fields.update(obj, old, Writer("bob"))
    assert names(obj) == left


def test_an_object_nobody_managed_stays_that_way_until_it_is_applied(fields: FieldManager) -> None:
    old = config_map({"a": "b"}, uid="u")
    obj = config_map({"a": "c"}, uid="u")
    fields.update(obj, old, ANN)
    assert names(obj) == []
    applied = fields.apply(obj, config_map({"new": "x"}), KUBECTL, force=False)
    assert names(applied) == ["kubectl", "before-first-apply"]
    assert applied["data"] == {"a": "c", "new": "x"}


async def test_old_updaters_are_joined_when_they_become_too_many(fields: FieldManager, clock: FakeClock) -> None:
    obj = config_map({}, uid="u")
    fields.update(obj, None, Writer("first"))
    for number in range(14):
        await clock.advance(1)
        old, obj = obj, codec.copy_of(obj)
        obj["data"] = {**obj["data"], f"k{number}": "v"}
        fields.update(obj, old, Writer(f"w{number}"))
    assert names(obj) == ["ancient-changes", *(f"w{number}" for number in range(5, 14))]
    assert obj["metadata"]["managedFields"][0]["fieldsV1"]["f:data"].keys() >= {"f:k0", "f:k4"}


def test_a_conflict_names_manager_and_field(fields: FieldManager) -> None:
    old = config_map({"a": "b"}, uid="u")
    fields.update(old, None, ANN)
    with pytest.raises(errors.Conflict) as refused:
        fields.apply(old, config_map({"a": "c"}), Writer("bob"), force=False)
    assert refused.value.message == 'Apply failed with 1 conflict: conflict with "ann" using v1: .data.a'
    assert refused.value.details == {
        "causes": [{"reason": "FieldManagerConflict", "message": 'conflict with "ann" using v1', "field": ".data.a"}]
    }


def test_kubectl_takes_from_its_own_client_side_apply(fields: FieldManager) -> None:
    annotations = {LAST_APPLIED: codec.dumps(config_map({"a": "b"})).decode()}
    old = config_map({"a": "b", "other": "x"}, uid="u", annotations=annotations)
    fields.update(old, None, Writer("kubectl-client-side-apply"))
    applied = fields.apply(old, config_map({"a": "c"}), KUBECTL, force=False)
    assert applied["data"] == {"a": "c", "other": "x"}
    assert '"a":"c"' in applied["metadata"]["annotations"][LAST_APPLIED]
    with pytest.raises(errors.Conflict, match=r"\.data\.other"):
        fields.apply(old, config_map({"a": "c", "other": "y"}), KUBECTL, force=False)


def test_managers_in_a_configuration_are_refused(fields: FieldManager) -> None:
    with pytest.raises(errors.BadRequest, match="metadata.managedFields must be nil"):
        fields.apply(None, config_map({}, managedFields=[]), KUBECTL, force=False)


def test_status_and_the_rest_are_owned_by_requests_for_them() -> None:
    nodes = FieldManager(Resource(kinds.NODES), FakeClock(start=START))
    old: Json = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "uid": "u"}, "spec": {}}
    first = codec.copy_of(old)
    first["spec"] = {"podCIDR": "10.0.0.0/24"}
    first["status"] = {"phase": "Running"}
    nodes.update(first, None, ANN)
    second = codec.copy_of(first)
    second["spec"]["unschedulable"] = True
    second["status"]["phase"] = "Pending"
    nodes.update(second, first, Writer("kubelet", "status"))
    ann, kubelet = second["metadata"]["managedFields"]
    assert ann["fieldsV1"] == {"f:spec": {"f:podCIDR": {}}}
    assert (kubelet["subresource"], kubelet["fieldsV1"]) == ("status", {"f:status": {"f:phase": {}}})


_SAMPLES = yaml.safe_load_all((Path(__file__).parents[2] / "samples" / "objects.yaml").read_text())


@pytest.mark.parametrize("sample", [sample for sample in _SAMPLES], ids=lambda it: it["kind"])
def test_a_spec_seen_before_makes_the_same_fields_as_a_new_one(sample: Json, monkeypatch: pytest.MonkeyPatch) -> None:
    version, kind = sample["apiVersion"], sample["kind"]
    resource = next((it for it in RESOURCES if (it.kind.api_version, it.kind.kind) == (version, kind)), None)
    if resource is None:  # another version of a kind that is stored in a newer one
        return
    remembering = FieldManager(resource, FakeClock(start=START))
    once, again, plain = (codec.copy_of(sample) for _ in range(3))
    remembering.update(once, None, ANN)
    remembering.update(again, None, ANN)
    monkeypatch.setattr(field_manager, "_LARGEST_REMEMBERED", 0)
    remembering.update(plain, None, ANN)
    assert codec.dumps(once) == codec.dumps(plain)  # in the same order, too
    assert codec.dumps(again) == codec.dumps(plain)
