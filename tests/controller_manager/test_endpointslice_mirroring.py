"""Which Endpoints are mirrored, and how."""

import pytest

from controller_manager.endpointslice_mirroring import MANAGER, plan_mirror, wants_mirroring
from controller_manager.slice_packing import MANAGED_BY, SERVICE_NAME
from machinery.api import meta
from machinery.api.codec import Json
from tests.controller_manager.objects import service

PORT: Json = {"name": "sql", "port": 5432, "protocol": "TCP"}


def _endpoints(*subsets: Json, **metadata: Json) -> Json:
    return {"metadata": {"name": "web", "namespace": "ns", "uid": "u1"} | metadata, "subsets": list(subsets)}


@pytest.mark.parametrize(
    ("endpoints", "owner", "expected"),
    [
        pytest.param(_endpoints(), service(selector=None), True, id="no-selector"),
        pytest.param(_endpoints(), service(), False, id="a-selector"),
        pytest.param(_endpoints(), None, False, id="no-service"),
        pytest.param(None, service(selector=None), False, id="no-endpoints"),
        pytest.param(
            _endpoints(labels={"endpointslice.kubernetes.io/skip-mirror": "true"}),
            service(selector=None),
            False,
            id="skipped",
        ),
        pytest.param(
            _endpoints(annotations={"control-plane.alpha.kubernetes.io/leader": "{}"}),
            service(selector=None),
            False,
            id="a-lock",
        ),
    ],
)
def test_who_is_mirrored(endpoints: Json | None, owner: Json | None, expected: bool) -> None:
    assert wants_mirroring(endpoints, owner) is expected


def test_each_family_gets_its_slice_with_ready_and_not_ready_addresses() -> None:
    subset = {
        "addresses": [{"ip": "192.0.2.1"}, {"ip": "2001:db8:0::1"}],
        "notReadyAddresses": [{"ip": "192.0.2.2"}],
        "ports": [PORT],
    }
    plan = plan_mirror(_endpoints(subset, labels={"team": "a"}), service(selector=None), [])
    shown = {
        slice_["addressType"]: [(each["addresses"], each["conditions"]) for each in slice_["endpoints"]]
        for slice_ in plan.create
    }
    assert shown == {
        "IPv4": [(["192.0.2.1"], {"ready": True}), (["192.0.2.2"], {"ready": False})],
        "IPv6": [(["2001:db8::1"], {"ready": True})],
    }
    assert all(slice_["ports"] == [PORT] for slice_ in plan.create)
    assert meta.labels_of(plan.create[0]) == {"team": "a", SERVICE_NAME: "web", MANAGED_BY: MANAGER}


def test_slices_go_when_the_endpoints_do() -> None:
    subset = {"addresses": [{"ip": "192.0.2.1"}], "ports": [PORT]}
    existing = plan_mirror(_endpoints(subset), service(selector=None), []).create
    assert plan_mirror(_endpoints(subset), service(selector=None), existing).create == []
    assert plan_mirror(None, service(selector=None), existing).delete == existing
    assert plan_mirror(_endpoints(), service(selector=None), existing).delete == existing
