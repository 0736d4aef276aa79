"""JSONPath templates."""

from typing import Any

import pytest

from kubectl.printers import jsonpath

PODS: dict[str, Any] = {
    "kind": "List",
    "items": [
        {
            "metadata": {"name": "a", "labels": {"app.kubernetes.io/name": "x"}},
            "status": {"phase": "Running", "restarts": 2},
            "spec": {"containers": [{"name": "c1", "ports": [80, 443]}, {"name": "c2"}]},
        },
        {"metadata": {"name": "b"}, "status": {"phase": "Pending", "restarts": 0, "ready": False}},
    ],
}


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        pytest.param("{.kind}", "List", id="field"),
        pytest.param("{$.kind}", "List", id="root"),
        pytest.param("{.items[*].metadata.name}", "a b", id="all"),
        pytest.param("{.items[0].metadata.name}", "a", id="index"),
        pytest.param("{.items[-1].metadata.name}", "b", id="from-the-end"),
        pytest.param("{.items[0:1].metadata.name}", "a", id="slice"),
        pytest.param("{.items[0,1].metadata.name}", "a b", id="union"),
        pytest.param("{.items[0]['metadata','status'].name}", "a", id="union-of-names"),
        pytest.param("{..name}", "a c1 c2 b", id="anywhere"),
        pytest.param(r"{.items[0].metadata.labels.app\.kubernetes\.io/name}", "x", id="escaped-dots"),
        pytest.param("{.items[0].metadata.labels['app.kubernetes.io/name']}", "x", id="quoted"),
        pytest.param('{.items[?(@.status.phase=="Running")].metadata.name}', "a", id="filter"),
        pytest.param("{.items[?(@.status.restarts>1)].metadata.name}", "a", id="filter-by-number"),
        pytest.param("{.items[?(@.status.ready==false)].metadata.name}", "b", id="filter-by-boolean"),
        pytest.param("{.items[?(@.spec)].metadata.name}", "a", id="filter-by-presence"),
        pytest.param("{.items[0].spec.containers[0].ports}", "[80,443]", id="a-list-is-json"),
        pytest.param("{.nothing.here}", "", id="missing"),
        pytest.param('{.kind}{"\\n"}x', "List\nx", id="text-and-quotes"),
        pytest.param(
            '{range .items[*]}{.metadata.name}={.status.phase}{"\\n"}{end}', "a=Running\nb=Pending\n", id="range"
        ),
        pytest.param("{.kind .kind}", "ListList", id="several-in-one"),
    ],
)
def test_a_template_renders(template: str, expected: str) -> None:
    assert jsonpath.template(template).render(PODS) == expected


@pytest.mark.parametrize(
    "expression",
    [pytest.param("kind", id="bare"), pytest.param(".kind", id="dot"), pytest.param("{.kind}", id="braces")],
)
def test_flags_take_paths_in_any_form(expression: str) -> None:
    assert jsonpath.relaxed(expression).find(PODS) == ["List"]


@pytest.mark.parametrize(
    "template",
    [
        pytest.param("{.kind", id="not-closed"),
        pytest.param("{end}", id="end-without-range"),
        pytest.param("{range .items[*]}", id="range-without-end"),
        pytest.param("{.items[x]}", id="no-index"),
    ],
)
def test_a_template_that_cannot_be_read_is_refused(template: str) -> None:
    with pytest.raises(jsonpath.PathError):
        jsonpath.template(template)
