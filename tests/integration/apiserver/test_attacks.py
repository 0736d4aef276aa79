"""What somebody tries who may not: odd paths, smuggled headers, tampered tokens, foreign certificates, climbing.

Every refusal is upstream's Status, and the audit log has it.
"""

import base64
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest

from machinery.api.codec import Json
from machinery.component import tls
from machinery.component.tls import CertRequest
from tests.integration.apiserver.conftest import service_account
from tests.integration.apiserver_process import ISSUER, ApiserverProcess, start_apiserver, tls_context

POLICY = "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules: [{level: Metadata}]\nomitStages: [RequestReceived]\n"
SECRET = "/api/v1/namespaces/default/secrets/treasure"


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiserverProcess]:
    """A server that records everything, and something worth stealing."""
    directory = tmp_path_factory.mktemp("target")
    (directory / "policy.yaml").write_text(POLICY)
    flags = ("--audit-policy-file", str(directory / "policy.yaml"), "--audit-log-path", str(directory / "audit.log"))
    with start_apiserver(directory, *flags, "--enable-admission-plugins=NodeRestriction") as server:
        service_account(server, "default")
        with server.client() as client:
            body = {"metadata": {"name": "treasure"}, "stringData": {"gold": "1"}}
            assert client.post("/api/v1/namespaces/default/secrets", json=body).status_code == 201
        yield server


def recorded(server: ApiserverProcess, **wanted: object) -> bool:
    """Whether the audit log has an event with these fields, at once or soon."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        lines = (server.directory / "audit.log").read_text().splitlines()
        events = [json.loads(line) for line in lines if line.endswith("}")]
        for event in events:
            flat = {**event, "code": event.get("responseStatus", {}).get("code"), "user": event["user"].get("username")}
            if all(flat.get(key) == value for key, value in wanted.items()):
                return True
        time.sleep(0.1)
    return False


def raw(server: ApiserverProcess, text: str) -> tuple[int, str]:
    """Bytes as they are: a client would tidy them. Code and body of the first answer."""
    context = ssl.create_default_context(cafile=str(server.ca_file))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(text.encode("latin-1"))
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split(b" ", 2)[1]), body.decode(errors="replace")


def ask(server: ApiserverProcess, path: str, *headers: str) -> tuple[int, str]:
    """A GET of exactly this path by jane, who may do nothing."""
    lines = ["authorization: Bearer jane-token", "host: x", "connection: close", *headers]
    return raw(server, f"GET {path} HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n")


@pytest.mark.parametrize(
    "path",
    [
        SECRET,
        f"/{SECRET}",
        "//api/v1/namespaces/default/secrets/treasure",
        "/api//v1/namespaces/default/secrets/treasure",
        "/api/v1/namespaces/default//secrets/treasure",
        "/api/v1/namespaces/default/secrets/treasure/",
        "/api/v1/./namespaces/default/secrets/treasure",
        "/healthz/../api/v1/namespaces/default/secrets/treasure",
        "/healthz/%2e%2e/api/v1/namespaces/default/secrets/treasure",
        "/healthz/..%2Fapi/v1/namespaces/default/secrets/treasure",
        "/api/v1/namespaces/default/secrets%2Ftreasure",
        "/api/v1/namespaces%2Fdefault/secrets/treasure",
        "/api/v1/namespaces/default/Secrets/treasure",
        "/API/v1/namespaces/default/secrets/treasure",
        "/api/v1/namespaces/default/pods/..%2Fsecrets/treasure",
        "/api/v1/watch/namespaces/default/secrets/treasure",
        "/api/v1/proxy/namespaces/default/secrets/treasure",
        "/healthz;/../api/v1/namespaces/default/secrets/treasure",
        "/healthz?x=/../api/v1/namespaces/default/secrets/treasure",
        "https://127.0.0.1/api/v1/namespaces/default/secrets/treasure",
        "/api/v1/namespaces/default/secrets/treasure%00",
        "/apis/../api/v1/namespaces/default/secrets/treasure",
    ],
)
def test_no_spelling_of_a_path_leads_past_authorization(target: ApiserverProcess, path: str) -> None:
    code, body = ask(target, path)
    assert "gold" not in body and "treasure-uid" not in body
    if "?" in path:
        assert (code, body) == (200, "ok")
    else:
        assert code in (301, 307, 400, 403, 404), (code, body)


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(
            ("x-remote-user: admin", "x-remote-group: system:masters"), id="front-proxy-headers-of-a-stranger"
        ),
        pytest.param(("impersonate-user: admin",), id="impersonation"),
        pytest.param(("impersonate-group: system:masters",), id="a-group-without-a-user"),
        pytest.param(("Impersonate-User: jane", "Impersonate-Group: system:masters"), id="oneself-with-another-group"),
        pytest.param(("impersonate-uid: 1",), id="a-uid-alone"),
        pytest.param(("impersonate-extra-scopes: all",), id="extra-alone"),
        pytest.param(("x-forwarded-user: admin",), id="another-proxys-header"),
        pytest.param(("x-http-method-override: DELETE",), id="another-method"),
        pytest.param(("authorization: Bearer admin-token",), id="a-second-token"),
    ],
)
def test_no_header_makes_somebody_else_of_a_client(target: ApiserverProcess, headers: tuple[str, ...]) -> None:
    code, body = ask(target, SECRET, *headers)
    if headers[0].startswith("authorization"):
        assert code in (200, 400, 401, 403)  # a client that has the admin's token may use it: which one counts is ours
        return
    assert code in (400, 403, 500) and "gold" not in body
    status = json.loads(body)
    assert status["kind"] == "Status" and status["status"] == "Failure"


def test_a_request_cannot_be_smuggled_behind_another(target: ApiserverProcess) -> None:
    inner = f"GET {SECRET} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer admin-token\r\n\r\n"
    for head in (
        f"content-length: {len(inner)}\r\ntransfer-encoding: chunked\r\n",
        f"content-length: {len(inner)}\r\ncontent-length: 0\r\n",
        f"content-length: +{len(inner)}\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
        "transfer-encoding : chunked\r\n",
    ):
        start = (
            "POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        )
        code, body = raw(target, f"{start}authorization: Bearer jane-token\r\n{head}\r\n{inner}")
        assert code in (400, 415, 501) and "gold" not in body, (head, code, body)


def _token(server: ApiserverProcess, **claims: object) -> str:
    key = (server.directory / "pki" / "sa.key").read_text()
    now = int(time.time())
    account = {"namespace": "default", "serviceaccount": {"name": "default", "uid": "x"}}
    base: Json = {"iss": ISSUER, "sub": "system:serviceaccount:default:default", "aud": [ISSUER]}
    base |= {"iat": now, "nbf": now, "exp": now + 3600, "kubernetes.io": account}
    return jwt.encode({**base, **claims}, key, algorithm="ES256")


@pytest.mark.parametrize(
    "change", ["payload", "signature", "none", "expired", "audience", "issuer", "uid", "other-key"]
)
def test_a_token_that_was_touched_is_no_token(target: ApiserverProcess, change: str, tmp_path: Path) -> None:
    with target.client() as admin:
        real = admin.post("/api/v1/namespaces/default/serviceaccounts/default/token", json={}).json()["status"]["token"]
    head, payload, signature = real.split(".")
    decoded = json.loads(base64.urlsafe_b64decode(payload + "=="))
    account = decoded["kubernetes.io"]
    if change == "payload":
        decoded["sub"] = "system:serviceaccount:kube-system:admin"
        token = f"{head}.{base64.urlsafe_b64encode(json.dumps(decoded).encode()).decode().rstrip('=')}.{signature}"
    elif change == "signature":
        token = f"{head}.{payload}.{signature[::-1]}"
    elif change == "none":
        none = base64.urlsafe_b64encode(b'{"alg":"none","typ":"JWT"}').decode().rstrip("=")
        token = f"{none}.{payload}."
    elif change == "expired":
        token = _token(target, **{"exp": int(time.time()) - 120, "kubernetes.io": account})
    elif change == "audience":
        token = _token(target, **{"aud": ["somebody-else"], "kubernetes.io": account})
    elif change == "issuer":
        token = _token(target, **{"iss": "https://evil.example.com", "kubernetes.io": account})
    elif change == "uid":
        token = _token(target)  # of an account that was deleted and made anew
    else:
        other = tls.private_pem(tls.create_ca("other").key).decode()
        token = jwt.encode(decoded, other, algorithm="ES256")
    with target.client(token) as client:
        answer = client.get("/api")
    assert (answer.status_code, answer.json()["reason"]) == (401, "Unauthorized")
    with target.client(real) as client:
        assert client.get("/api").status_code == 200


def test_a_certificate_of_another_ca_says_nothing(target: ApiserverProcess, tmp_path: Path) -> None:
    stranger = tls.create_ca("test-ca")  # the same name, another key
    pair = tls.issue(stranger, CertRequest("kubernetes-admin", ("system:masters",), client=True))
    files = pair.write(tmp_path, "stranger")
    context = tls_context(target.ca_file)
    context.load_cert_chain(files.cert, files.key)
    with httpx.Client(base_url=target.url, verify=context, trust_env=False) as client:
        try:
            answer = client.get(SECRET)
        except httpx.TransportError:
            return  # TLS itself refused it
    assert answer.status_code in (401, 403) and "gold" not in answer.text


def test_a_node_is_kept_from_what_is_not_its_own(target: ApiserverProcess) -> None:
    other = {"metadata": {"name": "other"}, "spec": {"containers": [{"name": "c", "image": "i"}], "nodeName": "n2"}}
    with target.client() as admin:
        assert admin.post("/api/v1/namespaces/default/pods", json=other).status_code == 201
    node = target.kubeconfig_for("system:node:n1", "system:nodes")
    assert node.exists()
    context = tls_context(target.ca_file)
    pki = target.directory / "pki"
    context.load_cert_chain(pki / "system-node-n1.crt", pki / "system-node-n1.key")
    with httpx.Client(base_url=target.url, verify=context, trust_env=False) as client:
        refusals = [
            client.get(SECRET),
            client.get("/api/v1/namespaces/default/secrets"),
            client.get("/api/v1/secrets?watch=1"),
            client.post("/api/v1/namespaces/default/serviceaccounts/default/token", json={}),
            client.delete("/api/v1/namespaces/default/pods/other"),
            client.post("/api/v1/nodes", json={"metadata": {"name": "n2"}}),
            client.post("/api/v1/namespaces/default/pods", json={"metadata": {"name": "mine"}, "spec": other["spec"]}),
            client.get("/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n2"),
        ]
    assert [answer.status_code for answer in refusals] == [403] * len(refusals), [a.text for a in refusals]
    assert all(answer.json()["reason"] == "Forbidden" for answer in refusals)
    assert recorded(target, user="system:node:n1", verb="get", code=403)


def test_nobody_climbs_by_roles_bindings_or_requests(target: ApiserverProcess) -> None:
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    with target.client() as admin:
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "climber"}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}
        rules = [
            {"apiGroups": ["rbac.authorization.k8s.io"], "resources": ["*"], "verbs": ["*"]},
            {"apiGroups": ["certificates.k8s.io"], "resources": ["*"], "verbs": ["create", "get", "update"]},
        ]
        rules[0]["verbs"] = ["create", "get", "update", "patch", "delete"]
        role = {"metadata": {"name": "climber"}, "rules": rules}
        assert admin.post(f"{rbac}/clusterroles", json=role).status_code == 201
        binding = {"metadata": {"name": "climber"}, "roleRef": reference, "subjects": [subject]}
        assert admin.post(f"{rbac}/clusterrolebindings", json=binding).status_code == 201
    time.sleep(0.2)
    secrets = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    root = {**reference, "name": "cluster-admin"}
    with target.client("jane-token") as jane:
        merge = {"content-type": "application/merge-patch+json"}
        refused = [
            jane.post(f"{rbac}/clusterroles", json={"metadata": {"name": "x"}, "rules": secrets}),
            jane.patch(f"{rbac}/clusterroles/climber", json={"rules": secrets}, headers=merge),
            jane.patch(f"{rbac}/clusterroles/view", json={"rules": secrets}, headers=merge),
            jane.post(
                f"{rbac}/clusterrolebindings", json={"metadata": {"name": "x"}, "roleRef": root, "subjects": [subject]}
            ),
            jane.post(
                f"{rbac}/namespaces/default/rolebindings",
                json={"metadata": {"name": "x"}, "roleRef": root, "subjects": [subject]},
            ),
        ]
        aggregated = {
            "metadata": {"name": "x"},
            "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]},
        }
        refused.append(jane.post(f"{rbac}/clusterroles", json=aggregated))
    assert [answer.status_code for answer in refused] == [403] * len(refused), [a.text for a in refused]
    assert all("attempting to grant RBAC permissions not currently held" in a.text for a in refused[:5])
    assert recorded(target, user="jane", verb="create", code=403)
