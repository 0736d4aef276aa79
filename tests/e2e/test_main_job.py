"""The main job with every client: from `apply` to a page that answers, and back to nothing."""

import ipaddress
import re
import subprocess
from collections import Counter
from functools import partial
from pathlib import Path

import pytest

from machinery.api import meta, nodes, pods
from tests.e2e.clients import eventually
from tests.e2e.conftest import Cluster
from tests.e2e.web import Web, answers
from tests.kubectls import NO_KUBECTL, kubectls

CLIENTS = [*kubectls(), "skiff"]


def test_there_is_a_kubectl_to_test_with() -> None:
    assert kubectls(), NO_KUBECTL


@pytest.mark.timeout(400)
@pytest.mark.parametrize(("number", "name"), [pytest.param(n, name, id=name) for n, name in enumerate(CLIENTS)])
def test_the_main_job(cluster: Cluster, number: int, name: str, tmp_path: Path) -> None:
    web = Web(cluster.client(name), f"web-{name.replace('.', '-')}", 30100 + number)
    printed = web.install(tmp_path)
    for line in (f"namespace/{web.namespace}", "configmap/web", "secret/web", "deployment.apps/web", "service/web"):
        assert f"{line} created" in printed
    try:
        web.wait_until_available()
        _pods_are_spread_and_reach_each_other(cluster, web)
        _the_service_is_balanced(cluster, web)
        _logs_exec_and_describe_show_what_happens(web)
        _files_are_copied_and_ports_forwarded(web, tmp_path, copies=name != "skiff")
        _a_watch_shows_a_scaling(web)
        assert web.install(tmp_path).count("unchanged") == 4
    finally:
        web.client.run("delete", "namespace", web.namespace, timeout=150)
    _nothing_is_left(cluster, web)


def _pods_are_spread_and_reach_each_other(cluster: Cluster, web: Web) -> None:
    found = web.wait_for_pods(3)
    assert {pods.node_of(pod) for pod in found} == set(cluster.node_addresses())
    items = web.client.json("get", "nodes")["items"]
    networks = {meta.name_of(node): ipaddress.ip_network(nodes.pod_cidr_of(node)) for node in items}
    for pod in found:
        assert ipaddress.ip_address(pods.ip_of(pod)) in networks[pods.node_of(pod)]
    first = meta.name_of(found[0])
    for pod in found:
        (answer,) = web.fetch(first, f"http://{pods.ip_of(pod)}:8080/cgi-bin/page")
        assert answer == f"{meta.name_of(pod)}: hello from skiff"


def _the_service_is_balanced(cluster: Cluster, web: Web) -> None:
    names = {meta.name_of(pod) for pod in web.pods()}

    def reaches_all(address: str) -> bool:
        try:
            return set(answers(address, web.node_port, 40)) == names
        except OSError:  # it has not heard of the service yet
            return False

    for address in cluster.node_addresses().values():  # each node's proxy hears of the last endpoint in its own time
        eventually(partial(reaches_all, address), f"the proxy at {address} to know all pods", 30)
    lines = web.fetch(min(names), f"http://{web.service_address()}/cgi-bin/page", times=40)
    assert set(Counter(line.partition(":")[0] for line in lines)) == names


def _logs_exec_and_describe_show_what_happens(web: Web) -> None:
    pod = meta.name_of(web.pods()[0])
    assert "serving as captain" in web("logs", pod)
    assert "serving as captain" in web("logs", "deployment/web", "--tail=5")
    following = web.client.start("-n", web.namespace, "logs", "-f", pod)
    assert following.stdout is not None
    assert "serving as captain" in following.stdout.readline()
    following.kill()
    following.communicate()
    failed = web.client.run("-n", web.namespace, "exec", pod, "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (failed.returncode, failed.stdout) == (3, "out\n")
    assert "err\n" in failed.stderr
    assert web.client.run("-n", web.namespace, "exec", "-i", pod, "--", "cat", stdin="typed").stdout == "typed"
    typed = "echo $((40+2)) $USER_NAME; exit\r"
    shell = ("-n", web.namespace, "exec", "-it", pod, "--", "sh")
    shown = web.client.on_a_terminal(*shell, typed=typed, until="42 captain")
    assert "42 captain" in shown
    described = web("describe", "pod", pod)
    for text in ("Successfully assigned", "Created", "Started", "busybox:1.36", "Events:"):
        assert text in described
    assert "ScalingReplicaSet" in web("describe", "deployment", "web")


def _files_are_copied_and_ports_forwarded(web: Web, folder: Path, copies: bool) -> None:
    pod = meta.name_of(web.pods()[0])
    if copies:  # the CLI of our own has no `cp`
        (folder / "sent").write_text("there and back\n" * 1000)
        web("cp", str(folder / "sent"), f"{pod}:/tmp/sent")
        web("cp", f"{pod}:/tmp/sent", str(folder / "returned"))
        assert (folder / "returned").read_text() == (folder / "sent").read_text()
    forwarding = web.client.start("-n", web.namespace, "port-forward", f"pod/{pod}", ":8080")
    try:
        assert forwarding.stdout is not None
        found = re.search(r"127\.0\.0\.1:(\d+) -> 8080", forwarding.stdout.readline())
        assert found is not None
        assert set(answers("127.0.0.1", int(found[1]), 2)) == {pod}
    finally:
        forwarding.terminate()
        forwarding.communicate(timeout=20)


def _a_watch_shows_a_scaling(web: Web) -> None:
    watching = web.client.start("-n", web.namespace, "get", "deployment", "web", "-w")
    try:
        assert "deployment.apps/web scaled" in web("scale", "deployment/web", "--replicas=2")
        web.wait_for_pods(2)
        web("scale", "deployment/web", "--replicas=3")
        web("wait", "--for=condition=Available", "deployment/web", "--timeout=60s")
        web.wait_for_pods(3)
    finally:
        watching.terminate()
        out, _ = watching.communicate(timeout=20)
    lines = out.splitlines()
    assert lines[0].split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert any(line.split()[1] == "2/2" for line in lines[1:]), out


def _nothing_is_left(cluster: Cluster, web: Web) -> None:
    gone = web.client.run("get", "namespace", web.namespace)
    assert "NotFound" in gone.stderr
    assert [key for key in cluster.etcd_keys("/registry/") if f"/{web.namespace}" in key] == []
    chosen = f'labels."io.kubernetes.pod.namespace"=={web.namespace}'
    for node, socket in cluster.containerds().items():
        command = ["ctr", "-a", str(socket), "-n", "k8s.io", "containers", "ls", chosen, "-q"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert listed.split() == [], node
    eventually(lambda: not cluster.rules_with(f"{web.namespace}/web"), "the proxy's rules to go", 30)
