"""pods/NAME/eviction, and what disruption budgets say to it."""

import asyncio
from typing import Any

import pytest

from apiserver.handlers.eviction import Evictions
from apiserver.request import Response
from machinery.api import errors
from machinery.api.codec import Json
from tests.apiserver.handlers.calls import Caller, request

POD: Json = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web"},
    "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "nginx:1"}]},
}
URL = "/api/v1/namespaces/default/pods/web/eviction"


async def _evict(api: Caller, **fields: object) -> Response:
    return await _evict_pod(api, "web", **fields)


async def _evict_pod(api: Caller, name: str, **fields: object) -> Response:
    pods = api.registry.store_for("", "v1", "pods")
    budgets = api.registry.store_for("policy", "v1", "poddisruptionbudgets")
    assert pods is not None
    assert budgets is not None
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}, **fields}
    answer = await Evictions(pods, budgets).create(request("POST", URL.replace("web", name), eviction))
    assert isinstance(answer, Response)
    return answer


async def test_an_evicted_pod_ends_as_a_deleted_one_does(api: Caller) -> None:
    await api("POST", "/api/v1/namespaces/default/pods", POD)
    assert (await _evict(api, deleteOptions={"gracePeriodSeconds": 7})).status == 201
    metadata = (await api("GET", "/api/v1/namespaces/default/pods/web")).json["metadata"]
    assert metadata["deletionGracePeriodSeconds"] == 7


async def test_a_dry_run_evicts_nothing(api: Caller) -> None:
    await api("POST", "/api/v1/namespaces/default/pods", POD)
    await _evict(api, deleteOptions={"dryRun": ["All"]})
    metadata = (await api("GET", "/api/v1/namespaces/default/pods/web")).json["metadata"]
    assert "deletionTimestamp" not in metadata


async def test_an_eviction_of_another_pod_is_a_bad_request(api: Caller) -> None:
    with pytest.raises(errors.BadRequest, match="name in URL does not match name in Eviction object"):
        await _evict(api, metadata={"name": "other"})


async def test_a_pod_that_is_not_there_is_not_found(api: Caller) -> None:
    with pytest.raises(errors.NotFound):
        await _evict(api)


PODS = "/api/v1/namespaces/default/pods"
BUDGETS = "/apis/policy/v1/namespaces/default/poddisruptionbudgets"
READY = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
MERGE = {"content-type": "application/merge-patch+json"}


async def _running(api: Caller, name: str = "web", status: Json = READY) -> None:
    pod = {**POD, "metadata": {"name": name, "labels": {"app": "web"}}}
    await api("POST", PODS, pod)
    await api("PATCH", f"{PODS}/{name}/status", {"status": status}, MERGE)


async def _budget(api: Caller, name: str = "few", spec: Json | None = None, **status: Any) -> None:
    wanted = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}, **(spec or {})}
    await api(
        "POST",
        BUDGETS,
        {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": wanted},
    )
    counted = {
        "observedGeneration": 1,
        "disruptionsAllowed": 0,
        "currentHealthy": 2,
        "desiredHealthy": 2,
        "expectedPods": 2,
    }
    await api("PATCH", f"{BUDGETS}/{name}/status", {"status": counted | status}, MERGE)


async def _status(api: Caller, name: str = "few") -> Json:
    status: Json = (await api("GET", f"{BUDGETS}/{name}")).json["status"]
    return status


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({}, "The disruption budget few needs 2 healthy pods and has 2 currently"),
        ({"observedGeneration": 0}, "The disruption budget few is still being processed by the server."),
        (
            {
                "conditions": [
                    {
                        "type": "DisruptionAllowed",
                        "status": "False",
                        "reason": "SyncFailed",
                        "message": "no controller",
                        "lastTransitionTime": "2026-01-01T00:00:00Z",
                    }
                ]
            },
            "The disruption budget few does not allow evicting pods currently because it failed sync: no controller",
        ),
    ],
)
async def test_a_budget_that_is_spent_refuses_and_says_why(api: Caller, status: Json, why: str) -> None:
    await _running(api)
    await _budget(api, **status)
    with pytest.raises(errors.TooManyRequests) as caught:
        await _evict(api)
    assert caught.value.message == "Cannot evict pod as it would violate the pod's disruption budget."
    assert (caught.value.details or {})["causes"] == [{"reason": "DisruptionBudget", "message": why}]
    assert "deletionTimestamp" not in (await api("GET", f"{PODS}/web")).json["metadata"]


async def test_a_disruption_is_counted_and_the_pod_tells_why_it_goes(api: Caller) -> None:
    await _running(api)
    await _budget(api, disruptionsAllowed=1)
    await _evict(api)
    status = await _status(api)
    assert status["disruptionsAllowed"] == 0
    assert list(status["disruptedPods"]) == ["web"]
    assert [(one["type"], one["status"], one["reason"]) for one in status["conditions"]] == [
        ("DisruptionAllowed", "False", "InsufficientPods")
    ]
    pod = (await api("GET", f"{PODS}/web")).json
    assert "deletionTimestamp" in pod["metadata"]
    target = next(one for one in pod["status"]["conditions"] if one["type"] == "DisruptionTarget")
    assert (target["status"], target["reason"], target["message"]) == (
        *("True", "EvictionByEvictionAPI"),
        "Eviction API: evicting",
    )


async def test_of_many_evictions_at_once_a_budget_lets_no_more_than_it_has(api: Caller) -> None:
    for number in range(20):
        await _running(api, f"web-{number}")
    await _budget(api, disruptionsAllowed=3)
    answers = await asyncio.gather(*(_evict_pod(api, f"web-{n}") for n in range(20)), return_exceptions=True)
    assert sum(isinstance(answer, Response) for answer in answers) == 3
    assert sum(isinstance(answer, errors.TooManyRequests) for answer in answers) == 17
    status = await _status(api)
    assert (status["disruptionsAllowed"], len(status["disruptedPods"])) == (0, 3)


async def test_a_dry_run_counts_nothing(api: Caller) -> None:
    await _running(api)
    await _budget(api, disruptionsAllowed=1)
    await _evict(api, deleteOptions={"dryRun": ["All"]})
    assert (await _status(api))["disruptionsAllowed"] == 1


async def test_two_budgets_are_one_too_many(api: Caller) -> None:
    await _running(api)
    await _budget(api, disruptionsAllowed=1)
    await _budget(api, "other", disruptionsAllowed=1)
    with pytest.raises(errors.StatusError, match="more than one PodDisruptionBudget") as caught:
        await _evict(api)
    assert caught.value.status_code == 500


@pytest.mark.parametrize(
    ("status", "spec", "counts"),
    [
        ({"phase": "Succeeded"}, {}, {}),
        ({"phase": "Pending"}, {}, {}),
        ({"phase": "Running"}, {}, {}),  # not ready, and enough others are
        ({"phase": "Running"}, {"unhealthyPodEvictionPolicy": "AlwaysAllow"}, {"currentHealthy": 1}),
        (READY, {"selector": {"matchLabels": {"app": "other"}}}, {}),
    ],
)
async def test_pods_that_need_no_budget_go(api: Caller, status: Json, spec: Json, counts: Json) -> None:
    await _running(api, status=status)
    await _budget(api, spec=spec, **counts)
    assert (await _evict(api)).status == 201
    assert (await _status(api))["disruptionsAllowed"] == 0


async def test_an_unready_pod_of_an_unhealthy_budget_stays(api: Caller) -> None:
    await _running(api, status={"phase": "Running"})
    await _budget(api, currentHealthy=1)
    with pytest.raises(errors.TooManyRequests):
        await _evict(api)


async def test_another_state_of_the_pod_than_the_client_means_is_a_conflict(api: Caller) -> None:
    await _running(api)
    with pytest.raises(errors.Conflict):
        await _evict(api, deleteOptions={"preconditions": {"resourceVersion": "1"}})
