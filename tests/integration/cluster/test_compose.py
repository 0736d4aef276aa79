"""docker-compose.yml on a real Docker engine: two node containers become ready and run a pod each."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import machine
from machinery.api import meta, pods
from tests.e2e.clients import CommandLine, eventually
from tests.integration.cluster.docker_engine import Engine, ensure_base_image, ensure_compose
from tests.kubectls import newest_kubectl

ROOT = Path(__file__).parents[3]
PROJECT = "skiff-test"


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    found = Engine()
    try:
        found.start()
        ensure_compose(found)
        ensure_base_image(found)
        yield found
    finally:
        found.stop()


class Composed:
    """The cluster of docker-compose.yml in a checkout of its own, so that its keys do not land in this one."""

    def __init__(self, engine: Engine, checkout: Path) -> None:
        self.engine = engine
        self.checkout = checkout
        port = machine.free_ports("127.0.0.1", [6443], 27443)[0]
        engine.environment["SKIFF_PORT"] = str(port)

    def compose(self, *arguments: str, check: bool = True) -> str:
        """Run `docker compose`; what it printed."""
        files = ["--project-name", PROJECT, "--project-directory", str(self.checkout)]
        return self.engine.docker("compose", *files, *arguments, check=check).stdout

    def skiff(self, *arguments: str, stdin: str = "") -> str:
        """Run the command line against it."""
        env = os.environ | {"KUBECONFIG": str(self.checkout / ".skiff" / "admin.conf"), "PYTHONPATH": str(ROOT)}
        argv = [sys.executable, "-m", "kubectl", *arguments]
        done = subprocess.run(argv, env=env, input=stdin, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def composed(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Composed]:
    checkout = tmp_path_factory.mktemp("compose") / "skiff"
    tracked = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, check=True, capture_output=True
    ).stdout
    for name in tracked.decode().split("\0")[:-1]:
        if (ROOT / name).exists():
            target = checkout / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
            target.chmod((ROOT / name).stat().st_mode)
    made = Composed(engine, checkout)
    try:
        made.compose("build")
        made.compose("up", "--wait", "--detach")
        yield made
    finally:
        made.compose("down", "--volumes", "--timeout", "5")


@pytest.mark.timeout(900)
def test_the_guestbook_runs_on_both_node_containers(composed: Composed) -> None:
    deadline = time.monotonic() + 90
    while composed.skiff("get", "nodes", "--no-headers").split().count("Ready") != 2:
        assert time.monotonic() < deadline, composed.compose("logs", "--tail", "40")
        time.sleep(1)
    composed.skiff("apply", "-f", str(ROOT / "examples" / "guestbook.yaml"))
    composed.skiff("-n", "guestbook", "rollout", "status", "deployment/guestbook", "--timeout=90s")
    where = composed.skiff("-n", "guestbook", "get", "pods", "-l", "app=guestbook", "-o", "wide")
    assert "node-a" in where and "node-b" in where
    ask = "from urllib.request import urlopen; print(urlopen('http://172.30.98.12:30080', timeout=5).read().decode())"

    def shown() -> bool:
        page = composed.engine.docker("exec", f"{PROJECT}-node-a-1", "python", "-c", ask, check=False)
        return "The Skiff guestbook" in page.stdout

    eventually(shown, "the page at the other node's port")  # whose proxy hears of the pods a little later than we do


@pytest.mark.timeout(300)
def test_the_main_job_runs_in_containers_too(composed: Composed) -> None:
    manifest = (ROOT / "examples" / "web.yaml").read_text().replace("busybox:1.36", "skiff.local/busybox:1")
    kubectl = CommandLine((newest_kubectl(),), composed.checkout / ".skiff" / "admin.conf")
    assert "deployment.apps/web created" in kubectl("apply", "-f", "-", stdin=manifest)
    kubectl("-n", "web", "rollout", "status", "deployment/web", "--timeout=90s")
    found = kubectl.json("-n", "web", "get", "pods")["items"]
    assert {pods.node_of(pod) for pod in found} == {"node-a", "node-b"}
    assert "serving as captain" in kubectl("-n", "web", "logs", "deployment/web")
    first = meta.name_of(found[0])
    for pod in found:
        url = f"http://{pods.ip_of(pod)}:8080/cgi-bin/page"
        page = kubectl("-n", "web", "exec", first, "--", "timeout", "5", "wget", "-qO-", url)
        assert page == f"{meta.name_of(pod)}: hello from skiff\n"
    assert "deployment.apps/web scaled" in composed.skiff("-n", "web", "scale", "deployment/web", "--replicas=4")
    kubectl("-n", "web", "wait", "--for=jsonpath={.status.readyReplicas}=4", "deployment/web", "--timeout=60s")
    kubectl("delete", "namespace", "web")
    assert "NotFound" in kubectl.run("get", "namespace", "web").stderr
