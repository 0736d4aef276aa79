"""What the scheduler's integration tests do with the API server, and a scheduler to do it with."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from machinery.api.codec import Json
from tests.integration.apiserver_process import ROOT, ApiserverProcess

PODS = "/api/v1/namespaces/default/pods"
EVENTS = "/api/v1/namespaces/default/events"
MERGE = {"content-type": "application/merge-patch+json"}


class Cluster:
    """What the tests do with the API."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client

    def create(self, path: str, body: Json) -> Json:
        answer = self.client.post(path, json=body)
        assert answer.status_code == 201, answer.text
        created: Json = answer.json()
        return created

    def node(self, name: str, cpu: str = "2") -> None:
        resources = {"cpu": cpu, "memory": "4Gi", "pods": "10"}
        labels = {"kubernetes.io/hostname": name}
        status = {"capacity": resources, "allocatable": resources}
        self.create("/api/v1/nodes", {"metadata": {"name": name, "labels": labels}, "status": status})
        # admission gives new nodes the not-ready taint, which the node lifecycle controller would take away
        self.patch(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})

    def pod(self, name: str, cpu: str = "100m", **spec: Any) -> Json:
        container = {"name": "c", "image": "busybox", "resources": {"requests": {"cpu": cpu}}}
        metadata = {"name": name, "labels": {"app": "web"}}
        return self.create(PODS, {"metadata": metadata, "spec": {"containers": [container], **spec}})

    def get(self, path: str) -> Json:
        found: Json = self.client.get(path).json()
        return found

    def patch(self, path: str, body: Json) -> None:
        answer = self.client.patch(path, json=body, headers=MERGE)
        assert answer.status_code == 200, answer.text

    def node_of(self, name: str) -> str:
        placed: str = self.get(f"{PODS}/{name}")["spec"].get("nodeName", "")
        return placed

    def condition(self, name: str) -> Json:
        conditions = self.get(f"{PODS}/{name}")["status"].get("conditions") or []
        return next((one for one in conditions if one["type"] == "PodScheduled"), {})

    def messages(self, reason: str) -> set[str]:
        return {event["message"] for event in self.get(EVENTS)["items"] if event["reason"] == reason}

    def clear(self) -> None:
        options = {"gracePeriodSeconds": 0}
        for pod in self.get(PODS)["items"]:
            self.client.request("DELETE", f"{PODS}/{pod['metadata']['name']}", json=options)
        for node in self.get("/api/v1/nodes")["items"]:
            self.client.delete(f"/api/v1/nodes/{node['metadata']['name']}")


def _port(flags: tuple[str, ...]) -> tuple[str, ...]:
    return () if "--secure-port" in flags else ("--secure-port", "0")


@contextmanager
def scheduler(server: ApiserverProcess, *flags: str) -> Iterator[subprocess.Popen[bytes]]:
    """A running scheduler, as its own user under RBAC."""
    kubeconfig = server.kubeconfig_for("system:kube-scheduler")
    command = [sys.executable, "-m", "scheduler", "--kubeconfig", str(kubeconfig), *_port(flags), *flags]
    with open(server.directory / "scheduler.log", "ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def eventually(what: str, condition: Callable[[], object], seconds: float = 15.0) -> None:
    """Poll until the condition is true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.1)
