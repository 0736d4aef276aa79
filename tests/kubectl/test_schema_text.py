"""A kind's fields as text."""

import pytest

from kubectl.problems import CliError
from kubectl.schema_text import Document, explain, header, wrapped
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from tests.kubectl import golden

WIDGETS = Kind("example.com", "v1", "Widget", "widgets")
SCHEMAS: Json = {
    "com.example.v1.Widget": {
        "description": "A widget.",
        "x-kubernetes-group-version-kind": [{"group": "example.com", "version": "v1", "kind": "Widget"}],
        "properties": {
            "kind": {"type": "string", "description": "What it is."},
            "spec": {"allOf": [{"$ref": "#/components/schemas/com.example.v1.WidgetSpec"}], "description": "Wanted."},
        },
    },
    "com.example.v1.WidgetSpec": {
        "description": "WidgetSpec says\n- one\n- two",
        "required": ["parts"],
        "properties": {
            "parts": {"type": "array", "items": {"$ref": "#/components/schemas/com.example.v1.WidgetSpec"}},
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            "size": {"allOf": [{"$ref": "#/components/schemas/io.k8s.Quantity"}]},
            "made": {"$ref": "#/components/schemas/io.k8s.Time"},
            "mode": {"type": "string", "enum": ["a", "b"]},
        },
    },
    "io.k8s.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "io.k8s.Time": {"type": "string", "format": "date-time"},
}


@pytest.mark.parametrize(
    ("name", "path", "recursive"),
    [
        pytest.param("kind", "", False, id="a-kind"),
        pytest.param("field", "spec", False, id="a-field-with-fields"),
        pytest.param("scalar", "spec.mode", False, id="a-field-with-choices"),
        pytest.param("recursive", "", True, id="a-type-inside-itself-is-shown-once"),
    ],
)
def test_documentation_has_kubectls_layout(name: str, path: str, recursive: bool) -> None:
    words = path.split(".") if path else []
    text = explain(Document(SCHEMAS), WIDGETS, words, recursive=recursive)
    golden.check(f"explain-{name}", header(WIDGETS) + text)


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CliError, match='field "nope" does not exist'):
        explain(Document(SCHEMAS), WIDGETS, ["spec", "nope"], recursive=False)


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param("one two three", ["one two", "three"], id="words"),
        pytest.param("a.  b", ["a.  b"], id="two-spaces-stay"),
        pytest.param("one\ntwo", ["one two"], id="lines-are-joined"),
        pytest.param("one\n\ntwo", ["one", "", "two"], id="an-empty-line-stays"),
        pytest.param("one:\ntwo", ["one:", "two"], id="after-a-colon"),
        pytest.param("x\n- one\n- two", ["x", "- one", "- two"], id="a-list"),
        pytest.param("x\n    code  here", ["x", "    code  here"], id="code"),
    ],
)
def test_text_is_wrapped_but_for_what_has_a_form(text: str, lines: list[str]) -> None:
    assert wrapped(text, 8) == lines
