"""Where kubelets and pods are, and what is sent to them."""

import pytest

from apiserver.handlers.connect import choose_container, service_address, split_target
from apiserver.upstream import Address, Kubelets, KubeletTLS, NoAddress, target_of, tunnel_head
from machinery.api import errors
from machinery.api.codec import Json


def node(*addresses: tuple[str, str], port: int = 0) -> Json:
    """A node with addresses."""
    status: Json = {"addresses": [{"type": type_, "address": address} for type_, address in addresses]}
    if port:
        status["daemonEndpoints"] = {"kubeletEndpoint": {"Port": port}}
    return {"metadata": {"name": "n"}, "status": status}


async def test_the_first_preferred_address_is_taken() -> None:
    kubelets = Kubelets(KubeletTLS(), ["InternalIP", "Hostname"])
    found = kubelets.address_of(node(("Hostname", "host"), ("InternalIP", "10.0.0.1"), port=7))
    assert found == Address("10.0.0.1", 7)
    assert kubelets.address_of(node(("Hostname", "host"))) == Address("host", 10250)
    with pytest.raises(NoAddress, match="no preferred addresses found"):
        kubelets.address_of(node(("ExternalIP", "1.2.3.4")))
    await kubelets.close()


def test_a_tunnels_head_has_the_clients_headers_and_none_of_its_credentials() -> None:
    headers = [
        (b"host", b"api"),
        (b"authorization", b"Bearer secret"),
        (b"impersonate-user", b"root"),
        (b"connection", b"Upgrade"),
        (b"upgrade", b"websocket"),
        (b"sec-websocket-protocol", b"v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.c2VjcmV0"),
        (b"sec-websocket-key", b"abc"),
    ]
    head = tunnel_head("GET", Address("::1", 10250), "/exec/n/p/c?command=ls", headers).decode()
    assert head.startswith("GET /exec/n/p/c?command=ls HTTP/1.1\r\nhost: [::1]:10250\r\n")
    assert head.endswith("\r\n\r\n")
    assert "sec-websocket-protocol: v5.channel.k8s.io\r\n" in head
    assert "upgrade: websocket\r\n" in head
    for word in ("secret", "root", "bearer"):
        assert word not in head


def test_a_query_keeps_its_order_and_is_escaped() -> None:
    assert target_of("/exec", [("command", "a b"), ("command", "&")]) == "/exec?command=a+b&command=%26"
    assert target_of("/exec", []) == "/exec"


POD: Json = {
    "metadata": {"name": "p"},
    "spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "a"}, {"name": "b"}]},
}
SINGLE: Json = {"metadata": {"name": "p"}, "spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "a"}]}}


@pytest.mark.parametrize(
    ("wanted", "pod", "found"),
    [("", SINGLE, "a"), ("a", POD, "a"), ("i", POD, "i")],
    ids=["the-only-one", "the-named-one", "an-init-container"],
)
def test_a_container_is_chosen(wanted: str, pod: Json, found: str) -> None:
    assert choose_container(wanted, pod) == found


@pytest.mark.parametrize(
    ("wanted", "pod", "message"),
    [
        ("", POD, "a container name must be specified for pod p, choose one of: [i a b]"),
        ("x", POD, "container x is not valid for pod p"),
        ("", {"metadata": {"name": "p"}, "spec": {}}, "a container name must be specified for pod p"),
    ],
)
def test_or_refused_in_upstreams_words(wanted: str, pod: Json, message: str) -> None:
    with pytest.raises(errors.BadRequest) as problem:
        choose_container(wanted, pod)
    assert problem.value.message == message


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("web", ("", "web", "")),
        ("web:80", ("", "web", "80")),
        ("https:web:443", ("https", "web", "443")),
        ("https:web:", ("https", "web", "")),
    ],
)
def test_a_proxy_target_comes_apart(text: str, wanted: tuple[str, str, str]) -> None:
    assert split_target(text) == wanted


@pytest.mark.parametrize("text", ["ftp:web:21", "a:b:c:d", ":80"])
def test_or_is_refused(text: str) -> None:
    with pytest.raises(errors.BadRequest):
        split_target(text)


def test_a_service_is_reached_at_a_ready_endpoint_of_the_named_port() -> None:
    service = {"spec": {"ports": [{"name": "http", "port": 80}, {"name": "admin", "port": 81}]}}
    ports = [{"name": "admin", "port": 9001}, {"name": "http", "port": 9000}]
    endpoints = {"subsets": [{"notReadyAddresses": [{"ip": "10.0.0.9"}], "ports": ports}]}
    assert service_address(service, endpoints, "http", "http") is None
    endpoints["subsets"].append({"addresses": [{"ip": "10.0.0.1"}], "ports": ports})
    assert service_address(service, endpoints, "http", "http") == Address("10.0.0.1", 9000, "http")
    assert service_address(service, endpoints, "81", "http") == Address("10.0.0.1", 9001, "http")
    assert service_address(service, endpoints, "nonsense", "http") is None
    assert service_address(service, None, "http", "http") is None
