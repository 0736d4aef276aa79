"""The plugins, each on its own, and the chain."""

from collections.abc import Mapping
from typing import Any

import pytest

from apiserver.admission import PLUGINS
from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.chain import Chain, Plugin, Tools
from apiserver.admission.default_toleration_seconds import DefaultTolerationSeconds
from apiserver.admission.namespace_lifecycle import NamespaceLifecycle
from apiserver.admission.priority import Priority
from apiserver.admission.reader import Reader
from apiserver.admission.service_account import MOUNT_PATH, ServiceAccount
from apiserver.admission.taint_nodes import TaintNodesByCondition
from apiserver.admission.webhook_calls import WebhookCaller
from apiserver.authz.authorizer import AlwaysAllow
from apiserver.request import ANONYMOUS
from apiserver.resources.scheduling.priorityclasses import SYSTEM
from machinery.aio.clock import RealClock
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.fakes.reader import NoObjects


class Objects(NoObjects):
    """A Reader over a dict."""

    def __init__(self, objects: Mapping[tuple[str, str], Json] | None = None) -> None:
        self.objects = dict(objects or {})
        self.asked = 0

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        self.asked += 1
        return self.objects.get((kind.plural, name))

    def all(self, kind: Kind) -> list[Json]:
        return [obj for (plural, _), obj in self.objects.items() if plural == kind.plural]


TOOLS = Tools(AlwaysAllow(), WebhookCaller())
GOLD: Json = {"metadata": {"name": "gold"}, "value": 500, "preemptionPolicy": "Never", "globalDefault": True}


async def test_pods_without_a_class_get_the_clusters_default() -> None:
    spec = await _mutated(Priority(), _pod(), Objects({("priorityclasses", "gold"): GOLD}))
    assert (spec["priorityClassName"], spec["priority"], spec["preemptionPolicy"]) == ("gold", 500, "Never")


class NoTime(RealClock):
    """Sleeps are over at once."""

    async def sleep(self, seconds: float) -> None:
        return


ACTIVE = {("namespaces", "default"): {"status": {"phase": "Active"}}}
GOING = {("namespaces", "default"): {"status": {"phase": "Terminating"}}}
ACCOUNT = {("serviceaccounts", "default"): {"metadata": {"name": "default"}}}


def _attributes(
    obj: Json | None, kind: Kind = kinds.PODS, operation: Operation = Operation.CREATE, **more: Any
) -> Attributes:  # noqa: E501
    namespace = "default" if kind.namespaced else ""
    return Attributes(operation, kind, ANONYMOUS, obj=obj, **{"namespace": namespace, "name": "web", **more})


def _pod(**spec: Any) -> Json:
    return {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c"}], **spec}}


async def _mutated(plugin: Plugin, pod: Json, objects: Reader, **more: Any) -> Json:
    await plugin.mutate(_attributes(pod, **more), objects)
    spec: Json = pod["spec"]
    return spec


async def test_nothing_is_written_into_a_missing_namespace() -> None:
    with pytest.raises(errors.NotFound) as caught:
        await NamespaceLifecycle().mutate(_attributes(_pod()), Objects())
    assert caught.value.message == 'namespaces "default" not found'


async def test_nothing_is_created_in_a_namespace_that_is_going() -> None:
    with pytest.raises(errors.Forbidden) as caught:
        await NamespaceLifecycle().mutate(_attributes(_pod()), Objects(GOING))
    assert caught.value.message == (
        'pods "web" is forbidden: unable to create new content in namespace default because it is being terminated'
    )
    assert (caught.value.details or {})["causes"] == [
        {
            "reason": "NamespaceTerminating",
            "message": "namespace default is being terminated",
            "field": "metadata.namespace",
        }
    ]


@pytest.mark.parametrize(
    ("attributes", "objects"),
    [
        pytest.param(_attributes(_pod()), ACTIVE, id="active"),
        pytest.param(_attributes(_pod(), operation=Operation.UPDATE), GOING, id="update-while-going"),
        pytest.param(_attributes(None, operation=Operation.DELETE), {}, id="delete-where-no-namespace-is"),
        pytest.param(_attributes({}, kinds.NODES), {}, id="cluster-scoped"),
        pytest.param(_attributes({}, kinds.NAMESPACES), {}, id="a-namespace-itself"),
        pytest.param(
            _attributes(None, kinds.NAMESPACES, Operation.DELETE, name="demo"),
            {},
            id="deletion-of-an-ordinary-namespace",
        ),
    ],
)
async def test_what_a_namespaces_life_does_not_stop(
    attributes: Attributes, objects: Mapping[tuple[str, str], Json]
) -> None:
    await NamespaceLifecycle().mutate(attributes, Objects(objects))


@pytest.mark.parametrize("name", ["default", "kube-system", "kube-public"])
async def test_three_namespaces_are_immortal(name: str) -> None:
    with pytest.raises(errors.Forbidden, match="this namespace may not be deleted"):
        await NamespaceLifecycle().mutate(_attributes(None, kinds.NAMESPACES, Operation.DELETE, name=name), Objects())


async def test_a_pod_runs_as_the_default_account_with_its_token_mounted() -> None:
    spec = await _mutated(ServiceAccount(), _pod(initContainers=[{"name": "i"}]), Objects(ACCOUNT))
    assert spec["serviceAccountName"] == spec["serviceAccount"] == "default"
    (volume,) = spec["volumes"]
    assert volume["name"].startswith("kube-api-access-")
    assert len(volume["name"]) == len("kube-api-access-") + 5
    assert [next(iter(source)) for source in volume["projected"]["sources"]] == [
        "serviceAccountToken",
        "configMap",
        "downwardAPI",
    ]
    assert volume["projected"]["sources"][0]["serviceAccountToken"] == {"expirationSeconds": 3607, "path": "token"}
    mount = {"name": volume["name"], "readOnly": True, "mountPath": MOUNT_PATH}
    assert [container["volumeMounts"] for container in spec["containers"] + spec["initContainers"]] == [
        [mount],
        [mount],
    ]


async def test_a_mount_of_the_clients_own_is_left_alone() -> None:
    own = {"name": "c", "volumeMounts": [{"name": "mine", "mountPath": MOUNT_PATH}]}
    spec = await _mutated(ServiceAccount(), _pod(containers=[own]), Objects(ACCOUNT))
    assert "volumes" not in spec


@pytest.mark.parametrize(
    ("spec", "account", "mounted"),
    [
        ({}, {"automountServiceAccountToken": False}, False),
        ({"automountServiceAccountToken": True}, {"automountServiceAccountToken": False}, True),
        ({"automountServiceAccountToken": False}, {}, False),
    ],
)
async def test_the_pod_decides_before_its_account_whether_the_token_is_mounted(
    spec: Json, account: Json, mounted: bool
) -> None:
    mutated = await _mutated(ServiceAccount(), _pod(**spec), Objects({("serviceaccounts", "default"): account}))
    assert ("volumes" in mutated) == mounted


async def test_pull_secrets_come_from_the_account_where_the_pod_names_none() -> None:
    account = {("serviceaccounts", "default"): {"imagePullSecrets": [{"name": "s"}]}}
    assert (await _mutated(ServiceAccount(), _pod(), Objects(account)))["imagePullSecrets"] == [{"name": "s"}]
    own = _pod(imagePullSecrets=[{"name": "own"}])
    assert (await _mutated(ServiceAccount(), own, Objects(account)))["imagePullSecrets"] == [{"name": "own"}]


@pytest.mark.parametrize(("name", "asked"), [("default", 10), ("robot", 1)])
async def test_a_missing_account_refuses_the_pod_the_default_one_is_waited_for(name: str, asked: int) -> None:
    objects = Objects()
    with pytest.raises(errors.Forbidden) as caught:
        await _mutated(ServiceAccount(NoTime()), _pod(serviceAccountName=name), objects)
    assert caught.value.message == (
        f'pods "web" is forbidden: error looking up service account default/{name}: serviceaccount "{name}" not found'
    )
    assert objects.asked == asked


async def test_a_mirror_pod_draws_on_no_secrets() -> None:
    pod = _pod(volumes=[{"name": "v", "secret": {"secretName": "s"}}])
    pod["metadata"]["annotations"] = {"kubernetes.io/config.mirror": "x"}
    with pytest.raises(errors.Forbidden, match="a mirror pod may not reference secrets"):
        await _mutated(ServiceAccount(), pod, Objects())


async def test_a_pod_stays_five_minutes_on_a_lost_node() -> None:
    spec = await _mutated(DefaultTolerationSeconds(), _pod(), Objects())
    assert [(item["key"], item["tolerationSeconds"]) for item in spec["tolerations"]] == [
        ("node.kubernetes.io/not-ready", 300),
        ("node.kubernetes.io/unreachable", 300),
    ]


@pytest.mark.parametrize(
    ("toleration", "added"),
    [
        ({"operator": "Exists"}, []),
        ({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}, ["node.kubernetes.io/unreachable"]),
        ({"key": "node.kubernetes.io/unreachable", "operator": "Exists"}, ["node.kubernetes.io/not-ready"]),
        (
            {"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"},
            ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"],
        ),
    ],
)
async def test_a_pod_that_speaks_of_a_lost_node_is_taken_at_its_word(toleration: Json, added: list[str]) -> None:
    spec = await _mutated(DefaultTolerationSeconds(), _pod(tolerations=[toleration]), Objects())
    assert [item["key"] for item in spec["tolerations"][1:]] == added


@pytest.mark.parametrize(("name", "priority"), [("", 0), ("system-node-critical", 2000001000)])
async def test_a_class_becomes_a_number(name: str, priority: int) -> None:
    classes = {
        ("priorityclasses", known): {"metadata": {"name": known}, "value": value} for known, value in SYSTEM.items()
    }
    spec = await _mutated(Priority(), _pod(priorityClassName=name), Objects(classes))
    assert (spec["priority"], spec["preemptionPolicy"]) == (priority, "PreemptLowerPriority")


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"priorityClassName": "nope"}, "no PriorityClass with name nope was found"),
        ({"priority": 7}, r"the integer value of priority \(7\) must not be provided in pod spec"),
    ],
)
async def test_a_priority_that_is_made_up_is_refused(spec: Json, text: str) -> None:
    with pytest.raises(errors.Forbidden, match=text):
        await _mutated(Priority(), _pod(**spec), Objects())


async def test_a_replaced_pod_keeps_its_priority() -> None:
    old = _pod(priority=3, preemptionPolicy="Never")
    spec = await _mutated(Priority(), _pod(), Objects(), operation=Operation.UPDATE, old=old)
    assert (spec["priority"], spec["preemptionPolicy"]) == (3, "Never")


async def test_a_new_node_takes_no_pods_yet() -> None:
    node: Json = {"metadata": {"name": "n"}}
    for _ in range(2):
        await TaintNodesByCondition().mutate(_attributes(node, kinds.NODES), Objects())
    assert node["spec"]["taints"] == [{"key": "node.kubernetes.io/not-ready", "effect": "NoSchedule"}]


async def test_a_subresource_is_not_the_pod() -> None:
    pod = _pod()
    for plugin in (ServiceAccount(), DefaultTolerationSeconds(), Priority()):
        await plugin.mutate(_attributes(pod, subresource="status"), Objects())
    assert pod == _pod()


class Recording(Plugin):
    """Notes its calls."""

    def __init__(self, calls: list[str], name: str) -> None:
        self._calls, self._name = calls, name

    async def mutate(self, attributes: Attributes, reader: Reader) -> None:
        self._calls.append(f"mutate {self._name}")

    async def validate(self, attributes: Attributes, reader: Reader) -> None:
        self._calls.append(f"validate {self._name}")


async def test_all_plugins_change_before_any_refuses() -> None:
    calls: list[str] = []
    chain = Chain([Recording(calls, "a"), Recording(calls, "b")], Objects())
    await chain.admit(_attributes(_pod()))
    assert calls == ["mutate a", "mutate b", "validate a", "validate b"]


async def test_the_default_chain_makes_an_ordinary_pod_complete() -> None:
    pod = _pod()
    chain = Chain([plugin.made_with(TOOLS) for plugin in PLUGINS], Objects({**ACTIVE, **ACCOUNT}))
    await chain.admit(_attributes(pod))
    assert {"serviceAccountName", "volumes", "priority", "tolerations"} <= pod["spec"].keys()
