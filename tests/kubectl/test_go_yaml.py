"""YAML read as kubectl reads it."""

from typing import Any

import pytest
import yaml

from kubectl import manifests
from kubectl.go_yaml import Loader
from kubectl.problems import CliError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("y", True, id="yaml-1.1-boolean"),
        pytest.param("Off", False, id="off"),
        pytest.param("22:22", "22:22", id="no-base-60"),
        pytest.param("2001-01-01", "2001-01-01", id="no-dates"),
        pytest.param("0644", 420, id="octal"),
        pytest.param("0o17", 15, id="octal-with-letter"),
        pytest.param("0x10", 16, id="hexadecimal"),
        pytest.param("1_000", 1000, id="underscores"),
        pytest.param("08", 8.0, id="no-octal-but-a-float"),
        pytest.param("1e3", 1000.0, id="exponent"),
        pytest.param("-1.5", -1.5, id="float"),
        pytest.param("~", None, id="tilde"),
        pytest.param("1.2.3", "1.2.3", id="version"),
        pytest.param("'true'", "true", id="quoted"),
    ],
)
def test_a_plain_word_means_what_it_means_to_kubectl(text: str, expected: Any) -> None:
    value = yaml.load(f"a: {text}", Loader=Loader)["a"]
    assert value == expected
    assert type(value) is type(expected)


def test_lists_are_taken_apart_and_empty_documents_skipped() -> None:
    text = """
---
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Pod, metadata: {name: a}}
---
---
{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "b"}}
"""
    assert [obj["metadata"]["name"] for obj in manifests.objects_in(text, "f.yaml")] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param("kind: Pod\n", 'error validating "f": error validating data: apiVersion not set', id="no-version"),
        pytest.param(
            "a: b\n", 'error validating "f": error validating data: [apiVersion not set, kind not set]', id="neither"
        ),
        pytest.param("a: [\n", "error parsing f: error converting YAML to JSON: yaml: line 2:", id="no-yaml"),
    ],
)
def test_what_is_no_object_is_refused(text: str, problem: str) -> None:
    with pytest.raises(CliError) as refused:
        list(manifests.objects_in(text, "f"))
    assert str(refused.value).startswith(problem)
