"""VolumeZone: volumes with zone and region labels."""

import random

import pytest

from machinery.api import kinds, meta
from machinery.api.codec import Json
from scheduler.framework import Action, ClusterEvent, Resource
from scheduler.plugins.volume_zone import VolumeZone
from tests.scheduler.objects import node, table
from tests.scheduler.volume_objects import Setup, claim, storage_class, using, volume

ZONE, REGION = "topology.kubernetes.io/zone", "topology.kubernetes.io/region"
BETA = "failure-domain.beta.kubernetes.io/zone"
NODES = (
    node("a", labels={ZONE: "a", REGION: "r"}),
    node("b", labels={ZONE: "b", REGION: "r"}),
    node("old", labels={BETA: "a"}),
    node("nowhere"),
)


def _setup(labels: dict[str, str], *claims: Json) -> Setup:
    objects = {
        kinds.PERSISTENT_VOLUMES: [volume("v", labels=labels)],
        kinds.PERSISTENT_VOLUME_CLAIMS: [claim("c", volume_name="v"), *claims],
        kinds.STORAGE_CLASSES: [storage_class("waits"), storage_class("at-once", mode="Immediate")],
    }
    return Setup(VolumeZone, table(*NODES), objects)


@pytest.mark.parametrize(
    ("labels", "fits"),
    [
        pytest.param({}, {"a", "b", "old", "nowhere"}, id="no-label"),
        pytest.param({ZONE: "a"}, {"a", "nowhere"}, id="zone"),
        pytest.param({ZONE: "a__b"}, {"a", "b", "nowhere"}, id="several-zones"),
        pytest.param({ZONE: "c"}, {"nowhere"}, id="another-zone"),
        pytest.param({BETA: "a"}, {"a", "old", "nowhere"}, id="beta-label-means-either"),
        pytest.param({ZONE: "b", REGION: "r"}, {"b", "nowhere"}, id="zone-and-region"),
        pytest.param({ZONE: "a", REGION: "s"}, {"nowhere"}, id="zone-of-another-region"),
        pytest.param({ZONE: "a__"}, {"a", "b", "old", "nowhere"}, id="a-label-that-says-nothing"),
    ],
)
def test_volumes_are_used_in_their_zones(labels: dict[str, str], fits: set[str]) -> None:
    assert _setup(labels).fits(using("p", "c")) == fits


@pytest.mark.parametrize(
    ("made", "message"),
    [
        pytest.param(None, 'persistentvolumeclaim "x" not found', id="no-claim"),
        pytest.param(claim("x", volume_name="gone"), 'persistentvolume "gone" not found', id="no-volume"),
        pytest.param(claim("x"), "PersistentVolumeClaim had no pv name and storageClass name", id="no-class"),
        pytest.param(
            claim("x", storage_class="gone"), 'storageclass.storage.k8s.io "gone" not found', id="class-is-not-there"
        ),
        pytest.param(claim("x", storage_class="at-once"), "PersistentVolume had no name", id="not-bound-yet"),
    ],
)
def test_what_no_node_can_be_found_for(made: Json | None, message: str) -> None:
    setup = _setup({}, *([made] if made else []))
    assert setup.why(using("p", "x")) == {message: 0}


def test_a_claim_that_waits_for_its_pod_is_passed_over_and_the_reason_is_upstreams() -> None:
    setup = _setup({ZONE: "a"}, claim("x", storage_class="waits"))
    assert setup.fits(using("p", "x")) == {"a", "b", "old", "nowhere"}
    assert setup.why(using("p", "c", "x")) == {"node(s) had no available volume zone": 2}


@pytest.mark.parametrize(
    ("event", "helps"),
    [
        pytest.param(
            ClusterEvent(Resource.STORAGE_CLASS, Action.ADD, None, storage_class("s")), True, id="a-class-that-waits"
        ),
        pytest.param(
            ClusterEvent(Resource.STORAGE_CLASS, Action.ADD, None, storage_class("s", mode="Immediate")),
            False,
            id="a-class-that-does-not",
        ),
        pytest.param(
            ClusterEvent(Resource.PERSISTENT_VOLUME_CLAIM, Action.UPDATE, claim("c"), claim("c")), True, id="own-claim"
        ),
        pytest.param(
            ClusterEvent(Resource.PERSISTENT_VOLUME_CLAIM, Action.ADD, None, claim("x")), False, id="foreign-claim"
        ),
        pytest.param(
            ClusterEvent(Resource.PERSISTENT_VOLUME, Action.UPDATE, volume("v"), volume("v")), False, id="same-labels"
        ),
        pytest.param(
            ClusterEvent(Resource.PERSISTENT_VOLUME, Action.UPDATE, volume("v"), volume("v", labels={ZONE: "b"})),
            True,
            id="other-labels",
        ),
        pytest.param(ClusterEvent(Resource.ASSIGNED_POD, Action.DELETE, {}), False, id="a-pod-went"),
    ],
)
def test_what_can_help(event: ClusterEvent, helps: bool) -> None:
    assert _setup({}).plugin.helps(using("p", "c"), event) is helps


def _naive(node_labels: dict[str, str], volume_labels: dict[str, str]) -> bool:
    """Upstream's rule, for one node and one volume."""
    keys = (BETA, "failure-domain.beta.kubernetes.io/region", ZONE, REGION)
    if not any(key in node_labels for key in keys):
        return True
    for key in keys:
        if key not in volume_labels:
            continue
        values = volume_labels[key].split("__")
        here = node_labels.get(key, node_labels.get({BETA: ZONE}.get(key, REGION if "region" in key else ZONE)))
        if here not in values:
            return False
    return True


@pytest.mark.parametrize("seed", range(40))
def test_all_nodes_at_once_are_each_node_by_itself(seed: int) -> None:
    chance = random.Random(seed)

    def some(values: list[str]) -> dict[str, str]:
        return {key: chance.choice(values) for key in (BETA, ZONE, REGION) if chance.random() < 0.5}

    nodes = [node(f"n{number}", labels=some(["a", "b", "c"])) for number in range(12)]
    labels = some(["a", "b", "a__b", "c__a"])
    objects = {
        kinds.PERSISTENT_VOLUMES: [volume("v", labels=labels)],
        kinds.PERSISTENT_VOLUME_CLAIMS: [claim("c", volume_name="v")],
    }
    expected = {meta.name_of(one) for one in nodes if _naive(dict(meta.labels_of(one)), labels)}
    assert Setup(VolumeZone, table(*nodes), objects).fits(using("p", "c")) == expected
