"""How far a rollout is."""

import pytest

from kubectl.problems import CliError
from kubectl.rollout_status import status_of
from machinery.api.codec import Json


def deployment(observed: int = 2, replicas: int = 3, **status: object) -> Json:
    """A Deployment of generation 2 with this status."""
    return {
        "kind": "Deployment",
        "metadata": {"name": "web", "generation": 2, "annotations": {"deployment.kubernetes.io/revision": "4"}},
        "spec": {"replicas": replicas},
        "status": {"observedGeneration": observed} | status,
    }


@pytest.mark.parametrize(
    ("obj", "line", "done"),
    [
        pytest.param(deployment(1), "Waiting for deployment spec update to be observed...\n", False, id="not-seen"),
        pytest.param(
            deployment(updatedReplicas=1),
            'Waiting for deployment "web" rollout to finish: 1 out of 3 new replicas have been updated...\n',
            False,
            id="updating",
        ),
        pytest.param(
            deployment(updatedReplicas=3, replicas=3)
            | {"status": {"observedGeneration": 2, "updatedReplicas": 3, "replicas": 4}},
            'Waiting for deployment "web" rollout to finish: 1 old replicas are pending termination...\n',
            False,
            id="old-ones-left",
        ),
        pytest.param(
            deployment(updatedReplicas=3, availableReplicas=1),
            'Waiting for deployment "web" rollout to finish: 1 of 3 updated replicas are available...\n',
            False,
            id="not-available",
        ),
        pytest.param(
            deployment(updatedReplicas=3, availableReplicas=3),
            'deployment "web" successfully rolled out\n',
            True,
            id="done",
        ),
        pytest.param(
            {
                "kind": "DaemonSet",
                "metadata": {"name": "d", "generation": 1},
                "spec": {"updateStrategy": {"type": "RollingUpdate"}},
                "status": {"observedGeneration": 1, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2},
            },
            'Waiting for daemon set "d" rollout to finish: 0 of 2 updated pods are available...\n',
            False,
            id="daemon-set",
        ),
        pytest.param(
            {
                "kind": "StatefulSet",
                "metadata": {"name": "s", "generation": 1},
                "spec": {"replicas": 2, "updateStrategy": {"type": "RollingUpdate"}},
                "status": {"observedGeneration": 1, "readyReplicas": 1},
            },
            "Waiting for 1 pods to be ready...\n",
            False,
            id="stateful-set",
        ),
    ],
)
def test_a_rollout_says_how_far_it_is(obj: Json, line: str, done: bool) -> None:
    assert status_of(obj) == (line, done)


@pytest.mark.parametrize(
    ("obj", "revision", "problem"),
    [
        pytest.param(
            deployment(conditions=[{"type": "Progressing", "reason": "ProgressDeadlineExceeded"}]),
            0,
            'deployment "web" exceeded its progress deadline',
            id="too-long",
        ),
        pytest.param(
            deployment(),
            3,
            r"desired revision \(3\) is different from the running revision \(4\)",
            id="another-revision",
        ),
        pytest.param({"kind": "Pod"}, 0, "no status viewer has been implemented for Pod", id="no-rollout"),
    ],
)
def test_a_rollout_that_cannot_succeed_is_an_error(obj: Json, revision: int, problem: str) -> None:
    with pytest.raises(CliError, match=problem):
        status_of(obj, revision)
