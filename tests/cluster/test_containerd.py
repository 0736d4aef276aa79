"""containerd's configuration for its versions and for machines of different abilities."""

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster import containerd
from cluster.containerd import Abilities, NodePaths

WHERE = NodePaths(Path("/home/nodes/a"), Path("/run/skiff/x/a"))
ABLE = Abilities((1, 6), may_lower_oom_score=True, apparmor=True, cni_directory=Path("/opt/cni/bin"))
CRI = "io.containerd.grpc.v1.cri"
RUNTIME = "io.containerd.cri.v1.runtime"


def parsed(abilities: Abilities) -> dict[str, Any]:
    """The configuration as containerd would read it."""
    return tomllib.loads(containerd.toml(containerd.configuration(WHERE, abilities)))


@pytest.mark.parametrize(
    ("version", "format_version", "plugin"),
    [((1, 6), 2, CRI), ((1, 7), 2, CRI), ((2, 0), 3, RUNTIME), ((2, 1), 3, RUNTIME)],
)
def test_each_containerd_gets_the_format_it_reads(version: tuple[int, int], format_version: int, plugin: str) -> None:
    config = parsed(replace(ABLE, version=version))
    assert config["version"] == format_version
    assert config["plugins"][plugin]["containerd"]["default_runtime_name"] == "runc"


@pytest.mark.parametrize(("version", "plugin"), [((1, 6), CRI), ((2, 1), RUNTIME)])
@pytest.mark.parametrize("able", [True, False])
def test_oom_scores_are_restricted_only_where_root_may_not_lower_them(
    version: tuple[int, int], plugin: str, able: bool
) -> None:
    config = parsed(replace(ABLE, version=version, may_lower_oom_score=able))
    assert config["plugins"][plugin]["restrict_oom_score_adj"] is not able


def test_apparmor_is_left_on_where_the_machine_has_it() -> None:
    assert parsed(ABLE)["plugins"][CRI]["disable_apparmor"] is False
    assert parsed(replace(ABLE, apparmor=False))["plugins"][CRI]["disable_apparmor"] is True


@pytest.mark.parametrize("version", [(1, 6), (2, 1)])
def test_everything_a_containerd_touches_lies_under_its_nodes_directories(version: tuple[int, int]) -> None:
    text = containerd.toml(containerd.configuration(WHERE, replace(ABLE, version=version)))
    paths = [part for part in text.split('"') if part.startswith("/")]
    elsewhere = [path for path in paths if not path.startswith((str(WHERE.keep), str(WHERE.run)))]
    assert elsewhere == ["/opt/cni/bin"]


def test_a_mirror_takes_the_place_of_every_registry() -> None:
    hosts = tomllib.loads(containerd.mirror_hosts("http://127.0.0.1:5000"))
    assert hosts["server"] == "http://127.0.0.1:5000" and list(hosts["host"]) == ["http://127.0.0.1:5000"]
