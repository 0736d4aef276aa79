"""`python -m scheduler` against a real API server: pods get nodes, or are told why not."""

import json
import ssl
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from machinery.api.codec import Json
from machinery.component import tls
from machinery.component.tls import CertRequest
from tests.integration.apiserver_process import ADMIN_TOKEN, ROOT, ApiserverProcess
from tests.integration.scheduler.cluster import PODS, Cluster, eventually, scheduler
from tests.ports import free_port


@pytest.mark.usefixtures("running")
def test_the_pods_of_a_service_land_on_both_nodes_and_events_say_so(cluster: Cluster) -> None:
    service = {"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}
    cluster.create("/api/v1/namespaces/default/services", service)
    for name in ("n1", "n2"):
        cluster.node(name)
    names = [f"web-{number}" for number in range(4)]
    for name in names:
        cluster.pod(name)
    eventually("all placed", lambda: all(cluster.node_of(name) for name in names))
    assert sorted(cluster.node_of(name) for name in names) == ["n1", "n1", "n2", "n2"]
    assert cluster.condition("web-0")["status"] == "True"
    expected = {f"Successfully assigned default/{name} to {cluster.node_of(name)}" for name in names}
    eventually("events", lambda: expected <= cluster.messages("Scheduled"))
    cluster.client.delete("/api/v1/namespaces/default/services/web")


@pytest.mark.usefixtures("running")
def test_a_pod_that_fits_nowhere_says_why_and_is_placed_once_it_fits(cluster: Cluster) -> None:
    for name in ("n1", "n2"):
        cluster.node(name)
        cluster.pod(f"hog-{name}", cpu="1500m", nodeName=name)
    cluster.pod("late", cpu="1")
    message = (
        "0/2 nodes are available: 2 Insufficient cpu. preemption: 0/2 nodes are available: "
        "2 No preemption victims found for incoming pod."
    )
    eventually("condition", lambda: cluster.condition("late").get("message") == message)
    condition = cluster.condition("late")
    assert (condition["status"], condition["reason"]) == ("False", "Unschedulable")
    eventually("event", lambda: message in cluster.messages("FailedScheduling"))
    cluster.client.request("DELETE", f"{PODS}/hog-n1", json={"gracePeriodSeconds": 0})
    eventually("placed", lambda: cluster.node_of("late") == "n1")
    assert cluster.condition("late")["status"] == "True"


@pytest.mark.usefixtures("running")
def test_pods_wait_for_the_first_node(cluster: Cluster) -> None:
    cluster.pod("early")
    eventually("told", lambda: "no nodes available to schedule pods" in cluster.messages("FailedScheduling"))
    cluster.node("n1")
    eventually("placed", lambda: cluster.node_of("early") == "n1")


@pytest.mark.usefixtures("running")
def test_gates_and_other_schedulers_names_keep_a_pod_out(cluster: Cluster) -> None:
    cluster.node("n1")
    cluster.pod("gated", schedulingGates=[{"name": "example.com/wait"}])
    cluster.pod("foreign", schedulerName="another")
    cluster.pod("ours")
    eventually("placed", lambda: cluster.node_of("ours"))
    assert cluster.node_of("gated") == cluster.node_of("foreign") == ""
    cluster.patch(f"{PODS}/gated", {"spec": {"schedulingGates": None}})
    eventually("let in", lambda: cluster.node_of("gated"))
    assert cluster.condition("foreign") == {}


@pytest.mark.usefixtures("running")
def test_a_cordoned_node_gets_nothing_and_an_open_one_does(cluster: Cluster) -> None:
    cluster.node("n1")
    cluster.patch("/api/v1/nodes/n1", {"spec": {"unschedulable": True}})
    cluster.pod("p")
    eventually("told", lambda: "node(s) were unschedulable" in cluster.condition("p").get("message", ""))
    cluster.patch("/api/v1/nodes/n1", {"spec": {"unschedulable": None, "taints": None}})
    eventually("placed", lambda: cluster.node_of("p") == "n1")


def test_a_scheduler_that_comes_back_counts_what_was_placed_before(server: ApiserverProcess, cluster: Cluster) -> None:
    cluster.node("n1", cpu="1")
    with scheduler(server, "--leader-elect=false") as first:
        cluster.pod("one", cpu="600m")
        eventually("placed", lambda: cluster.node_of("one"))
        first.kill()
    cluster.pod("two", cpu="600m")
    with scheduler(server, "--leader-elect=false"):
        eventually("told", lambda: "1 Insufficient cpu" in cluster.condition("two").get("message", ""))
        assert cluster.node_of("two") == ""


def test_only_the_leader_schedules_and_the_next_one_takes_over(server: ApiserverProcess, cluster: Cluster) -> None:
    cluster.node("n1")
    lease = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler"
    quick = ("--leader-elect-retry-period", "300ms")
    with scheduler(server, *quick) as first:
        eventually("leader", lambda: cluster.client.get(lease).status_code == 200)
        holder = cluster.get(lease)["spec"]["holderIdentity"]
        assert holder.endswith(f"_{first.pid}")
        with scheduler(server, *quick) as second:
            cluster.pod("one")
            eventually("placed", lambda: cluster.node_of("one"))
            first.terminate()
            eventually("next leader", lambda: cluster.get(lease)["spec"]["holderIdentity"].endswith(f"_{second.pid}"))
            cluster.pod("two")
            eventually("placed", lambda: cluster.node_of("two"))


def test_a_second_profile_places_pods_that_ask_for_it(
    server: ApiserverProcess, cluster: Cluster, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"
        "leaderElection: {leaderElect: false}\nprofiles:\n- schedulerName: default-scheduler\n- schedulerName: packed\n"
        "  pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: MostAllocated}}}]\n"
        "  plugins: {multiPoint: {disabled: [{name: PodTopologySpread}, {name: NodeResourcesBalancedAllocation}]}}\n"
    )
    for name in ("n1", "n2"):
        cluster.node(name)
    with scheduler(server, "--config", str(config)):
        for number in range(4):
            cluster.pod(f"p{number}", schedulerName="packed")
            eventually("placed", partial(cluster.node_of, f"p{number}"))
    assert len({cluster.node_of(f"p{number}") for number in range(4)}) == 1


@pytest.mark.usefixtures("running")
def test_an_important_pod_takes_the_place_of_the_least_important_one(cluster: Cluster) -> None:
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    for name, value in (("low", 10), ("high", 1000)):
        cluster.client.post(classes, json={"metadata": {"name": name}, "value": value})
    cluster.node("n1", cpu="1")
    cluster.node("n2", cpu="1")
    cluster.pod("mid", cpu="800m", priorityClassName="high", nodeName="n1")
    cluster.pod("low", cpu="800m", priorityClassName="low", nodeName="n2")
    cluster.client.post(classes, json={"metadata": {"name": "urgent"}, "value": 2000})
    cluster.pod("urgent", cpu="700m", priorityClassName="urgent")
    eventually("the victim goes", lambda: cluster.get(f"{PODS}/low")["metadata"].get("deletionTimestamp"))
    victim = cluster.get(f"{PODS}/low")
    target = next(one for one in victim["status"]["conditions"] if one["type"] == "DisruptionTarget")
    assert (target["reason"], target["message"]) == (
        "PreemptionByScheduler",
        "default-scheduler: preempting to accommodate a higher priority pod",
    )
    eventually("nominated", lambda: cluster.get(f"{PODS}/urgent")["status"].get("nominatedNodeName") == "n2")
    uid = cluster.get(f"{PODS}/urgent")["metadata"]["uid"]
    eventually("an event", lambda: f"Preempted by pod {uid} on node n2" in cluster.messages("Preempted"))
    assert not cluster.get(f"{PODS}/mid")["metadata"].get("deletionTimestamp")
    # room that is kept for an important pod is not given to a lesser one meanwhile
    cluster.pod("sneaky", cpu="700m", priorityClassName="low")
    cluster.client.request("DELETE", f"{PODS}/low", json={"gracePeriodSeconds": 0})
    eventually("placed", lambda: cluster.node_of("urgent") == "n2")
    assert cluster.node_of("sneaky") == ""


@pytest.mark.usefixtures("running")
def test_replicas_that_cannot_bear_each_other_go_to_different_nodes(cluster: Cluster) -> None:
    for name in ("n1", "n2"):
        cluster.node(name)
    selector = {"matchLabels": {"app": "web"}}
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": selector}
    affinity = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    for name in ("a", "b", "c"):
        cluster.pod(name, affinity=affinity)
    eventually("two placed", lambda: sum(bool(cluster.node_of(name)) for name in "abc") == 2)
    placed = {cluster.node_of(name) for name in "abc"} - {""}
    assert placed == {"n1", "n2"}
    (left,) = [name for name in "abc" if not cluster.node_of(name)]
    eventually("told why", lambda: cluster.condition(left).get("reason") == "Unschedulable")
    assert cluster.condition(left)["message"].startswith(
        "0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules."
    )


def _reader(token: str = "", certificate: tuple[str, str] | None = None) -> httpx.Client:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(*certificate)
    return httpx.Client(verify=context, trust_env=False, headers=headers)


def test_who_may_read_what_at_its_port(server: ApiserverProcess, cluster: Cluster) -> None:
    port = free_port()
    url = f"https://127.0.0.1:{port}"
    server.kubeconfig_for("kubernetes-admin", "system:masters")
    pair = server.directory / "pki" / "kubernetes-admin.crt", server.directory / "pki" / "kubernetes-admin.key"
    with scheduler(server, "--leader-elect=false", "--bind-address", "127.0.0.1", "--secure-port", str(port)):
        with _reader() as anybody:
            eventually("it serves", lambda: _status(anybody, f"{url}/healthz") == 200)
            refused = anybody.get(f"{url}/metrics")
            assert (refused.status_code, refused.json()["message"]) == (
                403,
                'forbidden: User "system:anonymous" cannot get path "/metrics"',
            )
            assert anybody.get(f"{url}/debug/pods/default/any").status_code == 403
        with _reader("jane-token") as jane:
            assert 'User "jane"' in jane.get(f"{url}/metrics").json()["message"]
        with _reader("nobodys") as nobody:
            assert (nobody.get(f"{url}/metrics").status_code, nobody.get(f"{url}/livez").status_code) == (401, 200)
        with _reader(ADMIN_TOKEN) as admin:
            assert admin.get(f"{url}/metrics").status_code == 200
        with _reader(certificate=(str(pair[0]), str(pair[1]))) as admin:
            assert admin.get(f"{url}/metrics").status_code == 200
            assert admin.get(f"{url}/debug/pods/default/any").status_code == 404


def _status(client: httpx.Client, url: str) -> int:
    try:
        return client.get(url).status_code
    except httpx.TransportError:
        return 0


def test_why_a_pod_has_no_node_can_be_asked(server: ApiserverProcess, cluster: Cluster) -> None:
    port = free_port()
    cluster.node("n1", cpu="1")
    pair = tls.issue(server.ca, CertRequest("scheduler", hosts=("127.0.0.1",)))
    files = pair.write(server.directory / "pki", "scheduler-serving")
    flags = ("--leader-elect=false", "--bind-address", "127.0.0.1", "--secure-port", str(port))
    serving = ("--tls-cert-file", str(files.cert), "--tls-private-key-file", str(files.key))
    with scheduler(server, *flags, *serving), _reader(ADMIN_TOKEN) as admin:
        cluster.pod("big", cpu="4")
        eventually("told why", lambda: cluster.condition("big").get("reason") == "Unschedulable")
        shown = admin.get(f"https://127.0.0.1:{port}/debug/pods/default/big").json()
        assert (shown["result"], shown["attempt"], shown["message"]) == (
            "Unschedulable",
            1,
            cluster.condition("big")["message"],
        )
        assert [(one["node"], one["reason"]) for one in shown["nodes"]] == [("n1", "Insufficient cpu")]
        assert shown["advice"] == ["cpu: 4 are asked for, n1 has most free of these: 1"]
        assert admin.get(f"https://127.0.0.1:{port}/debug/pods/default/other").status_code == 404
        by_certificate = _why(server.kubeconfig, port)
        assert "What would help:\n- cpu: 4 are asked for, n1 has most free of these: 1\n" in by_certificate.stdout
        refused = _why(server.kubeconfig_for("jane"), port)
        assert 'pods "big" is forbidden: User "jane"' in refused.stderr


def _why(kubeconfig: Path, port: int) -> subprocess.CompletedProcess[str]:
    """`skiff why pod/big`."""
    where = ("--kubeconfig", str(kubeconfig), "--scheduler", f"https://127.0.0.1:{port}")
    command = [sys.executable, "-m", "kubectl", "why", "pod/big", *where]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False)


def test_its_metrics_have_upstreams_names(server: ApiserverProcess, cluster: Cluster) -> None:
    port = free_port()
    with scheduler(server, "--leader-elect=false", "--secure-port", str(port)):
        cluster.node("n1", cpu="16")
        for number in range(10):
            cluster.pod(f"p{number}")
        cluster.pod("gated", schedulingGates=[{"name": "later"}])
        cluster.pod("huge", cpu="100")
        eventually("the pods are placed", lambda: all(cluster.node_of(f"p{number}") for number in range(10)))
        eventually("the huge one waits", lambda: cluster.condition("huge").get("reason") == "Unschedulable")
        with _reader(ADMIN_TOKEN) as admin:
            text = admin.get(f"https://127.0.0.1:{port}/metrics").text
    found = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("scheduler_"))
    profile = 'profile="default-scheduler"'
    assert float(found[f'scheduler_schedule_attempts_total{{{profile},result="scheduled"}}']) == 10
    assert float(found['scheduler_pending_pods{queue="gated"}']) == 1
    assert float(found['scheduler_pending_pods{queue="unschedulable"}']) == 1
    assert float(found[f'scheduler_unschedulable_pods{{plugin="NodeResourcesFit",{profile}}}']) == 1
    assert float(found['scheduler_cache_size{type="nodes"}']) == 1
    assert float(found['scheduler_cache_size{type="pods"}']) == 10
    assert float(found['scheduler_queue_incoming_pods_total{event="PodAdd",queue="active"}']) == 11
    assert float(found["scheduler_pod_scheduling_attempts_count"]) == 10
    assert float(found['scheduler_pod_scheduling_sli_duration_seconds_count{attempts="1"}']) == 10
    point = f'extension_point="Filter",{profile},status="Success"'
    assert float(found[f"scheduler_framework_extension_point_duration_seconds_count{{{point}}}"]) == 1
    plugin = 'extension_point="Filter",plugin="NodeResourcesFit",status="Success"'
    assert float(found[f"scheduler_plugin_execution_duration_seconds_count{{{plugin}}}"]) == 1
    plugin = f'extension_point="Filter",plugin="NodeResourcesFit",{profile}'
    assert float(found[f"scheduler_plugin_evaluation_total{{{plugin}}}"]) >= 11
    assert float(found['scheduler_event_handling_duration_seconds_count{event="NodeAdd"}']) >= 1
    assert float(found['scheduler_goroutines{operation="binding"}']) == 0


def test_a_leader_killed_in_mid_flight_leaves_every_pod_bound_once(server: ApiserverProcess, cluster: Cluster) -> None:
    times = (
        "--leader-elect-lease-duration=3s",
        "--leader-elect-renew-deadline=2s",
        "--leader-elect-retry-period=500ms",
    )
    for number in range(20):
        cluster.node(f"n{number}", cpu="1")
    names = [f"p{number}" for number in range(160)]
    start = cluster.get(PODS)["metadata"]["resourceVersion"]
    with scheduler(server, *times) as first, scheduler(server, *times) as second:
        with ThreadPoolExecutor(4) as creating:
            made = [creating.submit(cluster.pod, name) for name in names]
            eventually("the leader is at work", lambda: len(_bound(cluster)) >= 20, 40)
            leader = first if _holder(cluster).endswith(f"_{first.pid}") else second
            leader.kill()
            for one in made:
                one.result()
        eventually("all pods are bound", lambda: len(_bound(cluster)) == len(names), 60)
    places: dict[str, set[str]] = {name: set() for name in names}
    for event in _history(server, start):
        if node := event["object"]["spec"].get("nodeName"):
            places[event["object"]["metadata"]["name"]].add(node)
    assert {len(found) for found in places.values()} == {1}
    used = Counter(_bound(cluster).values())
    assert max(used.values()) <= 10  # of 100 milli each, on one core


def _bound(cluster: Cluster) -> dict[str, str]:
    placed = ((pod["metadata"]["name"], pod["spec"].get("nodeName")) for pod in cluster.get(PODS)["items"])
    return {name: node for name, node in placed if node}


def _holder(cluster: Cluster) -> str:
    path = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-scheduler"
    return str(cluster.get(path)["spec"]["holderIdentity"])


def _history(server: ApiserverProcess, revision: str) -> list[Json]:
    """Every change of every pod since then."""
    params: dict[str, Any] = {"watch": 1, "resourceVersion": revision, "timeoutSeconds": 1}
    with server.client() as client, client.stream("GET", PODS, params=params) as lines:
        return [json.loads(line) for line in lines.iter_lines()]
