"""Tables, tab stops, JSON, YAML and custom columns."""

import pytest

from kubectl.printers import columns
from kubectl.printers.json_text import to_json
from kubectl.printers.table import TablePrinter, sort_key
from kubectl.printers.tabwriter import TabWriter
from kubectl.printers.yaml_text import style_of, to_yaml
from kubectl.problems import CliError
from machinery.api.codec import Json
from tests.kubectl import golden


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("a\tb\nlong\tc\n", "a     b\nlong  c\n", id="a-column-is-as-wide-as-its-widest-cell"),
        pytest.param("a\tb\n\nlong\tc\n", "a  b\n\nlong  c\n", id="an-empty-line-ends-a-column"),
        pytest.param("a\tb\tc\naa\tb\n", "a   b  c\naa  b\n", id="a-shorter-line-ends-inner-columns-only"),
        pytest.param("\tb\naaa\tc\n", "     b\naaa  c\n", id="an-empty-cell-is-padded"),
        pytest.param("no tabs\n", "no tabs\n", id="text-outside-columns-stays"),
    ],
)
def test_tab_stops_are_elastic(text: str, expected: str) -> None:
    assert TabWriter(padding=2).layout(text) == expected


def test_remembered_columns_never_get_narrower() -> None:
    writer = TabWriter(minimum=6, padding=3, remember=True)
    writer.layout("a-long-name\tx\n")
    assert writer.layout("b\tx\n") == "b             x\n"


TABLE: Json = {
    "kind": "Table",
    "columnDefinitions": [
        {"name": "Name", "format": "name", "priority": 0},
        {"name": "Ready", "priority": 0},
        {"name": "Age", "priority": 0},
        {"name": "Node", "priority": 1},
    ],
    "rows": [
        {
            "cells": ["web-1", "1/1", "3d", "node-a"],
            "object": {"metadata": {"namespace": "default", "labels": {"app": "web", "a.b/tier": "x"}}},
        },
        {"cells": ["a\nb", None, 5, "<none>"], "object": {"metadata": {"namespace": "kube-system"}}},
    ],
}


@pytest.mark.parametrize(
    ("name", "printer"),
    [
        pytest.param("table", TablePrinter(), id="plain"),
        pytest.param("table-wide", TablePrinter(wide=True), id="wide"),
        pytest.param("table-no-headers", TablePrinter(headers=False), id="no-headers"),
        pytest.param("table-namespaces", TablePrinter(with_namespace=True), id="all-namespaces"),
        pytest.param("table-kind", TablePrinter(kind="deployment.apps"), id="several-kinds"),
        pytest.param(
            "table-labels", TablePrinter(show_labels=True, label_columns=["app", "a.b/tier"]), id="labels-in-columns"
        ),
    ],
)
def test_a_table_looks_as_kubectls(name: str, printer: TablePrinter) -> None:
    golden.check(name, printer.text_of(TABLE))


def test_headers_are_printed_once() -> None:
    printer = TablePrinter()
    printer.text_of(TABLE)
    assert printer.text_of(TABLE).splitlines()[0].startswith("web-1")


def test_a_table_without_rows_prints_nothing() -> None:
    assert TablePrinter().text_of(TABLE | {"rows": []}) == ""


def test_missing_sorts_before_numbers_before_text() -> None:
    found: list[list[object]] = [["b"], [2], [], ["a"], [10]]
    assert sorted(found, key=sort_key) == [[], [2], [10], ["a"], ["b"]]


def test_json_has_gos_escapes_and_sorted_keys() -> None:
    assert to_json({"b": "<&>ü", "a": []}) == '{\n    "a": [],\n    "b": "\\u003c\\u0026\\u003eü"\n}'


@pytest.mark.parametrize(
    ("text", "style"),
    [
        pytest.param("hello", None, id="word"),
        pytest.param("true", '"', id="boolean"),
        pytest.param("Y", '"', id="yaml-1.1-boolean"),
        pytest.param("Null", '"', id="null"),
        pytest.param("", '"', id="empty"),
        pytest.param("123", '"', id="number"),
        pytest.param("0x1f", '"', id="hexadecimal"),
        pytest.param("1e3", '"', id="exponent"),
        pytest.param("1:20", '"', id="base-60"),
        pytest.param("2001-01-01", '"', id="date"),
        pytest.param("2001-13-01", None, id="no-date"),
        pytest.param("10.0.0.1", None, id="address"),
        pytest.param("1Gi", None, id="quantity"),
        pytest.param("=", None, id="equals-sign"),
        pytest.param("a\nb", "|", id="lines"),
    ],
)
def test_scalars_are_quoted_as_go_yaml_quotes_them(text: str, style: str | None) -> None:
    assert style_of(text) == style


def test_yaml_looks_as_kubectls() -> None:
    document = {
        "kind": "ConfigMap",
        "data": {"a": "true", "b": "x: y", "c": "one\ntwo\n", "d": "trail \nx", "e": "word " * 30, "n": "1"},
        "items": [{"port": 80, "name": "http"}, "plain", 1.5, 2.0, None, True],
        "empty": {},
        "none": [],
    }
    golden.check("yaml", to_yaml(document))


def test_custom_columns_show_none_for_what_is_not_there() -> None:
    objects: list[Json] = [{"metadata": {"name": "web", "labels": {"a": "b"}}, "spec": {"list": [1, 2]}}]
    spec = "NAME:.metadata.name,LABELS:.metadata.labels,LIST:.spec.list[*],NO:.status"
    text = columns.table_of(objects, columns.columns_from_spec(spec))
    assert text == "NAME   LABELS     LIST   NO\nweb    map[a:b]   1,2    <none>\n"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        pytest.param("", "custom-columns format specified but no custom columns given", id="none"),
        pytest.param("NAME", "unexpected custom-columns spec: NAME, expected <header>:<json-path-expr>", id="no-path"),
    ],
)
def test_custom_columns_are_refused_in_kubectls_words(spec: str, text: str) -> None:
    with pytest.raises(CliError, match=text):
        columns.columns_from_spec(spec)
