"""What is wrong with a configuration is said with file, line and field, in upstream's words."""

from pathlib import Path

import pytest
import yaml

from scheduler import config
from scheduler.config import ConfigError
from scheduler.config_validation import line_of

HEADER = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"


def said(folder: Path, text: str) -> list[str]:
    """The complaints, without the file's name."""
    path = folder / "config.yaml"
    path.write_text(HEADER + text)
    with pytest.raises(ConfigError) as problem:
        config.load(str(path))
    return str(problem.value).replace(f"{path}, ", "").split("\n")


def args(name: str, given: str) -> str:
    """A profile with arguments for a plugin."""
    return f"profiles:\n- pluginConfig:\n  - name: {name}\n    args: {given}\n"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        pytest.param("profilez: []\n", ['line 3: strict decoding error: unknown field "profilez"'], id="unknown-field"),
        pytest.param(
            "profiles:\n- schedulerName: a\n  plugnis: {}\n",
            ['line 5: strict decoding error: unknown field "profiles[0].plugnis"'],
            id="unknown-field-within",
        ),
        pytest.param(
            "profiles: 3\n", ["line 3: profiles: Invalid value: 3: Input should be a valid list"], id="another-type"
        ),
        pytest.param(
            "parallelism: 0\n",
            ["line 3: parallelism: Invalid value: 0: should be an integer value greater than zero"],
            id="parallelism",
        ),
        pytest.param(
            "percentageOfNodesToScore: 101\n",
            ["line 3: percentageOfNodesToScore: Invalid value: 101: not in valid range [0-100]"],
            id="percentage",
        ),
        pytest.param(
            "podInitialBackoffSeconds: 20\n",
            [
                "line 1: podMaxBackoffSeconds: Invalid value: 10: "
                "must be greater than or equal to PodInitialBackoffSeconds"
            ],
            id="back-off",
        ),
        pytest.param(
            "clientConnection:\n  burst: -1\n",
            ["line 4: clientConnection.burst: Invalid value: -1: must be non-negative"],
            id="burst",
        ),
        pytest.param(
            "leaderElection:\n  leaseDuration: 5s\n",
            [
                'line 4: leaderElection.leaseDuration: Invalid value: "5s": '
                "LeaseDuration must be greater than RenewDeadline"
            ],
            id="lease-shorter-than-renewing",
        ),
        pytest.param(
            "leaderElection:\n  retryPeriod: 20s\n",
            [
                'line 3: leaderElection.renewDeadline: Invalid value: "10s": '
                "RenewDeadline must be greater than RetryPeriod"
            ],
            id="retry-longer-than-renewing",
        ),
        pytest.param(
            "leaderElection:\n  resourceLock: endpoints\n",
            ['line 4: leaderElection.resourceLock: Invalid value: "endpoints": resourceLock value must be "leases"'],
            id="another-lock",
        ),
        pytest.param("profiles: []\n", ["line 3: profiles: Required value"], id="no-profile"),
        pytest.param(
            "profiles:\n- schedulerName: a\n- schedulerName: a\n",
            ['line 5: profiles[1].schedulerName: Duplicate value: "a"'],
            id="two-of-a-name",
        ),
        pytest.param(
            "profiles:\n- schedulerName: a\n- {}\n", ["line 5: profiles[1].schedulerName: Required value"], id="no-name"
        ),
        pytest.param(
            "profiles:\n- schedulerName: a\n- schedulerName: b\n  plugins:\n"
            "    queueSort: {disabled: [{name: PrioritySort}]}\n",
            [
                'line 7: profiles[1].plugins.queueSort: Invalid value: {"disabled":[{"name":"PrioritySort"}]}: '
                "queueSort must be the same for all profiles"
            ],
            id="another-order",
        ),
        pytest.param(
            "profiles:\n- plugins:\n    score:\n      enabled:\n      - {name: NodeAffinity}\n"
            "      - {name: NodeAffinity}\n",
            ['line 8: profiles[0].plugins.score.enabled[1].name: Duplicate value: "NodeAffinity"'],
            id="enabled-twice",
        ),
        pytest.param(
            "profiles:\n- pluginConfig:\n  - name: NodeAffinity\n  - name: NodeAffinity\n",
            ['line 6: profiles[0].pluginConfig[1]: Duplicate value: "NodeAffinity"'],
            id="arguments-twice",
        ),
        pytest.param(
            args("DefaultPreemption", "{minCandidateNodesPercentage: 101, minCandidateNodesAbsolute: -1}"),
            [
                "line 6: profiles[0].pluginConfig[0].args.minCandidateNodesPercentage: Invalid value: 101: "
                "not in valid range [0, 100]",
                "line 6: profiles[0].pluginConfig[0].args.minCandidateNodesAbsolute: Invalid value: -1: "
                "not in valid range [0, inf)",
            ],
            id="preemption",
        ),
        pytest.param(
            args("DefaultPreemption", "{minCandidateNodesPercentage: 0, minCandidateNodesAbsolute: 0}"),
            [
                "line 6: profiles[0].pluginConfig[0].args.minCandidateNodesPercentage: Invalid value: 0: "
                "cannot be zero at the same time as minCandidateNodesAbsolute",
                "line 6: profiles[0].pluginConfig[0].args.minCandidateNodesAbsolute: Invalid value: 0: "
                "cannot be zero at the same time as minCandidateNodesPercentage",
            ],
            id="preemption-of-nothing",
        ),
        pytest.param(
            args("InterPodAffinity", "{hardPodAffinityWeight: 101}"),
            [
                "line 6: profiles[0].pluginConfig[0].args.hardPodAffinityWeight: Invalid value: 101: "
                "not in valid range [0-100]"
            ],
            id="pod-affinity",
        ),
        pytest.param(
            args(
                "PodTopologySpread",
                "{defaultConstraints: [{maxSkew: 1, topologyKey: z, whenUnsatisfiable: ScheduleAnyway}]}",
            ),
            [
                'line 6: profiles[0].pluginConfig[0].args.defaultingType: Invalid value: "System": '
                "when .defaultConstraints are not empty"
            ],
            id="spread-by-system-with-a-list",
        ),
        pytest.param(
            args("PodTopologySpread", "{defaultingType: List, defaultConstraints: [{labelSelector: {}}]}"),
            [
                "line 6: profiles[0].pluginConfig[0].args.defaultConstraints[0].maxSkew: Invalid value: 0: "
                "not in valid range (0, inf)",
                "line 6: profiles[0].pluginConfig[0].args.defaultConstraints[0].topologyKey: Required value: "
                "can not be empty",
                "line 6: profiles[0].pluginConfig[0].args.defaultConstraints[0].whenUnsatisfiable: Required value: "
                "can not be empty",
                "line 6: profiles[0].pluginConfig[0].args.defaultConstraints[0].labelSelector: Forbidden: "
                "constraint must not define a selector, as they deduced for each pod",
            ],
            id="spread-constraint",
        ),
        pytest.param(
            args("NodeResourcesFit", "{scoringStrategy: {type: Best}, ignoredResourceGroups: [a/b]}"),
            [
                'line 6: profiles[0].pluginConfig[0].args.ignoredResourceGroups[0]: Invalid value: "a/b": '
                "resource group name can't contain '/'",
                'line 6: profiles[0].pluginConfig[0].args.scoringStrategy.type: Unsupported value: "Best": '
                'supported values: "LeastAllocated", "MostAllocated", "RequestedToCapacityRatio"',
            ],
            id="fit",
        ),
        pytest.param(
            args("NodeResourcesFit", "{scoringStrategy: {type: RequestedToCapacityRatio}}"),
            [
                "line 6: profiles[0].pluginConfig[0].args.scoringStrategy.requestedToCapacityRatio.shape: "
                "Required value: at least one point must be specified"
            ],
            id="fit-without-a-shape",
        ),
        pytest.param(
            args("NodeResourcesBalancedAllocation", "{resources: [{name: cpu, weight: 2}]}"),
            ["line 6: profiles[0].pluginConfig[0].args.resources[0].weight: Invalid value: 2: must be 1"],
            id="balanced",
        ),
        pytest.param(
            args("VolumeBinding", "{bindTimeoutSeconds: -1}"),
            [
                "line 6: profiles[0].pluginConfig[0].args.bindTimeoutSeconds: Invalid value: -1: "
                "invalid BindTimeoutSeconds, should not be a negative value"
            ],
            id="volume-binding",
        ),
        pytest.param(
            "extenders:\n- {urlPrefix: 'http://a', prioritizeVerb: p}\n",
            ["line 4: extenders[0].weight: Invalid value: 0: must have a positive weight applied to it"],
            id="extender-without-a-weight",
        ),
        pytest.param(
            "extenders:\n- {urlPrefix: a, bindVerb: b}\n- {urlPrefix: b, bindVerb: b}\n",
            [
                'line 3: extenders: Invalid value: "found 2 extenders implementing bind": '
                "only one extender can implement bind"
            ],
            id="two-binders",
        ),
        pytest.param(
            "extenders:\n- urlPrefix: a\n  managedResources:\n  - name: cpu\n",
            [
                'line 6: extenders[0].managedResources[0].name: Invalid value: "cpu": '
                "cpu is an invalid extended resource name"
            ],
            id="extender-of-cpu",
        ),
    ],
)
def test_a_bad_configuration_is_refused_with_its_line(tmp_path: Path, text: str, messages: list[str]) -> None:
    assert said(tmp_path, text) == messages


def test_everything_that_upstream_knows_is_read(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        HEADER + "parallelism: 16\nenableProfiling: true\nenableContentionProfiling: true\n"
        "percentageOfNodesToScore: 50\ndelayCacheUntilActive: false\n"
        "clientConnection: {qps: 50, burst: 100, contentType: application/json}\n"
        "leaderElection: {leaderElect: true, resourceLock: leases}\n"
        "profiles:\n- schedulerName: a\n  percentageOfNodesToScore: 10\n"
        "extenders:\n- {urlPrefix: 'http://a', filterVerb: f, httpTimeout: 1s, enableHTTPS: true}\n"
    )
    found = config.load(str(path))
    assert (found.extenders[0].enable_https, found.extenders[0].http_timeout) == (True, "1s")


def test_another_version_is_not_registered(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("apiVersion: kubescheduler.config.k8s.io/v1beta3\nkind: KubeSchedulerConfiguration\n")
    text = 'no kind "KubeSchedulerConfiguration" is registered for version "kubescheduler.config.k8s.io/v1beta3"'
    with pytest.raises(ConfigError, match=text):
        config.load(str(path))


def test_the_line_is_that_of_what_comes_closest() -> None:
    root = yaml.compose("a:\n  b:\n  - c: 1\n  - c: 2\n", Loader=yaml.SafeLoader)
    assert [line_of(root, field) for field in ("a", "a.b[1].c", "a.b[1].d", "a.x.y", "z")] == [1, 4, 4, 1, 1]
