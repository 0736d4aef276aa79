"""Slow starts, and pods from templates."""

import pytest

from controller_manager.pod_control import in_slow_start, is_namespace_terminating, name_prefix, pod_from_template
from machinery.api import errors, kinds
from machinery.api.codec import Json

RS: Json = {"metadata": {"name": "web-abc", "namespace": "ns", "uid": "u1"}}


@pytest.mark.parametrize(
    ("count", "fail_from", "succeeded", "untried"),
    [
        pytest.param(0, 99, 0, 0, id="nothing-to-do"),
        pytest.param(7, 99, 7, 0, id="all-succeed"),
        pytest.param(500, 0, 0, 499, id="the-first-failure-costs-one-call"),
        pytest.param(10, 1, 1, 7, id="a-failing-batch-of-two-ends-it"),
        pytest.param(10, 2, 2, 7, id="half-a-batch-counts"),
    ],
)
async def test_batches_grow_until_one_fails(count: int, fail_from: int, succeeded: int, untried: int) -> None:
    calls = 0

    async def act() -> None:
        nonlocal calls
        calls += 1
        if calls > fail_from:
            raise errors.Forbidden("exceeded quota")

    outcome = await in_slow_start(count, act)
    assert (outcome.succeeded, outcome.untried) == (succeeded, untried)
    assert (outcome.failure is not None) == (fail_from < count)


def test_a_pod_takes_labels_annotations_and_spec_from_the_template_and_knows_its_owner() -> None:
    template = {"metadata": {"labels": {"app": "web"}, "annotations": {"a": "b"}}, "spec": {"containers": []}}
    made = pod_from_template(template, RS, kinds.REPLICA_SETS)
    owner = made["metadata"].pop("ownerReferences")
    assert made == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "ns",
            "generateName": "web-abc-",
            "labels": {"app": "web"},
            "annotations": {"a": "b"},
        },
        "spec": {"containers": []},
    }
    assert [(ref["uid"], ref["controller"], ref["blockOwnerDeletion"]) for ref in owner] == [("u1", True, True)]


def test_an_owner_whose_name_makes_no_pod_name_lends_its_kind() -> None:
    assert name_prefix("x" * 253, kinds.REPLICA_SETS) == "replicaset-"


def test_a_terminating_namespace_is_told_from_other_refusals() -> None:
    causes = [{"reason": "NamespaceTerminating", "message": "…"}]
    assert is_namespace_terminating(errors.Forbidden("…", {"causes": causes}))
    assert not is_namespace_terminating(errors.Forbidden("…"))
