"""Pods on a real containerd: their whole life, as the workers lead it."""

import base64
from typing import Any

from machinery.api import meta
from machinery.api.codec import Json
from tests.integration.kubelet.node import Node, pod


def condition(status: Json, type_: str) -> str:
    found = meta.find_condition(status.get("conditions"), type_)
    return found["status"] if found else ""


def reasons(node: Node) -> list[str]:
    return [reason for _, reason, _ in node.events]


def busy_pod() -> Json:
    """A pod with a bit of everything."""
    container: Json = {
        "env": [
            {"name": "COLOUR", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "colour"}}},
            {"name": "LOGIN", "valueFrom": {"secretKeyRef": {"name": "login", "key": "user"}}},
            {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "BOTH", "value": "$(COLOUR)-$(LOGIN)"},
        ],
        "command": [
            "sh",
            "-c",
            "trap 'exit 0' TERM; httpd -p 8080 -h /www; echo up $(BOTH); while true; do sleep 0.1; done",
        ],
        "ports": [{"name": "http", "containerPort": 8080}],
        "volumeMounts": [
            {"name": "settings", "mountPath": "/settings"},
            {"name": "login", "mountPath": "/login", "readOnly": True},
            {"name": "www", "mountPath": "/www"},
            {"name": "settings", "mountPath": "/one", "subPath": "file.txt"},
            {"name": "all", "mountPath": "/all"},
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}, "periodSeconds": 1},
        "livenessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1},
        "resources": {"limits": {"memory": "64Mi", "cpu": "200m"}},
    }
    volumes = [
        {"name": "settings", "configMap": {"name": "settings"}},
        {"name": "login", "secret": {"secretName": "login"}},
        {"name": "www", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
        {
            "name": "all",
            "projected": {
                "sources": [
                    {"serviceAccountToken": {"path": "token", "audience": "x"}},
                    {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                ]
            },
        },
    ]
    return pod("web", container=container, volumes=volumes)


async def test_a_pod_runs_with_its_environment_volumes_and_probes_and_leaves_nothing(node: Node) -> None:
    node.objects.config_maps["settings"] = {"data": {"colour": "blue", "file.txt": "hello\n"}}
    node.objects.secrets["login"] = {"data": {"user": base64.b64encode(b"admin").decode()}}
    web = busy_pod()
    node.workers.update(web)
    await node.until(lambda: node.status(web).get("phase") == "Running")
    assert condition(node.status(web), "Ready") == "False"
    await node.until(lambda: any("statuscode: 404" in message for _, _, message in node.events))

    await node.shell(web, "echo yes > /www/ready")
    await node.until(lambda: condition(node.status(web), "Ready") == "True")
    status = node.status(web)
    assert status["podIP"].startswith("10.240.7.")
    assert status["containerStatuses"][0]["restartCount"] == 0
    assert await node.shell(web, "echo $POD_IP") == status["podIP"] + "\n"
    assert await node.shell(web, "cat /settings/file.txt /one; cat /login/user") == "hello\nhello\nadmin"
    assert await node.shell(web, "cat /all/token /all/name") == "token-for-xweb"
    assert "\tweb" in await node.shell(web, "cat /etc/hosts")
    assert "nameserver 10.96.0.10" in await node.shell(web, "cat /etc/resolv.conf")
    log = node.folders.pod_logs(web) / "main" / "0.log"
    assert "stdout F up blue-admin" in log.read_text()
    parent = f"/sys/fs/cgroup/memory{node.machine.cgroup_root}/kubepods/pod{meta.uid_of(web)}"
    with open(f"{parent}/memory.limit_in_bytes") as file:
        assert int(file.read()) == 64 << 20

    node.objects.config_maps["settings"] = {"data": {"file.txt": "changed\n"}}
    node.workers.wake(meta.uid_of(web))
    await node.until(
        lambda: (
            (node.folders.volumes(meta.uid_of(web)) / "kubernetes.io~configmap/settings/file.txt").read_text()
            == "changed\n"
        )
    )
    assert await node.shell(web, "cat /settings/file.txt") == "changed\n"

    deleted = node.delete(web)
    await node.until(lambda: meta.uid_of(web) in node.statuses.off)
    final = node.status(web)
    assert final["phase"] == "Succeeded"
    assert final["containerStatuses"][0]["state"]["terminated"]["exitCode"] == 0
    assert not node.folders.pod(meta.uid_of(web)).exists()
    assert not [path for path in node.machine.cgroups() if meta.uid_of(web) in str(path)]
    assert await node.runtime.list_sandboxes(meta.uid_of(web)) == []
    assert [one for one in reasons(node) if one != "Unhealthy"] == ["Pulled", "Created", "Started", "Killing"]
    node.workers.remove(meta.uid_of(deleted))
    await node.until(lambda: not node.workers.uids())
    assert not log.exists()


async def test_a_crashing_container_waits_longer_each_time_and_counts_its_restarts(node: Node) -> None:
    crashing = pod("crash", container={"command": ["sh", "-c", "echo dying > /dev/termination-log; exit 3"]})
    node.workers.update(crashing)

    def waiting() -> Json:
        statuses: list[Json] = node.status(crashing).get("containerStatuses") or [{}]
        found: Json = statuses[0].get("state", {}).get("waiting") or {}
        return found

    await node.until(lambda: waiting().get("reason") == "CrashLoopBackOff")
    one = node.status(crashing)["containerStatuses"][0]
    whole = f"crash_default({meta.uid_of(crashing)})"
    assert waiting()["message"] == f"back-off 10s restarting failed container=main pod={whole}"
    assert one["restartCount"] == 1
    assert one["lastState"]["terminated"]["exitCode"] == 3
    assert one["lastState"]["terminated"]["reason"] == "Error"
    assert one["lastState"]["terminated"]["message"] == "dying\n"
    assert node.status(crashing)["phase"] == "Running"
    assert "BackOff" in reasons(node)
    node.delete(crashing)
    await node.until(lambda: meta.uid_of(crashing) in node.statuses.off)
    assert node.status(crashing)["phase"] == "Failed"


async def test_init_containers_run_in_order_and_a_finished_pod_succeeds(node: Node) -> None:
    def step(name: str, script: str) -> dict[str, Any]:
        mount = [{"name": "shared", "mountPath": "/shared"}]
        return {"name": name, "image": "busybox:1.35", "command": ["sh", "-c", script], "volumeMounts": mount}

    job = pod(
        "job",
        container=step("main", "echo three >> /shared/log; cat /shared/log"),
        initContainers=[step("first", "echo one >> /shared/log"), step("second", "echo two >> /shared/log")],
        volumes=[{"name": "shared", "emptyDir": {}}],
        restartPolicy="Never",
    )
    node.workers.update(job)
    await node.until(lambda: node.status(job).get("phase") == "Succeeded")
    log = (node.folders.pod_logs(job) / "main" / "0.log").read_text()
    assert [line.split(" ")[-1] for line in log.splitlines()] == ["one", "two", "three"]
    await node.until(lambda: meta.uid_of(job) in node.statuses.off)
    assert condition(node.status(job), "Initialized") == "True"
    assert (node.folders.pod_logs(job) / "main" / "0.log").exists()
    node.delete(job)
    await node.until(lambda: not list(node.folders.logs.glob("*job*")))


async def test_a_failed_liveness_probe_restarts_the_container(node: Node) -> None:
    probe = {"exec": {"command": ["cat", "/tmp/alive"]}, "periodSeconds": 1, "failureThreshold": 1}
    lively = pod("lively", container={"livenessProbe": probe})
    node.workers.update(lively)
    await node.until(lambda: (node.status(lively).get("containerStatuses") or [{}])[0].get("restartCount") == 1)
    messages = [message for path, reason, message in node.events if reason == "Killing"]
    starts = [reason for path, reason, message in node.events if reason == "Started"]
    # by now it may have failed again: each start is killed once
    assert messages[0] == "Container main failed liveness probe, will be restarted"
    assert len(messages) <= len(starts) and len(set(messages)) == 1
    assert any("Liveness probe failed: cat: can't open" in message for _, _, message in node.events)
    node.delete(lively, grace=0)
    await node.until(lambda: meta.uid_of(lively) in node.statuses.off)


async def test_an_image_that_cannot_be_pulled_is_waited_for(node: Node) -> None:
    absent = pod("absent", container={"image": "localhost:1/no/such:1"})
    node.workers.update(absent)

    def reason() -> str:
        statuses: list[Json] = node.status(absent).get("containerStatuses") or [{}]
        return str(statuses[0].get("state", {}).get("waiting", {}).get("reason", ""))

    await node.until(lambda: reason() == "ErrImagePull")
    await node.until(lambda: reason() == "ImagePullBackOff")
    assert node.status(absent)["phase"] == "Pending"
    node.delete(absent)
    await node.until(lambda: meta.uid_of(absent) in node.statuses.off)
