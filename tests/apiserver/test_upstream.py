"""Where kubelets and pods are, and what is sent to them."""

import pytest

from apiserver.handlers.connect import check_log_options, choose_container
from apiserver.upstream import Address, Kubelets, KubeletTLS, NoAddress, target_of, tunnel_head
from machinery.api import errors
from machinery.api.codec import Json
from tests.apiserver.handlers.calls import request


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
    ("query", "message"),
    [
        ("tailLines=-1", "tailLines: Invalid value: -1: must be greater than or equal to 0"),
        ("limitBytes=0", "limitBytes: Invalid value: 0: must be greater than 0"),
        ("sinceSeconds=0", "sinceSeconds: Invalid value: 0: must be greater than 0"),
        (
            "sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z",
            ": Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified",
        ),
        ("stream=Both", 'stream: Unsupported value: "Both": supported values: "All", "Stderr", "Stdout"'),
        (
            "stream=Stdout&tailLines=1",
            ": Forbidden: `tailLines` and specific `stream` are mutually exclusive for now",
        ),
    ],
)
def test_log_options_that_cannot_be_are_named(query: str, message: str) -> None:
    with pytest.raises(errors.Invalid) as problem:
        check_log_options(request("GET", f"/api/v1/namespaces/n/pods/p/log?{query}"))
    assert problem.value.message == f'PodLogOptions "p" is invalid: {message}'


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("tailLines=x", 'strconv.ParseInt: parsing "x": invalid syntax'),
        ("sinceTime=x", 'parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006"'),
    ],
)
def test_log_options_that_cannot_be_read_are_bad_requests(query: str, message: str) -> None:
    with pytest.raises(errors.BadRequest) as problem:
        check_log_options(request("GET", f"/api/v1/namespaces/n/pods/p/log?{query}"))
    assert problem.value.message == message
