"""Kubeconfig files: written, kept, merged."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import kubeconfigs, pki
from cluster.config import Layout
from cluster.errors import ClusterError
from tests.cluster.clusters import REAL


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path / "home", tmp_path / "run")
    pki.ensure(made.pki, pki.certificates(REAL))
    return made


def test_every_user_gets_a_file_and_a_second_time_nothing_is_written(layout: Layout) -> None:
    assert kubeconfigs.ensure(REAL, layout)
    assert not kubeconfigs.ensure(REAL, layout)
    assert layout.admin_kubeconfig.exists() and layout.kubeconfig("kubelet-b").exists()


def test_a_cluster_that_moved_gets_new_files(layout: Layout) -> None:
    kubeconfigs.ensure(REAL, layout)
    assert kubeconfigs.ensure(REAL.model_copy(update={"api_address": "172.30.100.1"}), layout)
    assert "https://172.30.100.1:6443" in layout.admin_kubeconfig.read_text()


def entry(name: str, mark: str) -> dict[str, Any]:
    """A kubeconfig with one of everything."""
    sections = {section: [{"name": name, "mark": mark}] for section in ("clusters", "users", "contexts")}
    return {"apiVersion": "v1", "kind": "Config", **sections, "current-context": name}


@pytest.mark.parametrize(
    ("into", "names"),
    [
        pytest.param({}, ["new"], id="into-nothing"),
        pytest.param(entry("other", "x"), ["other", "new"], id="beside-another"),
        pytest.param(entry("new", "old"), ["new"], id="in-place-of-an-older-one"),
    ],
)
def test_merging_adds_by_name_and_switches_to_the_new_context(into: dict[str, Any], names: list[str]) -> None:
    merged = kubeconfigs.merge(into, entry("new", "fresh"))
    assert [context["name"] for context in merged["contexts"]] == names
    assert merged["contexts"][-1]["mark"] == "fresh" and merged["current-context"] == "new"


def test_a_file_that_is_no_kubeconfig_is_left_alone(tmp_path: Path) -> None:
    target, source = tmp_path / "config", tmp_path / "new"
    target.write_text("just text\n")
    source.write_text(yaml.safe_dump(entry("new", "fresh")))
    with pytest.raises(ClusterError, match="not a kubeconfig"):
        kubeconfigs.merge_file(source, target)
    assert target.read_text() == "just text\n"
