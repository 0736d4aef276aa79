"""ResourceClaims end to end as far as the scheduler goes: a real API server, devices of a driver that is not there."""

import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest

from machinery.api.codec import Json
from tests.integration.apiserver_process import ApiserverProcess
from tests.integration.scheduler.cluster import Cluster, eventually, scheduler
from tests.scheduler.device_objects import DRIVER, claim, device, device_class, exactly, slice_of

RESOURCE = "/apis/resource.k8s.io/v1"
CLAIMS = f"{RESOURCE}/namespaces/default/resourceclaims"
BIG = f'device.attributes["{DRIVER}"].model == "big"'


@pytest.fixture
def devices(cluster: Cluster) -> Iterator[Cluster]:
    """Two nodes with a big and a small device each."""
    cluster.create(f"{RESOURCE}/deviceclasses", device_class("gpu", f'device.driver == "{DRIVER}"'))
    for name in ("n1", "n2"):
        cluster.node(name)
        offered = slice_of(name, device("a", model="big"), device("b", model="small"))
        cluster.create(f"{RESOURCE}/resourceslices", offered)
    yield cluster
    for obj in cluster.get(CLAIMS)["items"]:
        path = f"{CLAIMS}/{obj['metadata']['name']}"
        cluster.patch(path, {"metadata": {"finalizers": None}})
        cluster.client.delete(path)
    for path in (
        f"{RESOURCE}/deviceclasses/gpu",
        *(f"{RESOURCE}/resourceslices/slice-{one}-1" for one in ("n1", "n2")),
    ):
        assert cluster.client.delete(path).status_code == 200


def _claim(name: str, *requests: Json) -> Json:
    made = claim(name, *requests)
    return {"metadata": {"name": name}, "spec": made["spec"]}


def _using(cluster: Cluster, name: str, *claims: str) -> None:
    cluster.pod(name, resourceClaims=[{"name": one, "resourceClaimName": one} for one in claims])


def test_pods_get_devices_of_their_own_and_those_too_many_are_told(
    devices: Cluster, running: subprocess.Popen[bytes]
) -> None:
    for number in range(4):
        devices.create(CLAIMS, _claim(f"c{number}", exactly("r", *([BIG] if number < 3 else []))))
        _using(devices, f"p{number}", f"c{number}")

    def placed() -> list[str]:
        return [f"p{number}" for number in range(4) if devices.node_of(f"p{number}")]

    eventually("three pods placed", lambda: len(placed()) == 3)
    [left] = {f"p{number}" for number in range(4)} - set(placed())
    text = "0/2 nodes are available: 2 cannot allocate all claims."
    eventually("the reason", lambda: devices.condition(left).get("message", "").startswith(text))
    results = []
    for name in placed():
        found = devices.get(f"{CLAIMS}/{name.replace('p', 'c')}")
        assert found["metadata"]["finalizers"] == ["resource.kubernetes.io/delete-protection"]
        assert [user["name"] for user in found["status"]["reservedFor"]] == [name]
        [result] = found["status"]["allocation"]["devices"]["results"]
        assert result["pool"] == devices.node_of(name)
        results.append((result["pool"], result["device"]))
    assert max(Counter(results).values()) == 1


def test_a_claim_given_back_goes_to_the_pod_that_waits(devices: Cluster, running: subprocess.Popen[bytes]) -> None:
    for name in ("one", "two", "three"):
        devices.create(CLAIMS, _claim(name, exactly("r", BIG)))
    _using(devices, "first", "one")
    _using(devices, "second", "two")
    eventually("two pods placed", lambda: devices.node_of("first") and devices.node_of("second"))
    _using(devices, "third", "three")
    eventually("the third waits", lambda: devices.condition("third").get("reason") == "Unschedulable")
    answer = devices.client.patch(
        f"{CLAIMS}/one/status",
        json={"status": {"allocation": None, "reservedFor": None}},
        headers={"content-type": "application/merge-patch+json"},
    )
    assert answer.status_code == 200, answer.text
    eventually("the third placed", lambda: devices.node_of("third"))


def test_a_pod_waits_for_its_claim_and_shares_one_that_is_allocated(
    devices: Cluster, running: subprocess.Popen[bytes]
) -> None:
    _using(devices, "early", "late")
    devices.create(CLAIMS, _claim("late", exactly("r", BIG)))
    eventually("the early pod placed", lambda: devices.node_of("early"))
    _using(devices, "other", "late")
    eventually("the other one too", lambda: devices.node_of("other"))
    assert devices.node_of("other") == devices.node_of("early")
    eventually("both use it", lambda: len(devices.get(f"{CLAIMS}/late")["status"]["reservedFor"]) == 2)


def test_a_restarted_scheduler_gives_no_device_twice(devices: Cluster, server: ApiserverProcess) -> None:
    devices.create(CLAIMS, _claim("one", exactly("r", BIG, count=1)))
    devices.create(CLAIMS, _claim("two", exactly("r", BIG, count=1)))
    devices.create(CLAIMS, _claim("three", exactly("r", BIG, count=1)))
    with scheduler(server, "--leader-elect=false"):
        _using(devices, "first", "one")
        eventually("one pod placed", lambda: devices.node_of("first"))
    with scheduler(server, "--leader-elect=false"):
        _using(devices, "second", "two")
        eventually("the next placed", lambda: devices.node_of("second"))
        _using(devices, "third", "three")
        eventually("no more", lambda: devices.condition("third").get("reason") == "Unschedulable")
    assert devices.node_of("first") != devices.node_of("second")


@pytest.mark.parametrize(
    ("expression", "cause"),
    [
        pytest.param("device.attributes[", "compilation failed", id="no-expression"),
        pytest.param("1 + 1", "must evaluate to bool", id="no-condition"),
    ],
)
def test_a_selector_that_is_none_is_refused(cluster: Cluster, expression: str, cause: str) -> None:
    answer = cluster.client.post(f"{RESOURCE}/deviceclasses", json=device_class("bad", expression))
    assert answer.status_code == 422
    [found] = answer.json()["details"]["causes"]
    assert found["field"] == "spec.selectors[0].cel.expression"
    assert cause in found["message"]
