"""What a Service object means to the proxy."""

from typing import Any

import pytest

from machinery.api.codec import Json
from proxy.services import PortName, ServicePort, ports_of


def service(*ports: Json, status: Json | None = None, **spec: Any) -> Json:
    """default/web with a cluster IP."""
    default = {"clusterIP": "10.96.0.10", "type": "ClusterIP", "ports": list(ports or ({"name": "http", "port": 80},))}
    return {"metadata": {"namespace": "default", "name": "web"}, "spec": default | spec, "status": status or {}}


def port(**facts: Any) -> ServicePort:
    """What default/web:http becomes."""
    plain: Json = {
        "name": PortName("default", "web", "http"),
        "cluster_ip": "10.96.0.10",
        "protocol": "tcp",
        "port": 80,
    }
    return ServicePort(**{**plain, **facts})


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param(service(), (port(),), id="cluster-ip"),
        pytest.param(service(clusterIP="None"), (), id="headless"),
        pytest.param(service(clusterIP=""), (), id="not-allocated-yet"),
        pytest.param(service(type="ExternalName"), (), id="external-name"),
        pytest.param(service(clusterIP="fd00::1", clusterIPs=["fd00::1"]), (), id="ipv6-only"),
        pytest.param(service(clusterIP="fd00::1", clusterIPs=["fd00::1", "10.96.0.10"]), (port(),), id="dual-stack"),
        pytest.param(
            service({"port": 80}, {"name": "dns", "port": 53, "protocol": "UDP"}),
            (
                port(name=PortName("default", "web", "")),
                port(name=PortName("default", "web", "dns"), port=53, protocol="udp"),
            ),
            id="two-ports",
        ),
        pytest.param(
            service({"name": "http", "port": 80, "nodePort": 30080}, type="NodePort"),
            (port(node_port=30080),),
            id="node-port",
        ),
        pytest.param(
            service({"name": "http", "port": 80, "nodePort": 30080}), (port(),), id="node-port-left-from-another-type"
        ),
        pytest.param(
            service(externalIPs=["192.0.2.1", "fd00::2"]), (port(external_ips=("192.0.2.1",)),), id="external-ips"
        ),
        pytest.param(
            service(
                type="LoadBalancer",
                loadBalancerSourceRanges=["192.0.2.0/24 ", "fd00::/64", "-j ACCEPT"],
                healthCheckNodePort=31000,
                externalTrafficPolicy="Local",
                status={"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}, {"ip": "192.0.2.8", "ipMode": "Proxy"}]}},
            ),
            (
                port(
                    load_balancer_ips=("192.0.2.9",),
                    source_ranges=("192.0.2.0/24",),
                    external_local=True,
                    health_check_port=31000,
                ),
            ),
            id="load-balancer",
        ),
        pytest.param(service(sessionAffinity="ClientIP"), (port(affinity_seconds=10800),), id="affinity"),
        pytest.param(
            service(sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 60}}),
            (port(affinity_seconds=60),),
            id="affinity-with-timeout",
        ),
        pytest.param(service(internalTrafficPolicy="Local"), (port(internal_local=True),), id="internal-local"),
    ],
)
def test_ports_of_a_service(given: Json, expected: tuple[ServicePort, ...]) -> None:
    assert ports_of(given) == expected


def test_a_port_name_prints_as_upstream_hashes_it() -> None:
    assert str(PortName("ns", "svc", "http")) == "ns/svc:http"
    assert str(PortName("ns", "svc", "")) == "ns/svc"
