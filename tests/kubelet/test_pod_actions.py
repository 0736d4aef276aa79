"""What is to be done next: one table."""

import pytest

from kubelet.pod_actions import Actions, Health, decide
from kubelet.runtime_status import PodRecord, SandboxRecord
from machinery.api.codec import Json
from tests.kubelet.pods import BOX, DEAD_BOX, container, created, exited, lost, pod, record, rule, running

SETUP, SECOND = container("setup"), container("second")
SIDECAR = container("side", restartPolicy="Always")
ON_42 = container(restartPolicy="Never", restartPolicyRules=[rule(42)])
SETUP_ON_42 = container("setup", restartPolicy="Never", restartPolicyRules=[rule(42)])
NO_BOX = PodRecord("uid-1")


ALL_ON_42: Json = {"restartPolicy": "Never", "restartPolicyRules": [rule(42, action="RestartAllContainers")]}
SOURCE, SOURCE_SETUP = container("source", **ALL_ON_42), container("setup", **ALL_ON_42)
SOURCE_SIDECAR = container("side", restartPolicy="Always", restartPolicyRules=ALL_ON_42["restartPolicyRules"])


def here(*start: str) -> Actions:
    """Containers to start in the sandbox that stands."""
    return Actions(sandbox_id="box", start=start)


def spec_hash(spec: Json) -> str:
    return str(spec["image"])


@pytest.mark.parametrize(
    ("spec", "seen", "wanted"),
    [
        pytest.param(pod(), NO_BOX, Actions(create_sandbox=True, start=("main",)), id="nothing-there-yet"),
        pytest.param(
            pod(inits=(SETUP,)), NO_BOX, Actions(create_sandbox=True, start=("setup",)), id="init-containers-first"
        ),
        pytest.param(pod(), record(), here("main"), id="sandbox-stands"),
        pytest.param(pod(), record(running()), here(), id="all-is-well"),
        pytest.param(pod(), record(exited(code=0)), here("main"), id="always-restarts-success"),
        pytest.param(pod(), record(created()), here("main"), id="created-but-never-started"),
        pytest.param(pod(policy="OnFailure"), record(exited(code=1)), here("main"), id="on-failure-restarts"),
        pytest.param(
            pod(policy="OnFailure"),
            record(exited(code=0)),
            Actions(kill_pod=True, sandbox_id="box", finished=True),
            id="on-failure-is-done-with-success",
        ),
        pytest.param(
            pod(policy="Never"),
            record(exited(code=1)),
            Actions(kill_pod=True, sandbox_id="box", finished=True),
            id="never-restarts-failure",
        ),
        pytest.param(
            pod(policy="Never"),
            record(exited(code=1), boxes=(DEAD_BOX,)),
            Actions(finished=True),
            id="done-and-stopped",
        ),
        pytest.param(
            pod(),
            record(exited(code=137), boxes=(DEAD_BOX,)),
            Actions(kill_pod=True, create_sandbox=True, attempt=1, start=("main",)),
            id="dead-sandbox-is-made-anew",
        ),
        pytest.param(
            pod(),
            record(running(), boxes=(SandboxRecord("new", 1, True, 2, ("10.0.0.6",)), BOX)),
            Actions(kill_pod=True, create_sandbox=True, attempt=2, start=("main",)),
            id="two-living-sandboxes-are-one-too-many",
        ),
        pytest.param(
            pod(),
            record(boxes=(SandboxRecord("box", 0, True, 1, ()),)),
            Actions(kill_pod=True, create_sandbox=True, attempt=1, start=("main",)),
            id="a-sandbox-without-address",
        ),
        pytest.param(
            pod(hostNetwork=True),
            record(running(), boxes=(SandboxRecord("box", 0, True, 1, (), True),)),
            here(),
            id="host-network-needs-no-address",
        ),
        pytest.param(pod(inits=(SETUP, SECOND)), record(running("setup")), here(), id="waits-for-the-running-init"),
        pytest.param(
            pod(inits=(SETUP, SECOND)),
            record(exited("setup")),
            here("second"),
            id="next-init-in-order",
        ),
        pytest.param(
            pod(inits=(SETUP, SECOND)),
            record(exited("setup"), exited("second")),
            here("main"),
            id="inits-through",
        ),
        pytest.param(pod(inits=(SETUP,)), record(exited("setup", 1)), here("setup"), id="failed-init-again"),
        pytest.param(
            pod(inits=(SETUP,), policy="Never"),
            record(exited("setup", 1)),
            Actions(kill_pod=True, sandbox_id="box", finished=True),
            id="failed-init-ends-a-never-pod",
        ),
        pytest.param(
            pod(inits=(SETUP,)),
            record(exited("setup", sandbox_id="older")),
            here("setup"),
            id="inits-run-again-in-a-new-sandbox",
        ),
        pytest.param(pod(inits=(SETUP,)), record(running()), here(), id="main-runs-so-inits-were-through"),
        pytest.param(pod(inits=(SIDECAR,)), record(), here("side"), id="sidecar-before-main"),
        pytest.param(pod(inits=(SIDECAR,)), record(running("side")), here("main"), id="main-after-sidecar"),
        pytest.param(
            pod(inits=(SIDECAR,)),
            record(running("main"), exited("side", 1)),
            here("side"),
            id="sidecar-restarts-beside-main",
        ),
        pytest.param(
            pod(inits=(SIDECAR,), policy="Never"),
            record(exited("main"), running("side")),
            Actions(kill_pod=True, sandbox_id="box", finished=True),
            id="sidecars-do-not-keep-a-pod",
        ),
        pytest.param(
            pod(container(restartPolicy="Never"), container("b")),
            record(exited(code=1), running("b")),
            here(),
            id="container-policy-wins",
        ),
        pytest.param(
            pod(container(restartPolicy="OnFailure"), policy="Never"),
            record(exited(code=1)),
            here("main"),
            id="container-policy-wins-over-never",
        ),
        pytest.param(pod(ON_42, policy="Never"), record(exited(code=42)), here("main"), id="a-rule-restarts"),
        pytest.param(
            pod(ON_42),
            record(exited(code=1)),
            Actions(kill_pod=True, sandbox_id="box", finished=True),
            id="no-rule-fits-and-the-policy-ends-it",
        ),
        pytest.param(
            pod(inits=(SETUP_ON_42,), policy="Never"),
            record(exited("setup", 42)),
            here("setup"),
            id="a-rule-restarts-a-failed-init",
        ),
        pytest.param(
            pod(inits=(container("setup", restartPolicy="OnFailure"),), policy="Never"),
            record(exited("setup", 1)),
            here("setup"),
            id="an-inits-own-policy-restarts-it",
        ),
        pytest.param(
            pod(inits=(SETUP_ON_42,)),
            record(exited("setup", 1)),
            Actions(kill_pod=True, sandbox_id="box", finished=True),
            id="an-init-that-is-tried-once-ends-the-pod",
        ),
        pytest.param(
            pod(inits=(container("setup", restartPolicy="Never", restartPolicyRules=[rule(0)]),)),
            record(exited("setup", 0)),
            here("main"),
            id="a-successful-init-is-not-repeated",
        ),
        pytest.param(
            pod(ON_42, policy="Never"),
            record(exited(code=42), boxes=(DEAD_BOX,)),
            Actions(kill_pod=True, create_sandbox=True, attempt=1, start=("main",)),
            id="a-rule-asks-for-a-new-sandbox",
        ),
    ],
)
def test_the_next_step(spec: Json, seen: PodRecord, wanted: Actions) -> None:
    assert decide(spec, seen, Health(), spec_hash) == wanted


@pytest.mark.parametrize(
    ("spec", "seen", "gone"),
    [
        pytest.param(
            pod(SOURCE, container(), inits=(SETUP,), policy="Never"),
            record(exited("source", 42), running(), exited("setup")),
            ["main-id", "setup-id", "source-id"],
            id="who-asked-goes-last",
        ),
        pytest.param(pod(SOURCE), record(exited("source", 1)), [], id="another-end"),
        pytest.param(pod(SOURCE), record(running("source")), [], id="no-end"),
        pytest.param(
            pod(inits=(SOURCE_SETUP,), policy="Never"),
            record(exited("setup", 42)),
            ["setup-id"],
            id="an-init-container-asks",
        ),
        pytest.param(
            pod(inits=(SOURCE_SIDECAR,), policy="Never"),
            record(exited("side", 42), running()),
            ["main-id", "side-id"],
            id="a-sidecar-asks",
        ),
        pytest.param(
            pod(inits=(SOURCE_SIDECAR,), policy="Never"),
            record(exited("side", 42), exited()),
            [],
            id="too-late-when-the-pod-is-over",
        ),
        pytest.param(
            pod(inits=(SOURCE_SIDECAR, SETUP), policy="Never"),
            record(exited("side", 42), exited("setup", 1)),
            [],
            id="too-late-when-an-init-has-failed",
        ),
        pytest.param(
            pod(inits=(SOURCE_SIDECAR,), policy="Never")
            | {"status": {"conditions": [{"type": "AllContainersRestarting", "status": "True"}]}},
            record(exited("side", 42), exited(code=137)),
            ["main-id", "side-id"],
            id="what-was-cut-short-goes-on",
        ),
        pytest.param(
            pod(SOURCE, policy="Never"),
            record(exited("source", 42), boxes=(DEAD_BOX,)),
            ["source-id"],
            id="before-a-new-sandbox",
        ),
    ],
)
def test_all_begin_anew_where_one_asks(spec: Json, seen: PodRecord, gone: list[str]) -> None:
    actions = decide(spec, seen, Health(), spec_hash)
    assert [container.id for container in actions.reset] == gone
    if gone:
        assert actions == Actions(sandbox_id="box", reset=actions.reset)


def test_after_a_reset_init_containers_come_first_in_the_old_sandbox() -> None:
    assert decide(pod(SOURCE, inits=(SETUP,), policy="Never"), record(), Health(), spec_hash) == here("setup")


def test_a_failed_liveness_probe_kills_and_restarts() -> None:
    actions = decide(pod(), record(running()), Health(failed_liveness={"main-id"}), spec_hash)
    assert [kill.message for kill in actions.kill] == ["Container main failed liveness probe, will be restarted"]
    assert actions.start == ("main",)


@pytest.mark.parametrize(
    "spec", [pytest.param(pod(policy="Never"), id="policy"), pytest.param(pod(ON_42), id="rules-have-no-exit-code-yet")]
)
def test_a_failed_liveness_probe_only_kills_where_nothing_restarts(spec: Json) -> None:
    actions = decide(spec, record(running()), Health(failed_liveness={"main-id"}), spec_hash)
    assert len(actions.kill) == 1
    assert actions.start == ()


def test_a_changed_image_restarts_the_container() -> None:
    actions = decide(pod(), record(running(spec_hash="old:1")), Health(), spec_hash)
    assert [kill.message for kill in actions.kill] == ["Container main definition changed, will be restarted"]
    assert actions.start == ("main",)


def test_an_unknown_container_is_killed_before_it_starts_again() -> None:
    actions = decide(pod(), record(lost()), Health(), spec_hash)
    assert [kill.container.id for kill in actions.kill] == ["main-id"]
    assert actions.start == ("main",)


def test_main_waits_for_the_startup_of_a_sidecar() -> None:
    spec = pod(inits=(SIDECAR,))
    waiting = decide(spec, record(running("side")), Health(not_started={"side-id"}), spec_hash)
    assert waiting.start == ()
