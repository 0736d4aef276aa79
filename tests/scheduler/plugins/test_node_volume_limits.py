"""NodeVolumeLimits: how many volumes of a driver a node may have."""

from typing import Any

import pytest

from machinery.api import kinds
from machinery.api.codec import Json
from scheduler.framework import Action, ClusterEvent, CycleState, Resource
from scheduler.plugins.node_volume_limits import NodeVolumeLimits
from tests.scheduler.objects import cache_of, node
from tests.scheduler.volume_objects import Setup, claim, storage_class, using, volume

DRIVER = "disks.example.com"


def csi_node(name: str, count: int | None, driver: str = DRIVER) -> Json:
    """What a node's driver says."""
    allocatable = {} if count is None else {"allocatable": {"count": count}}
    return {"metadata": {"name": name}, "spec": {"drivers": [{"name": driver, "nodeID": name, **allocatable}]}}


def csi(name: str, driver: str = DRIVER) -> Json:
    """A volume of a driver's."""
    return volume(name, csi={"driver": driver, "volumeHandle": f"handle-{name}"})


def attachment(name: str, where: str, of: str) -> Json:
    """A volume that is attached, whoever uses it."""
    spec = {"attacher": DRIVER, "nodeName": where, "source": {"persistentVolumeName": of}}
    return {"metadata": {"name": name}, "spec": spec}


def _setup(*there: Any, limits: tuple[Json, ...] = (csi_node("n1", 2),), attached: tuple[Json, ...] = ()) -> Setup:
    cache = cache_of(node("n1"), node("n2"))
    for one in there:
        cache.nodes.add_pod(one, "n1")
    names = [f"v{number}" for number in range(4)]
    objects = {
        kinds.PERSISTENT_VOLUMES: [
            *(csi(name) for name in names),
            csi("foreign", "other.example.com"),
            volume("local"),
        ],
        kinds.PERSISTENT_VOLUME_CLAIMS: [
            *(claim(name, volume_name=name) for name in [*names, "foreign", "local"]),
            claim("new", storage_class="made"),
            claim("lost", volume_name="gone"),
        ],
        kinds.STORAGE_CLASSES: [storage_class("made", DRIVER)],
        kinds.CSI_NODES: list(limits),
        kinds.VOLUME_ATTACHMENTS: list(attached),
    }
    return Setup(NodeVolumeLimits, cache.nodes, objects)


BOTH, OTHER = {"n1", "n2"}, {"n2"}


@pytest.mark.parametrize(
    ("there", "mine", "fits"),
    [
        pytest.param([], ["v0", "v1"], BOTH, id="as-many-as-it-may"),
        pytest.param([], ["v0", "v1", "v2"], OTHER, id="more-than-it-may"),
        pytest.param([["v0"]], ["v1"], BOTH, id="one-more"),
        pytest.param([["v0", "v1"]], ["v2"], OTHER, id="it-is-full"),
        pytest.param([["v0", "v1"]], ["v1"], BOTH, id="one-that-is-there"),
        pytest.param([["v0"], ["v0"]], ["v1"], BOTH, id="two-pods-of-one-volume-count-once"),
        pytest.param([["v0", "v1"]], ["local"], BOTH, id="not-of-a-driver"),
        pytest.param([["v0", "v1"]], ["foreign"], BOTH, id="of-another-driver"),
        pytest.param([["v0", "v1"]], ["new"], OTHER, id="one-that-is-still-to-be-made"),
        pytest.param([["new", "v0"]], ["v1"], OTHER, id="one-that-is-being-made"),
        pytest.param([["lost", "v0"]], ["v1"], BOTH, id="one-whose-volume-is-gone"),
    ],
)
def test_a_node_takes_no_more_than_it_may(there: list[list[str]], mine: list[str], fits: set[str]) -> None:
    setup = _setup(*(using(f"o{number}", *claims) for number, claims in enumerate(there)))
    assert setup.fits(using("p", *mine)) == fits


def test_attached_volumes_count_although_no_pod_has_them_and_only_once() -> None:
    attached = (attachment("a", "n1", "v0"), attachment("b", "n1", "v1"))
    assert _setup(attached=attached).fits(using("p", "v2")) == OTHER
    assert _setup(attached=attached).fits(using("p", "v0")) == BOTH
    assert _setup(using("o", "v0", "v1"), limits=(csi_node("n1", 3),), attached=attached).fits(using("p", "v2")) == BOTH


@pytest.mark.parametrize(
    "limits", [pytest.param((), id="no-csi-node"), pytest.param((csi_node("n1", None),), id="no-limit")]
)
def test_without_a_limit_there_is_none(limits: tuple[Json, ...]) -> None:
    assert _setup(using("o", "v0", "v1", "v2"), limits=limits).fits(using("p", "v3")) == BOTH


def test_the_reason_is_upstreams_and_preemption_may_help() -> None:
    setup = _setup(using("o", "v0", "v1"))
    assert setup.why(using("p", "v2")) == {"node(s) exceed max volume count": 1}
    diagnosis = setup.diagnosis()
    setup.runtime.find_fits(CycleState(), using("p", "v2"), setup.nodes, diagnosis)
    assert diagnosis.unresolvable is not None
    assert not diagnosis.unresolvable.any()


@pytest.mark.parametrize(
    ("event", "helps"),
    [
        pytest.param(ClusterEvent(Resource.ASSIGNED_POD, Action.DELETE, using("o", "x").obj), True, id="who-mounts"),
        pytest.param(ClusterEvent(Resource.ASSIGNED_POD, Action.DELETE, using("o").obj), False, id="another-pod"),
        pytest.param(ClusterEvent(Resource.CSI_NODE, Action.UPDATE, None, csi_node("n1", 9)), True, id="a-limit"),
        pytest.param(
            ClusterEvent(Resource.VOLUME_ATTACHMENT, Action.DELETE, attachment("a", "n1", "v0")), True, id="detached"
        ),
        pytest.param(
            ClusterEvent(Resource.PERSISTENT_VOLUME_CLAIM, Action.ADD, None, claim("v2")), True, id="own-claim"
        ),
        pytest.param(
            ClusterEvent(Resource.PERSISTENT_VOLUME_CLAIM, Action.ADD, None, claim("v3")), False, id="foreign-claim"
        ),
    ],
)
def test_what_can_help(event: ClusterEvent, helps: bool) -> None:
    assert _setup().plugin.helps(using("p", "v2"), event) is helps
