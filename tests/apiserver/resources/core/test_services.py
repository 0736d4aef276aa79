"""Services: defaults, what goes with which type, checks, claims."""

import ipaddress
from typing import Any

import pytest

from apiserver.registry.allocators import Allocators, IPAllocator, PortAllocator
from apiserver.registry.strategy import Context
from apiserver.request import ANONYMOUS
from apiserver.resources.core.services import SERVICES
from apiserver.resources.core.services.columns import COLUMNS
from machinery.api import codec, errors
from machinery.api.codec import Json
from tests.fakes.storage import MemoryStorage

STRATEGY = SERVICES.strategy


def _service(**spec: Any) -> Json:
    service: Json = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec},
    }
    STRATEGY.defaults(service)
    return service


@pytest.fixture(name="context")
def _context() -> Context:
    storage = MemoryStorage()
    network = ipaddress.IPv4Network("10.96.0.0/24")
    allocators = Allocators(IPAllocator(storage, network), PortAllocator(storage))
    return Context(ANONYMOUS, "default", "web", allocators=allocators)


async def _created(context: Context, **spec: Any) -> Json:
    service = _service(**spec)
    STRATEGY.prepare_for_create(service, context)
    assert [error.message() for error in STRATEGY.validate(service, context)] == []
    finish = await STRATEGY.begin_create(service, context)
    assert finish is not None
    await finish(True)
    return service


async def _updated(context: Context, old: Json, changes: Json) -> Json:
    service = codec.copy_of(old)
    service["spec"].update(changes)
    service["spec"] = {key: value for key, value in service["spec"].items() if value is not None}
    STRATEGY.defaults(service)
    STRATEGY.prepare_for_update(service, old, context)
    assert [error.message() for error in STRATEGY.validate_update(service, old, context)] == []
    finish = await STRATEGY.begin_update(service, old, context)
    assert finish is not None
    await finish(True)
    return service


async def _ips(context: Context) -> set[str]:
    assert context.allocators is not None
    page = await context.allocators.ips._storage.range("/registry/ipaddresses/")
    return {item.key.rpartition("/")[2] for item in page.items}


def test_the_defaults_of_a_cluster_ip_service() -> None:
    assert _service()["spec"] == {
        "selector": {"app": "web"},
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
    }


@pytest.mark.parametrize(
    ("spec", "field", "value"),
    [
        ({"type": "NodePort"}, "externalTrafficPolicy", "Cluster"),
        ({"type": "LoadBalancer"}, "allocateLoadBalancerNodePorts", True),
        ({"externalIPs": ["1.2.3.4"]}, "externalTrafficPolicy", "Cluster"),
        ({"sessionAffinity": "ClientIP"}, "sessionAffinityConfig", {"clientIP": {"timeoutSeconds": 10800}}),
        ({"type": "ExternalName", "externalName": "x.org"}, "internalTrafficPolicy", None),
    ],
)
def test_defaults_by_type(spec: Json, field: str, value: Any) -> None:
    assert _service(**spec)["spec"].get(field) == value


async def test_a_service_claims_an_address_and_its_family(context: Context) -> None:
    spec = (await _created(context))["spec"]
    assert ipaddress.ip_address(spec["clusterIP"]) in ipaddress.ip_network("10.96.0.0/24")
    assert spec["clusterIPs"] == [spec["clusterIP"]]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4"], "SingleStack")
    assert await _ips(context) == {spec["clusterIP"]}


async def test_a_service_gets_the_address_it_asks_for(context: Context) -> None:
    assert (await _created(context, clusterIP="10.96.0.10"))["spec"]["clusterIP"] == "10.96.0.10"


async def test_a_taken_address_is_refused(context: Context) -> None:
    await _created(context, clusterIP="10.96.0.10")
    service = _service(clusterIP="10.96.0.10")
    STRATEGY.prepare_for_create(service, context)
    with pytest.raises(errors.Invalid) as caught:
        await STRATEGY.begin_create(service, context)
    assert caught.value.message == (
        'Service "web" is invalid: spec.clusterIPs: Invalid value: ["10.96.0.10"]: '
        "failed to allocate IP 10.96.0.10: provided IP is already allocated"
    )


async def test_a_headless_service_claims_nothing(context: Context) -> None:
    spec = (await _created(context, clusterIP="None"))["spec"]
    assert (spec["clusterIP"], spec["clusterIPs"], spec["ipFamilies"]) == ("None", ["None"], ["IPv4"])
    assert await _ips(context) == set()


async def test_a_headless_service_without_selector_is_of_both_families(context: Context) -> None:
    spec = (await _created(context, clusterIP="None", selector=None))["spec"]
    assert (spec["ipFamilies"], spec["ipFamilyPolicy"]) == (["IPv4", "IPv6"], "RequireDualStack")


async def test_node_ports_asked_for_come_first_and_the_others_follow(context: Context) -> None:
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81, "nodePort": 30123}]
    first, second = (await _created(context, type="NodePort", ports=ports))["spec"]["ports"]
    assert second["nodePort"] == 30123
    assert 30000 <= first["nodePort"] <= 32767
    assert first["nodePort"] != 30123


async def test_two_protocols_share_a_node_port(context: Context) -> None:
    ports = [{"name": p, "port": 53, "protocol": p.upper(), "nodePort": 30053} for p in ("tcp", "udp")]
    spec = (await _created(context, type="NodePort", ports=ports))["spec"]
    assert [port["nodePort"] for port in spec["ports"]] == [30053, 30053]


async def test_a_failed_write_gives_everything_back(context: Context) -> None:
    service = _service(type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    STRATEGY.prepare_for_create(service, context)
    finish = await STRATEGY.begin_create(service, context)
    assert finish is not None
    await finish(False)
    assert await _ips(context) == set()
    await _created(context, type="NodePort", ports=[{"port": 80, "nodePort": 30080}])


async def test_a_refused_node_port_gives_the_address_back(context: Context) -> None:
    service = _service(type="NodePort", ports=[{"port": 80, "nodePort": 80}])
    STRATEGY.prepare_for_create(service, context)
    with pytest.raises(errors.Invalid, match=r"spec.ports\[0\].nodePort: Invalid value: 80: provided port is not in"):
        await STRATEGY.begin_create(service, context)
    assert await _ips(context) == set()


async def test_an_update_that_mentions_neither_address_nor_node_port_keeps_them(context: Context) -> None:
    old = await _created(context, type="NodePort")
    ports = [{"port": 80, "targetPort": 8080}]
    new = await _updated(context, old, {"clusterIP": None, "clusterIPs": None, "ports": ports})
    assert new["spec"]["clusterIP"] == old["spec"]["clusterIP"]
    assert new["spec"]["ports"][0]["nodePort"] == old["spec"]["ports"][0]["nodePort"]


async def test_from_cluster_ip_to_node_port_and_back(context: Context) -> None:
    plain = await _created(context)
    exposed = await _updated(context, plain, {"type": "NodePort"})
    assert exposed["spec"]["ports"][0]["nodePort"]
    assert exposed["spec"]["clusterIP"] == plain["spec"]["clusterIP"]
    again = await _updated(context, exposed, {"type": "ClusterIP"})
    assert "nodePort" not in again["spec"]["ports"][0]
    assert "externalTrafficPolicy" not in again["spec"]
    port = exposed["spec"]["ports"][0]["nodePort"]
    await _created(context, type="NodePort", ports=[{"port": 80, "nodePort": port}])


async def test_an_external_name_gives_the_address_back(context: Context) -> None:
    old = await _created(context)
    new = await _updated(context, old, {"type": "ExternalName", "externalName": "example.org"})
    assert not {"clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy", "internalTrafficPolicy"} & new["spec"].keys()
    assert await _ips(context) == set()


async def test_a_deleted_service_gives_everything_back(context: Context) -> None:
    service = await _created(context, type="NodePort", ports=[{"port": 80, "nodePort": 30080}])
    await STRATEGY.after_delete(service, context)
    assert await _ips(context) == set()
    await _created(context, type="NodePort", ports=[{"port": 80, "nodePort": 30080}])


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        pytest.param({}, [], id="fine"),
        pytest.param({"ports": []}, ["spec.ports: Required value"], id="no-ports"),
        pytest.param(
            {"trafficDistribution": "Nearby"},
            [
                'spec.trafficDistribution: Unsupported value: "Nearby": supported values: "PreferClose", '
                '"PreferSameNode", "PreferSameZone"'
            ],
            id="no-such-distribution",
        ),
        pytest.param(
            {"loadBalancerSourceRanges": ["10.0.0.0/8"], "loadBalancerClass": "a/b", "healthCheckNodePort": 30000},
            [
                "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
                "spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'",
                "spec.healthCheckNodePort: Invalid value: 30000: may only be set when `type` is 'LoadBalancer' and "
                "`externalTrafficPolicy` is 'Local'",
            ],
            id="balancers-fields",
        ),
        pytest.param(
            {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8", "here"]},
            [
                'spec.LoadBalancerSourceRanges: Invalid value: ["10.0.0.0/8","here"]: must be a list of IP ranges. For '
                "example, 10.240.0.0/24,10.250.0.0/24"
            ],
            id="ranges",
        ),
        pytest.param({"ports": [], "clusterIP": "None"}, [], id="headless-without-ports"),
        pytest.param(
            {"ports": [{"port": 80}, {"port": 81}]},
            ["spec.ports[0].name: Required value", "spec.ports[1].name: Required value"],
            id="unnamed-ports",
        ),
        pytest.param(
            {"ports": [{"port": 0}]},
            [
                "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive",
                "spec.ports[0].targetPort: Invalid value: 0: must be between 1 and 65535, inclusive",
            ],
            id="port-zero",
        ),
        pytest.param(
            {"type": "Nope"},
            [
                'spec.type: Unsupported value: "Nope": supported values: '
                '"ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'
            ],
            id="type",
        ),
        pytest.param(
            {"type": "NodePort", "clusterIP": "None"},
            ["spec.clusterIPs[0]: Invalid value: \"None\": may not be set to 'None' for NodePort services"],
            id="headless-node-port",
        ),
        pytest.param({"type": "ExternalName"}, ["spec.externalName: Required value"], id="no-external-name"),
        pytest.param(
            {"ports": [{"port": 80, "nodePort": 30000}]},
            ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
            id="node-port-of-cluster-ip",
        ),
        pytest.param(
            {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 90000}}},
            [
                "spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 90000: "
                "must be greater than 0 and less than or equal to 86400"
            ],
            id="affinity-timeout",
        ),
        pytest.param(
            {"externalTrafficPolicy": "Local"},
            ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services'],
            id="external-policy",
        ),
    ],
)
def test_a_services_checks(spec: Json, texts: list[str], context: Context) -> None:
    service = _service(**spec)
    STRATEGY.prepare_for_create(service, context)
    assert [error.message() for error in STRATEGY.validate(service, context)] == texts


async def test_a_cluster_ip_stays(context: Context) -> None:
    old = await _created(context)
    new = codec.copy_of(old)
    new["spec"]["clusterIP"] = "10.96.1.99"  # of another range: no address that was given can be it
    STRATEGY.prepare_for_update(new, old, context)
    assert [error.message() for error in STRATEGY.validate_update(new, old, context)] == [
        'spec.clusterIPs[0]: Invalid value: ["10.96.1.99"]: may not change once set'
    ]


@pytest.mark.parametrize(
    ("spec", "status", "cells"),
    [
        ({"clusterIP": "10.0.0.1"}, {}, ("ClusterIP", "10.0.0.1", "<none>", "80/TCP")),
        ({"clusterIP": "None", "ports": []}, {}, ("ClusterIP", "None", "<none>", "<none>")),
        (
            {"type": "NodePort", "clusterIP": "10.0.0.1", "ports": [{"port": 80, "nodePort": 30080}]},
            {},
            ("NodePort", "10.0.0.1", "<none>", "80:30080/TCP"),
        ),
        ({"type": "LoadBalancer", "clusterIP": "10.0.0.1"}, {}, ("LoadBalancer", "10.0.0.1", "<pending>", "80/TCP")),
        (
            {"type": "LoadBalancer", "clusterIP": "10.0.0.1"},
            {"loadBalancer": {"ingress": [{"ip": "1.1.1.1"}, {"hostname": "lb"}]}},
            ("LoadBalancer", "10.0.0.1", "1.1.1.1,lb", "80/TCP"),
        ),
        ({"type": "ExternalName", "externalName": "x.org"}, {}, ("ExternalName", "<none>", "x.org", "80/TCP")),
    ],
)
def test_a_services_row(spec: Json, status: Json, cells: tuple[str, ...]) -> None:
    service = {**_service(**spec), "status": status}
    assert tuple(column.cell(service) for column in COLUMNS[:4]) == cells
