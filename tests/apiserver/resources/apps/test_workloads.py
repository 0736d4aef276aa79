"""Deployments, ReplicaSets, StatefulSets, ControllerRevisions: defaults, checks, generation, scale."""

from typing import Any

import pytest

from apiserver.registry.resource import Resource
from apiserver.registry.strategy import Context
from apiserver.request import ANONYMOUS
from apiserver.resources.apps import scale
from apiserver.resources.apps.controllerrevisions import CONTROLLER_REVISIONS
from apiserver.resources.apps.deployments import DEPLOYMENTS
from apiserver.resources.apps.replicasets import REPLICA_SETS
from apiserver.resources.apps.statefulsets import STATEFUL_SETS
from machinery.api import codec
from machinery.api.codec import Json

CONTEXT = Context(ANONYMOUS, "default", "web")
TEMPLATE: Json = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "a:1"}]}}


def _workload(row: Resource = DEPLOYMENTS, **spec: Any) -> Json:
    metadata = {"name": "web", "namespace": "default", "generation": 1}
    filled = {"selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE, **spec}
    obj: Json = codec.copy_of({"metadata": metadata, "spec": {k: v for k, v in filled.items() if v is not None}})
    row.strategy.defaults(obj)
    return obj


def test_a_deployments_defaults() -> None:
    spec = _workload()["spec"]
    assert spec["replicas"] == 1
    assert spec["revisionHistoryLimit"] == 10
    assert spec["progressDeadlineSeconds"] == 600
    assert spec["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"},
    }
    assert spec["template"]["spec"]["restartPolicy"] == "Always"


def test_zero_replicas_stay_zero() -> None:
    assert _workload(replicas=0)["spec"]["replicas"] == 0


def test_recreate_has_no_rolling_update() -> None:
    assert _workload(strategy={"type": "Recreate"})["spec"]["strategy"] == {"type": "Recreate"}


ROLLING = "spec.strategy.rollingUpdate"


@pytest.mark.parametrize(
    ("row", "spec", "texts"),
    [
        pytest.param(DEPLOYMENTS, {}, [], id="fine"),
        pytest.param(REPLICA_SETS, {}, [], id="fine-replica-set"),
        pytest.param(
            DEPLOYMENTS,
            {"replicas": -1},
            ["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
            id="negative-replicas",
        ),
        pytest.param(DEPLOYMENTS, {"selector": None}, ["spec.selector: Required value"], id="no-selector"),
        pytest.param(
            DEPLOYMENTS,
            {"selector": {}},
            ["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
            id="empty-selector",
        ),
        pytest.param(
            DEPLOYMENTS,
            {"selector": {"matchLabels": {"app": "other"}}},
            [
                'spec.template.metadata.labels: Invalid value: {"app":"web"}: '
                "`selector` does not match template `labels`"
            ],
            id="selector-does-not-match",
        ),
        pytest.param(
            REPLICA_SETS,
            {"template": {**TEMPLATE, "spec": {**TEMPLATE["spec"], "restartPolicy": "Never"}}},
            ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
            id="restart-policy",
        ),
        pytest.param(
            DEPLOYMENTS,
            {"template": {**TEMPLATE, "spec": {"containers": [{"name": "c"}]}}},
            ["spec.template.spec.containers[0].image: Required value"],
            id="template-is-checked",
        ),
        pytest.param(
            DEPLOYMENTS,
            {"strategy": {"type": "Recreate", "rollingUpdate": {"maxSurge": 1}}},
            [f"{ROLLING}: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
            id="recreate-with-rolling-update",
        ),
        pytest.param(
            DEPLOYMENTS,
            {"strategy": {"rollingUpdate": {"maxSurge": 0, "maxUnavailable": 0}}},
            [f"{ROLLING}.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"],
            id="no-room-to-roll",
        ),
        pytest.param(
            DEPLOYMENTS,
            {"strategy": {"rollingUpdate": {"maxUnavailable": "101%"}}},
            [f'{ROLLING}.maxUnavailable: Invalid value: "101%": must not be greater than 100%'],
            id="more-than-all",
        ),
        pytest.param(
            DEPLOYMENTS,
            {"progressDeadlineSeconds": 5, "minReadySeconds": 5},
            ["spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds"],
            id="deadline-before-ready",
        ),
    ],
)
def test_what_is_wrong_with_a_workload(row: Resource, spec: Json, texts: list[str]) -> None:
    assert [error.message() for error in row.strategy.validate(_workload(row, **spec), CONTEXT)] == texts


def _stateful(volumes: tuple[str, ...] = (), mounted: str = "data", **claim: Any) -> Json:
    filled = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **claim}
    container = {"name": "c", "image": "a:1", "volumeMounts": [{"name": mounted, "mountPath": "/x"}]}
    pod = {"containers": [container], "volumes": [{"name": name, "emptyDir": {}} for name in volumes]}
    claims = [{"metadata": {"name": "data"}, "spec": filled}]
    return _workload(STATEFUL_SETS, template={**TEMPLATE, "spec": pod}, volumeClaimTemplates=claims)


CLAIM = "spec.volumeClaimTemplates[0].spec"


@pytest.mark.parametrize(
    ("obj", "texts"),
    [
        pytest.param(_stateful(), [], id="mounted-by-its-name"),
        pytest.param(_stateful(("data", "more")), [], id="in-place-of-a-volume"),
        pytest.param(
            _stateful(mounted="other"),
            ['spec.template.spec.containers[0].volumeMounts[0].name: Not found: "other"'],
            id="mount-of-no-claim",
        ),
        pytest.param(
            _stateful(accessModes=[], resources={}),
            [
                f"{CLAIM}.accessModes: Required value: at least 1 access mode is required",
                f"{CLAIM}.resources[storage]: Required value",
            ],
            id="claim-without-size",
        ),
    ],
)
def test_the_claims_of_a_stateful_set(obj: Json, texts: list[str]) -> None:
    assert [error.message() for error in STATEFUL_SETS.strategy.validate(obj, CONTEXT)] == texts


def test_a_stateful_set_with_claims_that_would_not_be_accepted_any_more_can_be_changed() -> None:
    old, new = _stateful(accessModes=[]), _stateful(accessModes=[])
    new["spec"]["replicas"] = 3
    assert STATEFUL_SETS.strategy.validate_update(new, old, CONTEXT) == []


def test_the_selector_stays() -> None:
    new = _workload(selector={"matchLabels": {"app": "web", "v": "2"}})
    new["spec"]["template"]["metadata"]["labels"]["v"] = "2"
    found = DEPLOYMENTS.strategy.validate_update(new, _workload(), CONTEXT)
    assert [error.message() for error in found] == [
        'spec.selector: Invalid value: {"matchLabels":{"app":"web","v":"2"}}: field is immutable'
    ]


@pytest.mark.parametrize(("changes", "generation"), [({}, 1), ({"replicas": 3}, 2)])
def test_the_generation_counts_specs(changes: Json, generation: int) -> None:
    old, new = _workload(), _workload(**changes)
    DEPLOYMENTS.strategy.prepare_for_update(new, old, CONTEXT)
    assert new["metadata"]["generation"] == generation


def test_a_status_update_leaves_the_spec_and_the_generation() -> None:
    old, new = _workload(), _workload(replicas=9)
    new["status"] = {"replicas": 3}
    DEPLOYMENTS.strategy.prepare_for_status_update(new, old, CONTEXT)
    assert (new["spec"], new["status"]) == (old["spec"], {"replicas": 3})
    assert new["metadata"]["generation"] == 1


def test_a_status_does_not_contradict_itself() -> None:
    old, new = _workload(), _workload()
    new["status"] = {"replicas": 1, "readyReplicas": 2}
    assert [error.message() for error in DEPLOYMENTS.strategy.validate_status_update(new, old, CONTEXT)] == [
        "status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas"
    ]


def test_a_scale_shows_replicas_and_selector() -> None:
    deployment = _workload(replicas=3)
    deployment["status"] = {"replicas": 2}
    deployment["metadata"]["resourceVersion"] = "7"
    assert scale.scale_of(deployment) == {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {"name": "web", "namespace": "default", "resourceVersion": "7"},
        "spec": {"replicas": 3},
        "status": {"replicas": 2, "selector": "app=web"},
    }


def test_a_scale_changes_replicas_only_and_counts_as_a_new_generation() -> None:
    old = _workload()
    new = codec.copy_of(old)
    scale.apply_scale(new, {"spec": {"replicas": 5}, "metadata": {"resourceVersion": "9"}})
    new["spec"]["paused"] = True
    DEPLOYMENTS.strategy.prepare_for_scale_update(new, old, CONTEXT)  # type: ignore[attr-defined]
    assert new["spec"] == {**old["spec"], "replicas": 5}
    assert (new["metadata"]["generation"], new["metadata"]["resourceVersion"]) == (2, "9")


def test_a_negative_scale_is_refused() -> None:
    (error,) = scale.check_scale({"spec": {"replicas": -1}})
    assert error.message() == "spec.replicas: Invalid value: -1: must be greater than or equal to 0"


def test_a_deployments_row() -> None:
    deployment = _workload(replicas=3)
    deployment["status"] = {"readyReplicas": 2, "updatedReplicas": 3, "availableReplicas": 1}
    cells = {column.name: column.cell(deployment) for column in DEPLOYMENTS.columns}
    assert [cells[name] for name in ("Ready", "Up-to-date", "Available")] == ["2/3", 3, 1]
    assert [cells[name] for name in ("Containers", "Images", "Selector")] == ["c", "a:1", "app=web"]


def test_a_revision_keeps_its_data_and_names_its_controller() -> None:
    owner = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db", "uid": "u", "controller": True}
    metadata = {"name": "r", "namespace": "default", "ownerReferences": [owner]}
    old: Json = {"metadata": metadata, "data": {"a": 1}, "revision": 1}
    found = CONTROLLER_REVISIONS.strategy.validate_update({**old, "data": {"a": 2}, "revision": 2}, old, CONTEXT)
    assert [error.message() for error in found] == ['data: Invalid value: {"a":2}: field is immutable']
    assert CONTROLLER_REVISIONS.columns[0].cell(old) == "statefulset.apps/db"
