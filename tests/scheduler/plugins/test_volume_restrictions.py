"""VolumeRestrictions: what other pods have mounted."""

from typing import Any

import pytest

from machinery.api import kinds
from machinery.api.codec import Json
from scheduler.framework import Action, ClusterEvent, Resource
from scheduler.plugins.volume_restrictions import VolumeRestrictions
from tests.scheduler.objects import cache_of, node
from tests.scheduler.volume_objects import Setup, claim, using

IN_USE = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode"
ALONE = claim("alone", accessModes=["ReadWriteOncePod"])


def _setup(*there: Any) -> Setup:
    """Two nodes, the first of which has these pods."""
    cache = cache_of(node("n1"), node("n2"))
    for one in there:
        cache.nodes.add_pod(one, "n1")
    return Setup(VolumeRestrictions, cache.nodes, {kinds.PERSISTENT_VOLUME_CLAIMS: [ALONE, claim("shared")]})


def disk(kind: str, **facts: Any) -> Json:
    """A volume of an old type."""
    return {"name": "d", kind: facts}


@pytest.mark.parametrize(
    ("there", "mine", "fits"),
    [
        pytest.param({}, {}, {"n1", "n2"}, id="no-volume"),
        pytest.param({"claims": ["alone"]}, {"claims": ["shared"]}, {"n1", "n2"}, id="another-claim"),
        pytest.param({"claims": ["shared"]}, {"claims": ["shared"]}, {"n1", "n2"}, id="a-claim-for-many"),
        pytest.param({"claims": ["alone"]}, {"claims": ["alone"]}, set(), id="a-claim-for-one-is-nowhere-to-be-had"),
        pytest.param({}, {"claims": ["alone"]}, {"n1", "n2"}, id="a-claim-for-one-that-nobody-has"),
        pytest.param(
            {"volumes": (disk("gcePersistentDisk", pdName="x"),)},
            {"volumes": (disk("gcePersistentDisk", pdName="x"),)},
            {"n2"},
            id="gce",
        ),
        pytest.param(
            {"volumes": (disk("gcePersistentDisk", pdName="x", readOnly=True),)},
            {"volumes": (disk("gcePersistentDisk", pdName="x", readOnly=True),)},
            {"n1", "n2"},
            id="gce-read-only",
        ),
        pytest.param(
            {"volumes": (disk("gcePersistentDisk", pdName="x", readOnly=True),)},
            {"volumes": (disk("gcePersistentDisk", pdName="x"),)},
            {"n2"},
            id="gce-one-writes",
        ),
        pytest.param(
            {"volumes": (disk("awsElasticBlockStore", volumeID="v", readOnly=True),)},
            {"volumes": (disk("awsElasticBlockStore", volumeID="v", readOnly=True),)},
            {"n2"},
            id="ebs-even-read-only",
        ),
        pytest.param(
            {"volumes": (disk("iscsi", iqn="i"),)}, {"volumes": (disk("iscsi", iqn="i"),)}, {"n2"}, id="iscsi"
        ),
        pytest.param(
            {"volumes": (disk("iscsi", iqn="i"),)},
            {"volumes": (disk("iscsi", iqn="j"),)},
            {"n1", "n2"},
            id="another-iqn",
        ),
        pytest.param(
            {"volumes": (disk("rbd", monitors=["a", "b"], image="i"),)},
            {"volumes": (disk("rbd", monitors=["b", "c"], image="i", pool="rbd"),)},
            {"n2"},
            id="rbd-with-a-common-monitor",
        ),
        pytest.param(
            {"volumes": (disk("rbd", monitors=["a"], image="i"),)},
            {"volumes": (disk("rbd", monitors=["a"], image="i", pool="other"),)},
            {"n1", "n2"},
            id="rbd-of-another-pool",
        ),
    ],
)
def test_what_is_mounted_already(there: Any, mine: Any, fits: set[str]) -> None:
    setup = _setup(using("other", *there.get("claims", ()), volumes=there.get("volumes", ())))
    assert setup.fits(using("p", *mine.get("claims", ()), volumes=mine.get("volumes", ()))) == fits


def test_the_reasons_are_upstreams() -> None:
    setup = _setup(using("other", "alone", volumes=(disk("iscsi", iqn="i"),)))
    assert setup.why(using("p", "alone")) == {IN_USE: 2}
    assert setup.why(using("p", volumes=(disk("iscsi", iqn="i"),))) == {"node(s) had no available disk": 1}
    assert setup.why(using("p", "nope")) == {'persistentvolumeclaim "nope" not found': 0}


def test_a_claim_is_free_again_when_its_pod_is_gone() -> None:
    other = using("other", "alone")
    setup = _setup(other)
    setup.nodes.remove_pod(other, "n1")
    assert setup.fits(using("p", "alone")) == {"n1", "n2"}


@pytest.mark.parametrize(
    ("event", "helps"),
    [
        pytest.param(ClusterEvent(Resource.PERSISTENT_VOLUME_CLAIM, Action.ADD, None, ALONE), True, id="own-claim"),
        pytest.param(
            ClusterEvent(Resource.PERSISTENT_VOLUME_CLAIM, Action.ADD, None, claim("x")), False, id="foreign-claim"
        ),
        pytest.param(
            ClusterEvent(Resource.ASSIGNED_POD, Action.DELETE, using("o", "alone").obj), True, id="who-had-the-claim"
        ),
        pytest.param(ClusterEvent(Resource.ASSIGNED_POD, Action.DELETE, using("o").obj), False, id="somebody"),
        pytest.param(ClusterEvent(Resource.NODE, Action.ADD, None, node("n9")), True, id="node"),
    ],
)
def test_what_can_help(event: ClusterEvent, helps: bool) -> None:
    assert _setup().plugin.helps(using("p", "alone"), event) is helps
