"""PodSecurity: the rules by level and version, the labels, and what happens to pods, templates and namespaces."""

from contextlib import suppress
from typing import Any

import pytest
from prometheus_client import REGISTRY

from apiserver.admission import pod_security_checks as checks
from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.pod_security import PodSecurity
from apiserver.admission.pod_security_policy import LevelVersion, policy_of
from apiserver.request import ANONYMOUS
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.fakes.reader import NoObjects

LABEL = "pod-security.kubernetes.io/"
GOOD: Json = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}


def _subject(context: Json | None = None, annotations: dict[str, str] | None = None, **spec: Any) -> checks.Subject:
    container = {"name": "a", "securityContext": {**GOOD, **(context or {})}}
    return checks.Subject(annotations or {}, {"containers": [container], **spec})


def _told(subject: checks.Subject, level: str, minor: int | None = None) -> list[tuple[str, str]]:
    return [(found.reason, found.detail) for found in checks.violations(subject, level, minor)]


@pytest.mark.parametrize(
    ("subject", "minor", "reason", "detail"),
    [
        pytest.param(
            _subject(hostNetwork=True, hostIPC=True, hostPID=True),
            None,
            "host namespaces",
            "hostNetwork=true, hostPID=true, hostIPC=true",
            id="hostNamespaces",
        ),
        pytest.param(
            _subject({"privileged": True}),
            None,
            "privileged",
            'container "a" must not set securityContext.privileged=true',
            id="privileged",
        ),
        pytest.param(
            _subject({"capabilities": {"add": ["SYS_TIME", "CHOWN", "NET_RAW"]}}),
            None,
            "non-default capabilities",
            'container "a" must not include "NET_RAW", "SYS_TIME" in securityContext.capabilities.add',
            id="capabilities",
        ),
        pytest.param(
            _subject(volumes=[{"name": "v", "hostPath": {"path": "/"}}, {"name": "w", "hostPath": {"path": "/"}}]),
            None,
            "hostPath volumes",
            'volumes "v", "w"',
            id="hostPathVolumes",
        ),
        pytest.param(
            _subject(initContainers=[{"name": "i", "ports": [{"hostPort": 80}, {"hostPort": 53}]}]),
            None,
            "hostPort",
            'container "i" uses hostPorts 53, 80',
            id="hostPorts-of-an-init-container",
        ),
        pytest.param(
            _subject(ephemeralContainers=[{"name": "e", "securityContext": {"privileged": True}}]),
            None,
            "privileged",
            'container "e" must not set securityContext.privileged=true',
            id="ephemeral-container",
        ),
        pytest.param(
            _subject(initContainers=[{"name": "i", "livenessProbe": {"httpGet": {"host": "10.0.0.1"}}}]),
            34,
            "probe or lifecycle host",
            'container "i" uses probe or lifecycle host "10.0.0.1"',
            id="hostProbes",
        ),
        pytest.param(
            _subject({"procMount": "Unmasked"}),
            None,
            "procMount",
            'container "a" must not set securityContext.procMount to "Unmasked"',
            id="procMount",
        ),
        pytest.param(
            _subject(
                {"seLinuxOptions": {"type": "spc_t", "user": "u"}}, securityContext={"seLinuxOptions": {"role": "r"}}
            ),
            None,
            "seLinuxOptions",
            'pod and container "a" set forbidden securityContext.seLinuxOptions: type "spc_t"; user may not be set; '
            "role may not be set",
            id="seLinuxOptions",
        ),
        pytest.param(
            _subject({"seccompProfile": {"type": "Unconfined"}}),
            None,
            "seccompProfile",
            'container "a" must not set securityContext.seccompProfile.type to "Unconfined"',
            id="seccompProfile",
        ),
        pytest.param(
            _subject(annotations={"seccomp.security.alpha.kubernetes.io/pod": "unconfined"}),
            18,
            "seccompProfile",
            'forbidden annotation seccomp.security.alpha.kubernetes.io/pod="unconfined"',
            id="seccomp-annotation-before-1.19",
        ),
        pytest.param(
            _subject(
                securityContext={"sysctls": [{"name": "kernel.msgmax", "value": "1"}, {"name": "a", "value": "1"}]}
            ),
            None,
            "forbidden sysctls",
            "kernel.msgmax, a",
            id="sysctls",
        ),
        pytest.param(
            _subject(securityContext={"sysctls": [{"name": "net.ipv4.tcp_rmem", "value": "1"}]}),
            31,
            "forbidden sysctls",
            "net.ipv4.tcp_rmem",
            id="a-sysctl-that-1.32-allows",
        ),
        pytest.param(
            _subject(securityContext={"windowsOptions": {"hostProcess": True}}),
            None,
            "hostProcess",
            "pod must not set securityContext.windowsOptions.hostProcess=true",
            id="windowsHostProcess",
        ),
        pytest.param(
            _subject({"appArmorProfile": {"type": "Unconfined"}}),
            None,
            "forbidden AppArmor profile",
            'container "a" must not set AppArmor profile type to "Unconfined"',
            id="appArmorProfile",
        ),
    ],
)
def test_baseline_forbids(subject: checks.Subject, minor: int | None, reason: str, detail: str) -> None:
    assert _told(subject, "baseline", minor) == [(reason, detail)]
    assert _told(subject, "privileged", minor) == []


@pytest.mark.parametrize(
    ("subject", "minor", "reason", "detail"),
    [
        pytest.param(
            _subject({"allowPrivilegeEscalation": None}),
            None,
            "allowPrivilegeEscalation != false",
            'container "a" must set securityContext.allowPrivilegeEscalation=false',
            id="allowPrivilegeEscalation",
        ),
        pytest.param(
            _subject({"capabilities": {"add": ["CHOWN"]}}),
            None,
            "unrestricted capabilities",
            'container "a" must set securityContext.capabilities.drop=["ALL"]; '
            'container "a" must not include "CHOWN" in securityContext.capabilities.add',
            id="capabilities",
        ),
        pytest.param(
            _subject(volumes=[{"name": "v", "nfs": {}}, {"name": "w", "emptyDir": {}}, {"name": "x", "iscsi": {}}]),
            None,
            "restricted volume types",
            'volumes "v", "x" use restricted volume types "iscsi", "nfs"',
            id="restrictedVolumes",
        ),
        pytest.param(
            _subject({"runAsNonRoot": None}),
            None,
            "runAsNonRoot != true",
            'pod or container "a" must set securityContext.runAsNonRoot=true',
            id="runAsNonRoot-silent",
        ),
        pytest.param(
            _subject({"runAsNonRoot": False}, securityContext={"runAsNonRoot": False}),
            None,
            "runAsNonRoot != true",
            'pod and container "a" must not set securityContext.runAsNonRoot=false',
            id="runAsNonRoot-false",
        ),
        pytest.param(
            _subject({"runAsUser": 0}), None, "runAsUser=0", 'container "a" must not set runAsUser=0', id="runAsUser"
        ),
        pytest.param(
            _subject({"seccompProfile": None}),
            None,
            "seccompProfile",
            'pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"',
            id="seccompProfile",
        ),
    ],
)
def test_restricted_forbids(subject: checks.Subject, minor: int | None, reason: str, detail: str) -> None:
    assert _told(subject, "restricted", minor) == [(reason, detail)]
    assert _told(subject, "baseline", minor) == []


@pytest.mark.parametrize(
    ("subject", "level", "minor"),
    [
        pytest.param(_subject(), "restricted", None, id="a-good-pod"),
        pytest.param(
            _subject({"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}), "restricted", None, id="bind"
        ),
        pytest.param(
            _subject({"runAsNonRoot": None}, securityContext={"runAsNonRoot": True}), "restricted", None, id="by-pod"
        ),
        pytest.param(
            _subject({"seccompProfile": None}, securityContext={"seccompProfile": {"type": "Localhost"}}),
            "restricted",
            None,
            id="seccomp-by-pod",
        ),
        pytest.param(
            _subject(
                {"allowPrivilegeEscalation": None, "capabilities": None, "seccompProfile": None}, os={"name": "windows"}
            ),
            "restricted",
            25,
            id="windows-since-1.25",
        ),
        pytest.param(_subject({"capabilities": None}), "restricted", 21, id="capabilities-before-1.22"),
        pytest.param(
            _subject({"runAsNonRoot": None, "runAsUser": 0}, hostUsers=False), "restricted", 35, id="own-users"
        ),
        pytest.param(
            _subject(securityContext={"sysctls": [{"name": "net.ipv4.tcp_rmem"}]}),
            "baseline",
            32,
            id="a-sysctl-of-1.32",
        ),
        pytest.param(_subject({"seLinuxOptions": {"type": "container_engine_t"}}), "baseline", 31, id="selinux-1.31"),
        pytest.param(
            _subject(initContainers=[{"name": "i", "readinessProbe": {"tcpSocket": {"host": "h"}}}]),
            "baseline",
            33,
            id="probe",
        ),
    ],
)
def test_what_is_allowed(subject: checks.Subject, level: str, minor: int | None) -> None:
    assert _told(subject, level, minor) == []


def test_baseline_comes_before_restricted_and_what_is_stricter_stands_once() -> None:
    subject = checks.Subject({}, {"hostNetwork": True, "containers": [{"name": "a"}, {"name": "b"}]})
    assert [reason for reason, _ in _told(subject, "restricted")] == [
        "host namespaces",
        "allowPrivilegeEscalation != false",
        "unrestricted capabilities",
        "runAsNonRoot != true",
        "seccompProfile",
    ]


@pytest.mark.parametrize(
    ("labels", "enforce", "audit", "warn", "problems"),
    [
        pytest.param({}, "privileged:latest", "privileged:latest", "privileged:latest", [], id="none"),
        pytest.param(
            {"enforce": "baseline", "enforce-version": "v1.24", "audit": "restricted"},
            "baseline:v1.24",
            "restricted:latest",
            "baseline:v1.24",
            [],
            id="warned-of-what-is-enforced",
        ),
        pytest.param(
            {"enforce": "restricted", "warn": "privileged"},
            "restricted:latest",
            "privileged:latest",
            "privileged:latest",
            [],
            id="warning-switched-off",
        ),
        pytest.param(
            {"enforce": "Baseline", "warn": "x", "audit-version": "1.2"},
            "restricted:latest",
            "privileged:latest",
            "privileged:latest",
            [
                'metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "Baseline": '
                "must be one of privileged, baseline, restricted",
                'metadata.labels[pod-security.kubernetes.io/audit-version]: Invalid value: "1.2": '
                'must be "latest" or "v1.x"',
                'metadata.labels[pod-security.kubernetes.io/warn]: Invalid value: "x": '
                "must be one of privileged, baseline, restricted",
            ],
            id="bad",
        ),
    ],
)
def test_labels(labels: dict[str, str], enforce: str, audit: str, warn: str, problems: list[str]) -> None:
    policy, found = policy_of({LABEL + key: value for key, value in labels.items()})
    assert [str(policy.enforce), str(policy.audit), str(policy.warn)] == [enforce, audit, warn]
    assert [problem.message() for problem in found] == problems
    assert LevelVersion("restricted").is_stricter_than(LevelVersion("baseline"))


class Cluster(NoObjects):
    """A namespace with labels and pods, and what was said."""

    def __init__(self, labels: dict[str, str], *pods: Json) -> None:
        self.namespace = _namespace(labels)
        self.pods = list(pods)
        self.warnings: list[str] = []
        self.audited: dict[str, str] = {}

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        """The namespace."""
        return self.namespace

    def all(self, kind: Kind) -> list[Json]:
        """None."""
        return []

    def in_namespace(self, kind: Kind, namespace: str) -> list[Json]:
        """Its pods."""
        return self.pods

    async def admit(self, kind: Kind, obj: Json, old: Json | None = None, **more: Any) -> None:
        """Ask the plugin; raises what it raises."""
        operation = Operation.CREATE if old is None else Operation.UPDATE
        attributes = Attributes(operation, kind, ANONYMOUS, "web", "x", obj=obj, old=old, **more)
        attributes.warn, attributes.annotate = self.warnings.append, self.audited.__setitem__
        await PodSecurity().validate(attributes, self)


def _namespace(labels: dict[str, str]) -> Json:
    return {"metadata": {"name": "web", "labels": {LABEL + key: value for key, value in labels.items()}}}


def _pod(name: str = "x", image: str = "i", **spec: Any) -> Json:
    containers = [{"name": "a", "image": image}]
    return {"metadata": {"name": name, "namespace": "web"}, "spec": {"containers": containers, **spec}}


HOST = "host namespaces (hostNetwork=true)"


async def test_a_pod_that_violates_what_is_enforced_is_refused_and_audited() -> None:
    cluster = Cluster({"enforce": "baseline", "audit": "baseline"})
    with pytest.raises(errors.Forbidden) as refused:
        await cluster.admit(kinds.PODS, _pod(hostNetwork=True))
    assert refused.value.message == f'pods "x" is forbidden: violates PodSecurity "baseline:latest": {HOST}'
    assert cluster.warnings == []
    assert cluster.audited == {
        "pod-security.kubernetes.io/enforce-policy": "baseline:latest",
        "pod-security.kubernetes.io/audit-violations": f'would violate PodSecurity "baseline:latest": {HOST}',
    }


async def test_what_no_pod_can_violate_is_audited_as_well() -> None:
    cluster = Cluster({})
    await cluster.admit(kinds.PODS, _pod(hostNetwork=True))
    assert cluster.audited == {"pod-security.kubernetes.io/enforce-policy": "privileged:latest"}


@pytest.mark.parametrize(
    ("kind", "labels", "counter", "counted"),
    [
        pytest.param(
            kinds.PODS,
            {"enforce": "baseline"},
            "evaluations",
            {"decision": "deny", "policy_level": "baseline", "policy_version": "latest", "mode": "enforce"},
            id="refused",
        ),
        pytest.param(
            kinds.PODS,
            {"enforce-version": "v1.9"},
            "evaluations",
            {"decision": "allow", "policy_level": "privileged", "policy_version": "latest", "mode": "enforce"},
            id="everything-is-allowed",
        ),
        pytest.param(
            kinds.DEPLOYMENTS,
            {"audit": "baseline", "audit-version": "v1.24"},
            "evaluations",
            {"decision": "deny", "policy_level": "baseline", "policy_version": "v1.24", "mode": "audit"},
            id="audited-template",
        ),
        pytest.param(
            kinds.DEPLOYMENTS,
            {"warn": "baseline", "warn-version": "v1.99"},
            "evaluations",
            {"decision": "deny", "policy_level": "baseline", "policy_version": "future", "mode": "warn"},
            id="warned-of-a-version-to-come",
        ),
        pytest.param(kinds.PODS, {"warn": "none"}, "errors", {"fatal": "false"}, id="labels-that-say-nothing"),
    ],
)
async def test_evaluations_are_counted(
    kind: Kind, labels: dict[str, str], counter: str, counted: dict[str, str]
) -> None:
    resource = "pod" if kind == kinds.PODS else "controller"
    about = counted | {"request_operation": "create", "resource": resource, "subresource": ""}
    before = REGISTRY.get_sample_value(f"pod_security_{counter}_total", about) or 0
    obj = _pod(hostNetwork=True)
    with suppress(errors.Forbidden):
        await Cluster(labels).admit(kind, obj if kind == kinds.PODS else {"spec": {"template": obj}})
    assert REGISTRY.get_sample_value(f"pod_security_{counter}_total", about) == before + 1


async def test_who_makes_a_template_is_warned() -> None:
    cluster = Cluster({"enforce": "baseline"})
    job = {"spec": {"template": _pod(hostNetwork=True)}}
    await cluster.admit(kinds.DEPLOYMENTS, job)
    await cluster.admit(kinds.CRON_JOBS, {"spec": {"jobTemplate": job}})
    assert cluster.warnings == [f'would violate PodSecurity "baseline:latest": {HOST}'] * 2


@pytest.mark.parametrize(
    ("new", "subresource", "refused"),
    [
        pytest.param(_pod(hostNetwork=True, image="j", tolerations=[{}]), "", False, id="another-image"),
        pytest.param(_pod(hostNetwork=True, hostPID=True), "", True, id="worse"),
        pytest.param(
            _pod(hostNetwork=True, ephemeralContainers=[{"name": "e"}]), "ephemeralcontainers", True, id="debug"
        ),
        pytest.param(_pod(hostNetwork=True, hostPID=True), "status", False, id="status"),
    ],
)
async def test_an_update_is_judged_where_it_matters(new: Json, subresource: str, *, refused: bool) -> None:
    cluster = Cluster({"enforce": "baseline"})
    try:
        await cluster.admit(kinds.PODS, new, _pod(hostNetwork=True), subresource=subresource)
    except errors.Forbidden:
        assert refused
    else:
        assert not refused


async def test_a_namespace_with_bad_labels_is_invalid_unless_it_was_before() -> None:
    cluster = Cluster({})
    with pytest.raises(errors.Invalid, match="must be one of privileged, baseline, restricted"):
        await cluster.admit(kinds.NAMESPACES, _namespace({"enforce": "x"}))
    await cluster.admit(kinds.NAMESPACES, _namespace({"enforce": "x"}), _namespace({"enforce": "x"}))


async def test_who_tightens_a_namespace_is_told_of_the_pods_there() -> None:
    cluster = Cluster({}, _pod("b", hostNetwork=True), _pod("a", hostNetwork=True), _pod("c", hostPID=True), _pod("d"))
    await cluster.admit(kinds.NAMESPACES, _namespace({"enforce": "baseline"}), _namespace({}))
    assert cluster.warnings == [
        'existing pods in namespace "web" violate the new PodSecurity enforce level "baseline:latest"',
        "a (and 2 other pods): host namespaces",
    ]
    cluster.warnings.clear()
    await cluster.admit(kinds.NAMESPACES, _namespace({"enforce": "baseline"}), _namespace({"enforce": "restricted"}))
    assert cluster.warnings == []
