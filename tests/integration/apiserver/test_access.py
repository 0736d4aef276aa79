"""Who may do what, over the wire: certificates, tokens, RBAC, nodes, impersonation, reviews."""

from typing import Any

import httpx
import jwt
import pytest

from tests.integration.apiserver_process import ISSUER, ApiserverProcess


def message(answer: httpx.Response, code: int) -> str:
    """The message of a Status with the code."""
    assert answer.status_code == code, answer.text
    status = answer.json()
    assert status["kind"] == "Status"
    assert status["code"] == code
    return str(status["message"])


def test_somebody_without_a_role_is_told_what_they_may_not(server: ApiserverProcess) -> None:
    with server.client("jane-token") as jane:
        answer = jane.get("/api/v1/namespaces/default/pods")
        text = 'User "jane" cannot list resource "pods" in API group "" in the namespace "default"'
        assert message(answer, 403) == f"pods is forbidden: {text}"
        assert answer.json()["details"] == {"kind": "pods"}
        text = 'User "jane" cannot get resource "deployments" in API group "apps" in the namespace "x"'
        answer = jane.get("/apis/apps/v1/namespaces/x/deployments/web")
        assert message(answer, 403) == f'deployments.apps "web" is forbidden: {text}'
        answer = jane.get("/metrics")
        assert message(answer, 403) == 'forbidden: User "jane" cannot get path "/metrics"'
        answer = jane.get("/api/v1/nodes")
        assert message(answer, 403).endswith('cannot list resource "nodes" in API group "" at the cluster scope')


def test_anonymous_may_see_health_and_version_only(server: ApiserverProcess) -> None:
    with server.client("") as nobody:
        assert nobody.get("/version").status_code == 200
        assert nobody.get("/readyz").text == "ok"
        text = 'forbidden: User "system:anonymous" cannot get path "/api"'
        assert message(nobody.get("/api"), 403) == text


def test_a_bad_token_is_401_even_where_anonymous_may(server: ApiserverProcess) -> None:
    with server.client("nonsense") as client:
        answer = client.get("/version")
        assert message(answer, 401) == "Unauthorized"
        assert answer.json()["reason"] == "Unauthorized"


def test_a_role_binding_takes_effect_and_can_be_taken_back(server: ApiserverProcess) -> None:
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "testers-view"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "testers"}],
    }
    path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings"
    with server.client() as admin, server.client("dev-token") as dev:
        assert dev.get("/api/v1/namespaces/default/pods").status_code == 403
        assert admin.post(path, json=binding).status_code == 201
        assert eventually(dev, "/api/v1/namespaces/default/pods") == 200
        assert dev.get("/api/v1/namespaces/default/secrets").status_code == 403  # view does not read secrets
        assert dev.get("/api/v1/namespaces/kube-system/pods").status_code == 403
        admin.delete(f"{path}/testers-view").raise_for_status()
        assert eventually(dev, "/api/v1/namespaces/default/pods", 403) == 403


def eventually(client: httpx.Client, path: str, wanted: int = 200) -> int:
    """The status of a GET, asked again while it is another one: an index follows the cache by a tick."""
    status = 0
    for _ in range(50):
        status = client.get(path).status_code
        if status == wanted:
            break
    return status


def test_a_node_reads_what_its_pods_need_and_nothing_else(server: ApiserverProcess) -> None:
    with server.client() as admin:
        for name in ("used", "other"):
            body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"a": "b"}}
            admin.post("/api/v1/namespaces/default/secrets", json=body).raise_for_status()
        volume = {"name": "v", "secret": {"secretName": "used"}}
        spec = {"nodeName": "node-1", "containers": [{"name": "c", "image": "i"}], "volumes": [volume]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "user"}, "spec": spec}
        admin.post("/api/v1/namespaces/default/pods", json=pod).raise_for_status()
    kubeconfig = server.kubeconfig_for("system:node:node-1", "system:nodes")

    def get(*arguments: str) -> str:
        found = server.kubectl("get", *arguments, kubeconfig=kubeconfig)
        return found.out or found.err

    assert "used" in get("secret", "used", "-o", "name")
    assert "no relationship found between node 'node-1' and this object" in get("secret", "other")
    assert "can only list/watch pods with spec.nodeName field selector" in get("pods")
    assert get("pods", "--field-selector", "spec.nodeName=node-1", "-o", "name") == "pod/user\n"
    assert "node 'node-1' cannot read 'node-2', only its own Node object" in get("node", "node-2")
    assert get("services", "-o", "name") != ""


def test_service_account_tokens_work_until_their_pod_is_gone(server: ApiserverProcess) -> None:
    with server.client() as admin:
        spec = {"containers": [{"name": "c", "image": "i"}]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bearer"}, "spec": spec}
        made = admin.post("/api/v1/namespaces/default/pods", json=pod).raise_for_status().json()
        token = request_token(admin, {"kind": "Pod", "apiVersion": "v1", "name": "bearer"})
        claims = jwt.decode(token, options={"verify_signature": False})
        assert claims["sub"] == "system:serviceaccount:default:default"
        assert claims["kubernetes.io"]["pod"] == {"name": "bearer", "uid": made["metadata"]["uid"]}
        assert (claims["iss"], claims["aud"]) == (ISSUER, [ISSUER])
        review = review_token(admin, token)
        assert review["status"]["user"]["username"] == "system:serviceaccount:default:default"
        assert "system:serviceaccounts:default" in review["status"]["user"]["groups"]
        assert review["status"]["user"]["extra"]["authentication.kubernetes.io/pod-name"] == ["bearer"]
        with server.client(token) as account:
            assert account.get("/api").status_code == 200
            text = 'User "system:serviceaccount:default:default" cannot list resource "pods"'
            assert text in message(account.get("/api/v1/namespaces/default/pods"), 403)
        admin.request("DELETE", "/api/v1/namespaces/default/pods/bearer").raise_for_status()
        assert not review_token(admin, token)["status"].get("authenticated")


def request_token(client: httpx.Client, bound: dict[str, str]) -> str:
    """A token of default/default, bound to an object."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"boundObjectRef": bound}}
    answer = client.post("/api/v1/namespaces/default/serviceaccounts/default/token", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["status"]["token"])


def review_token(client: httpx.Client, token: str) -> Any:
    """What TokenReview says of a token."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    return client.post("/apis/authentication.k8s.io/v1/tokenreviews", json=body).raise_for_status().json()


def test_too_short_a_token_is_refused_in_upstreams_words(server: ApiserverProcess) -> None:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 10}}
    with server.client() as admin:
        answer = admin.post("/api/v1/namespaces/default/serviceaccounts/default/token", json=body)
        assert "may not specify a duration less than 10 minutes" in message(answer, 422)


def test_the_issuer_publishes_its_keys(server: ApiserverProcess) -> None:
    with server.client() as admin:
        configuration = admin.get("/.well-known/openid-configuration").json()
        assert configuration["issuer"] == ISSUER
        keys = admin.get("/openid/v1/jwks").json()["keys"]
        token = request_token(admin, {})
        assert jwt.get_unverified_header(token)["kid"] == keys[0]["kid"]
        key = jwt.PyJWK(keys[0]).key
        assert jwt.decode(token, key, [keys[0]["alg"]], audience=ISSUER)["iss"] == ISSUER


@pytest.mark.parametrize("version", ["1.27", "1.33"])
def test_can_i_and_who_am_i(server: ApiserverProcess, version: str) -> None:
    jane = server.kubeconfig_with_token("jane-token", "jane")
    assert server.kubectl("auth", "can-i", "create", "pods", version=version).ok() == "yes\n"
    assert server.kubectl("auth", "can-i", "create", "pods", version=version, kubeconfig=jane).out == "no\n"
    listed = server.kubectl("auth", "can-i", "--list", version=version, kubeconfig=jane).ok()
    assert "selfsubjectaccessreviews.authorization.k8s.io" in listed


def test_impersonation_needs_permission_and_then_holds(server: ApiserverProcess) -> None:
    as_dev = {"impersonate-user": "dev", "impersonate-group": "testers"}
    with server.client("jane-token") as jane:
        text = 'users "dev" is forbidden: User "jane" cannot impersonate resource "users" in API group ""'
        assert text in message(jane.get("/api/v1/namespaces/default/pods", headers=as_dev), 403)
    with server.client() as admin:
        answer = admin.get("/api/v1/namespaces/default/pods", headers=as_dev)
        assert 'User "dev" cannot list resource "pods"' in message(answer, 403)
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
        user = admin.post(path, json=body, headers=as_dev).json()["status"]["userInfo"]
        assert user["username"] == "dev"
        assert user["groups"] == ["testers", "system:authenticated"]


def test_upstreams_default_roles_are_there(server: ApiserverProcess) -> None:
    with server.client() as admin:
        base = "/apis/rbac.authorization.k8s.io/v1"
        names = {role["metadata"]["name"] for role in admin.get(f"{base}/clusterroles").json()["items"]}
        assert {"cluster-admin", "admin", "edit", "view", "system:node", "system:controller:job-controller"} <= names
        role = admin.get(f"{base}/clusterroles/edit").json()
        assert role["metadata"]["annotations"]["rbac.authorization.kubernetes.io/autoupdate"] == "true"
        assert any("pods/exec" in rule.get("resources", ()) for rule in role["rules"])
        binding = admin.get(f"{base}/clusterrolebindings/system:controller:node-controller").json()
        account = {"kind": "ServiceAccount", "name": "node-controller", "namespace": "kube-system"}
        assert binding["subjects"] == [account]


def test_nobody_grants_more_than_they_have(server: ApiserverProcess) -> None:
    base = "/apis/rbac.authorization.k8s.io/v1/namespaces/kube-public"
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole"}
    subject = {"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "jane"}

    def binding(name: str, role: str) -> dict[str, Any]:
        return {"metadata": {"name": name}, "roleRef": {**reference, "name": role}, "subjects": [subject]}

    with server.client() as admin, server.client("jane-token") as jane:
        admin.post(f"{base}/rolebindings", json=binding("jane-admin", "admin")).raise_for_status()
        assert eventually(jane, "/api/v1/namespaces/kube-public/pods") == 200
        rule = {"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}
        role = {"metadata": {"name": "small"}, "rules": [rule]}
        assert jane.post(f"{base}/roles", json=role).status_code == 201
        assert jane.post(f"{base}/rolebindings", json=binding("jane-view", "view")).status_code == 201
        text = message(jane.post(f"{base}/rolebindings", json=binding("jane-root", "cluster-admin")), 403)
        assert 'rolebindings.rbac.authorization.k8s.io "jane-root" is forbidden: user "jane"' in text
        assert "is attempting to grant RBAC permissions not currently held:\n" in text
        assert '{APIGroups:["*"], Resources:["*"], Verbs:["*"]}' in text
        role = {"metadata": {"name": "big"}, "rules": [rule | {"resources": ["nodes"]}]}
        assert '{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}' in message(
            jane.post(f"{base}/roles", json=role), 403
        )
