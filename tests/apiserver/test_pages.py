"""Discovery's orders and forms, health's texts, durations: the pure parts of the pages."""

import pytest

from apiserver.config import seconds
from apiserver.discovery import Discovery
from apiserver.health import READY_ONLY, Health
from apiserver.openapi import OpenAPI
from apiserver.pages import aggregated_version
from apiserver.registry.resource import Resource
from apiserver.version import version_info
from machinery.api import codec, kinds
from machinery.api.kinds import Kind

ROWS = [
    Resource(kinds.PODS, short_names=("po",), categories=("all",), subresources=("status", "log", "exec", "eviction")),
    Resource(kinds.DEPLOYMENTS, subresources=("scale",)),
    Resource(Kind("example.com", "v1beta1", "Thing", "things", namespaced=False), verbs=("get",)),
    Resource(Kind("example.com", "v1", "Thing", "things", namespaced=False), verbs=("get",)),
    Resource(Kind("example.com", "v2alpha1", "Thing", "things", namespaced=False), verbs=("get",)),
]


def test_stable_versions_come_first() -> None:
    group = Discovery(ROWS).group("example.com")
    assert group is not None
    assert [version["version"] for version in group["versions"]] == ["v1", "v1beta1", "v2alpha1"]
    assert group["preferredVersion"] == {"groupVersion": "example.com/v1", "version": "v1"}


def test_a_legacy_list_has_subresources_as_resources() -> None:
    document = Discovery(ROWS).resource_list("", "v1")
    assert document is not None
    assert [entry["name"] for entry in document["resources"]] == [
        "pods",
        "pods/eviction",
        "pods/exec",
        "pods/log",
        "pods/status",
    ]
    pods, eviction, *_ = document["resources"]
    assert (pods["singularName"], pods["shortNames"], pods["categories"]) == ("pod", ["po"], ["all"])
    assert (eviction["group"], eviction["version"], eviction["kind"]) == ("policy", "v1", "Eviction")


def test_the_aggregated_document_is_split_into_core_and_others() -> None:
    discovery = Discovery(ROWS)
    core = codec.loads(discovery.aggregated("v2", core=True).body)
    others = discovery.aggregated("v2", core=False)
    assert [item["metadata"].get("name", "") for item in core["items"]] == [""]
    document = codec.loads(others.body)
    assert [item["metadata"]["name"] for item in document["items"]] == ["apps", "example.com"]
    thing = document["items"][1]["versions"][0]["resources"][0]
    assert (thing["scope"], thing["verbs"]) == ("Cluster", ["get"])
    assert document["items"][0]["versions"][0]["resources"][0]["subresources"][0]["responseKind"] == {
        "group": "autoscaling",
        "version": "v1",
        "kind": "Scale",
    }
    assert (
        discovery.aggregated("v2", core=False).etag == others.etag != discovery.aggregated("v2beta1", core=False).etag
    )


_AS = "g=apidiscovery.k8s.io;v={};as=APIGroupDiscoveryList"


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        pytest.param("application/json;" + _AS.format("v2") + ",application/json", "v2", id="kubectl"),
        pytest.param("application/json;" + _AS.format("v2beta1"), "v2beta1", id="older"),
        pytest.param(
            f"application/json;{_AS.format('v3')},application/json;{_AS.format('v2')}",
            "v2",
            id="a-version-unknown-to-us",
        ),
        pytest.param("application/json", "", id="legacy"),
        pytest.param("*/*", "", id="anything"),
        pytest.param("application/json," + "application/json;" + _AS.format("v2"), "", id="legacy-is-preferred"),
        pytest.param(
            "application/vnd.kubernetes.protobuf;" + _AS.format("v2") + ",application/json", "", id="protobuf"
        ),
    ],
)
def test_what_accept_asks_for(accept: str, wanted: str) -> None:
    assert aggregated_version(accept) == wanted


async def test_a_failed_check_keeps_its_reason_to_itself() -> None:
    health = Health()

    async def broken() -> str | None:
        return "the password is wrong"

    health.add("etcd", broken)
    health.add("late", broken, READY_ONLY)
    status, text = await health.all("livez", verbose=True, exclude=[])
    assert (status, text) == (500, "[+]ping ok\n[+]log ok\n[-]etcd failed: reason withheld\nlivez check failed\n")
    assert await health.all("livez", verbose=False, exclude=["etcd"]) == (200, "ok")
    assert (await health.one("livez", "late"))[0] == 404
    assert (await health.one("readyz", "late"))[0] == 500


async def test_a_server_that_stops_is_live_but_not_ready() -> None:
    health = Health(stopping=True)
    assert (await health.all("livez", verbose=False, exclude=[]))[0] == 200
    assert (await health.all("readyz", verbose=False, exclude=[]))[0] == 500


def test_an_openapi_hash_changes_with_the_rows_only() -> None:
    first, again, fewer = OpenAPI(ROWS), OpenAPI(ROWS), OpenAPI(ROWS[1:])
    assert first.root() == again.root()
    assert "api/v1" not in fewer.root()["paths"]
    document = first.document("apis/apps/v1")
    assert document is not None
    assert document.digest in first.root()["paths"]["apis/apps/v1"]["serverRelativeURL"]
    assert first.document("apis/nonsense/v1") is None


@pytest.mark.parametrize(
    ("text", "wanted"),
    [("1m0s", 60.0), ("1h30m", 5400.0), ("250ms", 0.25), ("0", 0.0), ("0s", 0.0), ("1.5s", 1.5)],
)
def test_durations_are_gos(text: str, wanted: float) -> None:
    assert seconds(text) == wanted


@pytest.mark.parametrize("text", ["5", "m", "5x", "1m!"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="invalid duration"):
        seconds(text)


def test_the_version_says_what_it_is() -> None:
    info = version_info()
    assert (info["major"], info["minor"]) == ("1", "37")
    assert info["gitVersion"].startswith("v1.37.0+skiff.")
