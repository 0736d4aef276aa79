"""A real kubelet process under a real API server, seen through the real kubectl."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.kubelet.cluster import API_PORT, NODE, Cluster
from tests.integration.kubelet.machine import BUSYBOX_IMAGE, Machine

LOOP = "trap 'exit 0' TERM; i=0; while true; do echo line $i; i=$((i+1)); sleep 0.2; done"


@pytest.fixture(scope="module")
def cluster(machine: Machine) -> Iterator[Cluster]:
    cluster = Cluster(machine)
    try:
        cluster.up()
        cluster.apply_defaults()
        cluster.until(lambda: ready_condition(cluster.get("node", NODE)).get("status") == "True")
        yield cluster
    finally:
        cluster.down()


@pytest.fixture(autouse=True)
def no_pods(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.kubectl("delete", "pods", "--all", "--wait", "--timeout=40s", check=False)


def ready_condition(obj: Any) -> Any:
    conditions = obj.get("status", {}).get("conditions", [])
    return next((one for one in conditions if one["type"] == "Ready"), {})


def pod(name: str, script: str = LOOP, **fields: Any) -> dict[str, Any]:
    container = {"name": "main", "image": BUSYBOX_IMAGE, "command": ["sh", "-c", script], **fields.pop("container", {})}
    spec = {"nodeName": NODE, "terminationGracePeriodSeconds": 3, "containers": [container], **fields}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def run_pod(cluster: Cluster, name: str, script: str = LOOP, **fields: Any) -> Any:
    cluster.apply(pod(name, script, **fields))
    cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=30s")
    return cluster.get("pod", name)


def test_the_node_says_what_it_is(cluster: Cluster) -> None:
    node = cluster.get("node", NODE)
    condition = ready_condition(node)
    assert (condition["reason"], condition["message"]) == ("KubeletReady", "kubelet is posting ready status")
    assert node["metadata"]["labels"]["kubernetes.io/hostname"] == NODE
    assert node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"] == 24010
    assert {"cpu", "memory", "pods", "ephemeral-storage"} <= node["status"]["allocatable"].keys()
    assert node["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")
    lease = cluster.get("lease", NODE, "-n", "kube-node-lease")
    assert lease["spec"]["holderIdentity"] == NODE
    events = cluster.kubectl("get", "events", "-o", "custom-columns=R:.reason").stdout.split()
    assert {"Starting", "NodeReady", "NodeHasSufficientMemory"} <= set(events)


def test_a_pod_is_reached_with_logs_exec_attach_and_port_forward(cluster: Cluster) -> None:
    run_pod(cluster, "web", "mkdir /www; echo hi > /www/index.html; httpd -p 8080 -h /www; " + LOOP)
    following = cluster.popen("logs", "-f", "web")
    assert following.stdout is not None
    assert [following.stdout.readline(), following.stdout.readline()] == ["line 0\n", "line 1\n"]
    following.kill()
    following.communicate()
    assert cluster.kubectl("logs", "web", "--tail=1", "--timestamps").stdout.count("\n") == 1
    many = "".join(f"{number}\n" for number in range(30_000))
    assert cluster.kubectl("exec", "-i", "web", "--", "cat", stdin=many).stdout == many
    failed = cluster.kubectl("exec", "web", "--", "sh", "-c", "echo oops >&2; exit 3", check=False)
    assert failed.returncode == 3
    assert "oops" in failed.stderr
    forward = cluster.popen("port-forward", "pod/web", "24100:8080")
    try:
        assert forward.stdout is not None
        assert "Forwarding from" in forward.stdout.readline()
        page = cluster.machine.in_namespace("timeout", "5", "busybox", "wget", "-qO-", "http://127.0.0.1:24100/")
        assert subprocess.run(page, capture_output=True, text=True).stdout == "hi\n"
    finally:
        forward.terminate()
        forward.communicate()
    account = cluster.kubectl("exec", "web", "--", "ls", "/var/run/secrets/kubernetes.io/serviceaccount").stdout
    assert account.split() == ["ca.crt", "namespace", "token"]


#: run in a pod by the node's own Python: the image has no TLS client of today
ASK = """
import os, ssl, urllib.error, urllib.request
request = urllib.request.Request("{url}", headers={{"Authorization": "Bearer " + os.environ["TOKEN"]}})
try:
    with urllib.request.urlopen(request, context=ssl.create_default_context(cafile="{ca}")) as answer:
        print(answer.status, answer.read().decode())
except urllib.error.HTTPError as refusal:
    print(refusal.code, refusal.read().decode())
"""


def test_a_pod_speaks_to_the_api_with_the_token_of_its_account(cluster: Cluster) -> None:
    node = {"name": "node", "hostPath": {"path": "/"}}
    mounted = {"volumeMounts": [{"name": "node", "mountPath": "/node"}]}
    run_pod(cluster, "speaker", hostNetwork=True, volumes=[node], container=mounted)
    url = f"https://127.0.0.1:{API_PORT}/api/v1/namespaces/default/pods/speaker"
    script = ASK.format(url=url, ca=cluster.folder / "ca.crt")

    def answer(before: str = "") -> tuple[int, dict[str, Any]]:
        token = f"TOKEN={before}$(cat /var/run/secrets/kubernetes.io/serviceaccount/token)"
        command = f"{token} exec chroot /node {sys.executable} -"
        said = cluster.kubectl("exec", "-i", "speaker", "--", "sh", "-c", command, stdin=script).stdout
        status, _, body = said.partition(" ")
        return int(status), json.loads(body)

    status, refusal = answer()
    user = 'User "system:serviceaccount:default:default" cannot get resource "pods"'
    assert (status, user in refusal["message"]) == (403, True)
    cluster.kubectl("create", "rolebinding", "speaker", "--clusterrole=view", "--serviceaccount=default:default")
    cluster.until(lambda: answer()[0] == 200)
    assert answer()[1]["metadata"]["name"] == "speaker"
    assert answer("x")[0] == 401


def test_logs_are_followed_to_the_end_of_the_container(cluster: Cluster) -> None:
    cluster.apply(pod("short", "for i in 1 2 3; do echo $i; sleep 0.5; done", restartPolicy="Never"))
    cluster.until(lambda: cluster.kubectl("logs", "short", check=False).returncode == 0)
    assert cluster.kubectl("logs", "-f", "short").stdout == "1\n2\n3\n"


def test_a_deleted_pod_leaves_nothing_behind(cluster: Cluster) -> None:
    uid = run_pod(cluster, "gone")["metadata"]["uid"]
    begun = time.monotonic()
    cluster.kubectl("delete", "pod", "gone", "--wait")
    assert time.monotonic() - begun < 8
    cluster.until(lambda: not list((cluster.machine.folder / "kubelet").rglob(f"*{uid}*")))
    assert not [path for path in cluster.machine.cgroups() if uid in str(path)]


def test_a_restarted_kubelet_adopts_what_runs_and_stops_what_was_deleted_meanwhile(cluster: Cluster) -> None:
    kept = run_pod(cluster, "kept", container={"readinessProbe": {"exec": {"command": ["true"]}, "periodSeconds": 1}})
    run_pod(cluster, "deleted")
    cluster.stop("kubelet")
    cluster.kubectl("delete", "pod", "deleted", "--force", "--grace-period=0")
    cluster.until(lambda: not cluster.get("pod", "deleted"))
    cluster.start_kubelet()
    cluster.until(lambda: len(list((cluster.machine.folder / "kubelet" / "pods").iterdir())) == 1)
    again = cluster.get("pod", "kept")
    assert again["status"]["containerStatuses"] == kept["status"]["containerStatuses"]
    assert ready_condition(again) == ready_condition(kept)


def test_a_container_that_is_killed_comes_back_and_is_counted(cluster: Cluster) -> None:
    run_pod(cluster, "phoenix")
    cluster.kubectl("exec", "phoenix", "--", "sh", "-c", "kill -9 -1; kill -TERM 1", check=False)

    def status() -> Any:
        return cluster.get("pod", "phoenix")["status"]["containerStatuses"][0]

    cluster.until(lambda: status()["restartCount"] == 1 and status()["ready"])
    assert "terminated" in status()["lastState"]


def _on_exit_42(action: str) -> dict[str, Any]:
    rule = {"action": action, "exitCodes": {"operator": "In", "values": [42]}}
    return {"restartPolicy": "Never", "restartPolicyRules": [rule]}


COUNT = "echo x >> /data/{0}; test $(wc -l < /data/{0}) -ge 2 || exit 42; "


def test_a_container_comes_back_by_its_own_rules_in_a_pod_that_never_restarts(cluster: Cluster) -> None:
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    fields: dict[str, Any] = {"restartPolicy": "Never", "volumes": [{"name": "data", "emptyDir": {}}]}
    cluster.apply(pod("ruled", COUNT.format("main"), container={**_on_exit_42("Restart"), **mount}, **fields))
    cluster.kubectl("wait", "--for=jsonpath={.status.phase}=Succeeded", "pod/ruled", "--timeout=40s")
    (status,) = cluster.get("pod", "ruled")["status"]["containerStatuses"]
    assert (status["restartCount"], status["state"]["terminated"]["exitCode"]) == (1, 0)
    assert status["lastState"]["terminated"]["exitCode"] == 42


def test_all_containers_start_again_where_one_says_so(cluster: Cluster) -> None:
    mount = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    own = {"image": BUSYBOX_IMAGE, **mount}
    setup = {"name": "setup", "command": ["sh", "-c", "echo x >> /data/setup"], **own}
    beside = {"name": "beside", "command": ["sh", "-c", LOOP], **own}
    main = {"name": "main", "command": ["sh", "-c", COUNT.format("main") + LOOP], **own}
    cluster.apply(
        pod(
            "reset",
            initContainers=[setup],
            containers=[{**main, **_on_exit_42("RestartAllContainers")}, beside],
            volumes=[{"name": "data", "emptyDir": {}}],
        )
    )
    cluster.until(lambda: [one["restartCount"] for one in statuses(cluster, "reset")] == [1, 1, 1], 60)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/reset", "--timeout=40s")
    assert cluster.kubectl("exec", "reset", "-c", "beside", "--", "cat", "/data/setup").stdout == "x\nx\n"


def statuses(cluster: Cluster, name: str) -> list[Any]:
    found = cluster.get("pod", name).get("status") or {}
    return [*(found.get("initContainerStatuses") or ()), *(found.get("containerStatuses") or ())]


def test_a_pod_the_node_has_no_room_for_fails(cluster: Cluster) -> None:
    cluster.apply(pod("huge", container={"resources": {"requests": {"cpu": "999"}}}))
    cluster.until(lambda: cluster.get("pod", "huge")["status"]["phase"] == "Failed")
    status = cluster.get("pod", "huge")["status"]
    assert status["reason"] == "OutOfcpu"
    assert status["message"].startswith("Pod was rejected: Node didn't have enough resource: cpu, requested: 999000")


def test_the_node_is_not_ready_while_containerd_is_down_and_pods_survive(cluster: Cluster) -> None:
    before = run_pod(cluster, "survivor")
    cluster.machine.kill()
    cluster.until(lambda: ready_condition(cluster.get("node", NODE))["status"] == "False", 40)
    assert ready_condition(cluster.get("node", NODE))["message"] == "container runtime is down"
    cluster.machine.start()
    cluster.until(lambda: ready_condition(cluster.get("node", NODE))["status"] == "True", 40)
    after = cluster.get("pod", "survivor")
    assert after["status"]["containerStatuses"] == before["status"]["containerStatuses"]
    assert "line" in cluster.kubectl("exec", "survivor", "--", "echo", "line").stdout


def test_pods_run_on_while_the_api_server_is_away(cluster: Cluster) -> None:
    before = run_pod(cluster, "alone")
    cluster.stop("apiserver")
    time.sleep(2)
    cluster.start_api()
    cluster.until(lambda: cluster.get("pod", "alone").get("status") == before["status"])
    run_pod(cluster, "later")


def test_strangers_are_kept_out(cluster: Cluster) -> None:
    answer = _curl(cluster, "https://127.0.0.1:24010/pods")
    assert answer == "Unauthorized"
    assert _curl(cluster, "http://127.0.0.1:24011/healthz") == "ok"
    token = ["-H", "Authorization: Bearer tests-admin"]
    listed = json.loads(_curl(cluster, "https://127.0.0.1:24010/pods", *token))
    assert listed["kind"] == "PodList"


def _curl(cluster: Cluster, url: str, *arguments: str) -> str:
    command = cluster.machine.in_namespace("curl", "-sk", "--max-time", "5", *arguments, url)
    return subprocess.run(command, capture_output=True, text=True).stdout
