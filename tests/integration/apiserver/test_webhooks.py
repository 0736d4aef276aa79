"""Webhooks against a real server: they mutate, deny, time out and lie; who is asked, what comes of it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from machinery.api.codec import Json
from tests.fakes.webhook import WebhookServer, deny, patch, serving_webhook
from tests.integration.apiserver_process import ApiserverProcess

GROUP = "/apis/admissionregistration.k8s.io/v1"
CONFIG_MAPS = {"operations": ["*"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}


@pytest.fixture
def hooks(tmp_path: Path) -> Iterator[WebhookServer]:
    """A webhook server."""
    with serving_webhook(tmp_path) as server:
        yield server


class Cluster:
    """A namespace of its own, webhooks that see only it, and what is written there."""

    def __init__(self, server: ApiserverProcess, hooks: WebhookServer, namespace: str) -> None:
        self.server, self.hooks, self.namespace = server, hooks, namespace
        self.made: list[str] = []

    def register(self, kind: str, name: str, *webhooks: Json) -> None:
        """A configuration, after whose creation nothing passes unasked."""
        selector = {"matchLabels": {"kubernetes.io/metadata.name": self.namespace}}
        body = {"metadata": {"name": name}, "webhooks": [{"namespaceSelector": selector, **hook} for hook in webhooks]}
        with self.server.client() as client:
            answer = client.post(f"{GROUP}/{kind}", json=body)
            assert answer.status_code == 201, answer.text
        self.made.append(f"{GROUP}/{kind}/{name}")
        time.sleep(0.1)  # the watch cache hears of it

    def hook(self, path: str, *rules: Json, **more: Any) -> Json:
        """One webhook."""
        config = {"url": self.hooks.url(path), "caBundle": self.hooks.ca_bundle}
        name = f"{path.strip('/')}.example.com"
        base: Json = {"name": name, "clientConfig": config, "rules": list(rules or (CONFIG_MAPS,))}
        return base | {"sideEffects": "None", "admissionReviewVersions": ["v1"], **more}

    def create(self, name: str, query: str = "", **fields: Any) -> tuple[int, Json, list[str]]:
        """A ConfigMap: code, body, warnings."""
        with self.server.client() as client:
            path = f"/api/v1/namespaces/{self.namespace}/configmaps{query}"
            answer = client.post(path, json={"metadata": {"name": name}, **fields})
            return answer.status_code, answer.json(), answer.headers.get_list("warning")

    def close(self) -> None:
        """Nothing of it stays."""
        with self.server.client() as client:
            for path in self.made:
                client.delete(path)
        time.sleep(0.1)


@pytest.fixture
def cluster(server: ApiserverProcess, hooks: WebhookServer, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """One for each test."""
    namespace = f"hooks-{abs(hash(request.node.name)) % 10**8}"
    with server.client() as client:
        assert client.post("/api/v1/namespaces", json={"metadata": {"name": namespace}}).status_code == 201
    made = Cluster(server, hooks, namespace)
    try:
        yield made
    finally:
        made.close()


def test_a_webhook_is_told_what_happens_and_may_change_it(cluster: Cluster) -> None:
    cluster.hooks.answers["/add"] = patch({"op": "add", "path": "/data", "value": {"by": "webhook"}})
    cluster.register("mutatingwebhookconfigurations", "add", cluster.hook("/add"))
    code, created, _ = cluster.create("a", "?fieldManager=me")
    assert (code, created["data"]) == (201, {"by": "webhook"})
    (asked,) = cluster.hooks.asked_at("/add")
    assert asked["kind"] == asked["requestKind"] == {"group": "", "version": "v1", "kind": "ConfigMap"}
    assert asked["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert (asked["operation"], asked["name"], asked["namespace"]) == ("CREATE", "a", cluster.namespace)
    assert asked["object"]["metadata"]["name"] == "a" and asked["oldObject"] is None and asked["dryRun"] is False
    assert asked["options"] == {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "me"}
    assert asked["userInfo"]["username"] == "admin" and "system:masters" in asked["userInfo"]["groups"]


def test_updates_and_deletions_show_what_was_there(cluster: Cluster) -> None:
    cluster.create("a", data={"x": "1"})
    cluster.register("validatingwebhookconfigurations", "see", cluster.hook("/see"))
    with cluster.server.client() as client:
        path = f"/api/v1/namespaces/{cluster.namespace}/configmaps/a"
        merge = {"content-type": "application/merge-patch+json"}
        assert client.patch(path, json={"data": {"x": "2"}}, headers=merge).status_code == 200
        assert client.delete(f"{path}?gracePeriodSeconds=0").status_code == 200
    changed, deleted = cluster.hooks.asked_at("/see")
    assert changed["operation"] == "UPDATE" and changed["options"]["kind"] == "UpdateOptions"
    assert (changed["oldObject"]["data"], changed["object"]["data"]) == ({"x": "1"}, {"x": "2"})
    assert deleted["operation"] == "DELETE" and deleted["object"] is None
    assert deleted["oldObject"]["data"] == {"x": "2"} and deleted["options"]["gracePeriodSeconds"] == 0


def test_a_refusal_carries_the_webhooks_words_and_code(cluster: Cluster) -> None:
    cluster.hooks.answers["/no"] = deny("not on a Friday")
    cluster.register("validatingwebhookconfigurations", "no", cluster.hook("/no"))
    code, status, _ = cluster.create("a")
    text = 'admission webhook "no.example.com" denied the request: not on a Friday'
    assert (code, status["message"], status["reason"]) == (403, text, "Forbidden")
    with cluster.server.client() as client:
        assert client.get(f"/api/v1/namespaces/{cluster.namespace}/configmaps/a").status_code == 404


def test_a_refusal_without_words_or_with_a_code_of_success(cluster: Cluster) -> None:
    cluster.hooks.answers["/mute"] = lambda request: {"allowed": False, "status": {"code": 200}}
    cluster.register("validatingwebhookconfigurations", "mute", cluster.hook("/mute"))
    code, status, _ = cluster.create("a")
    text = 'admission webhook "mute.example.com" denied the request without explanation'
    assert (code, status["message"]) == (400, text)


@pytest.mark.parametrize(
    ("said", "answered"),
    [
        pytest.param({"code": 422, "reason": "OutOfStamps"}, {"code": 422, "reason": "OutOfStamps"}, id="its-own-word"),
        pytest.param({"code": 403}, {"code": 403}, id="no-word"),
    ],
)
def test_a_refusals_reason_is_the_webhooks_even_if_nobody_else_knows_it(
    cluster: Cluster, said: Json, answered: Json
) -> None:
    cluster.hooks.answers["/why"] = lambda request: {"allowed": False, "status": {**said, "message": "no"}}
    cluster.register("mutatingwebhookconfigurations", "why", cluster.hook("/why"))
    code, status, _ = cluster.create("a")
    assert code == answered["code"]
    denied = {"status": "Failure", "message": 'admission webhook "why.example.com" denied the request: no'}
    assert status == {"kind": "Status", "apiVersion": "v1", "metadata": {}} | denied | answered


def test_warnings_reach_the_client(cluster: Cluster) -> None:
    cluster.hooks.answers["/warn"] = lambda request: {"allowed": True, "warnings": ["old", "older"]}
    cluster.register("validatingwebhookconfigurations", "warn", cluster.hook("/warn"))
    code, _, warnings = cluster.create("a")
    assert (code, warnings) == (201, ['299 - "old"', '299 - "older"'])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        pytest.param(b"nonsense", "json parse error", id="no-json"),
        pytest.param(
            b'{"apiVersion":"v1","kind":"Pod"}', "expected webhook response of admission.k8s.io/v1", id="kind"
        ),
        pytest.param(
            b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":"x","allowed":true}}',
            'expected response.uid="',
            id="of-another-request",
        ),
        pytest.param(
            b'{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview"}', "webhook response was absent", id="empty"
        ),
    ],
)
def test_a_webhook_that_lies_has_not_answered(cluster: Cluster, answer: bytes, said: str) -> None:
    cluster.hooks.answers["/lie"] = lambda request: answer
    cluster.register("validatingwebhookconfigurations", "lie", cluster.hook("/lie"))
    code, status, _ = cluster.create("a")
    assert (code, status["reason"]) == (500, "InternalError")
    assert status["message"].startswith('Internal error occurred: failed calling webhook "lie.example.com": ')
    assert said in status["message"]


@pytest.mark.parametrize("policy", ["Fail", "Ignore"])
def test_a_webhook_that_is_too_slow(cluster: Cluster, policy: str) -> None:
    cluster.hooks.answers["/slow"] = lambda request: time.sleep(2) or {"allowed": False}  # type: ignore[func-returns-value]
    hook = cluster.hook("/slow", timeoutSeconds=1, failurePolicy=policy)
    cluster.register("validatingwebhookconfigurations", "slow", hook)
    code, status, _ = cluster.create("a")
    if policy == "Ignore":
        assert code == 201
        return
    url = f"{cluster.hooks.url('/slow')}?timeout=1s"
    why = f'failed to call webhook: Post "{url}": context deadline exceeded'
    assert (code, status["message"]) == (
        500,
        f'Internal error occurred: failed calling webhook "slow.example.com": {why}',
    )


def test_a_certificate_of_another_ca_is_not_believed(cluster: Cluster, tmp_path: Path) -> None:
    with serving_webhook(tmp_path / "other") as other:
        hook = cluster.hook("/tls")
        hook["clientConfig"]["caBundle"] = other.ca_bundle
        cluster.register("validatingwebhookconfigurations", "tls", hook)
        code, status, _ = cluster.create("a")
    assert code == 500 and "failed to verify certificate" in status["message"]
    assert not cluster.hooks.asked


def test_nobody_listens(cluster: Cluster) -> None:
    hook = cluster.hook("/gone")
    hook["clientConfig"]["url"] = "https://127.0.0.1:9/gone"
    cluster.register("validatingwebhookconfigurations", "gone", hook)
    code, status, _ = cluster.create("a")
    assert code == 500 and "connect: connection refused" in status["message"]


def test_a_patch_that_does_not_fit_or_is_not_wanted(cluster: Cluster) -> None:
    cluster.hooks.answers["/bad"] = patch({"op": "remove", "path": "/nowhere"})
    cluster.register("mutatingwebhookconfigurations", "bad", cluster.hook("/bad"))
    code, status, _ = cluster.create("a")
    assert (code, status["reason"]) == (500, "InternalError")
    cluster.close()
    cluster.hooks.answers["/sly"] = patch({"op": "add", "path": "/data", "value": {}})
    cluster.register("validatingwebhookconfigurations", "sly", cluster.hook("/sly"))
    code, status, _ = cluster.create("b")
    assert code == 500 and "validating webhook may not return response.patch" in status["message"]


def test_what_a_webhook_makes_of_an_object_is_validated(cluster: Cluster) -> None:
    cluster.hooks.answers["/evil"] = patch({"op": "replace", "path": "/metadata/labels", "value": {"-": "-"}})
    cluster.register("mutatingwebhookconfigurations", "evil", cluster.hook("/evil"))
    with cluster.server.client() as client:
        body = {"metadata": {"name": "a", "labels": {"a": "b"}}}
        answer = client.post(f"/api/v1/namespaces/{cluster.namespace}/configmaps", json=body)
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")


def test_mutating_webhooks_see_each_others_changes_and_are_asked_again_if_they_want(cluster: Cluster) -> None:
    cluster.hooks.answers["/first"] = patch({"op": "add", "path": "/metadata/annotations", "value": {"first": "1"}})
    cluster.hooks.answers["/second"] = patch({"op": "add", "path": "/data", "value": {"second": "1"}})
    again = cluster.hook("/first", reinvocationPolicy="IfNeeded")
    once = cluster.hook("/once", reinvocationPolicy="Never")
    cluster.register("mutatingwebhookconfigurations", "hooks-a", again, once)
    cluster.register("mutatingwebhookconfigurations", "hooks-b", cluster.hook("/second"))
    code, created, _ = cluster.create("a")
    assert code == 201
    assert (created["data"], created["metadata"]["annotations"]) == ({"second": "1"}, {"first": "1"})
    assert [path for path, _ in cluster.hooks.asked] == ["/first", "/once", "/second", "/first"]
    assert cluster.hooks.asked[-1][1]["object"]["data"] == {"second": "1"}


def test_what_a_webhook_changes_decides_who_is_asked_next(cluster: Cluster) -> None:
    label = {"op": "add", "path": "/metadata/labels", "value": {"seen": "yes"}}
    cluster.hooks.answers["/label"] = patch(label)
    wants = {"objectSelector": {"matchLabels": {"seen": "yes"}}}
    hooks = (cluster.hook("/early", **wants), cluster.hook("/label"), cluster.hook("/late", **wants))
    cluster.register("mutatingwebhookconfigurations", "chained", *hooks)
    assert cluster.create("a")[0] == 201
    assert [path for path, _ in cluster.hooks.asked] == ["/label", "/late"]


def test_conditions_decide_who_is_asked(cluster: Cluster) -> None:
    conditions = [
        {"name": "large", "expression": "has(object.data) && size(object.data) > 1"},
        {"name": "not-jane", "expression": "request.userInfo.username != 'jane'"},
        {"name": "allowed", "expression": "authorizer.group('').resource('secrets').check('get').allowed()"},
    ]
    cluster.register("validatingwebhookconfigurations", "some", cluster.hook("/some", matchConditions=conditions))
    assert cluster.create("a", data={"x": "1"})[0] == 201
    assert not cluster.hooks.asked
    assert cluster.create("b", data={"x": "1", "y": "2"})[0] == 201
    assert len(cluster.hooks.asked) == 1


def test_a_condition_without_a_value_refuses_or_skips(cluster: Cluster) -> None:
    broken = [{"name": "broken", "expression": "object.data.missing == '1'"}]
    cluster.register("validatingwebhookconfigurations", "strict", cluster.hook("/x", matchConditions=broken))
    code, status, _ = cluster.create("a")
    assert code == 403
    assert "expression 'object.data.missing == '1'' resulted in error: no such key: data" in status["message"]
    cluster.close()
    lenient = cluster.hook("/x", matchConditions=broken, failurePolicy="Ignore")
    cluster.register("validatingwebhookconfigurations", "lenient", lenient)
    assert cluster.create("a")[0] == 201
    assert not cluster.hooks.asked


def test_conditions_that_do_not_compile_are_refused_when_they_are_written(cluster: Cluster) -> None:
    hook = cluster.hook("/x", matchConditions=[{"name": "bad", "expression": "objet.data == 1"}])
    with cluster.server.client() as client:
        answer = client.post(
            f"{GROUP}/validatingwebhookconfigurations", json={"metadata": {"name": "b"}, "webhooks": [hook]}
        )
    assert answer.status_code == 422
    message = answer.json()["message"]
    assert 'webhooks[0].matchConditions[0].expression: Invalid value: "objet.data == 1": compilation failed' in message
    assert "undeclared reference to 'objet" in message


def test_a_dry_run_asks_too_and_says_so(cluster: Cluster) -> None:
    cluster.register("validatingwebhookconfigurations", "dry", cluster.hook("/dry"))
    assert cluster.create("a", "?dryRun=All")[0] == 201
    assert cluster.hooks.asked[0][1]["dryRun"] is True


def test_a_service_stands_for_an_address(cluster: Cluster) -> None:
    with cluster.server.client() as client:
        spec = {"type": "ExternalName", "externalName": "localhost"}
        client.post("/api/v1/namespaces/default/services", json={"metadata": {"name": "hooks"}, "spec": spec})
        time.sleep(0.1)
    hook = cluster.hook("/service")
    service = {"name": "hooks", "namespace": "default", "port": cluster.hooks.port, "path": "/service"}
    hook["clientConfig"] = {"service": service, "caBundle": cluster.hooks.ca_bundle}
    cluster.register("validatingwebhookconfigurations", "service", hook)
    assert cluster.create("a")[0] == 201
    assert len(cluster.hooks.asked_at("/service")) == 1
    with cluster.server.client() as client:
        client.delete("/api/v1/namespaces/default/services/hooks")
        time.sleep(0.1)
    code, status, _ = cluster.create("b")
    assert code == 500 and 'service "hooks" not found' in status["message"]


def test_connections_evictions_and_scales_are_seen(cluster: Cluster) -> None:
    rules = [
        {"operations": ["CONNECT"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/exec"]},
        {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods/eviction"]},
        {"operations": ["UPDATE"], "apiGroups": ["apps"], "apiVersions": ["v1"], "resources": ["*/scale"]},
        {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["serviceaccounts/token"]},
    ]
    cluster.hooks.answers["/sub"] = deny("seen")
    cluster.register("validatingwebhookconfigurations", "sub", cluster.hook("/sub", *rules))
    base = f"/api/v1/namespaces/{cluster.namespace}"
    container = {"name": "c", "image": "i"}
    with cluster.server.client() as client:
        account = {"metadata": {"name": "default"}}
        assert client.post(f"{base}/serviceaccounts", json=account).status_code == 201
        pod = {"metadata": {"name": "p"}, "spec": {"containers": [container], "nodeName": "n"}}
        assert client.post(f"{base}/pods", json=pod).status_code == 201
        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [container]}}
        spec = {"selector": {"matchLabels": {"a": "b"}}, "template": template}
        apps = f"/apis/apps/v1/namespaces/{cluster.namespace}/deployments"
        assert client.post(apps, json={"metadata": {"name": "d"}, "spec": spec}).status_code == 201
        refused = [
            client.post(f"{base}/pods/p/exec?command=ls&stdout=true"),
            client.post(f"{base}/pods/p/eviction", json={"metadata": {"name": "p"}}),
            client.patch(
                f"{apps}/d/scale",
                json={"spec": {"replicas": 3}},
                headers={"content-type": "application/merge-patch+json"},
            ),
            client.post(f"{base}/serviceaccounts/default/token", json={}),
        ]
    assert [answer.status_code for answer in refused] == [403] * 4, [answer.text for answer in refused]
    seen = [(one["kind"]["kind"], one["operation"], one["subResource"]) for one in cluster.hooks.asked_at("/sub")]
    assert seen == [
        ("PodExecOptions", "CONNECT", "exec"),
        ("Eviction", "CREATE", "eviction"),
        ("Scale", "UPDATE", "scale"),
        ("TokenRequest", "CREATE", "token"),
    ]
    scale = cluster.hooks.asked_at("/sub")[2]
    assert (scale["oldObject"]["spec"], scale["object"]["spec"]) == ({"replicas": 1}, {"replicas": 3})


def test_equivalent_versions_are_asked_about_in_the_version_of_the_rule(cluster: Cluster) -> None:
    rule = {
        "operations": ["CREATE"],
        "apiGroups": ["autoscaling"],
        "apiVersions": ["v1"],
        "resources": ["horizontalpodautoscalers"],
    }
    cluster.register("validatingwebhookconfigurations", "hpa", cluster.hook("/hpa", rule))
    metrics = [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 7}}}
    ]
    spec = {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}, "maxReplicas": 3}
    with cluster.server.client() as client:
        path = f"/apis/autoscaling/v2/namespaces/{cluster.namespace}/horizontalpodautoscalers"
        answer = client.post(path, json={"metadata": {"name": "h"}, "spec": {**spec, "metrics": metrics}})
        assert answer.status_code == 201, answer.text
    (asked,) = cluster.hooks.asked_at("/hpa")
    assert (asked["resource"]["version"], asked["requestResource"]["version"]) == ("v1", "v2")
    assert asked["object"]["apiVersion"] == "autoscaling/v1"
    assert asked["object"]["spec"]["targetCPUUtilizationPercentage"] == 7


def test_configurations_themselves_are_beyond_webhooks(cluster: Cluster) -> None:
    everything = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*/*"]}
    cluster.hooks.answers["/all"] = deny("no")
    hook = cluster.hook("/all", everything)
    cluster.register("validatingwebhookconfigurations", "all", hook | {"namespaceSelector": {}})
    assert cluster.create("a")[0] == 403
    with cluster.server.client() as client:
        assert client.delete(f"{GROUP}/validatingwebhookconfigurations/all").status_code == 200
        time.sleep(0.1)
    assert cluster.create("a")[0] == 201
