"""Namespaces, nodes, config maps, secrets, events, endpoints: what is special about each."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from apiserver.registry.resource import Resource
from apiserver.registry.strategy import Context
from apiserver.request import ANONYMOUS
from apiserver.resources import columns
from apiserver.resources.coordination.leases import LEASES
from apiserver.resources.core.configmaps import CONFIG_MAPS
from apiserver.resources.core.endpoints import ENDPOINTS
from apiserver.resources.core.events import EVENTS
from apiserver.resources.core.namespaces import NAMESPACES
from apiserver.resources.core.nodes import NODES
from apiserver.resources.core.secrets import SECRETS
from apiserver.resources.discovery.endpointslices import ENDPOINT_SLICES
from machinery.api import codec, times
from machinery.api.codec import Json

CONTEXT = Context(ANONYMOUS, "default", "x")


@pytest.fixture(autouse=True)
def _clock() -> Iterator[None]:
    columns.set_clock(lambda: datetime(2026, 1, 1, 0, 5, tzinfo=UTC))
    yield
    columns.set_clock(times.now)


def _obj(row: Resource, **fields: Any) -> Json:
    namespace = {"namespace": "default"} if row.kind.namespaced else {}
    obj = {"metadata": {"name": "x", **namespace}, **codec.copy_of(fields)}
    row.strategy.defaults(obj)
    return obj


def _problems(row: Resource, **fields: Any) -> list[str]:
    return [error.message() for error in row.strategy.validate(_obj(row, **fields), CONTEXT)]


def _changed(row: Resource, new: Json, old: Json) -> list[str]:
    found = row.strategy.validate_update(_obj(row, **new), _obj(row, **old), CONTEXT)
    return [error.message() for error in found]


def _cells(row: Resource, obj: Json) -> dict[str, Any]:
    return {column.name: column.cell(obj) for column in row.columns}


def test_a_new_namespace_is_active_labelled_and_held() -> None:
    namespace = _obj(NAMESPACES, status={"phase": "Terminating"})
    NAMESPACES.strategy.prepare_for_create(namespace, CONTEXT)
    assert namespace["spec"] == {"finalizers": ["kubernetes"]}
    assert namespace["status"] == {"phase": "Active"}
    assert namespace["metadata"]["labels"] == {"kubernetes.io/metadata.name": "x"}
    assert NAMESPACES.strategy.holds_on(namespace)


def test_only_finalize_empties_a_namespaces_finalizers() -> None:
    old = _obj(NAMESPACES, spec={"finalizers": ["kubernetes"]}, status={"phase": "Terminating"})
    new = _obj(NAMESPACES, spec={}, status={"phase": "Active"})
    NAMESPACES.strategy.prepare_for_update(new, old, CONTEXT)
    assert (new["spec"], new["status"]) == (old["spec"], old["status"])
    new = _obj(NAMESPACES, spec={}, status={"phase": "Active"})
    NAMESPACES.strategy.prepare_for_finalize_update(new, old, CONTEXT)  # type: ignore[attr-defined]
    assert (new["spec"], new["status"]) == ({}, old["status"])
    assert not NAMESPACES.strategy.holds_on(new)


def test_a_deleted_namespace_is_terminating() -> None:
    namespace = _obj(NAMESPACES)
    NAMESPACES.strategy.mark_deleted(namespace)
    assert _cells(NAMESPACES, namespace)["Status"] == "Terminating"


def test_a_nodes_addresses_and_roles() -> None:
    node = _obj(
        NODES,
        spec={"podCIDR": "10.0.0.0/24", "unschedulable": True},
        status={
            "capacity": {"cpu": "2"},
            "conditions": [{"type": "Ready", "status": "True"}],
            "addresses": [{"type": "InternalIP", "address": "1.2.3.4"}],
            "nodeInfo": {"kubeletVersion": "v1.37.0"},
        },
    )
    node["metadata"]["labels"] = {"node-role.kubernetes.io/worker": "", "node-role.kubernetes.io/edge": ""}
    assert node["spec"]["podCIDRs"] == ["10.0.0.0/24"]
    assert node["status"]["allocatable"] == {"cpu": "2"}
    cells = _cells(NODES, node)
    assert (cells["Status"], cells["Roles"], cells["Version"]) == ("Ready,SchedulingDisabled", "edge,worker", "v1.37.0")
    assert (cells["Internal-IP"], cells["External-IP"], cells["OS-Image"]) == ("1.2.3.4", "<none>", "<unknown>")


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ([], "Unknown"),
        ([{"type": "Ready", "status": "False"}], "NotReady"),
        ([{"type": "Ready", "status": "Unknown"}], "NotReady"),
    ],  # noqa: E501
)
def test_a_nodes_status(conditions: list[Json], status: str) -> None:
    assert _cells(NODES, _obj(NODES, status={"conditions": conditions}))["Status"] == status


@pytest.mark.parametrize(
    ("row", "fields", "texts"),
    [
        pytest.param(
            NODES,
            {"spec": {"taints": [{"key": "a", "effect": "x"}]}},
            [
                'metadata.taints[0].effect: Unsupported value: "x": supported values: '
                '"NoExecute", "NoSchedule", "PreferNoSchedule"'
            ],
            id="taint-effect",
        ),
        pytest.param(CONFIG_MAPS, {"data": {"a": "b"}, "binaryData": {"c": "AA=="}}, [], id="config-map"),
        pytest.param(
            CONFIG_MAPS,
            {"data": {"a": "b"}, "binaryData": {"a": "AA=="}},
            ['data[a]: Invalid value: "a": duplicate of key present in binaryData'],
            id="key-twice",
        ),
        pytest.param(SECRETS, {"stringData": {"a": "b"}}, [], id="secret"),
        pytest.param(
            SECRETS,
            {"type": "kubernetes.io/tls"},
            ["data[tls.crt]: Required value", "data[tls.key]: Required value"],
            id="tls-without-keys",
        ),
        pytest.param(
            SECRETS,
            {"type": "kubernetes.io/service-account-token"},
            ["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
            id="token-without-account",
        ),
        pytest.param(EVENTS, {"involvedObject": {"namespace": "default"}}, [], id="event"),
        pytest.param(
            EVENTS,
            {"involvedObject": {"namespace": "other"}},
            ['involvedObject.namespace: Invalid value: "other": does not match event.namespace'],
            id="event-elsewhere",
        ),
        pytest.param(
            ENDPOINTS,
            {"subsets": [{"addresses": [{"ip": "127.0.0.1"}]}]},
            [
                'subsets[0].addresses[0].ip: Invalid value: "127.0.0.1": '
                "may not be in the loopback range (127.0.0.0/8, ::1/128)"
            ],
            id="loopback-endpoint",
        ),
        pytest.param(
            ENDPOINTS,
            {"subsets": [{}]},
            ["subsets[0]: Required value: must specify `addresses` or `notReadyAddresses`"],
            id="empty-subset",
        ),
        pytest.param(
            ENDPOINT_SLICES,
            {"addressType": "IPv4", "endpoints": [{"addresses": ["10.0.0.1"]}], "ports": [{"port": 80}]},
            [],
            id="endpoint-slice",
        ),
        pytest.param(
            ENDPOINT_SLICES,
            {"addressType": "IPv6", "endpoints": [{"addresses": ["10.0.0.1"]}, {"addresses": []}]},
            [
                'endpoints[0].addresses[0]: Invalid value: "10.0.0.1": must be an IPv6 address',
                "endpoints[1].addresses: Required value: must contain at least 1 address",
            ],
            id="wrong-family",
        ),
        pytest.param(
            LEASES,
            {"spec": {"leaseDurationSeconds": 0}},
            ["spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"],
            id="lease",
        ),
    ],
)
def test_what_is_wrong_with_a_new_object(row: Resource, fields: Json, texts: list[str]) -> None:
    assert _problems(row, **fields) == texts


IMMUTABLE = "field is immutable when `immutable` is set"


@pytest.mark.parametrize(
    ("row", "new", "old", "texts"),
    [
        (CONFIG_MAPS, {"data": {"a": "2"}}, {"data": {"a": "1"}}, []),
        (
            CONFIG_MAPS,
            {"data": {"a": "2"}, "immutable": True},
            {"data": {"a": "1"}, "immutable": True},
            [f"data: Forbidden: {IMMUTABLE}"],
        ),
        (SECRETS, {}, {"immutable": True}, [f"immutable: Forbidden: {IMMUTABLE}"]),
        (SECRETS, {"type": "b"}, {"type": "a"}, ['type: Invalid value: "b": field is immutable']),
        (
            NODES,
            {"spec": {"podCIDR": "10.0.1.0/24"}},
            {"spec": {"podCIDR": "10.0.0.0/24"}},
            ['spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid'],
        ),
        (NODES, {"spec": {"podCIDR": "10.0.1.0/24"}}, {}, []),
    ],
)
def test_what_may_not_change(row: Resource, new: Json, old: Json, texts: list[str]) -> None:
    assert _changed(row, new, old) == texts


def test_string_data_ends_up_in_data() -> None:
    secret = _obj(SECRETS, data={"a": "AA=="}, stringData={"b": "text"})
    assert secret["data"] == {"a": "AA==", "b": "dGV4dA=="}
    assert "stringData" not in secret
    assert secret["type"] == "Opaque"


@pytest.mark.parametrize(
    ("event", "last", "count", "first"),
    [
        (
            {"firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:04:00Z", "count": 3},
            "60s",
            3,
            "5m",
        ),
        ({"eventTime": "2026-01-01T00:00:00.000000Z"}, "5m", 1, "5m"),
        (
            {
                "eventTime": "2026-01-01T00:00:00.000000Z",
                "series": {"count": 9, "lastObservedTime": "2026-01-01T00:04:00.000000Z"},
            },
            "60s",
            9,
            "5m",
        ),
        ({}, "<unknown>", 1, "<unknown>"),
    ],
)
def test_when_an_event_was_seen(event: Json, last: str, count: int, first: str) -> None:
    cells = _cells(EVENTS, _obj(EVENTS, **event))
    assert (cells["Last Seen"], cells["Count"], cells["First Seen"]) == (last, count, first)


def test_an_events_row() -> None:
    event = _obj(
        EVENTS,
        involvedObject={"kind": "Pod", "name": "web", "fieldPath": "spec.containers{c}"},
        source={"component": "kubelet", "host": "n1"},
        message=" Started \n",
    )
    cells = _cells(EVENTS, event)
    assert (cells["Object"], cells["Source"], cells["Message"]) == ("pod/web", "kubelet, n1", "Started")
    assert EVENTS.fields["involvedObject.kind"](event) == "Pod"
    assert EVENTS.fields["source"](event) == "kubelet"


def test_endpoints_show_three_and_say_how_many_more() -> None:
    addresses = [{"ip": f"10.0.0.{number}"} for number in range(1, 6)]
    endpoints = _obj(ENDPOINTS, subsets=[{"addresses": addresses, "ports": [{"port": 80}]}])
    assert _cells(ENDPOINTS, endpoints)["Endpoints"] == "10.0.0.1:80,10.0.0.2:80,10.0.0.3:80 + 2 more..."
    assert _cells(ENDPOINTS, _obj(ENDPOINTS))["Endpoints"] == "<none>"


def test_an_endpoint_slices_row() -> None:
    slice_ = _obj(
        ENDPOINT_SLICES, addressType="IPv4", endpoints=[{"addresses": ["10.0.0.1"]}], ports=[{"port": 80}, {}]
    )
    cells = _cells(ENDPOINT_SLICES, slice_)
    assert (cells["AddressType"], cells["Ports"], cells["Endpoints"]) == ("IPv4", "80,*", "10.0.0.1")


def test_a_slices_generation_counts_labels_too() -> None:
    old = _obj(ENDPOINT_SLICES, addressType="IPv4")
    old["metadata"]["generation"] = 1
    new = codec.copy_of(old)
    new["metadata"]["labels"] = {"a": "b"}
    ENDPOINT_SLICES.strategy.prepare_for_update(new, old, CONTEXT)
    assert new["metadata"]["generation"] == 2
