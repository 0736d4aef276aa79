"""VolumeBinding: nodes for volumes, volumes for claims that wait, and what is written until they are bound."""

import asyncio
import random
from typing import Any

import pytest

from machinery.api import kinds, meta, quantity
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.api.names import ObjectKey
from scheduler.framework import Action, ClusterEvent, Code, CycleState, Resource, Status
from scheduler.plugins.volume_binding import VolumeBinding
from scheduler.pods import Pod
from tests.scheduler.objects import node, table
from tests.scheduler.volume_objects import Setup, claim, ephemeral, on_node, storage_class, using, volume

LOCAL, MADE, ZONAL, COUNTED = "local", "made", "zonal", "counted"
DRIVER = "disks.example.com"
NODES = (node("n1", labels={"zone": "a"}), node("n2", labels={"zone": "b"}), node("n3"))
EVERYWHERE = {"n1", "n2", "n3"}
NO_VOLUME = "node(s) didn't find available persistent volumes to bind"
CONFLICT = "node(s) didn't match PersistentVolume's node affinity"
CLASSES = [
    storage_class(LOCAL),
    storage_class(MADE, "maker.example.com"),
    storage_class(
        ZONAL,
        "maker.example.com",
        allowedTopologies=[{"matchLabelExpressions": [{"key": "zone", "values": ["a", "c"]}]}],
    ),
    storage_class(COUNTED, DRIVER),
    storage_class("at-once", "maker.example.com", "Immediate"),
]


def local(name: str, where: str, size: str = "1Gi", **facts: Any) -> Json:
    """A volume of the class of local ones."""
    return volume(name, size, where=on_node(where), storage_class=LOCAL, **facts)


def setup_of(volumes: list[Json], claims: list[Json], **more: list[Json]) -> Setup:
    """Three nodes."""
    objects: dict[Kind, list[Json]] = {
        kinds.PERSISTENT_VOLUMES: volumes,
        kinds.PERSISTENT_VOLUME_CLAIMS: claims,
        kinds.STORAGE_CLASSES: CLASSES,
        kinds.NODES: list(NODES),
        kinds.CSI_DRIVERS: more.get("drivers", []),
        kinds.CSI_STORAGE_CAPACITIES: more.get("capacities", []),
    }
    return Setup(VolumeBinding, table(*NODES), objects)


BOUND = claim("c", volume_name="v")


@pytest.mark.parametrize(
    ("volumes", "claims", "fits"),
    [
        pytest.param([volume("v")], [BOUND], EVERYWHERE, id="bound-to-a-volume-for-everywhere"),
        pytest.param([volume("v", where=on_node("n1", "n2"))], [BOUND], {"n1", "n2"}, id="bound-to-two-nodes"),
        pytest.param(
            [volume("v", where=on_node("n1")), volume("w", where=on_node("n2"))],
            [BOUND, claim("d", volume_name="w")],
            set(),
            id="bound-to-different-nodes",
        ),
        pytest.param([local("v", "n2")], [claim("c", storage_class=LOCAL)], {"n2"}, id="one-that-can-be-had"),
        pytest.param([local("v", "n2", "2Gi")], [claim("c", storage_class=LOCAL)], {"n2"}, id="a-larger-one"),
        pytest.param([local("v", "n2")], [claim("c", "2Gi", storage_class=LOCAL)], set(), id="too-small"),
        pytest.param(
            [local("v", "n1"), local("w", "n2"), local("x", "n2")],
            [claim("c", storage_class=LOCAL), claim("d", storage_class=LOCAL)],
            {"n2"},
            id="two-claims-need-two",
        ),
        pytest.param(
            [local("v", "n1", accessModes=["ReadOnlyMany"])], [claim("c", storage_class=LOCAL)], set(), id="access-mode"
        ),
        pytest.param(
            [local("v", "n1", volumeMode="Block")], [claim("c", storage_class=LOCAL)], set(), id="volume-mode"
        ),
        pytest.param(
            [local("v", "n1", labels={"disk": "ssd"}), local("w", "n2")],
            [claim("c", storage_class=LOCAL, selector={"matchLabels": {"disk": "ssd"}})],
            {"n1"},
            id="selector",
        ),
        pytest.param(
            [local("v", "n1", claimRef={"name": "other", "namespace": "default"}), local("w", "n2")],
            [claim("c", storage_class=LOCAL)],
            {"n2"},
            id="meant-for-another-claim",
        ),
        pytest.param(
            [local("v", "n1", claimRef={"name": "c", "namespace": "default"}), local("w", "n2")],
            [claim("c", storage_class=LOCAL)],
            {"n1"},
            id="meant-for-this-claim",
        ),
        pytest.param(
            [local("v", "n1", claimRef={"name": "c", "namespace": "default", "uid": "an-older-one"})],
            [claim("c", storage_class=LOCAL)],
            set(),
            id="meant-for-a-claim-of-this-name-that-is-gone",
        ),
        pytest.param(
            [{**local("v", "n1"), "status": {"phase": "Released"}}],
            [claim("c", storage_class=LOCAL)],
            set(),
            id="released",
        ),
        pytest.param([], [claim("c", storage_class=MADE)], EVERYWHERE, id="can-be-made-anywhere"),
        pytest.param([], [claim("c", storage_class=ZONAL)], {"n1"}, id="can-be-made-in-some-zones"),
        pytest.param(
            [volume("v", where=on_node("n3"), storage_class=ZONAL)],
            [claim("c", storage_class=ZONAL)],
            {"n1", "n3"},
            id="is-there-or-can-be-made",
        ),
    ],
)
def test_nodes_that_the_volumes_can_be_used_on(volumes: list[Json], claims: list[Json], fits: set[str]) -> None:
    setup = setup_of(volumes, claims)
    assert setup.fits(using("p", *(meta.name_of(one) for one in claims))) == fits


@pytest.mark.parametrize(
    ("volumes", "claims", "candidate", "reasons"),
    [
        pytest.param([volume("v", where=on_node("n1"))], [BOUND], using("p", "c"), {CONFLICT: 2}, id="conflict"),
        pytest.param([], [claim("c", storage_class=LOCAL)], using("p", "c"), {NO_VOLUME: 3}, id="no-volume"),
        pytest.param(
            [],
            [BOUND],
            using("p", "c"),
            {"node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)": 3},
            id="lost-volume",
        ),
        pytest.param([], [], using("p", "c"), {'persistentvolumeclaim "c" not found': 0}, id="no-claim"),
        pytest.param(
            [],
            [],
            using("p", volumes=(ephemeral("e"),)),
            {'waiting for ephemeral volume controller to create the persistentvolumeclaim "p-e"': 0},
            id="no-ephemeral-claim-yet",
        ),
        pytest.param(
            [],
            [claim("p-e", storage_class=MADE)],
            using("p", volumes=(ephemeral("e"),)),
            {"PVC default/p-e was not created for pod default/p (pod is not owner)": 0},
            id="an-ephemeral-claim-of-somebody-else",
        ),
        pytest.param(
            [],
            [{**BOUND, "status": {"phase": "Lost"}}],
            using("p", "c"),
            {'persistentvolumeclaim "c" bound to non-existent persistentvolume "v"': 0},
            id="lost",
        ),
        pytest.param(
            [],
            [{**BOUND, "metadata": {**BOUND["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}],
            using("p", "c"),
            {'persistentvolumeclaim "c" is being deleted': 0},
            id="deleted",
        ),
        pytest.param(
            [],
            [claim("c", storage_class="at-once")],
            using("p", "c"),
            {"pod has unbound immediate PersistentVolumeClaims": 0},
            id="not-bound-at-once",
        ),
        pytest.param(
            [], [claim("c")], using("p", "c"), {"pod has unbound immediate PersistentVolumeClaims": 0}, id="no-class"
        ),
    ],
)
def test_the_reasons_are_upstreams(
    volumes: list[Json], claims: list[Json], candidate: Pod, reasons: dict[str, int]
) -> None:
    assert setup_of(volumes, claims).why(candidate) == reasons


def _capacity(name: str, limit: str, zone: str | None, **facts: Any) -> Json:
    topology = {} if zone is None else {"nodeTopology": {"matchLabels": {"zone": zone}}}
    return {
        "metadata": {"name": name, "namespace": "x"},
        "storageClassName": COUNTED,
        "capacity": limit,
        **topology,
        **facts,
    }


@pytest.mark.parametrize(
    ("tracks", "capacities", "fits"),
    [
        pytest.param(False, [], EVERYWHERE, id="a-driver-that-does-not-say"),
        pytest.param(True, [], set(), id="no-capacity"),
        pytest.param(True, [_capacity("a", "1Gi", "a")], {"n1"}, id="enough-in-one-zone"),
        pytest.param(True, [_capacity("a", "1Mi", "a"), _capacity("b", "5Gi", "b")], {"n2"}, id="enough-in-the-other"),
        pytest.param(True, [_capacity("a", "9Gi", "a", maximumVolumeSize="1Mi")], set(), id="none-so-large"),
        pytest.param(True, [_capacity("a", "9Gi", None)], set(), id="reached-from-nowhere"),
        pytest.param(True, [_capacity("a", "9Gi", "a", storageClassName="other")], set(), id="of-another-class"),
    ],
)
def test_there_must_be_room_for_what_is_to_be_made(tracks: bool, capacities: list[Json], fits: set[str]) -> None:
    driver = {"metadata": {"name": DRIVER}, "spec": {"storageCapacity": tracks}}
    setup = setup_of([], [claim("c", storage_class=COUNTED)], drivers=[driver], capacities=capacities)
    assert setup.fits(using("p", "c")) == fits
    if not fits:
        assert setup.why(using("p", "c")) == {"node(s) did not have enough free storage": 3}


# what is chosen, and what is written


def _place(setup: Setup, candidate: Pod, where: str) -> CycleState:
    state = CycleState()
    setup.runtime.find_fits(state, candidate, setup.nodes, setup.diagnosis())
    assert setup.runtime.reserve(state, candidate, where).code is Code.SUCCESS
    return state


def test_the_smallest_volume_is_chosen_and_nobody_else_gets_it() -> None:
    setup = setup_of(
        [local("large", "n1", "9Gi"), local("small", "n1", "2Gi")],
        [claim(name, storage_class=LOCAL) for name in ("c", "d", "e")],
    )
    state = _place(setup, using("p", "c"), "n1")
    [(_, chosen)] = state.data["VolumeBinding"].bindings
    assert meta.name_of(chosen) == "small"
    other = _place(setup, using("q", "d"), "n1")
    [(_, chosen)] = other.data["VolumeBinding"].bindings
    assert meta.name_of(chosen) == "large"
    assert setup.fits(using("r", "e")) == set()
    setup.runtime.unreserve(state, using("p", "c"), "n1")
    assert setup.fits(using("r", "e")) == {"n1"}


def test_two_pods_of_one_waiting_claim_go_to_the_same_node() -> None:
    setup = setup_of([local("v", "n1"), local("w", "n2")], [claim("c", storage_class=LOCAL)])
    _place(setup, using("p", "c"), "n2")
    assert setup.fits(using("q", "c")) == {"n2"}
    made = setup_of([], [claim("c", storage_class=MADE)])
    _place(made, using("p", "c"), "n3")
    assert made.fits(using("q", "c")) == {"n3"}


async def _binding(setup: Setup, state: CycleState, candidate: Pod, where: str) -> "asyncio.Future[Status]":
    setup.server.put(kinds.PODS, candidate.obj)
    task: asyncio.Future[Status] = asyncio.ensure_future(setup.plugin.pre_bind(state, candidate, where))
    await setup.clock.advance(0)
    return task


def _bound_by_the_controller(setup: Setup, name: str, volume_name: str) -> None:
    bound = {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}
    patch = {"metadata": bound, "spec": {"volumeName": volume_name}, "status": {"phase": "Bound"}}
    setup.server.change(kinds.PERSISTENT_VOLUME_CLAIMS, setup.claim(name), patch)


async def test_a_chosen_volume_is_given_to_the_claim_and_waited_for() -> None:
    setup = setup_of([local("v", "n1")], [claim("c", storage_class=LOCAL)])
    state = _place(setup, using("p", "c"), "n1")
    task = await _binding(setup, state, using("p", "c"), "n1")
    reference = setup.volume("v")["spec"]["claimRef"]
    assert (reference["name"], reference["namespace"], reference["uid"]) == ("c", "default", "uid-c")
    assert meta.annotations_of(setup.volume("v")) == {"pv.kubernetes.io/bound-by-controller": "yes"}
    assert not task.done()
    _bound_by_the_controller(setup, "c", "v")
    await setup.clock.advance(0)
    assert task.result().code is Code.SUCCESS
    assert setup.fits(using("p", "c")) == {"n1"}


async def test_a_volume_is_had_made_for_the_node_and_waited_for() -> None:
    setup = setup_of([], [claim("c", storage_class=MADE)])
    state = _place(setup, using("p", "c"), "n2")
    task = await _binding(setup, state, using("p", "c"), "n2")
    assert meta.annotations_of(setup.claim("c"))["volume.kubernetes.io/selected-node"] == "n2"
    setup.server.put(kinds.PERSISTENT_VOLUMES, volume("made", where=on_node("n2"), storage_class=MADE))
    _bound_by_the_controller(setup, "c", "made")
    await setup.clock.advance(0)
    assert task.result().code is Code.SUCCESS


@pytest.mark.parametrize(
    ("what", "message"),
    [
        pytest.param(
            "claim", 'failed to check provisioning pvc: could not find claim "default/c"', id="the-claim-goes"
        ),
        pytest.param("pod", 'pod does not exist any more: pod "p" not found', id="the-pod-goes"),
        pytest.param("node", 'failed to get node "n2": node "n2" not found', id="the-node-goes"),
        pytest.param("annotation", 'provisioning failed for PVC "c"', id="the-maker-gives-up"),
        pytest.param(
            "elsewhere",
            'pv "made" node affinity doesn\'t match node "n2": no matching NodeSelectorTerms',
            id="it-is-made-elsewhere",
        ),
        pytest.param("nothing", "context deadline exceeded", id="nothing-happens"),
    ],
)
async def test_what_makes_binding_fail(what: str, message: str) -> None:
    setup = setup_of([], [claim("c", storage_class=MADE)])
    state = _place(setup, using("p", "c"), "n2")
    task = await _binding(setup, state, using("p", "c"), "n2")
    match what:
        case "claim":
            setup.server.remove(kinds.PERSISTENT_VOLUME_CLAIMS, ObjectKey("default", "c"))
        case "pod":
            setup.server.remove(kinds.PODS, ObjectKey("default", "p"))
        case "node":
            setup.server.remove(kinds.NODES, ObjectKey("", "n2"))
        case "annotation":
            gone = {"metadata": {"annotations": {"volume.kubernetes.io/selected-node": None}}}
            setup.server.change(kinds.PERSISTENT_VOLUME_CLAIMS, setup.claim("c"), gone)
        case "elsewhere":
            setup.server.put(kinds.PERSISTENT_VOLUMES, volume("made", where=on_node("n1"), storage_class=MADE))
            _bound_by_the_controller(setup, "c", "made")
    await setup.clock.advance(601 if what == "nothing" else 1)
    assert task.result() == Status(Code.ERROR, (f"binding volumes: {message}",))
    setup.runtime.unreserve(state, using("p", "c"), "n2")


async def test_a_volume_that_somebody_else_took_fails_the_binding() -> None:
    setup = setup_of([local("v", "n1")], [claim("c", storage_class=LOCAL)])
    state = _place(setup, using("p", "c"), "n1")
    theirs = {"spec": {"claimRef": {"name": "other", "namespace": "default", "uid": "uid-other"}}}
    setup.server.change(kinds.PERSISTENT_VOLUMES, setup.volume("v"), theirs)
    task = await _binding(setup, state, using("p", "c"), "n1")
    assert task.result().code is Code.ERROR
    assert setup.volume("v")["spec"]["claimRef"]["name"] == "other"


@pytest.mark.parametrize(
    ("event", "helps"),
    [
        pytest.param(ClusterEvent(Resource.PERSISTENT_VOLUME, Action.ADD, None, volume("v")), True, id="volume"),
        pytest.param(ClusterEvent(Resource.PERSISTENT_VOLUME_CLAIM, Action.UPDATE, BOUND, BOUND), True, id="own-claim"),
        pytest.param(
            ClusterEvent(Resource.PERSISTENT_VOLUME_CLAIM, Action.ADD, None, claim("x")), False, id="foreign-claim"
        ),
        pytest.param(
            ClusterEvent(Resource.STORAGE_CLASS, Action.UPDATE, CLASSES[0], CLASSES[0]), False, id="same-class"
        ),
        pytest.param(
            ClusterEvent(Resource.STORAGE_CLASS, Action.UPDATE, CLASSES[1], CLASSES[2]), True, id="other-topologies"
        ),
        pytest.param(
            ClusterEvent(
                Resource.CSI_STORAGE_CAPACITY, Action.UPDATE, _capacity("a", "1Gi", "a"), _capacity("a", "2Gi", "a")
            ),
            True,
            id="more-room",
        ),
        pytest.param(
            ClusterEvent(
                Resource.CSI_STORAGE_CAPACITY, Action.UPDATE, _capacity("a", "2Gi", "a"), _capacity("a", "1Gi", "a")
            ),
            False,
            id="less-room",
        ),
        pytest.param(ClusterEvent(Resource.ASSIGNED_POD, Action.DELETE, {}), False, id="a-pod-went"),
    ],
)
def test_what_can_help(event: ClusterEvent, helps: bool) -> None:
    assert setup_of([], []).plugin.helps(using("p", "c"), event) is helps


# all nodes at once, against each node by itself


def _naive(claims: list[Json], volumes: list[Json], name: str) -> list[str] | None:
    """The volumes that the claims get on one node, as upstream finds them, or None."""
    given: list[str] = []
    by_size = sorted(claims, key=lambda one: quantity.parse(one["spec"]["resources"]["requests"]["storage"]))
    for one in by_size:
        wanted = quantity.parse(one["spec"]["resources"]["requests"]["storage"])
        best = None
        for candidate in volumes:
            where = candidate["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"][0]["matchExpressions"][0][
                "values"
            ]
            size = quantity.parse(candidate["spec"]["capacity"]["storage"])
            if meta.name_of(candidate) in given or name not in where or size < wanted:
                continue
            if best is None or size < quantity.parse(best["spec"]["capacity"]["storage"]):
                best = candidate
        if best is None:
            return None
        given.append(meta.name_of(best))
    return given


@pytest.mark.parametrize("seed", range(60))
def test_all_nodes_at_once_are_each_node_by_itself(seed: int) -> None:
    chance = random.Random(seed)
    names = [meta.name_of(one) for one in NODES]
    volumes = [
        volume(
            f"v{number}",
            f"{chance.randrange(1, 6)}Gi",
            where=on_node(*chance.sample(names, chance.randrange(1, 3))),
            storage_class=LOCAL,
        )
        for number in range(chance.randrange(0, 9))
    ]
    claims = [
        claim(f"c{number}", f"{chance.randrange(1, 5)}Gi", storage_class=LOCAL)
        for number in range(chance.randrange(1, 4))
    ]
    setup = setup_of(volumes, claims)
    candidate = using("p", *(meta.name_of(one) for one in claims))
    expected = {name: found for name in names if (found := _naive(claims, volumes, name)) is not None}
    assert setup.fits(candidate) == set(expected)
    for name, found in expected.items():
        state = _place(setup, candidate, name)
        assert {meta.name_of(one) for _, one in state.data["VolumeBinding"].bindings} == set(found)
        setup.runtime.unreserve(state, candidate, name)
