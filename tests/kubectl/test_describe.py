"""Descriptions, golden: kubectl's layout of what is there and what is not."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from kubectl.describe.containers import probe_text
from kubectl.describe.generic import words_of
from kubectl.describe.nodes import amounts, shown
from kubectl.describe.services import endpoints_text
from kubectl.describe.surroundings import Surroundings
from kubectl.describe.table import describer_of
from kubectl.describe.text import human_duration, layout
from machinery.api import kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.kubectl import golden

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times are shown in local time: here, UTC."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


POD = """
metadata:
  name: web-1
  namespace: default
  labels: {app: web, tier: front}
  annotations:
    short: x
    long: "%s"
    lines: "a\\nb"
    kubectl.kubernetes.io/last-applied-configuration: "{}"
  ownerReferences: [{kind: ReplicaSet, name: web, uid: u, controller: true}]
spec:
  nodeName: node-a
  priority: 0
  serviceAccountName: default
  nodeSelector: {disk: ssd}
  initContainers:
  - {name: first, image: busybox, command: [sh, -c, "echo a\\necho b"]}
  containers:
  - name: main
    image: web:1
    args: [serve]
    ports: [{containerPort: 80, protocol: TCP, name: http}, {containerPort: 53, hostPort: 53, protocol: UDP}]
    env:
    - {name: PLAIN, value: "one\\ntwo"}
    - {name: NAME, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: metadata.name}}}
    - {name: LABEL, valueFrom: {fieldRef: {apiVersion: v1, fieldPath: "metadata.labels['app']"}}}
    - {name: MEMORY, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
    - {name: CPU, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}
    - {name: SECRET, valueFrom: {secretKeyRef: {name: keys, key: a}}}
    - {name: CONFIG, valueFrom: {configMapKeyRef: {name: conf, key: b, optional: true}}}
    envFrom: [{configMapRef: {name: conf}, prefix: P_}]
    resources: {limits: {memory: 64Mi}, requests: {cpu: 10m, memory: 16Mi}}
    readinessProbe: {httpGet: {path: /, port: http, scheme: HTTP}, timeoutSeconds: 1, periodSeconds: 2}
    volumeMounts:
    - {name: token, mountPath: /var/run/token, readOnly: true}
    - {name: conf, mountPath: /conf, subPath: b}
  - {name: side, image: side:2}
  volumes:
  - {name: conf, configMap: {name: conf}}
  - {name: tmp, emptyDir: {}}
  - {name: host, hostPath: {path: /data}}
  - name: token
    projected: {sources: [{serviceAccountToken: {expirationSeconds: 3607}}, {configMap: {name: root-ca}}]}
  tolerations:
  - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 300}
  - {key: a, value: b}
status:
  phase: Running
  hostIP: 10.0.0.1
  podIP: 10.1.0.5
  podIPs: [{ip: 10.1.0.5}]
  qosClass: Burstable
  startTime: "2026-01-01T11:00:00Z"
  conditions: [{type: Ready, status: "False"}, {type: PodScheduled, status: "True"}]
  initContainerStatuses:
  - name: first
    imageID: sha256:1
    containerID: containerd://1
    ready: true
    restartCount: 0
    state:
      terminated:
        {exitCode: 0, reason: Completed, startedAt: "2026-01-01T11:00:01Z", finishedAt: "2026-01-01T11:00:02Z"}
  containerStatuses:
  - name: main
    imageID: sha256:2
    containerID: containerd://2
    ready: true
    restartCount: 1
    state: {running: {startedAt: "2026-01-01T11:01:00Z"}}
    lastState:
      terminated:
        {exitCode: 137, reason: OOMKilled, startedAt: "2026-01-01T11:00:03Z", finishedAt: "2026-01-01T11:00:59Z"}
  - {name: side, imageID: "", ready: false, restartCount: 0, state: {waiting: {reason: ImagePullBackOff}}}
""" % ("x" * 150)

EVENTS = """
- {type: Warning, reason: BackOff, message: " Back-off ", count: 4, firstTimestamp: "2026-01-01T11:50:00Z",
   lastTimestamp: "2026-01-01T11:59:50Z", source: {component: kubelet}}
- {type: Normal, reason: Scheduled, message: "Successfully assigned", eventTime: "2026-01-01T11:00:00.000000Z",
   reportingComponent: default-scheduler}
- {type: Normal, reason: Pulled, message: "again", eventTime: "2026-01-01T11:58:00.000000Z",
   reportingComponent: kubelet, series: {count: 3, lastObservedTime: "2026-01-01T11:59:55.000000Z"}}
"""

NODE = """
metadata: {name: node-a, labels: {node-role.kubernetes.io/worker: ""}, creationTimestamp: "2026-01-01T10:00:00Z"}
spec:
  podCIDR: 10.1.0.0/24
  podCIDRs: [10.1.0.0/24]
  taints: [{key: b, value: x, effect: NoSchedule}, {key: a, effect: NoExecute}]
status:
  addresses: [{type: InternalIP, address: 10.0.0.1}]
  capacity: {cpu: "2", memory: 4Gi, pods: "110", ephemeral-storage: 10Gi}
  allocatable: {cpu: "2", memory: 4Gi, pods: "110", ephemeral-storage: 9Gi, example.com/gpu: "1"}
  conditions:
  - {type: Ready, status: "True", reason: KubeletReady, message: fine, lastHeartbeatTime: "2026-01-01T11:59:00Z",
     lastTransitionTime: "2026-01-01T10:01:00Z"}
  nodeInfo: {machineID: m, kernelVersion: "6.1", osImage: Debian, architecture: amd64, kubeletVersion: v1.37.0}
"""

DEPLOYMENT = """
metadata: {name: web, namespace: default, uid: d, creationTimestamp: "2026-01-01T10:00:00Z"}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 25%, maxSurge: 1}}
  template:
    metadata: {labels: {app: web}, annotations: {a: b}}
    spec: {containers: [{name: main, image: "web:2"}]}
status: {replicas: 4, updatedReplicas: 1, availableReplicas: 3, unavailableReplicas: 1,
  conditions: [{type: Available, status: "True", reason: MinimumReplicasAvailable}]}
"""

SERVICE = """
metadata: {name: web, namespace: default}
spec:
  type: NodePort
  selector: {app: web}
  clusterIP: 10.96.0.10
  clusterIPs: [10.96.0.10]
  ipFamilies: [IPv4]
  ipFamilyPolicy: SingleStack
  ports:
  - {name: http, port: 80, targetPort: http, protocol: TCP, nodePort: 30080}
  - {name: dns, port: 53, targetPort: 53, protocol: UDP}
  sessionAffinity: None
  internalTrafficPolicy: Cluster
"""


def read(text: str) -> Any:
    """An object of a test."""
    return yaml.safe_load(text)


def replica_set(name: str, image: str, created: int) -> Json:
    """A ReplicaSet of the test's Deployment."""
    template = {
        "metadata": {"labels": {"app": "web", "pod-template-hash": name}, "annotations": {"a": "b"}},
        "spec": {"containers": [{"name": "main", "image": image}]},
    }
    owner = {"kind": "Deployment", "name": "web", "uid": "d", "controller": True}
    metadata = {"name": name, "ownerReferences": [owner]}
    return {"metadata": metadata, "spec": {"replicas": created, "template": template}, "status": {"replicas": created}}


SLICE: Json = {
    "ports": [{"name": "http", "port": 80}],
    "endpoints": [{"addresses": [f"10.1.0.{n}"], "conditions": {"ready": n != 2}} for n in range(1, 7)],
}
CUSTOM = Kind("example.com", "v1", "Widget", "widgets")


@pytest.mark.parametrize(
    ("name", "kind", "surroundings"),
    [
        pytest.param("pod", kinds.PODS, Surroundings(read(POD), NOW, read(EVENTS)), id="pod"),
        pytest.param(
            "pod-bare",
            kinds.PODS,
            Surroundings({"metadata": {"name": "a"}, "spec": {}}, NOW, []),
            id="a-pod-of-nothing",
        ),
        pytest.param(
            "node", kinds.NODES, Surroundings(read(NODE), NOW, [], {"pods": [read(POD)], "lease": []}), id="node"
        ),
        pytest.param(
            "deployment",
            kinds.DEPLOYMENTS,
            Surroundings(
                read(DEPLOYMENT),
                NOW,
                [],
                {"replica_sets": [replica_set("old", "web:1", 3), replica_set("new", "web:2", 1)]},
            ),
            id="deployment",
        ),
        pytest.param(
            "service", kinds.SERVICES, Surroundings(read(SERVICE), NOW, None, {"slices": [SLICE]}), id="service"
        ),
        pytest.param(
            "config-map",
            kinds.CONFIG_MAPS,
            Surroundings(
                {"metadata": {"name": "c"}, "data": {"a": "one\ntwo\n"}, "binaryData": {"b": "AAA="}}, NOW, []
            ),
            id="config-map",
        ),
        pytest.param(
            "secret",
            kinds.SECRETS,
            Surroundings({"metadata": {"name": "s"}, "type": "Opaque", "data": {"a": "aHVzaA=="}}, NOW),
            id="secret",
        ),
        pytest.param(
            "generic",
            CUSTOM,
            Surroundings(
                {
                    "apiVersion": "example.com/v1",
                    "metadata": {"name": "w", "uid": "u"},
                    "spec": {"podCIDR": "x", "items": [{"a": True}, "b"], "none": None},
                },
                NOW,
                [],
            ),
            id="any-other-kind",
        ),
    ],
)
def test_a_description_has_kubectls_layout(name: str, kind: Kind, surroundings: Surroundings) -> None:
    golden.check(f"describe-{name}", layout(describer_of(kind).lines(surroundings)))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        pytest.param(-0.5, "0s", id="just-ahead"),
        pytest.param(-5, "<invalid>", id="ahead"),
        pytest.param(119, "119s", id="two-minutes-less-one"),
        pytest.param(125, "2m5s", id="minutes-and-seconds"),
        pytest.param(600, "10m", id="minutes"),
        pytest.param(3 * 3600 + 60, "3h1m", id="hours-and-minutes"),
        pytest.param(9 * 3600 + 60, "9h", id="hours"),
        pytest.param(49 * 3600, "2d1h", id="days-and-hours"),
        pytest.param(9 * 86400, "9d", id="days"),
        pytest.param(800 * 86400, "2y70d", id="years-and-days"),
    ],
)
def test_an_age_has_two_units_at_most(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        pytest.param("apiVersion", "API Version", id="acronym"),
        pytest.param("podCIDR", "Pod CIDR", id="letters"),
        pytest.param("metadata", "Metadata", id="one"),
        pytest.param("app.kubernetes.io/name", "app.kubernetes.io/name", id="a-label"),
    ],
)
def test_a_fields_name_is_taken_apart(name: str, words: str) -> None:
    assert words_of(name) == words


@pytest.mark.parametrize(
    ("probe", "text"),
    [
        pytest.param({"exec": {"command": ["a", "b"]}}, "exec [a b] ", id="command"),
        pytest.param({"tcpSocket": {"port": 80}}, "tcp-socket :80 ", id="socket"),
        pytest.param({"grpc": {"port": 1, "service": "s"}}, "grpc <pod>:1 s ", id="grpc"),
        pytest.param({}, "unknown ", id="none"),
    ],
)
def test_a_probe_is_one_line(probe: Json, text: str) -> None:
    assert probe_text(probe).startswith(text + "delay=0s timeout=0s")


def test_more_endpoints_than_fit_are_counted() -> None:
    assert endpoints_text([SLICE], "http") == "10.1.0.1:80,10.1.0.3:80,10.1.0.4:80 + 2 more..."
    assert endpoints_text([SLICE], "other") == ""
    assert endpoints_text([], "http") == "<none>"


def test_a_pod_asks_for_its_containers_or_its_largest_init_container() -> None:
    def container(cpu: str, **more: str) -> Json:
        return {"resources": {"requests": {"cpu": cpu}}} | more

    spec = {
        "initContainers": [container("100m", restartPolicy="Always"), container("500m")],
        "containers": [container("200m"), container("200m")],
        "overhead": {"cpu": "50m"},
    }
    assert shown(amounts({"spec": spec}, "requests")["cpu"]) == "650m"
