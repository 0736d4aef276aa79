"""The web example as a test subject: its manifest in a namespace of the test's own, its pods, its page."""

import re
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from machinery.api import codec, meta, pods
from machinery.api.codec import Json
from tests.e2e.clients import CommandLine, eventually

EXAMPLE = Path(__file__).parents[2] / "examples" / "web.yaml"


@dataclass
class Web:
    """One installation of the example."""

    client: CommandLine
    namespace: str
    node_port: int
    toleration_seconds: int = 300

    def manifest(self) -> str:
        """The example, moved to this test's namespace and port."""
        documents = [self._moved(document) for document in yaml.safe_load_all(EXAMPLE.read_text())]
        return yaml.safe_dump_all(documents)

    def _moved(self, document: Json) -> Json:
        if document["kind"] == "Namespace":
            document["metadata"]["name"] = self.namespace
        else:
            document["metadata"]["namespace"] = self.namespace
        if document["kind"] == "Service":
            document["spec"]["ports"][0]["nodePort"] = self.node_port
        if document["kind"] == "Deployment" and self.toleration_seconds != 300:
            document["spec"]["template"]["spec"]["tolerations"] = [
                {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": self.toleration_seconds}
                for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable")
            ]
        return document

    def __call__(self, *arguments: str, timeout: float = 120) -> str:
        """The client's output for a command in the namespace."""
        return self.client("-n", self.namespace, *arguments, timeout=timeout)

    def install(self, folder: Path) -> str:
        """Apply the manifest from a file; returns what was printed."""
        file = folder / f"{self.namespace}.yaml"
        file.write_text(self.manifest())
        return self.client("apply", "-f", str(file))

    def wait_until_available(self) -> None:
        """Until the rollout is through."""
        self("rollout", "status", "deployment/web", "--timeout=120s", timeout=130)

    def pods(self) -> list[Json]:
        """Pods that are not being deleted."""
        items = self.client.json("-n", self.namespace, "get", "pods")["items"]
        return [pod for pod in items if not meta.is_being_deleted(pod)]

    def pods_and_those_that_end(self) -> int:
        """How many pods there are, those being deleted too."""
        return len(self.client.json("-n", self.namespace, "get", "pods")["items"])

    def ready_pods(self) -> list[Json]:
        """Pods that serve."""
        return [pod for pod in self.pods() if pods.is_ready(pod)]

    def wait_for_pods(self, count: int, timeout: float = 90) -> list[Json]:
        """Until exactly so many pods are there, all ready."""
        return eventually(
            lambda: ready if len(ready := self.ready_pods()) == count == len(self.pods()) else None,
            f"{count} ready pods in {self.namespace}",
            timeout,
        )

    def service_address(self) -> str:
        """The Service's cluster IP."""
        address: str = self.client.json("-n", self.namespace, "get", "service", "web")["spec"]["clusterIP"]
        return address

    def fetch(self, pod: str, url: str, times: int = 1) -> list[str]:
        """What pages say when they are fetched from inside a pod."""
        script = f"for i in $(seq {times}); do timeout 5 wget -qO- {url} || echo FAILED; done"
        return self("exec", pod, "--", "sh", "-c", script).splitlines()

    def uids(self) -> set[str]:
        """The uids of the pods."""
        return {meta.uid_of(pod) for pod in self.pods()}


def answers(address: str, port: int, times: int) -> Counter[str]:
    """How often each pod answered on a node's port; every request on a connection of its own."""
    return Counter(page(address, port).partition(":")[0] for _ in range(times))


def page(address: str, port: int, timeout: float = 5) -> str:
    """The page, fetched from this machine."""
    with urllib.request.urlopen(f"http://{address}:{port}/cgi-bin/page", timeout=timeout) as response:
        text: str = response.read().decode()
        return text


def container_ids(found: list[Json]) -> dict[str, list[tuple[str, int]]]:
    """Pod name → (container id, restarts) of its containers."""
    return {
        meta.name_of(pod): [
            (status.get("containerID", ""), status["restartCount"]) for status in pod["status"]["containerStatuses"]
        ]
        for pod in found
    }


@dataclass
class Visitor:
    """Requests the page all the time from a thread, bounded in time; a context manager."""

    address: str
    port: int
    failures: list[str] = field(default_factory=list)
    successes: int = 0
    longest: float = 300.0

    def __enter__(self) -> "Visitor":
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._visit, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def _visit(self) -> None:
        end = time.monotonic() + self.longest
        while not self._stop.is_set() and time.monotonic() < end:
            try:
                page(self.address, self.port)
                self.successes += 1
            except (OSError, urllib.error.URLError) as problem:
                self.failures.append(f"{time.strftime('%H:%M:%S')} {problem}")
            time.sleep(0.02)


def process_of(containerd: Path, container_id: str) -> int:
    """The machine's pid of a container's first process, from containerd."""
    out = subprocess.run(
        ["ctr", "-a", str(containerd), "-n", "k8s.io", "task", "ls"], capture_output=True, text=True, check=True
    ).stdout
    match = re.search(rf"^{container_id.removeprefix('containerd://')}\s+(\d+)", out, re.MULTILINE)
    assert match, f"{container_id} is not in\n{out}"
    return int(match[1])


def decoded(text: str) -> Json:
    """JSON text as an object."""
    obj: Json = codec.loads(text)
    return obj
