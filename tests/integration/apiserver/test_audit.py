"""The audit log of a real server: what real clients did, and what was refused."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from machinery.api.codec import Json
from tests.fakes.webhook import deny, patch, serving_webhook
from tests.integration.apiserver_process import ApiserverProcess, start_apiserver

POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "nonResourceURLs": ["/readyz*", "/api*", "/openapi*", "/version"]},
        {"level": "Metadata", "resources": [{"resources": ["secrets"]}]},
        {"level": "RequestResponse", "resources": [{"resources": ["configmaps"]}], "omitManagedFields": True},
        {"level": "Metadata"},
    ],
}


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiserverProcess]:
    """A server that records."""
    folder = tmp_path_factory.mktemp("audited")
    (folder / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    flags = ("--audit-policy-file", str(folder / "policy.yaml"), "--audit-log-path", str(folder / "audit.log"))
    with start_apiserver(folder, *flags) as server:
        yield server


def events(server: ApiserverProcess, *, name: str = "", user: str = "", **wanted: Any) -> list[Json]:
    """The events about an object's name, a user, with these values; waited for: an answer comes first."""
    log = Path(server.directory) / "audit.log"
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        found = [json.loads(line) for line in log.read_text().splitlines()]
        found = [event for event in found if not name or (event.get("objectRef") or {}).get("name") == name]
        found = [event for event in found if not user or event["user"]["username"] == user]
        found = [event for event in found if all(event.get(key) == value for key, value in wanted.items())]
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"no such event: {log.read_text()[-3000:]}")


def test_a_write_is_recorded_with_what_was_sent_and_what_came_of_it(audited: ApiserverProcess) -> None:
    audited.kubectl("create", "configmap", "noted", "--from-literal=a=b", "-n", "default").ok()
    (event,) = events(audited, verb="create", name="noted")
    assert (event["kind"], event["apiVersion"]) == ("Event", "audit.k8s.io/v1")
    assert (event["level"], event["stage"]) == ("RequestResponse", "ResponseComplete")
    assert event["user"]["username"] == "kubernetes-admin"
    assert event["user"]["groups"] == ["system:masters", "system:authenticated"]
    assert event["sourceIPs"] == ["127.0.0.1"]
    assert event["userAgent"].startswith("kubectl")
    assert event["requestURI"].startswith("/api/v1/namespaces/default/configmaps?fieldManager=")
    assert event["objectRef"]["resource"] == "configmaps"
    assert event["requestObject"]["data"] == event["responseObject"]["data"] == {"a": "b"}
    assert event["responseObject"]["metadata"]["uid"]
    assert "managedFields" not in event["responseObject"]["metadata"]
    assert event["responseStatus"]["code"] == 201
    assert event["annotations"]["authorization.k8s.io/decision"] == "allow"


def test_secrets_are_recorded_without_what_is_in_them(audited: ApiserverProcess) -> None:
    audited.kubectl("create", "secret", "generic", "hidden", "--from-literal=p=hunter2", "-n", "default").ok()
    audited.kubectl("get", "secret", "hidden", "-o", "yaml", "-n", "default").ok()
    for verb in ("create", "get"):
        assert "aHVudGVyMg" not in json.dumps(events(audited, verb=verb, name="hidden"))


def test_a_patch_and_a_list_are_recorded_as_they_were(audited: ApiserverProcess) -> None:
    audited.kubectl("create", "configmap", "patched", "-n", "default").ok()
    audited.kubectl("patch", "configmap", "patched", "-p", '{"data":{"k":"v"}}', "-n", "default").ok()
    with audited.client() as client:
        client.get("/api/v1/namespaces/default/configmaps").raise_for_status()
    assert events(audited, verb="patch", name="patched")[-1]["requestObject"] == {"data": {"k": "v"}}
    listed = events(audited, verb="list", requestURI="/api/v1/namespaces/default/configmaps")[-1]["responseObject"]
    assert "patched" in [item["metadata"]["name"] for item in listed["items"]]


def test_a_refusal_tells_who_wanted_what_and_why_not(audited: ApiserverProcess) -> None:
    stranger = audited.kubeconfig_for("mallory", "guests")
    refused = audited.kubectl("get", "secrets", "-n", "default", kubeconfig=stranger)
    assert "forbidden" in refused.err
    event = events(audited, user="mallory", verb="list")[-1]
    assert event["responseStatus"]["code"] == 403
    assert event["responseStatus"]["reason"] == "Forbidden"
    assert 'User "mallory" cannot list resource "secrets"' in event["responseStatus"]["message"]
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"


def test_bad_credentials_are_recorded_too(audited: ApiserverProcess) -> None:
    with audited.client("forged") as client:
        assert client.get("/api/v1/namespaces/default/pods").status_code == 401
    event = events(audited, stage="ResponseStarted")[-1]
    assert event["responseStatus"]["code"] == 401
    assert event["responseStatus"]["message"] == "Authentication failed, attempted: bearer"


def test_acting_as_somebody_else_tells_both(audited: ApiserverProcess) -> None:
    audited.kubectl("get", "pods", "--as", "ann", "--as-group", "devs", "-n", "default")
    event = events(
        audited, verb="list", impersonatedUser={"username": "ann", "groups": ["devs", "system:authenticated"]}
    )[-1]
    assert event["user"]["username"] == "kubernetes-admin"


def test_an_allowed_request_names_the_binding_that_allowed_it(audited: ApiserverProcess) -> None:
    audited.kubectl("create", "clusterrolebinding", "ann-views", "--clusterrole=view", "--user=viewer").ok()
    viewer = audited.kubeconfig_for("viewer")
    audited.kubectl("get", "pods", "-n", "default", kubeconfig=viewer).ok()
    event = events(audited, verb="list", user="viewer")[-1]
    assert event["annotations"]["authorization.k8s.io/reason"] == (
        'RBAC: allowed by ClusterRoleBinding "ann-views" of ClusterRole "view" to User "viewer"'
    )


def test_a_watch_is_recorded_when_it_begins_and_when_it_ends(audited: ApiserverProcess) -> None:
    with audited.client() as client:
        client.get("/api/v1/namespaces/default/pods?watch=1&timeoutSeconds=1", headers={"audit-id": "my-watch"})
    events(audited, auditID="my-watch", stage="ResponseComplete")
    found = events(audited, auditID="my-watch")
    assert [event["stage"] for event in found] == ["ResponseStarted", "ResponseComplete"]
    assert {event["responseStatus"]["code"] for event in found} == {200}


def test_what_mutating_webhooks_did_is_noted_and_their_patches_where_bodies_are(
    audited: ApiserverProcess, tmp_path: Path
) -> None:
    operation = {"value": {"by": "hook"}, "path": "/metadata/annotations", "op": "add"}
    rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"]}
    with serving_webhook(tmp_path) as hooks, audited.client() as client:
        hooks.answers |= {"/change": patch(operation), "/no": deny("no")}

        def hook(path: str, *resources: str, **more: Any) -> Json:
            config = {"url": hooks.url(path), "caBundle": hooks.ca_bundle}
            base: Json = {"name": f"{path[1:]}.example.com", "clientConfig": config, "sideEffects": "None"}
            rules = [rule | {"resources": resources}]
            return base | {"rules": rules, "admissionReviewVersions": ["v1"], "timeoutSeconds": 5} | more

        gone = {"clientConfig": {"url": "https://127.0.0.1:1/"}, "failurePolicy": "Ignore"}
        webhooks = [
            hook("/other", "services"),
            hook("/change", "configmaps", "secrets"),
            hook("/gone", "configmaps", **gone),
            hook("/no", "secrets", reinvocationPolicy="IfNeeded"),
        ]
        configurations = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
        body = {"metadata": {"name": "noting"}, "webhooks": webhooks}
        assert client.post(configurations, json=body).status_code == 201
        time.sleep(0.1)  # the watch cache hears of it
        for kind, code in (("configmaps", 201), ("secrets", 403)):
            answer = client.post(f"/api/v1/namespaces/default/{kind}", json={"metadata": {"name": "hooked"}})
            assert answer.status_code == code, answer.text
        client.delete(f"{configurations}/noting")
    notes = {event["objectRef"]["resource"]: _of_webhooks(event) for event in events(audited, name="hooked")}
    change = {"configuration": "noting", "webhook": "change.example.com"}
    changed = ("mutation.webhook.admission.k8s.io/round_0_index_1", change | {"mutated": True})
    patched = change | {"patch": [operation], "patchType": "JSONPatch"}
    assert notes["configmaps"] == dict(
        [
            changed,
            ("patch.webhook.admission.k8s.io/round_0_index_1", patched),
            ("mutation.webhook.admission.k8s.io/round_0_index_2", _untouched("gone.example.com")),
            ("failed-open.mutation.webhook.admission.k8s.io/round_0_index_2", "gone.example.com"),
        ]
    )
    assert notes["secrets"] == dict(
        [changed, ("mutation.webhook.admission.k8s.io/round_0_index_3", _untouched("no.example.com"))]
    )


def _untouched(webhook: str) -> Json:
    return {"configuration": "noting", "webhook": webhook, "mutated": False}


def _of_webhooks(event: Json) -> dict[str, Any]:
    found = {key: text for key, text in event["annotations"].items() if "webhook.admission" in key}
    return {key: json.loads(text) if text.startswith("{") else text for key, text in found.items()}
