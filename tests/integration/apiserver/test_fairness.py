"""Priority and fairness on a real server: what a request counts as, and what a noisy client can do to another."""

import asyncio
import time

import httpx

from tests.integration.apiserver_process import ApiserverProcess, tls_context

FLOWS = "/apis/flowcontrol.apiserver.k8s.io/v1"


def _names_by_uid(client: httpx.Client, plural: str) -> dict[str, str]:
    items = client.get(f"{FLOWS}/{plural}").json()["items"]
    return {item["metadata"]["uid"]: item["metadata"]["name"] for item in items}


def test_every_answer_says_what_it_counted_as(server: ApiserverProcess) -> None:
    with server.client() as client:
        schemas = _names_by_uid(client, "flowschemas")
        names = _names_by_uid(client, "prioritylevelconfigurations")
        own = client.get("/api/v1/namespaces").headers
    with server.client("jane-token") as client:
        theirs = client.get("/api/v1/namespaces").headers
    assert schemas[own["x-kubernetes-pf-flowschema-uid"]] == names[own["x-kubernetes-pf-prioritylevel-uid"]] == "exempt"
    assert schemas[theirs["x-kubernetes-pf-flowschema-uid"]] == "global-default"
    assert names[theirs["x-kubernetes-pf-prioritylevel-uid"]] == "global-default"


def test_a_schema_whose_level_is_missing_dangles_and_does_not_count(server: ApiserverProcess) -> None:
    rule = {
        "subjects": [{"kind": "User", "user": {"name": "jane"}}],
        "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    }
    spec = {"priorityLevelConfiguration": {"name": "nowhere"}, "matchingPrecedence": 3, "rules": [rule]}
    with server.client() as client:
        assert client.post(f"{FLOWS}/flowschemas", json={"metadata": {"name": "lost"}, "spec": spec}).status_code == 201
        deadline = time.monotonic() + 30
        while not (status := client.get(f"{FLOWS}/flowschemas/lost").json().get("status") or {}):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        (condition,) = status["conditions"]
        assert (condition["type"], condition["status"], condition["reason"]) == ("Dangling", "True", "NotFound")
        others = client.get(f"{FLOWS}/flowschemas/catch-all").json()["status"]["conditions"]
        assert [one["status"] for one in others] == ["False"]
    with server.client("jane-token") as client:
        assert client.get("/version").status_code == 200
    with server.client() as client:
        client.delete(f"{FLOWS}/flowschemas/lost")


async def test_what_has_no_room_is_told_to_come_back(server: ApiserverProcess) -> None:
    limited = {"nominalConcurrencyShares": 0, "borrowingLimitPercent": 0, "limitResponse": {"type": "Reject"}}
    level = {"metadata": {"name": "tiny"}, "spec": {"type": "Limited", "limited": limited}}
    rule = {
        "subjects": [{"kind": "User", "user": {"name": "dev"}}],
        "resourceRules": [
            {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": True, "namespaces": ["*"]}
        ],
    }
    spec = {"priorityLevelConfiguration": {"name": "tiny"}, "matchingPrecedence": 3, "rules": [rule]}
    with server.client() as admin:
        subject = {"kind": "User", "name": "dev", "apiGroup": "rbac.authorization.k8s.io"}
        role = {"kind": "ClusterRole", "name": "edit", "apiGroup": "rbac.authorization.k8s.io"}
        binding = {"metadata": {"name": "dev"}, "roleRef": role, "subjects": [subject]}
        path = "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings"
        assert admin.post(path, json=binding).status_code == 201
        assert admin.post(f"{FLOWS}/prioritylevelconfigurations", json=level).status_code == 201
        assert admin.post(f"{FLOWS}/flowschemas", json={"metadata": {"name": "tiny"}, "spec": spec}).status_code == 201
        await asyncio.sleep(0.2)
        headers = {"authorization": "Bearer dev-token"}
        async with httpx.AsyncClient(
            base_url=server.url, headers=headers, verify=tls_context(server.ca_file), trust_env=False, timeout=30
        ) as client:
            body = {"metadata": {"generateName": "a"}}
            maps = "/api/v1/namespaces/default/configmaps"
            answers = await asyncio.gather(*(client.post(maps, json=body) for _ in range(60)))
        codes = {answer.status_code for answer in answers}
        assert codes == {201, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert refused.headers["retry-after"] == "1" and refused.json()["reason"] == "TooManyRequests"
        metrics = admin.get("/metrics").text
        name = 'apiserver_flowcontrol_rejected_requests_total{priority_level="tiny",reason="concurrency-limit"}'
        assert name in metrics
        admin.delete(f"{path}/dev")
        admin.delete(f"{FLOWS}/flowschemas/tiny")
        admin.delete(f"{FLOWS}/prioritylevelconfigurations/tiny")
