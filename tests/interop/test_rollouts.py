"""`rollout history` and `rollout undo` of every kubectl, with a controller manager behind the API server."""

import re
from collections.abc import Iterator

import pytest

from tests.integration.apiserver_process import ApiserverProcess
from tests.integration.controller_manager.process import ControllerManagerProcess
from tests.interop.test_kubectls import VERSIONS, Line, wrong
from tests.kubectls import NO_KUBECTL, kubectls

IMAGE = "get deployment web -o jsonpath={{..image}}"
STEPS = (
    Line("create deployment web --image=nginx:1", r"^deployment.apps/web created$"),
    # Of the deployment, which is there: a wait for ReplicaSets of which there is none yet is an error at once.
    Line(
        "wait deployment web --for=jsonpath={{.metadata.annotations.deployment\\.kubernetes\\.io/revision}}=1", r"met$"
    ),
    Line("annotate deployment web kubernetes.io/change-cause=first", r"annotated?$"),
    Line("wait rs -l app=web --for=jsonpath={{.metadata.annotations.kubernetes\\.io/change-cause}}=first", r"met$"),
    Line("set image deployment/web nginx=nginx:2", r"image updated$"),
    Line(
        "wait deployment web --for=jsonpath={{.metadata.annotations.deployment\\.kubernetes\\.io/revision}}=2", r"met$"
    ),
    Line("rollout history deployment/web", r"^1 +first\n2 +first$"),
    Line("rollout history deployment/web --revision=1", r"^ +Image:\s+nginx:1$"),
    Line("rollout history deployment/web --revision=9", r"unable to find the specified revision$", 1),
    Line("rollout status deployment/web --watch=false", r"^Waiting for deployment \"web\" rollout to finish"),
    Line("rollout undo deployment/web --dry-run=server", r"rolled back \(server dry run\)$"),
    Line(IMAGE, r"^nginx:2$"),
    Line("rollout undo deployment/web", r"^deployment.apps/web rolled back$"),
    Line(IMAGE, r"^nginx:1$"),
    Line(
        "wait deployment web --for=jsonpath={{.metadata.annotations.deployment\\.kubernetes\\.io/revision}}=3", r"met$"
    ),
    Line("rollout history deployment/web", r"^2 +first\n3 +first$"),
    Line("rollout undo deployment/web --to-revision=2", r"^deployment.apps/web rolled back$"),
    Line(IMAGE, r"^nginx:2$"),
    Line("rollout undo deployment/web --to-revision=1", r"unable to find specified revision 1 in history$", 1),
)


@pytest.fixture(scope="module")
def manager(server: ApiserverProcess) -> Iterator[ControllerManagerProcess]:
    """It makes the ReplicaSets that history is made of."""
    process = ControllerManagerProcess(server)
    process.start()
    yield process
    process.stop()


@pytest.mark.parametrize("version", VERSIONS)
def test_revisions_are_shown_and_taken_back(
    server: ApiserverProcess, manager: ControllerManagerProcess, version: str
) -> None:
    assert version in kubectls(), f"kubectl {version} is missing: {NO_KUBECTL}"
    namespace = f"rollout-{re.sub('[^0-9]', '-', version)}"
    server.kubectl("create", "namespace", namespace, version=version).ok()
    problems = [found for step in STEPS if (found := wrong(server, version, namespace, step))]
    server.kubectl("delete", "namespace", namespace, "--wait=false", version=version).ok()
    assert "\n".join(problems) == ""
