"""The official client, `kubernetes`: typed and dynamic, patches, watches, pages, errors, leader election, exec."""

import os
import sys
import threading
import uuid
from collections.abc import Callable
from typing import Any

from kubernetes import client, config, dynamic, utils, watch
from kubernetes.client.rest import ApiException
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock
from kubernetes.leaderelection.resourcelock.leaselock import LeaseLock
from kubernetes.stream import stream

LABELS = {"app": "official"}


def main(kubeconfig: str, namespace: str) -> None:
    """Everything, in one namespace."""
    config.load_kube_config(kubeconfig)
    core, apps = client.CoreV1Api(), client.AppsV1Api()
    objects(core, namespace)
    watches(core, namespace)
    deployments(apps, namespace)
    dynamically(namespace)
    errors(core, namespace)
    leads(namespace)


def objects(core: Any, namespace: str) -> None:
    """Create, read, three patches, replace, pages, delete."""
    for number in range(5):
        metadata = client.V1ObjectMeta(name=f"m-{number}", labels=LABELS)
        core.create_namespaced_config_map(namespace, client.V1ConfigMap(metadata=metadata, data={"n": str(number)}))
    found = core.read_namespaced_config_map("m-0", namespace)
    assert found.data == {"n": "0"}
    assert found.metadata.managed_fields[0].manager == "OpenAPI-Generator"
    core.patch_namespaced_config_map("m-0", namespace, {"data": {"patched": "yes"}})
    core.patch_namespaced_config_map("m-0", namespace, [{"op": "add", "path": "/data/op", "value": "json"}])
    found = core.read_namespaced_config_map("m-0", namespace)
    assert found.data == {"n": "0", "patched": "yes", "op": "json"}
    found.data = {"only": "this"}
    assert core.replace_namespaced_config_map("m-0", namespace, found).data == {"only": "this"}
    page = core.list_namespaced_config_map(namespace, limit=2, label_selector="app=official")
    names = [item.metadata.name for item in page.items]
    while page.metadata._continue:
        page = core.list_namespaced_config_map(
            namespace, limit=2, label_selector="app=official", _continue=page.metadata._continue
        )
        names += [item.metadata.name for item in page.items]
    assert names == [f"m-{number}" for number in range(5)]
    core.delete_collection_namespaced_config_map(namespace, label_selector="app=official")
    assert not core.list_namespaced_config_map(namespace, label_selector="app=official").items


def watches(core: Any, namespace: str) -> None:
    """A watch sees what happens, typed, and ends when told."""
    version = core.list_namespaced_secret(namespace).metadata.resource_version

    def work() -> None:
        core.create_namespaced_secret(namespace, client.V1Secret(metadata={"name": "s"}, string_data={"a": "b"}))
        core.patch_namespaced_secret("s", namespace, {"metadata": {"labels": LABELS}})
        core.delete_namespaced_secret("s", namespace)

    worker = threading.Timer(0.1, work)
    worker.start()
    watching, seen = watch.Watch(), []
    for event in watching.stream(core.list_namespaced_secret, namespace, resource_version=version, timeout_seconds=20):
        seen.append(event["type"])
        assert isinstance(event["object"], client.V1Secret)
        if event["type"] == "DELETED":
            watching.stop()
    worker.join()
    assert seen == ["ADDED", "MODIFIED", "DELETED"], seen


def deployments(apps: Any, namespace: str) -> None:
    """From a mapping, as `create_from_dict` makes them; scale."""
    pod = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "c", "image": "nginx:1"}]}}
    spec = {"selector": {"matchLabels": LABELS}, "template": pod}
    wanted = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}
    utils.create_from_dict(client.ApiClient(), wanted, namespace=namespace)
    scale = apps.patch_namespaced_deployment_scale("web", namespace, {"spec": {"replicas": 3}})
    assert scale.spec.replicas == 3
    assert apps.read_namespaced_deployment("web", namespace).spec.replicas == 3
    status = apps.delete_namespaced_deployment("web", namespace, propagation_policy="Background")
    assert dict(status)["status"] == "Success", status


def dynamically(namespace: str) -> None:
    """By discovery; server-side apply."""
    api = dynamic.DynamicClient(client.ApiClient())
    maps = api.resources.get(api_version="v1", kind="ConfigMap")
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "applied"}, "data": {"a": "1"}}
    made = maps.server_side_apply(wanted, name="applied", namespace=namespace, field_manager="dyn")
    assert made.data.a == "1"
    assert made.metadata.managedFields[0].operation == "Apply"
    try:
        maps.server_side_apply(
            {**wanted, "data": {"a": "2"}}, name="applied", namespace=namespace, field_manager="other"
        )
    except dynamic.exceptions.ConflictError as problem:
        assert "conflict with" in str(problem.body), problem
    else:
        raise AssertionError("no conflict")
    assert {one.kind for one in api.resources.search(group="apps")} >= {"Deployment", "ReplicaSet"}


def errors(core: Any, namespace: str) -> None:
    """Status, reason and body are upstream's; an exec without a node fails and says why."""
    problem = refused(lambda: core.read_namespaced_pod("nope", namespace))
    assert (problem.status, problem.reason) == (404, "Not Found")
    assert '"reason":"NotFound"' in problem.body
    bad = client.V1Pod(metadata={"name": "bad"}, spec=client.V1PodSpec(containers=[]))
    problem = refused(lambda: core.create_namespaced_pod(namespace, bad))
    assert problem.status == 422
    assert "spec.containers: Required value" in problem.body
    pod = client.V1Pod(metadata={"name": "idle"}, spec={"containers": [{"name": "c", "image": "nginx:1"}]})
    core.create_namespaced_pod(namespace, pod)
    run = core.connect_get_namespaced_pod_exec
    problem = refused(lambda: stream(run, "idle", namespace, command=["true"], stdout=True))
    assert "does not have a host assigned" in str(problem.reason) + str(problem.body), problem


def refused(work: Callable[[], Any]) -> Any:
    """What the server says to a request that it must refuse."""
    try:
        work()
    except ApiException as problem:
        return problem
    raise AssertionError("the server let pass what it had to refuse")


def leads(namespace: str) -> None:
    """The client's own leader election gets its lock, of both sorts."""
    for lock in (
        ConfigMapLock("leader", namespace, uuid.uuid4().hex),
        LeaseLock("leader", namespace, uuid.uuid4().hex),
    ):
        led = threading.Event()
        wanted = electionconfig.Config(lock, 17, 15, 5, onstarted_leading=led.set, onstopped_leading=None)
        threading.Thread(target=leaderelection.LeaderElection(wanted).run, daemon=True).start()
        assert led.wait(10)
    found = client.CoordinationV1Api().read_namespaced_lease("leader", namespace)
    assert found.spec.holder_identity == lock.identity


if __name__ == "__main__":
    main(*sys.argv[1:])
    os._exit(0)  # an election goes on for ever, and the interpreter would not end over its thread
