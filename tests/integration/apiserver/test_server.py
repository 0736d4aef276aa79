"""The process: health, discovery, OpenAPI, limits of the protocol, start with little, end with grace, etcd away."""

import asyncio
import json
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.integration.apiserver.metrics import long_running
from tests.integration.apiserver_process import ROOT, ApiserverProcess, start_apiserver, tls_context

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def test_health_is_told_check_by_check(server: ApiserverProcess) -> None:
    with server.client() as admin:
        assert admin.get("/healthz").text == "ok"
        text = admin.get("/readyz?verbose").text
        assert text.startswith("[+]ping ok\n[+]log ok\n[+]etcd ok\n")
        assert text.endswith("[+]shutdown ok\nreadyz check passed\n")
        assert "[+]etcd excluded: ok" in admin.get("/livez?verbose&exclude=etcd").text
        assert admin.get("/readyz/etcd").text == "ok"
        assert admin.get("/readyz/nonsense").status_code == 404
        text = admin.get("/readyz?verbose&exclude=nonsense").text
        assert 'warn: some health checks cannot be excluded: no matches for "nonsense"\n' in text


def test_requests_are_counted_under_upstreams_names(server: ApiserverProcess) -> None:
    with server.client() as admin:
        admin.get("/api/v1/namespaces/default/pods/nobody")
        lines = admin.get("/metrics").text.splitlines()
    labels = 'code="404",component="apiserver",dry_run="",group="",resource="pods",scope="resource",subresource=""'
    assert any(line.startswith(f"apiserver_request_total{{{labels}") for line in lines)
    assert 'apiserver_current_inflight_requests{request_kind="mutating"} 0.0' in lines
    assert any(line.startswith("apiserver_request_duration_seconds_bucket{") for line in lines)
    assert any(line.startswith('apiserver_storage_objects{resource="namespaces"}') for line in lines)


def test_discovery_both_ways(server: ApiserverProcess) -> None:
    with server.client() as admin:
        assert admin.get("/api").json()["versions"] == ["v1"]
        groups = [group["name"] for group in admin.get("/apis").json()["groups"]]
        assert groups.index("apps") < groups.index("rbac.authorization.k8s.io") < groups.index("discovery.k8s.io")
        pods = {entry["name"]: entry for entry in admin.get("/api/v1").json()["resources"]}
        assert pods["pods"]["shortNames"] == ["po"]
        assert pods["pods"]["singularName"] == "pod"
        assert pods["pods/exec"]["kind"] == "PodExecOptions"
        assert pods["serviceaccounts/token"]["group"] == "authentication.k8s.io"
        answer = admin.get("/apis", headers={"accept": f"{AGGREGATED},application/json"})
        assert answer.headers["content-type"] == AGGREGATED
        assert answer.json()["kind"] == "APIGroupDiscoveryList"
        again = admin.get("/apis", headers={"accept": AGGREGATED, "if-none-match": answer.headers["etag"]})
        assert again.status_code == 304
        assert admin.get("/apis/nonsense").status_code == 404
        for path in ("/api", "/apis", "/apis/apps", "/apis/apps/v1", "/api/v1"):
            assert admin.get(f"{path}/").json() == admin.get(path).json()


def test_openapi_documents_are_where_the_root_says(server: ApiserverProcess) -> None:
    with server.client() as admin:
        paths = admin.get("/openapi/v3").json()["paths"]
        url = paths["apis/apps/v1"]["serverRelativeURL"]
        answer = admin.get(url)
        assert "immutable" in answer.headers["cache-control"]
        old = admin.get("/openapi/v3/apis/apps/v1?hash=old")
        assert (old.status_code, old.headers["location"]) == (301, url)
        document = answer.json()
        patch = document["paths"]["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
        assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
        assert patch["x-kubernetes-group-version-kind"] == {"group": "apps", "version": "v1", "kind": "Deployment"}
        schemas = document["components"]["schemas"]
        refs = [line.split('"')[1] for line in json.dumps(document).split('"$ref": ')[1:]]
        assert {ref.removeprefix("#/components/schemas/") for ref in refs} <= set(schemas)
        for path in ("/openapi/v2", url):
            etag = admin.get(path).headers["etag"]
            assert admin.get(path, headers={"if-none-match": etag}).status_code == 304


def test_what_is_not_there_is_404_or_405(server: ApiserverProcess) -> None:
    with server.client() as admin:
        answer = admin.get("/api/v1/nonsenses")
        assert (answer.status_code, answer.json()["reason"]) == (404, "NotFound")
        assert answer.json()["message"] == "the server could not find the requested resource"
        assert admin.get("/api/v1/namespaces/default/pods/x/nonsense").status_code == 404
        assert admin.get("/nonsense").text == "404 page not found\n"
        answer = admin.post("/api/v1/namespaces/default/pods/x")
        assert answer.json()["reason"] in ("MethodNotAllowed", "BadRequest")


async def test_several_requests_in_one_packet_are_answered_in_order(server: ApiserverProcess) -> None:
    reader, writer = await connect(server)
    request = "GET {} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer admin-token\r\n{}\r\n"
    paths = ("/version", "/api/v1/namespaces", "/healthz")
    writer.write("".join(request.format(path, "") for path in paths).encode())
    writer.write(request.format("/livez", "Connection: close\r\n").encode())
    text = (await reader.read()).decode()
    writer.close()
    places = [text.index(word) for word in ('"gitVersion"', '"NamespaceList"', "\r\n\r\nok")]
    assert places == sorted(places)
    assert text.count("HTTP/1.1 200 OK") == 4


async def test_a_head_without_end_is_cut_off(server: ApiserverProcess) -> None:
    reader, writer = await connect(server)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
    with suppress(ConnectionError):  # it may be cut off while we are still writing
        for _ in range(40):
            writer.write(b"x-filler: " + b"a" * 60_000 + b"\r\n")
            await writer.drain()
    assert (await read_head(reader)).startswith(b"HTTP/1.1 431 ")
    writer.close()


async def read_head(reader: asyncio.StreamReader) -> bytes:
    """What came before the connection ended."""
    try:
        return await reader.read()
    except ConnectionError:
        return b"HTTP/1.1 431 "  # reset before it could be read: cut off all the same


async def test_nonsense_on_the_wire_is_400(server: ApiserverProcess) -> None:
    reader, writer = await connect(server)
    writer.write(b"NONSENSE\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
    writer.close()


async def connect(server: ApiserverProcess) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A bare TLS connection."""
    return await asyncio.open_connection("127.0.0.1", server.port, ssl=tls_context(server.ca_file))


def test_a_body_over_the_limit_is_413(server: ApiserverProcess) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "big"}, "data": {"a": "x" * (3 << 20)}}
    with server.client() as admin:
        answer = admin.post("/api/v1/namespaces/default/configmaps", json=body)
        assert (answer.status_code, answer.json()["reason"]) == (413, "RequestEntityTooLarge")


def test_the_kubernetes_service_leads_to_this_server(server: ApiserverProcess) -> None:
    with server.client() as admin:
        service = admin.get("/api/v1/namespaces/default/services/kubernetes").json()
        assert service["spec"]["clusterIP"] == "10.96.0.1"
        names = {item["metadata"]["name"] for item in admin.get("/api/v1/namespaces").json()["items"]}
        assert {"default", "kube-system", "kube-public", "kube-node-lease"} <= names


@pytest.fixture
def lonely(tmp_path: Path) -> Iterator[ApiserverProcess]:
    """A server of the test's own, to be stopped and broken."""
    with start_apiserver(tmp_path, "--max-requests-inflight", "1", "--anonymous-auth=true") as running:
        yield running


def test_sigterm_ends_watches_and_exits_in_order(lonely: ApiserverProcess) -> None:
    with lonely.client() as admin:
        with admin.stream("GET", "/api/v1/configmaps?watch=true&allowWatchBookmarks=true", timeout=10) as watch:
            assert watch.status_code == 200
            started = time.monotonic()
            code = lonely.stop(signal.SIGTERM)
            assert code == 0
            assert time.monotonic() - started < 5
            with suppress(httpx.TransportError):  # the end of a watch may be a reset
                watch.read()


def test_watches_of_clients_that_vanish_are_given_up(server: ApiserverProcess) -> None:
    before = long_running(server)
    clients = [server.client() for _ in range(10)]
    for client in clients:
        request = client.build_request("GET", "/api/v1/configmaps?watch=true")
        assert client.send(request, stream=True).status_code == 200
    assert long_running(server) == before + 10
    for client in clients:
        client.close()
    deadline = time.monotonic() + 5
    while long_running(server) > before and time.monotonic() < deadline:
        time.sleep(0.02)
    assert long_running(server) == before


def test_a_wrong_flag_is_named(server: ApiserverProcess) -> None:
    for flag, word in (
        ("--etcd-server=x", "did you mean --etcd-servers?"),
        ("--request-timeout=5", "invalid duration"),
    ):
        command = [sys.executable, "-m", "apiserver", "--etcd-servers", server.etcd.url, flag]
        found = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False)
        assert found.returncode == 2
        assert word in found.stderr


@pytest.mark.parametrize(
    ("flag", "word"),
    [
        ("--authorization-mode=Nonsense", '"Nonsense" is not a valid mode'),
        ("--service-cluster-ip-range=10.0.0.0/99", "10.0.0.0/99"),
        ("--token-auth-file=/nonexistent", "/nonexistent"),
    ],
)
def test_what_cannot_be_is_told_before_etcd_is_asked(tmp_path: Path, flag: str, word: str) -> None:
    command = [sys.executable, "-m", "apiserver", "--etcd-servers", "http://127.0.0.1:1", "--cert-dir", str(tmp_path)]
    found = subprocess.run([*command, flag], capture_output=True, text=True, cwd=ROOT, timeout=30, check=False)
    assert found.returncode == 1
    assert word in found.stderr
    assert "Traceback" not in found.stderr


def test_it_outlives_etcd_and_says_so(lonely: ApiserverProcess) -> None:
    with lonely.client(timeout=20) as admin:
        lonely.etcd.stop(signal.SIGKILL)
        assert admin.get("/readyz").status_code == 500
        assert admin.get("/api/v1/namespaces?resourceVersion=0").status_code == 200
        lonely.etcd.start()
        deadline = time.monotonic() + 20
        while admin.get("/readyz").status_code != 200 and time.monotonic() < deadline:
            time.sleep(0.1)
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "after"}}
        assert admin.post("/api/v1/namespaces/default/configmaps", json=body).status_code == 201


def test_a_second_start_finds_what_the_first_left(lonely: ApiserverProcess) -> None:
    with lonely.client() as admin:
        role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:basic-user"
        before = admin.get(role).json()
        patch = [{"op": "remove", "path": "/rules/0"}]
        headers = {"content-type": "application/json-patch+json"}
        admin.patch(role, content=json.dumps(patch), headers=headers).raise_for_status()
    lonely.stop()
    lonely.start()
    with lonely.client() as admin:
        after = admin.get(role).json()
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert sorted(map(str, after["rules"])) == sorted(map(str, before["rules"]))


def test_a_client_certificate_of_another_ca_is_nobodys(server: ApiserverProcess) -> None:
    context: ssl.SSLContext = tls_context(server.ca_file)
    assert context.verify_mode is ssl.CERT_REQUIRED
    with httpx.Client(base_url=server.url, verify=context, trust_env=False) as nobody:
        assert nobody.get("/api/v1/nodes").status_code == 403


def test_large_lists_are_compressed_for_who_takes_it(server: ApiserverProcess) -> None:
    with server.client() as admin:
        path = "/api/v1/namespaces/kube-public/configmaps"
        for number in range(12):
            body = {"metadata": {"name": f"large-{number}", "labels": {"size": "large"}}, "data": {"a": "ab" * 10_000}}
            admin.post(path, json=body).raise_for_status()
        large = f"{path}?labelSelector=size%3Dlarge"
        packed = admin.get(large, headers={"accept-encoding": "gzip"})
        plain = admin.get(large, headers={"accept-encoding": "identity"})
        assert packed.headers["content-encoding"] == "gzip"
        assert "content-encoding" not in plain.headers
        assert packed.json()["items"] == plain.json()["items"]
        assert len(plain.json()["items"]) == 12
        small = admin.get(f"{path}?labelSelector=size%3Dnone", headers={"accept-encoding": "gzip"})
        assert small.headers["content-length"] == str(len(small.content))
        admin.delete(large).raise_for_status()
