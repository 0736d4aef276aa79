"""DynamicResources: which nodes have devices for a pod's claims, and what becomes of the claims."""

from typing import Any

import pytest

from machinery.api import errors, kinds, meta
from machinery.api.codec import Json, copy_of
from machinery.api.kinds import Kind
from machinery.api.names import ObjectKey
from scheduler.cache import NodeTable
from scheduler.framework import Action, ClusterEvent, Code, CycleState, Diagnosis, Handle, Resource
from scheduler.plugins.dynamic_resources import FINALIZER, DynamicResources
from scheduler.pods import Pod
from scheduler.runtime import Enabled, NoFit, Runtime
from scheduler.simulated_cluster import SimulatedCluster
from tests.scheduler.device_objects import DRIVER, claim, device, device_class, exactly, slice_of
from tests.scheduler.objects import named, node, pod, table


class Server(SimulatedCluster):
    """Takes patches of claims as the API server does: refused where the claim is another one by now."""

    async def get(self, kind: Kind, name: str, namespace: str = "", **_: Any) -> Json:
        """One object."""
        found = self._store(kind).get(ObjectKey(namespace, name))
        if found is None:
            raise errors.not_found(kind, name)
        return found

    async def patch(self, kind: Kind, name: str, namespace: str, patch: Json, **_: Any) -> Json:
        """Claims only."""
        obj = copy_of(await self.get(kind, name, namespace))
        changes = copy_of(patch)
        guard = changes.pop("metadata", {})
        if guard.get("resourceVersion") != meta.resource_version_of(obj):
            raise errors.Conflict("the object has been modified")
        obj["metadata"]["finalizers"] = [*(obj["metadata"].get("finalizers") or ()), *guard.get("finalizers", ())]
        obj["metadata"]["resourceVersion"] = str(int(meta.resource_version_of(obj)) + 1)
        status = changes.get("status") or {}
        users = [*((obj.get("status") or {}).get("reservedFor") or ()), *(status.pop("reservedFor", None) or ())]
        obj["status"] = {**(obj.get("status") or {}), **status, "reservedFor": users}
        self.put(kind, obj)
        return obj


class Setup:
    """A plugin, and what it knows."""

    def __init__(self, *slices: Json, nodes: NodeTable | None = None) -> None:
        self.server = Server()
        everybody: Any = self.server
        self.plugin = DynamicResources(Handle(everybody, everybody))
        self.nodes = nodes if nodes is not None else table(node("n1"), node("n2"), node("n3", labels={"zone": "a"}))
        one = [Enabled(self.plugin)]
        points = ("preEnqueue", "preFilter", "filter", "postFilter", "reserve", "preBind")
        self.runtime = Runtime("test", dict.fromkeys(points, one))
        self.server.put(kinds.DEVICE_CLASSES, device_class())
        for obj in slices:
            self.server.put(kinds.RESOURCE_SLICES, obj)

    def fits(self, candidate: Pod) -> set[str]:
        """The nodes."""
        return named(self.nodes, self.runtime.find_fits(CycleState(), candidate, self.nodes, Diagnosis(3)))

    def why(self, candidate: Pod) -> str:
        """The message of a pod that fits nowhere."""
        with pytest.raises(NoFit) as problem:
            self.runtime.choose(CycleState(), candidate, self.nodes)
        return str(problem.value)

    def place(self, candidate: Pod) -> tuple[CycleState, str]:
        """The attempt, up to where others may be tried."""
        state = CycleState()
        where = self.runtime.choose(state, candidate, self.nodes)
        assert self.runtime.reserve(state, candidate, where).code is Code.SUCCESS
        return state, where

    def claim(self, name: str) -> Json:
        """As it is now."""
        found = self.server.watch(kinds.RESOURCE_CLAIMS).get(ObjectKey("default", name))
        assert found is not None
        return found


def using(name: str, *claims: str) -> Pod:
    """A pod with claims."""
    return pod(name, resourceClaims=[{"name": one, "resourceClaimName": one} for one in claims])


def of_template(name: str, *made: Json) -> Pod:
    """A pod whose claim is made from a template, with what its status says of it."""
    found = pod(name, resourceClaims=[{"name": "gpu", "resourceClaimTemplateName": "t"}])
    found.obj["status"] = {"resourceClaimStatuses": list(made)}
    return found


def owned(name: str, owner: str) -> Json:
    """A claim made for a pod."""
    found = claim(name, exactly())
    found["metadata"]["ownerReferences"] = [{"uid": owner, "controller": True}]
    return found


def deleted(made: Json) -> Json:
    """The same, on its way out."""
    return {**made, "metadata": {**made["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}


def claim_event(action: Action, old: Json | None, new: Json | None) -> ClusterEvent:
    """Something happened to a claim."""
    return ClusterEvent(Resource.RESOURCE_CLAIM, action, old, new)


def allocated(name: str, where: str = "n1", users: tuple[str, ...] = ()) -> Json:
    """A claim that has device a of a node's."""
    found = claim(name, exactly())
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [where]}]}
    results = [{"request": "r", "driver": DRIVER, "pool": where, "device": "a"}]
    found["status"] = {
        "allocation": {"devices": {"results": results}, "nodeSelector": {"nodeSelectorTerms": [term]}},
        "reservedFor": [{"resource": "pods", "name": user, "uid": f"uid-{user}"} for user in users],
    }
    return found


def test_nodes_with_free_devices_fit() -> None:
    setup = Setup(slice_of("n1", device("a")), slice_of("n2", device("a")))
    setup.server.put(kinds.RESOURCE_CLAIMS, claim("c", exactly()))
    assert setup.fits(using("p", "c")) == {"n1", "n2"}
    setup.server.put(kinds.RESOURCE_CLAIMS, allocated("other"))
    assert setup.fits(using("p", "c")) == {"n2"}
    setup.server.put(kinds.RESOURCE_CLAIMS, claim("two", exactly("r", count=2)))
    assert setup.why(using("p", "two")) == (
        "0/3 nodes are available: 3 cannot allocate all claims. still not schedulable"
    )
    setup.server.remove(kinds.RESOURCE_CLAIMS, ObjectKey("default", "other"))
    assert setup.fits(using("p", "c")) == {"n1", "n2"}


@pytest.mark.parametrize(
    ("selector", "fits"),
    [
        pytest.param({"driver": DRIVER, "pool": "n1", "device": "a"}, {"n2"}, id="one-device"),
        pytest.param({"pool": "n1"}, {"n2"}, id="a-pool"),
        pytest.param({}, set(), id="all-devices"),
        pytest.param({"device": "b"}, {"n1", "n2"}, id="another-device"),
        pytest.param(None, {"n1", "n2"}, id="no-selector"),
    ],
)
def test_devices_that_a_rule_taints(selector: Json | None, fits: set[str]) -> None:
    setup = Setup(slice_of("n1", device("a")), slice_of("n2", device("a")))
    setup.server.put(kinds.RESOURCE_CLAIMS, claim("c", exactly()))
    rule: Json = {"metadata": {"name": "r"}, "spec": {"taint": {"key": "broken", "effect": "NoSchedule"}}}
    if selector is not None:
        rule["spec"]["deviceSelector"] = selector
    setup.server.put(kinds.DEVICE_TAINT_RULES, rule)
    if fits:
        assert setup.fits(using("p", "c")) == fits
    else:
        assert "cannot allocate all claims" in setup.why(using("p", "c"))
    tolerant = exactly(tolerations=[{"operator": "Exists"}])
    setup.server.put(kinds.RESOURCE_CLAIMS, claim("t", tolerant))
    assert setup.fits(using("q", "t")) == {"n1", "n2"}
    setup.server.remove(kinds.DEVICE_TAINT_RULES, ObjectKey("", "r"))
    assert setup.fits(using("p", "c")) == {"n1", "n2"}


def test_devices_that_several_nodes_reach() -> None:
    in_zone = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}
    setup = Setup(slice_of("net", device("a"), nodeSelector=in_zone))
    setup.server.put(kinds.RESOURCE_CLAIMS, claim("c", exactly()))
    assert setup.fits(using("p", "c")) == {"n3"}
    setup.server.put(kinds.RESOURCE_SLICES, slice_of("everywhere", device("a"), allNodes=True))
    assert setup.fits(using("p", "c")) == {"n1", "n2", "n3"}
    each = [{**device("x"), "nodeName": "n2"}, {**device("y"), "nodeSelector": in_zone}]
    mixed = Setup(slice_of("mixed", *each, perDeviceNodeSelection=True))
    mixed.server.put(kinds.RESOURCE_CLAIMS, claim("c", exactly()))
    assert mixed.fits(using("p", "c")) == {"n2", "n3"}


def test_a_claim_with_devices_binds_its_pods_to_where_they_are() -> None:
    setup = Setup(slice_of("n1", device("a")), slice_of("n2", device("a")))
    setup.server.put(kinds.RESOURCE_CLAIMS, allocated("c", "n2", users=("other",)))
    assert setup.fits(using("p", "c")) == {"n2"}
    setup.server.put(kinds.RESOURCE_CLAIMS, claim("d", exactly()))
    assert setup.why(using("p", "c", "d")) == (
        "0/3 nodes are available: 1 cannot allocate all claims, 2 resourceclaim not available on the node. "
        "still not schedulable"
    )


@pytest.mark.parametrize(
    ("claims", "candidate", "message"),
    [
        pytest.param([], using("p", "c"), 'could not find ResourceClaim "default/c"', id="no-claim"),
        pytest.param([], of_template("p"), 'pod "default/p": ResourceClaim not created yet', id="not-made-yet"),
        pytest.param(
            [owned("x", "uid-q")],
            of_template("p", {"name": "gpu", "resourceClaimName": "x"}),
            "ResourceClaim default/x was not created for pod default/p (pod is not owner)",
            id="made-for-somebody-else",
        ),
        pytest.param(
            [deleted(claim("c", exactly()))],
            using("p", "c"),
            'resourceclaim "c" is being deleted',
            id="deleted",
        ),
    ],
)
def test_a_pod_is_not_queued_before_its_claims_are_there(claims: list[Json], candidate: Pod, message: str) -> None:
    setup = Setup()
    for one in claims:
        setup.server.put(kinds.RESOURCE_CLAIMS, one)
    status = setup.runtime.pre_enqueue(candidate)
    assert status is not None
    assert (status.code, status.message) == (Code.UNRESOLVABLE, message)


def test_a_pod_whose_claim_was_made_or_need_not_be_is_queued() -> None:
    setup = Setup(slice_of("n1", device("a")))
    setup.server.put(kinds.RESOURCE_CLAIMS, owned("x", "uid-p"))
    assert setup.runtime.pre_enqueue(of_template("p", {"name": "gpu", "resourceClaimName": "x"})) is None
    assert setup.runtime.pre_enqueue(of_template("p", {"name": "gpu"})) is None
    assert setup.fits(of_template("p", {"name": "gpu"})) == {"n1", "n2", "n3"}


def test_a_class_that_is_not_there() -> None:
    setup = Setup(slice_of("n1", device("a")))
    setup.server.put(kinds.RESOURCE_CLAIMS, claim("c", exactly("r", deviceClassName="tpu")))
    assert "request r: device class tpu does not exist." in setup.why(using("p", "c"))


async def test_two_pods_never_get_the_same_device_and_the_claims_say_who_has_what() -> None:
    setup = Setup(slice_of("n1", device("a")), slice_of("n2", device("a")))
    for name in ("c", "d", "e"):
        setup.server.put(kinds.RESOURCE_CLAIMS, claim(name, exactly()))
    first, one = setup.place(using("p", "c"))
    second, other = setup.place(using("q", "d"))
    assert {one, other} == {"n1", "n2"}
    assert "3 cannot allocate all claims" in setup.why(using("r", "e"))
    assert "resource claim default/c is in the process of being allocated" in setup.why(using("r", "c"))
    assert (await setup.plugin.pre_bind(first, using("p", "c"), one)).code is Code.SUCCESS
    written = setup.claim("c")
    assert written["metadata"]["finalizers"] == [FINALIZER]
    assert written["status"]["reservedFor"] == [{"resource": "pods", "name": "p", "uid": "uid-p"}]
    assert written["status"]["allocation"]["devices"]["results"][0]["pool"] == one
    setup.runtime.unreserve(second, using("q", "d"), other)
    assert setup.fits(using("r", "e")) == {other}


async def test_binding_that_fails_after_the_claim_was_written_gives_nothing_away() -> None:
    setup = Setup(slice_of("n1", device("a")))
    for name in ("c", "d"):
        setup.server.put(kinds.RESOURCE_CLAIMS, claim(name, exactly()))
    state, where = setup.place(using("p", "c"))
    await setup.plugin.pre_bind(state, using("p", "c"), where)
    setup.runtime.unreserve(state, using("p", "c"), where)
    assert "3 cannot allocate all claims" in setup.why(using("q", "d"))
    again, there = setup.place(using("p", "c"))
    assert there == "n1"
    assert (await setup.plugin.pre_bind(again, using("p", "c"), there)).code is Code.SUCCESS


async def test_a_claim_that_somebody_changed_is_read_again_and_one_that_was_allocated_is_left() -> None:
    setup = Setup(slice_of("n1", device("a"), device("b")))
    setup.server.put(kinds.RESOURCE_CLAIMS, claim("c", exactly()))
    state, where = setup.place(using("p", "c"))
    labelled = copy_of(setup.claim("c"))
    labelled["metadata"] |= {"labels": {"x": "y"}, "resourceVersion": "7"}
    setup.server.put(kinds.RESOURCE_CLAIMS, labelled)
    assert (await setup.plugin.pre_bind(state, using("p", "c"), where)).code is Code.SUCCESS
    setup.server.put(kinds.RESOURCE_CLAIMS, claim("d", exactly()))
    state, where = setup.place(using("q", "d"))
    taken = allocated("d")
    taken["metadata"]["resourceVersion"] = "9"
    setup.server.put(kinds.RESOURCE_CLAIMS, taken)
    status = await setup.plugin.pre_bind(state, using("q", "d"), where)
    assert (status.code, status.message) == (Code.ERROR, "claim default/d got allocated elsewhere in the meantime")


async def test_an_idle_claim_gives_its_devices_back_where_they_are_in_the_way() -> None:
    setup = Setup(slice_of("n1", device("a")), slice_of("n2", device("a"), device("b")))
    setup.server.put(kinds.RESOURCE_CLAIMS, allocated("c", "n1"))
    setup.server.put(kinds.RESOURCE_CLAIMS, claim("d", exactly("r", count=2)))
    with pytest.raises(NoFit) as problem:
        setup.runtime.choose(CycleState(), using("p", "c", "d"), setup.nodes)
    assert "deallocation of ResourceClaim completed" in str(problem.value)
    [work] = problem.value.diagnosis.work
    await work()
    assert setup.claim("c")["status"]["allocation"] is None
    setup.server.put(kinds.RESOURCE_CLAIMS, allocated("c", "n1", users=("somebody",)))
    assert "still not schedulable" in setup.why(using("p", "c", "d"))


@pytest.mark.parametrize(
    ("event", "helps"),
    [
        pytest.param(claim_event(Action.ADD, None, claim("c", exactly())), True, id="own-claim"),
        pytest.param(claim_event(Action.ADD, None, claim("x")), False, id="foreign-claim"),
        pytest.param(claim_event(Action.UPDATE, allocated("x"), claim("x")), True, id="devices-given-back"),
        pytest.param(claim_event(Action.UPDATE, claim("c"), claim("c")), False, id="nothing-new"),
        pytest.param(claim_event(Action.UPDATE, claim("c"), allocated("c")), True, id="own-got-devices"),
        pytest.param(claim_event(Action.DELETE, allocated("x"), None), False, id="claim-gone"),
        pytest.param(ClusterEvent(Resource.RESOURCE_SLICE, Action.ADD, None, slice_of("n1")), True, id="devices"),
        pytest.param(
            ClusterEvent(Resource.RESOURCE_SLICE, Action.DELETE, slice_of("n1"), None), False, id="devices-gone"
        ),
        pytest.param(ClusterEvent(Resource.DEVICE_TAINT_RULE, Action.DELETE, {}, None), True, id="a-rule-went"),
        pytest.param(ClusterEvent(Resource.DEVICE_CLASS, Action.ADD, None, device_class()), True, id="class"),
        pytest.param(ClusterEvent(Resource.NODE, Action.ADD, None, node("n9")), True, id="node"),
        pytest.param(ClusterEvent(Resource.ASSIGNED_POD, Action.DELETE, {}, None), False, id="a-pod-went"),
    ],
)
def test_what_can_help_a_pod(event: ClusterEvent, helps: bool) -> None:
    setup = Setup()
    setup.server.put(kinds.RESOURCE_CLAIMS, claim("c", exactly()))
    assert setup.plugin.helps(using("p", "c"), event) is helps


def test_nodes_alike_are_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [node(f"n{number}") for number in range(50)]
    setup = Setup(*(slice_of(f"n{number}", device("a"), device("b")) for number in range(50)), nodes=table(*many))
    setup.server.put(kinds.RESOURCE_CLAIMS, allocated("other", "n7"))
    setup.server.put(kinds.RESOURCE_CLAIMS, claim("c", exactly("r", count=2)))
    asked: list[int] = []
    search = setup.plugin._search

    def counted(mine: Any, row: int) -> Any:
        asked.append(row)
        return search(mine, row)

    monkeypatch.setattr(setup.plugin, "_search", counted)
    assert len(setup.fits(using("p", "c"))) == 49
    assert len(asked) == 2
