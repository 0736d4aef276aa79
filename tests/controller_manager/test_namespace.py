"""What a terminating namespace says about itself."""

import pytest

from controller_manager.discovery import Discovered, resources_of
from controller_manager.namespace_plan import Remains, conditions_of, grace_of
from machinery.api import kinds, meta
from machinery.api.codec import Json
from tests.controller_manager.objects import pod

NOW = "2026-01-01T00:00:00Z"


def _remains() -> Remains:
    remains = Remains(discovery="Discovery failed for some groups, 1 failing: …", failures=["b failed", "a failed"])
    held: Json = {"metadata": {"finalizers": ["example.com/hold"]}}
    remains.count(kinds.PODS, [held, {"metadata": {}}])
    remains.count(kinds.DEPLOYMENTS, [held])
    return remains


@pytest.mark.parametrize(
    ("type_", "fine", "trouble"),
    [
        (
            "NamespaceDeletionDiscoveryFailure",
            ("ResourcesDiscovered", "All resources successfully discovered"),
            ("DiscoveryFailed", "Discovery failed for some groups, 1 failing: …"),
        ),
        (
            "NamespaceDeletionContentFailure",
            ("ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
            ("ContentDeletionFailed", "Failed to delete all resource types, 2 remaining: a failed, b failed"),
        ),
        (
            "NamespaceContentRemaining",
            ("ContentRemoved", "All content successfully removed"),
            (
                "SomeResourcesRemain",
                "Some resources are remaining: deployments.apps has 1 resource instances, "
                "pods. has 2 resource instances",
            ),
        ),
        (
            "NamespaceFinalizersRemaining",
            ("ContentRemoved", "All content successfully removed"),
            ("SomeFinalizerRemain", "Some finalizers are remaining: example.com/hold in 2 resource instances"),
        ),
    ],
)
def test_conditions_in_upstreams_words(type_: str, fine: tuple[str, str], trouble: tuple[str, str]) -> None:
    for remains, status, words in ((Remains(), "False", fine), (_remains(), "True", trouble)):
        found = meta.find_condition(conditions_of({}, remains, NOW), type_) or {}
        assert (found["status"], (found["reason"], found["message"])) == (status, words)


def test_a_namespace_goes_only_when_nothing_is_left_and_nothing_failed() -> None:
    assert Remains().empty
    assert not _remains().empty
    assert not Remains(discovery="failed").empty


@pytest.mark.parametrize(
    ("pods", "expected"),
    [
        ([], 0.0),
        ([pod("a")], 30.0),
        (
            [pod("a", spec={"terminationGracePeriodSeconds": 5}), pod("b", metadata={"deletionGracePeriodSeconds": 9})],
            9.0,
        ),
    ],
)
def test_the_wait_is_for_the_slowest_pod(pods: list[Json], expected: float) -> None:
    assert grace_of(pods) == expected


def test_discovery_leaves_out_subresources_and_says_which_groups_failed() -> None:
    listing = {
        "resources": [
            {"name": "pods", "kind": "Pod", "namespaced": True, "verbs": ["get", "delete"]},
            {"name": "pods/log", "kind": "Pod", "namespaced": True, "verbs": ["get"]},
        ]
    }
    (found,) = resources_of("", "v1", listing)
    assert found.kind == kinds.PODS
    assert found.allows("delete") and not found.allows("list")
    text = Discovered((), {"metrics.k8s.io/v1beta1": "unavailable"}).failure_text()
    assert text == "unable to retrieve the complete list of server APIs: metrics.k8s.io/v1beta1: unavailable"
