"""pods/NAME/ephemeralcontainers and pods/NAME/resize."""

from typing import Any

import pytest

from machinery.api import errors
from machinery.api.codec import Json
from tests.apiserver.handlers.calls import Answered, Caller

PODS = "/api/v1/namespaces/default/pods"
STRATEGIC = {"content-type": "application/strategic-merge-patch+json"}
RESOURCES: Json = {"requests": {"cpu": "100m", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "128Mi"}}


async def _pod(api: Caller, *, annotations: Json | None = None, **spec: Any) -> Json:
    metadata = {"name": "web", "annotations": annotations or {}}
    containers = [{"name": "app", "image": "nginx:1", "resources": RESOURCES}, {"name": "side", "image": "nginx:1"}]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers, **spec}}
    made: Json = (await api("POST", PODS, pod)).json
    return made


async def _debug(api: Caller, *containers: Json) -> Answered:
    patch = {"spec": {"ephemeralContainers": list(containers)}}
    return await api("PATCH", f"{PODS}/web/ephemeralcontainers", patch, STRATEGIC)


async def _resize(api: Caller, resources: Json, **spec: Any) -> Answered:
    patch = {"spec": {"containers": [{"name": "app", "resources": resources}], **spec}}
    return await api("PATCH", f"{PODS}/web/resize", patch, STRATEGIC)


def causes(problem: errors.StatusError) -> list[tuple[str, str]]:
    """Field and message of each."""
    return [(cause["field"], cause["message"]) for cause in (problem.details or {})["causes"]]


async def test_debug_containers_come_one_after_the_other(api: Caller) -> None:
    made = await _pod(api)
    pod = (await _debug(api, {"name": "debugger", "image": "busybox", "targetContainerName": "app", "tty": True})).json
    assert pod["kind"] == "Pod"
    assert pod["metadata"]["generation"] == made["metadata"]["generation"] + 1
    (first,) = pod["spec"]["ephemeralContainers"]
    assert (first["name"], first["imagePullPolicy"], first["terminationMessagePolicy"]) == (
        "debugger",
        "Always",
        "File",
    )
    pod["spec"]["ephemeralContainers"].append({"name": "second", "image": "busybox:1"})
    pod["spec"]["nodeName"] = "elsewhere"
    pod["metadata"]["labels"] = {"a": "b"}
    written = (await api("PUT", f"{PODS}/web/ephemeralcontainers", pod)).json
    assert [one["name"] for one in written["spec"]["ephemeralContainers"]] == ["debugger", "second"]
    assert "nodeName" not in written["spec"]  # nothing else can be changed on this way
    assert "labels" not in written["metadata"]
    assert (await api("GET", f"{PODS}/web/ephemeralcontainers")).json["metadata"]["name"] == "web"
    assert {entry.get("subresource") for entry in written["metadata"]["managedFields"]} == {None, "ephemeralcontainers"}


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({"name": "app", "image": "x"}, ("spec.ephemeralContainers[0].name", 'Duplicate value: "app"')),
        (
            {"name": "d", "image": "x", "targetContainerName": "no"},
            ("spec.ephemeralContainers[0].targetContainerName", 'Not found: "no"'),
        ),
        (
            {"name": "d", "image": "x", "ports": [{"containerPort": 80}]},
            ("spec.ephemeralContainers[0].ports", "Forbidden: cannot be set for an Ephemeral Container"),
        ),
        (
            {"name": "d", "image": "x", "resources": {"requests": {"cpu": "1"}}},
            ("spec.ephemeralContainers[0].resources", "Forbidden: cannot be set for an Ephemeral Container"),
        ),
        ({"name": "d"}, ("spec.ephemeralContainers[0].image", "Required value")),
    ],
)
async def test_a_debug_container_is_checked(api: Caller, container: Json, expected: tuple[str, str]) -> None:
    await _pod(api)
    with pytest.raises(errors.Invalid) as caught:
        await _debug(api, container)
    assert expected in causes(caught.value)


async def test_a_debug_container_neither_goes_nor_changes(api: Caller) -> None:
    await _pod(api)
    pod = (await _debug(api, {"name": "d", "image": "x:1"})).json
    pod["spec"]["ephemeralContainers"][0]["image"] = "x:2"
    with pytest.raises(errors.Invalid, match='existing ephemeral containers "d" may not be changed'):
        await api("PUT", f"{PODS}/web/ephemeralcontainers", pod)
    pod["spec"]["ephemeralContainers"] = []
    with pytest.raises(errors.Invalid, match='existing ephemeral containers "d" may not be removed'):
        await api("PUT", f"{PODS}/web/ephemeralcontainers", pod)
    with pytest.raises(errors.Invalid, match="pod updates may not change fields"):
        await api("PUT", f"{PODS}/web", pod)


async def test_nobody_is_debugged_before_it_runs(api: Caller) -> None:
    with pytest.raises(errors.Invalid) as caught:
        await _pod(api, ephemeralContainers=[{"name": "d", "image": "x"}])
    assert causes(caught.value) == [("spec.ephemeralContainers", "Forbidden: cannot be set on create")]


async def test_static_pods_are_their_nodes(api: Caller) -> None:
    await _pod(api, annotations={"kubernetes.io/config.mirror": "x"}, nodeName="n")
    with pytest.raises(errors.Invalid, match="static pods do not support ephemeral containers"):
        await _debug(api, {"name": "d", "image": "x"})
    with pytest.raises(errors.Invalid, match="static pods do not support resize"):
        await _resize(api, {"requests": {"cpu": "200m"}})


async def test_a_resize_changes_resources_and_nothing_else(api: Caller) -> None:
    made = await _pod(api)
    pod = (await _resize(api, {"requests": {"cpu": "200m"}}, nodeName="elsewhere")).json
    assert pod["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "200m", "memory": "64Mi"}
    assert "nodeName" not in pod["spec"]
    assert pod["metadata"]["generation"] == made["metadata"]["generation"] + 1
    again = (await _resize(api, {"requests": {"cpu": "200m"}})).json
    assert again["metadata"]["resourceVersion"] == pod["metadata"]["resourceVersion"]
    pod["spec"]["containers"][0]["resources"]["requests"]["cpu"] = "300m"
    with pytest.raises(errors.Invalid, match="pod updates may not change fields"):
        await api("PUT", f"{PODS}/web", pod)


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        (
            {"limits": {"memory": None}},
            ("spec.containers[0].resources.limits", "Forbidden: resource limits cannot be removed"),
        ),
        (
            {"requests": {"cpu": "2"}},
            (
                "spec.containers[0].resources.requests",
                'Invalid value: "2": must be less than or equal to cpu limit of 1',
            ),
        ),
    ],
)
async def test_a_resize_is_checked(api: Caller, resources: Json, expected: tuple[str, str]) -> None:
    await _pod(api)
    with pytest.raises(errors.Invalid) as caught:
        await _resize(api, resources)
    assert expected in causes(caught.value)


async def test_a_resize_keeps_the_quality_of_service(api: Caller) -> None:
    await _pod(api, containers=[{"name": "app", "image": "x"}])
    with pytest.raises(errors.Invalid, match="Pod QOS Class may not change as a result of resizing"):
        await _resize(api, {"requests": {"cpu": "1"}})


async def test_only_cpu_and_memory_are_resized(api: Caller) -> None:
    await _pod(api)
    with pytest.raises(errors.Invalid, match="only cpu and memory resources are mutable"):
        await _resize(api, {"requests": {"ephemeral-storage": "1Gi"}})
