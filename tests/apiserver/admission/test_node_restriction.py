"""What a kubelet may write."""

from typing import Any

import pytest

from apiserver.admission.attributes import Attributes, Operation
from apiserver.admission.node_restriction import NodeRestriction, node_of
from apiserver.request import User
from machinery.api import errors, kinds
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.fakes.reader import NoObjects

KUBELET = User("system:node:n1", groups=("system:nodes",))
MIRROR = {"annotations": {"kubernetes.io/config.mirror": "x"}}


class Nothing(NoObjects):
    """A Reader that finds one pod of another node."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        return {"spec": {"nodeName": "n2"}}

    def all(self, kind: Kind) -> list[Json]:
        return []


def _node(name: str = "n1", labels: Json | None = None, **spec: Any) -> Json:
    return {"metadata": {"name": name, "labels": labels or {}}, "spec": spec}


def _pod(node: str = "n1", metadata: Json | None = None, **spec: Any) -> Json:
    return {"metadata": {"name": "p", **(metadata or {})}, "spec": {"nodeName": node, **spec}}


def _ask(kind: Kind, operation: Operation, obj: Json | None = None, **more: Any) -> Attributes:
    namespace = "default" if kind.namespaced else ""
    return Attributes(operation, kind, KUBELET, obj=obj, **{"namespace": namespace, **more})


C, U, D = Operation.CREATE, Operation.UPDATE, Operation.DELETE


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        pytest.param(_ask(kinds.PODS, C, _pod(metadata=MIRROR)), "", id="mirror-pod"),
        pytest.param(
            _ask(kinds.PODS, C, _pod()),
            'pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods',
            id="ordinary-pod",
        ),
        pytest.param(
            _ask(kinds.PODS, C, _pod("n2", MIRROR)),
            'node "n1" can only create pods with spec.nodeName set to itself',
            id="mirror-pod-elsewhere",
        ),
        pytest.param(
            _ask(kinds.PODS, C, _pod(metadata=MIRROR, volumes=[{"name": "v", "secret": {"secretName": "s"}}])),
            'node "n1" can not create pods that reference secrets',
            id="mirror-pod-with-a-secret",
        ),
        pytest.param(_ask(kinds.PODS, D, old=_pod()), "", id="delete-own-pod"),
        pytest.param(
            _ask(kinds.PODS, D, old=_pod("n2")),
            'node "n1" can only delete pods with spec.nodeName set to itself',
            id="delete-another-nodes-pod",
        ),
        pytest.param(_ask(kinds.PODS, U, _pod(), old=_pod(), subresource="status"), "", id="own-status"),
        pytest.param(
            _ask(kinds.PODS, U, _pod(), old=_pod("n2"), subresource="status"),
            'node "n1" can only update pod status for pods with spec.nodeName set to itself',
            id="another-nodes-status",
        ),
        pytest.param(
            _ask(kinds.PODS, U, _pod(metadata={"labels": {"a": "b"}}), old=_pod(), subresource="status"),
            'node "n1" cannot update labels through pod status',
            id="labels-by-status",
        ),
        pytest.param(
            _ask(kinds.PODS, C, {}, name="p", subresource="eviction"),
            "node n1 can only evict pods with spec.nodeName set to itself",
            id="evict-another-nodes-pod",
        ),
        pytest.param(_ask(kinds.NODES, C, _node(labels={"kubernetes.io/os": "linux", "mine": "x"})), "", id="register"),
        pytest.param(
            _ask(kinds.NODES, C, _node("n2")), 'node "n1" is not allowed to modify node "n2"', id="register-another"
        ),
        pytest.param(
            _ask(kinds.NODES, C, _node(labels={"node-role.kubernetes.io/master": ""})),
            'node "n1" is not allowed to set the following labels: node-role.kubernetes.io/master',
            id="role-label",
        ),
        pytest.param(
            _ask(kinds.NODES, U, _node(taints=[]), old=_node(taints=[{"key": "a"}]), name="n1"),
            'node "n1" is not allowed to modify taints',
            id="taints",
        ),
        pytest.param(
            _ask(kinds.NODES, U, _node(), old=_node(labels={"node-restriction.kubernetes.io/a": "b"}), name="n1"),
            'node "n1" is not allowed to modify labels: node-restriction.kubernetes.io/a',
            id="restricted-label",
        ),
        pytest.param(_ask(kinds.LEASES, U, {}, namespace="kube-node-lease", name="n1"), "", id="own-lease"),
        pytest.param(
            _ask(kinds.LEASES, U, {}, namespace="kube-node-lease", name="n2"),
            "can only access node lease with the same name as the requesting node",
            id="another-nodes-lease",
        ),
        pytest.param(
            _ask(kinds.LEASES, U, {}, name="n1"),
            'can only access leases in the "kube-node-lease" system namespace',
            id="lease-elsewhere",
        ),
        pytest.param(
            _ask(kinds.CSI_NODES, C, _node("n2")),
            "can only access CSINode with the same name as the requesting node",
            id="another-nodes-csi-node",
        ),
        pytest.param(_ask(kinds.RESOURCE_SLICES, C, _node("gpu", nodeName="n1")), "", id="own-slice"),
        pytest.param(
            _ask(kinds.RESOURCE_SLICES, C, _node("gpu", allNodes=True)),
            "can only create ResourceSlice with the same NodeName as the requesting node",
            id="a-slice-of-all-nodes",
        ),
        pytest.param(
            _ask(kinds.RESOURCE_SLICES, D, old=_node("gpu", nodeName="n2"), name="gpu"),
            "can only delete ResourceSlice with the same NodeName as the requesting node",
            id="delete-another-nodes-slice",
        ),
        pytest.param(_ask(kinds.CONFIG_MAPS, C, {}), "", id="what-rbac-is-for"),
    ],
)
async def test_what_a_kubelet_may_write(attributes: Attributes, why: str) -> None:
    if not why:
        await NodeRestriction().mutate(attributes, Nothing())
        return
    with pytest.raises(errors.Forbidden) as caught:
        await NodeRestriction().mutate(attributes, Nothing())
    assert caught.value.message.partition(" is forbidden: ")[2] == why


class OnePod(NoObjects):
    """A Reader that finds the pod `p` on n1 with its account."""

    def __init__(self, pod: Json) -> None:
        self._uids = {kinds.NODES: "3", kinds.SERVICE_ACCOUNTS: "2"}
        self._pod = pod

    async def get(self, kind: Kind, namespace: str, name: str) -> Json | None:
        return self._pod if kind == kinds.PODS else {"metadata": {"name": name, "uid": self._uids[kind]}}


REQUEST = {
    "nodeName": "n1",
    "nodeUID": "3",
    "podName": "p",
    "podUID": "1",
    "serviceAccountName": "web",
    "serviceAccountUID": "2",
}


@pytest.mark.parametrize(
    ("changes", "pod", "why"),
    [
        pytest.param({}, {}, "", id="its-pod"),
        pytest.param({"nodeName": "n2"}, {}, "which is not the requesting node", id="for-another-node"),
        pytest.param({}, {"nodeName": "n2"}, "that is not running on node", id="pod-of-another-node"),
        pytest.param({"podUID": "9"}, {}, "that is not there as named", id="another-pod-of-that-name"),
        pytest.param({"serviceAccountName": "admin"}, {}, "whose serviceAccount is not that", id="another-account"),
        pytest.param({"serviceAccountUID": "9"}, {}, "whose serviceAccount is not that", id="another-accounts-uid"),
        pytest.param({"nodeUID": "9"}, {}, "whose node is not that", id="another-nodes-uid"),
    ],
)
async def test_for_whom_a_kubelet_may_ask_for_certificates(changes: Json, pod: Json, why: str) -> None:
    asked = {"metadata": {"name": "r"}, "spec": {**REQUEST, **changes}}
    there = _pod(metadata={"uid": "1"}, serviceAccountName="web")
    there["spec"] |= pod
    check = NodeRestriction().mutate(_ask(kinds.POD_CERTIFICATE_REQUESTS, C, asked), OnePod(there))
    if not why:
        await check
        return
    with pytest.raises(errors.Forbidden, match=why):
        await check


@pytest.mark.parametrize(
    ("user", "node"),
    [(KUBELET, "n1"), (User("system:node:n1"), ""), (User("system:kube-scheduler", groups=("system:nodes",)), "")],
)
def test_a_kubelet_is_known_by_name_and_group(user: User, node: str) -> None:
    assert node_of(user) == node


async def test_others_are_not_restricted() -> None:
    attributes = _ask(kinds.NODES, C, _node("n2"))
    attributes.user = User("admin")
    await NodeRestriction().mutate(attributes, Nothing())
