"""`make demo`: the guestbook on a cluster, from `apply` to its page. The cluster itself is brought up elsewhere."""

import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from cluster import api
from cluster.config import ClusterConfig, Layout
from cluster.control import REPOSITORY
from cluster.errors import ClusterError
from cluster.machine import run
from cluster.progress import Progress, wait_for

GUESTBOOK: Final = REPOSITORY / "examples" / "guestbook.yaml"
NAMESPACE: Final = "guestbook"
AVAILABLE_WITHIN: Final = 120.0  # seconds
NODE_PORT: Final = 30080
REQUESTS: Final = 30


def demo(config: ClusterConfig, layout: Layout, progress: Progress) -> None:
    """Apply the guestbook, wait for it, show its pods and its page; raises ClusterError when it does not come up."""
    with progress.step("Apply examples/guestbook.yaml") as step:
        apply(layout, GUESTBOOK)
        step.outcome = f"{len(list(yaml.safe_load_all(GUESTBOOK.read_text())))} objects"
    with progress.step("Deployments available") as step:
        names = wait_for(lambda: _available(config, layout), "deployments available", AVAILABLE_WITHIN)
        step.outcome = ", ".join(names)
    pods = _items(config, layout, f"/api/v1/namespaces/{NAMESPACE}/pods")
    progress.say()
    for pod in pods:
        progress.say(f"  {pod_line(pod)}")
    if config.simulated:
        return
    progress.say()
    show_page(config, progress)


def apply(layout: Layout, manifest: Path) -> None:
    """Apply a file with our own command line, as a person would."""
    arguments = ["apply", "-f", str(manifest), "--kubeconfig", str(layout.admin_kubeconfig)]
    run("env", f"PYTHONPATH={REPOSITORY}", sys.executable, "-m", "kubectl", *arguments)


def _items(config: ClusterConfig, layout: Layout, path: str) -> list[dict[str, Any]]:
    with api.client(config, layout) as http:
        answer = http.get(path)
    answer.raise_for_status()
    return list(answer.json().get("items") or [])


def _available(config: ClusterConfig, layout: Layout) -> list[str] | None:
    deployments = _items(config, layout, f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments")
    names = [api.name_of(d) for d in deployments if is_rolled_out(d)]
    return names if deployments and len(names) == len(deployments) else None


def is_rolled_out(deployment: dict[str, Any]) -> bool:
    """Whether all replicas of the current template are there and available."""
    status, wanted = deployment.get("status", {}), deployment["spec"].get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"].get("generation", 0)
    return bool(seen and status.get("updatedReplicas", 0) == status.get("availableReplicas", 0) == wanted)


def pod_line(pod: dict[str, Any]) -> str:
    """A pod on one line: name, phase, address, node."""
    status, spec = pod.get("status", {}), pod.get("spec", {})
    where = f"{status.get('podIP', '-'):<14} {spec.get('nodeName', '-')}"
    return f"{api.name_of(pod):<38} {status.get('phase', '-'):<9} {where}"


def node_port_url(config: ClusterConfig, node: int = 0) -> str:
    """The guestbook's address on one of the nodes."""
    return f"http://{config.nodes[node].address}:{NODE_PORT}"


def show_page(config: ClusterConfig, progress: Progress) -> None:
    """Ask the page through the NodePort until it answers, then count which pods answer."""
    url = node_port_url(config)
    with httpx.Client(timeout=5, trust_env=False) as http:

        def look() -> httpx.Response | None:
            try:
                answer = http.get(url)
            except httpx.HTTPError:
                return None
            return answer if answer.status_code == 200 and "<h1>" in answer.text else None

        with progress.step("The page answers") as step:
            page = wait_for(look, url, 30)
            step.outcome = f"{url}, {len(page.content)} bytes"
        answers = [http.get(f"{url}/cgi-bin/whoami", headers={"connection": "close"}) for _ in range(REQUESTS)]
    answered = Counter(answer.text.strip() for answer in answers)
    progress.say(f"  {REQUESTS} requests were answered by: " + ", ".join(f"{n} × {pod}" for pod, n in answered.items()))
    if "" in answered:
        raise ClusterError("a pod answered without its name")
