"""A KubeSchedulerConfiguration and what becomes of it."""

from pathlib import Path

import pytest

from machinery.api.codec import Json
from scheduler import config
from scheduler.config import ConfigError, Profile, build, points_of
from tests.scheduler.objects import handle

HEADER = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"


def names(profile: Json, point: str) -> list[str]:
    """Names of the plugins of a profile at a point."""
    return [name for name, _ in points_of(Profile.model_validate(profile), point)]


def test_the_default_profile_has_upstreams_plugins_where_they_take_part() -> None:
    runtime = build(Profile(), handle())
    assert runtime.plugins["queueSort"] == ["PrioritySort"]
    assert runtime.plugins["preEnqueue"] == ["SchedulingGates", "DynamicResources"]
    assert runtime.plugins["filter"] == [
        "NodeUnschedulable",
        "NodeName",
        "TaintToleration",
        "NodeAffinity",
        "NodePorts",
        "NodeResourcesFit",
        "VolumeRestrictions",
        "NodeVolumeLimits",
        "VolumeBinding",
        "VolumeZone",
        "PodTopologySpread",
        "InterPodAffinity",
        "DynamicResources",
    ]
    assert runtime.plugins["score"] == [
        "TaintToleration",
        "NodeAffinity",
        "NodeResourcesFit",
        "PodTopologySpread",
        "InterPodAffinity",
        "NodeResourcesBalancedAllocation",
        "ImageLocality",
    ]
    assert runtime.plugins["bind"] == ["DefaultBinder"]


def test_plugins_are_taken_away_at_one_point_or_at_all() -> None:
    everywhere = {"plugins": {"multiPoint": {"disabled": [{"name": "NodePorts"}]}}}
    assert "NodePorts" not in names(everywhere, "filter")
    scores_only = {"plugins": {"score": {"disabled": [{"name": "TaintToleration"}]}}}
    assert "TaintToleration" in names(scores_only, "filter")
    assert "TaintToleration" not in names(scores_only, "score")


def test_a_star_takes_all_and_a_weight_is_changed() -> None:
    profile = Profile.model_validate(
        {
            "plugins": {
                "score": {"disabled": [{"name": "*"}], "enabled": [{"name": "NodeAffinity", "weight": 7}]},
                "filter": {"enabled": [{"name": "GangScheduling"}]},
            }
        }
    )
    assert points_of(profile, "score") == (("NodeAffinity", 7),)
    assert "GangScheduling" not in dict(points_of(profile, "filter"))


def test_an_unknown_plugin_is_an_error() -> None:
    profile = Profile.model_validate({"plugins": {"filter": {"enabled": [{"name": "Nonsense"}]}}})
    with pytest.raises(ConfigError, match='plugin "Nonsense" does not exist'):
        build(profile, handle())


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        HEADER + "leaderElection: {leaderElect: false}\nclientConnection: {kubeconfig: /k}\n"
        "podMaxBackoffSeconds: 5\npercentageOfNodesToScore: 50\n"
        "profiles:\n- schedulerName: one\n- schedulerName: two\n"
        "  pluginConfig: [{name: NodeResourcesFit, args: {ignoredResources: [x]}}]\n"
    )
    found = config.load(str(path))
    assert found.leader_election.leader_elect is False
    assert found.client_connection.kubeconfig == "/k"
    assert found.pod_max_backoff_seconds == 5
    assert list(config.check(found)) == ["one", "two"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("kind: Pod\n", 'no kind "Pod" is registered for version ""', id="another-kind"),
        pytest.param("a: [", "failed to load", id="no-yaml"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        config.load(str(path))


def test_two_profiles_of_one_name_are_an_error() -> None:
    found = config.SchedulerConfiguration.model_validate({"profiles": [{"schedulerName": "a"}, {"schedulerName": "a"}]})
    with pytest.raises(ConfigError, match="duplicated profile"):
        config.check(found)
