"""The report of `skiff why`."""

import pytest

from kubectl.commands.why import report
from machinery.api.codec import Json

POD: Json = {"metadata": {"name": "web", "namespace": "default"}, "spec": {}}
ATTEMPT: Json = {
    "at": "2026-01-01T00:00:00Z",
    "result": "Unschedulable",
    "attempt": 3,
    "message": "0/2 nodes are available: 2 Insufficient cpu.",
    "nodes": [
        {"node": "a", "plugin": "NodeResourcesFit", "reason": "Insufficient cpu", "preemptionMayHelp": True},
        {"node": "node-b", "plugin": "NodeName", "reason": "no", "preemptionMayHelp": False},
    ],
    "advice": ["cpu: 2 are asked for"],
}


@pytest.mark.parametrize(
    ("pod", "attempt", "expected"),
    [
        pytest.param({**POD, "spec": {"nodeName": "a"}}, ATTEMPT, "pod default/web is on a.", id="placed"),
        pytest.param(
            {**POD, "status": {"conditions": [{"type": "PodScheduled", "message": "no room"}]}},
            None,
            "pod default/web has no node. The scheduler says: no room",
            id="another-scheduler",
        ),
        pytest.param(
            POD,
            None,
            "pod default/web has no node. The scheduler says: nothing yet: is a scheduler running, and does it know "
            "the pod's schedulerName?",
            id="nobody-looked",
        ),
        pytest.param(
            POD,
            ATTEMPT,
            """\
pod default/web: Unschedulable at attempt 3, 2026-01-01T00:00:00Z
0/2 nodes are available: 2 Insufficient cpu.

NODE     PLUGIN             REASON             PREEMPTION
a        NodeResourcesFit   Insufficient cpu   may help
node-b   NodeName           no                 does not help

What would help:
- cpu: 2 are asked for
""",
            id="a-table",
        ),
    ],
)
def test_what_a_person_reads(pod: Json, attempt: Json | None, expected: str) -> None:
    assert report(pod, attempt) == expected
