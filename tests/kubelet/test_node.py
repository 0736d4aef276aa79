"""The Node object, admission, eviction, configuration, static pods and who may ask."""

import base64
from pathlib import Path
from typing import Any

import pytest

from kubelet import admission, config, eviction, node_status
from kubelet.config import KubeletConfig
from kubelet.crash_backoff import CrashBackoff, go_duration
from kubelet.images import credentials_for, with_default_tag
from kubelet.node_status import Capacity, Pressure
from kubelet.pleg import changed_pods
from kubelet.pod_files import hosts_text
from kubelet.pod_sources import FileSource, static_pod
from kubelet.server.auth import subresources_of
from machinery.aio.clock import FakeClock
from machinery.api import codec, meta
from machinery.api.codec import Json
from machinery.component.delegated import user_of_certificate
from machinery.component.flags import FlagError, parse_or_raise
from tests.kubelet.pods import container, pod

NODE: Json = {"metadata": {"name": "n1", "labels": {"disk": "ssd", "cores": "4"}}}
ROOM = {"cpu": "2", "memory": "1Gi", "pods": "2"}


def asks(cpu: str) -> Json:
    return pod(container(resources={"requests": {"cpu": cpu}}))


def taking(port: int, **more: str) -> Json:
    return pod(container(ports=[{"containerPort": 80, "hostPort": port, **more}]))


def affine(key: str, operator: str, *values: str) -> Json:
    expression = {"key": key, "operator": operator, "values": list(values)}
    term = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return pod(affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": term}})


@pytest.mark.parametrize(
    ("spec", "others", "reason"),
    [
        pytest.param(asks("1"), [], "", id="fits"),
        pytest.param(asks("1"), [asks("1")], "", id="fits-beside"),
        pytest.param(asks("1500m"), [asks("1")], "OutOfcpu", id="too-much"),
        pytest.param(pod(), [pod(), pod()], "OutOfpods", id="too-many"),
        pytest.param(taking(80), [taking(81)], "", id="another-port"),
        pytest.param(taking(80), [taking(80, hostIP="10.0.0.1")], "NodePorts", id="port-taken"),
        pytest.param(taking(80), [taking(80, protocol="UDP")], "", id="another-protocol"),
        pytest.param(pod(nodeSelector={"disk": "ssd"}), [], "", id="selected"),
        pytest.param(pod(nodeSelector={"disk": "hdd"}), [], "NodeAffinity", id="not-selected"),
        pytest.param(affine("disk", "In", "ssd", "nvme"), [], "", id="affine"),
        pytest.param(affine("disk", "NotIn", "ssd"), [], "NodeAffinity", id="not-affine"),
        pytest.param(affine("cores", "Gt", "3"), [], "", id="greater"),
        pytest.param(affine("cores", "Lt", "3"), [], "NodeAffinity", id="not-less"),
    ],
)
def test_admission(spec: Json, others: list[Json], reason: str) -> None:
    rejection = admission.admit(spec, others, NODE, ROOM)
    assert (rejection.reason if rejection else "") == reason


def test_a_rejection_counts_in_upstreams_words() -> None:
    rejection = admission.admit(asks("1500m"), [asks("1")], NODE, ROOM)
    assert rejection is not None
    assert rejection.message == (
        "Pod was rejected: Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000"
    )


def test_allocatable_leaves_room_for_the_system_and_eviction() -> None:
    capacity = Capacity(2, 1 << 30, 100 << 30, 110)
    assert capacity.listed() == {
        "cpu": "2",
        "ephemeral-storage": f"{100 << 20}Ki",
        "memory": f"{1 << 20}Ki",
        "pods": "110",
    }
    left = capacity.allocatable({"cpu": "100m", "memory": "100Mi"})
    assert left["cpu"] == "1900m"
    assert left["memory"] == f"{(1024 - 200) << 10}Ki"


def test_an_unready_node_says_why_and_keeps_others_conditions() -> None:
    old = [{"type": "Other", "status": "True"}]
    found = node_status.conditions(old, "container runtime is down", Pressure(memory=True), "now")
    by_type = {one["type"]: one for one in found}
    assert by_type["Ready"]["reason"] == "KubeletNotReady"
    assert by_type["Ready"]["message"] == "container runtime is down"
    assert by_type["MemoryPressure"]["reason"] == "KubeletHasInsufficientMemory"
    assert by_type["DiskPressure"]["message"] == "kubelet has no disk pressure"
    assert "Other" in by_type


# ---- eviction


def test_thresholds_in_bytes_and_percent() -> None:
    limits = eviction.thresholds("memory.available<100Mi,nodefs.available<10%")
    seen = {
        "memory.available": eviction.Observation(50 << 20, 1 << 30),
        "nodefs.available": eviction.Observation(20, 100),
    }
    problems = eviction.crossed(limits, seen)
    assert [problem.signal for problem in problems] == ["memory.available"]
    assert eviction.pressure_of(problems) == Pressure(memory=True)
    assert problems[0].message() == (
        "The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. "
    )


def test_an_unknown_signal_is_refused() -> None:
    with pytest.raises(FlagError, match="unsupported eviction signal luck"):
        eviction.thresholds("luck<1")


def named(name: str, request: str, priority: int = 0) -> Json:
    one = pod(container(resources={"requests": {"memory": request}}), priority=priority)
    one["metadata"] = {**one["metadata"], "name": name, "uid": name}
    return one


def test_who_uses_more_than_asked_goes_first_then_the_least_important() -> None:
    usage = {"greedy": 300 << 20, "modest": 50 << 20, "vip": 900 << 20}
    modest, greedy = named("modest", "100Mi"), named("greedy", "100Mi")
    chosen = eviction.first_to_go([modest, greedy, named("vip", "100Mi", 2_000_000_000)], usage)
    assert chosen is greedy
    assert eviction.first_to_go([named("vip", "1Mi", 2_000_000_000)], usage) is None


# ---- configuration


def test_the_file_comes_first_and_flags_on_top(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        "kind: KubeletConfiguration\napiVersion: kubelet.config.k8s.io/v1beta1\nmaxPods: 50\nclusterDNS: [10.0.0.10]\n"
        "authentication: {anonymous: {enabled: true}}\nauthorization: {mode: AlwaysAllow}\nstaticPodPath: /m\n"
        "evictionHard: {memory.available: 1Gi}\nunknownField: 1\n"
    )
    flags = parse_or_raise(KubeletConfig, ["--config", str(file), "--max-pods=7"])
    merged = config.with_file(flags)
    assert (merged.max_pods, merged.cluster_dns, merged.pod_manifest_path) == (7, ["10.0.0.10"], "/m")
    assert (merged.anonymous_auth, merged.authorization_mode) == (True, "AlwaysAllow")
    assert merged.eviction_hard == "memory.available<1Gi"


@pytest.mark.parametrize(("text", "wanted"), [("10s", 10), ("1m30s", 90), ("1h", 3600), ("500ms", 0.5)])
def test_durations(text: str, wanted: float) -> None:
    assert config.seconds_of(text) == wanted


@pytest.mark.parametrize("text", ["", "10", "s", "1d"])
def test_no_durations(text: str) -> None:
    with pytest.raises(FlagError):
        config.seconds_of(text)


def test_taints_are_read() -> None:
    given = KubeletConfig(register_with_taints=["a=b:NoSchedule", "c:NoExecute"])
    assert given.taints() == (
        {"key": "a", "effect": "NoSchedule", "value": "b"},
        {"key": "c", "effect": "NoExecute"},
    )


def test_logs_go_below_a_root_folder_of_ones_own() -> None:
    assert KubeletConfig().logs == Path("/var/log/pods")
    assert KubeletConfig(root_dir="/n1").logs == Path("/n1/pod-logs")


# ---- static pods

MANIFEST: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "etcd"}, "spec": {"containers": []}}


def test_a_static_pod_is_named_after_its_node_and_changes_its_uid_with_its_manifest() -> None:
    one = static_pod(MANIFEST, "n1")
    other = static_pod({**MANIFEST, "spec": {"containers": [container()]}}, "n1")
    assert meta.name_of(one) == "etcd-n1"
    assert meta.uid_of(one) != meta.uid_of(other)
    assert one["spec"]["nodeName"] == "n1"
    assert "uid" not in MANIFEST["metadata"]


class Sink:
    def __init__(self) -> None:
        self.calls: list[tuple[str, str]] = []

    def update(self, pod: Json) -> None:
        self.calls.append(("update", meta.name_of(pod)))

    def remove(self, uid: str) -> None:
        self.calls.append(("remove", uid))


def test_a_folder_of_manifests_is_followed(tmp_path: Path) -> None:
    sink = Sink()
    source = FileSource(tmp_path, "n1", sink)
    (tmp_path / "etcd.yaml").write_bytes(codec.dumps(MANIFEST))
    (tmp_path / "broken.yaml").write_text("{")
    (tmp_path / ".hidden").write_bytes(codec.dumps(MANIFEST))
    source.read()
    source.read()
    assert sink.calls == [("update", "etcd-n1")]
    uid = meta.uid_of(source.current()[0])
    (tmp_path / "etcd.yaml").unlink()
    source.read()
    assert sink.calls[-1] == ("remove", uid)


# ---- small things


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/pods", ("pods", "proxy")),
        ("/healthz", ("healthz", "proxy")),
        ("/metrics/resource", ("metrics",)),
        ("/stats/summary", ("stats",)),
        ("/exec/ns/pod/container", ("proxy",)),
    ],
)
def test_what_has_to_be_allowed(path: str, wanted: tuple[str, ...]) -> None:
    assert subresources_of(path) == wanted


def test_a_certificate_is_a_user() -> None:
    subject = ((("organizationName", "system:masters"),), (("commonName", "admin"),))
    user = user_of_certificate({"subject": subject})
    assert user is not None
    assert (user.name, user.groups) == ("admin", ("system:masters", "system:authenticated"))
    assert user_of_certificate({}) is None


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        ("busybox", "busybox:latest"),
        ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
        ("a:1", "a:1"),
        ("a@sha256:" + "0" * 64, "a@sha256:" + "0" * 64),
        ("Reg:1/valid", "Reg:1/valid:latest"),
        ("postgres:16", "postgres:16"),
        ("not/VALID", ""),
        ("a b", ""),
        ("", ""),
    ],
)
def test_default_tags(image: str, wanted: str) -> None:
    assert with_default_tag(image) == wanted


def secret(**auths: Any) -> Json:
    data = codec.dumps({"auths": {key.replace("_", "."): value for key, value in auths.items()}})
    return {"data": {".dockerconfigjson": base64.b64encode(data).decode()}}


def test_logins_fit_their_registry() -> None:
    one = secret(reg_example={"username": "u", "password": "p"}, other_example={"auth": "YTpi"})
    assert [login.username for login in credentials_for("reg.example/team/app:1", [one])] == ["u"]
    assert [(login.username, login.password) for login in credentials_for("other.example/x:1", [one])] == [("a", "b")]
    assert list(credentials_for("busybox:1", [one])) == []


def test_back_off_doubles_up_to_five_minutes_and_is_forgotten() -> None:
    clock = FakeClock()
    backoff = CrashBackoff(clock)
    at = clock.now().timestamp()
    assert backoff.remaining("a", at) == 0
    delays = []
    for _ in range(7):
        backoff.next("a", at)
        delays.append(backoff.delay("a"))
    assert delays == [10, 20, 40, 80, 160, 300, 300]
    assert backoff.remaining("a", at) == 300
    assert backoff.remaining("a", at + 601) == 0


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s")])
def test_delays_are_printed_as_go_prints_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


def test_only_pods_with_changes_are_woken() -> None:
    before = {"c1": ("a", 1), "c2": ("b", 1), "c3": ("c", 1)}
    now = {"c1": ("a", 1), "c2": ("b", 2), "c4": ("d", 0)}
    assert changed_pods(before, now) == ["b", "d", "c"]


def test_the_hosts_file_names_the_pod_and_its_aliases() -> None:
    spec = pod(hostname="web", subdomain="sub", hostAliases=[{"ip": "1.2.3.4", "hostnames": ["a", "b"]}])
    text = hosts_text(spec, ("10.0.0.5",), "cluster.local")
    assert text.startswith("# Kubernetes-managed hosts file.\n127.0.0.1\tlocalhost\n")
    assert "10.0.0.5\tweb.sub.default.svc.cluster.local\tweb\n" in text
    assert text.endswith("\n# Entries added by HostAliases.\n1.2.3.4\ta\tb\n")
