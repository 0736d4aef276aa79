"""Label and field selectors: what they parse, refuse and match."""

import pytest

from machinery.api.codec import Json
from machinery.api.selectors import EVERYTHING, NOTHING, FieldSelector, LabelSelector

LABELS = {"app": "web", "tier": "front", "size": "3"}


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app=db", False),
        ("app!=db", True),
        ("missing!=x", True),
        ("app", True),
        ("!app", False),
        ("!missing", True),
        ("app in (web, db)", True),
        ("app notin (db)", True),
        ("missing in (x)", False),
        ("missing notin (x)", True),
        ("app=web,tier=back", False),
        ("size>2", True),
        ("size<3", False),
        ("app=", False),
    ],
)
def test_label_selectors_match(text: str, matches: bool) -> None:
    assert LabelSelector.parse(text).matches(LABELS) is matches


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("=x", "found '=', expected: !, identifier, or 'end of string'"),
        ("a b", "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"),
        ("a=b c", "found 'c', expected: ',' or 'end of string'"),
        ("a,", "found '', expected: identifier after ','"),
        ("a=!", "unable to parse requirement: found '!', expected: identifier"),
        ("a in b", "unable to parse requirement: found 'b' expected: '('"),
        ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
        ("a in (=)", "unable to parse requirement: found '=', expected: ',', ')' or identifier"),
        ("x/y/z", 'unable to parse requirement: <nil>: Invalid value: "x/y/z": a qualified name must consist of'),
        ("a=-x", 'unable to parse requirement: values[0][a]: Invalid value: "-x": a valid label must be'),
        (
            "a>b",
            "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must "
            "be an integer",
        ),
    ],
)
def test_malformed_label_selectors_are_refused_in_upstreams_words(text: str, message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        LabelSelector.parse(text)
    assert str(refusal.value).startswith(message)


@pytest.mark.parametrize(
    ("text", "printed"),
    [("a in ()", "a in ()"), ("a in (,b)", "a in (,b)"), ("notin in (in)", "notin in (in)"), (" a = b , !c", "a=b,!c")],
)
def test_odd_label_selectors_are_read_as_upstream_reads_them(text: str, printed: str) -> None:
    assert str(LabelSelector.parse(text)) == printed


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["db", "web"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}, False),
        ({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "x", "operator": "Exists"}]}, False),
    ],
)
def test_selector_objects_match(selector: Json | None, matches: bool) -> None:
    assert LabelSelector.from_dict(selector).matches(LABELS) is matches


def test_an_unknown_operator_is_refused() -> None:
    with pytest.raises(ValueError, match="not a valid label selector operator"):
        LabelSelector.from_dict({"matchExpressions": [{"key": "a", "operator": "Near"}]})


def test_a_selector_prints_as_it_parses() -> None:
    text = "a=b,c in (d,e),!f,g,h!=i"
    assert str(LabelSelector.parse(text)) == text


def test_everything_and_nothing_are_what_they_say() -> None:
    assert EVERYTHING.matches({}) and EVERYTHING.empty
    assert not NOTHING.matches({}) and not NOTHING.empty


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("metadata.name=a", True),
        ("metadata.name==a,spec.nodeName=", True),
        ("spec.nodeName!=", False),
        ("status.phase!=Failed", True),
        ("status.phase=a\\,b", False),
    ],
)
def test_field_selectors_match(text: str, matches: bool) -> None:
    assert FieldSelector.parse(text).matches({"metadata.name": "a", "status.phase": "Running"}) is matches


def test_field_selectors_know_their_exact_values_and_unescape_them() -> None:
    selector = FieldSelector.parse("metadata.name=a\\,b,spec.nodeName!=x")
    assert selector.exact("metadata.name") == "a,b"
    assert selector.exact("spec.nodeName") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x", "invalid selector: 'x'; can't understand 'x'"),
        ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ("a=b\\x", "invalid field selector: invalid escape sequence: \\x"),
    ],
)
def test_malformed_field_selectors_are_refused_in_upstreams_words(text: str, message: str) -> None:
    with pytest.raises(ValueError) as refusal:
        FieldSelector.parse(text)
    assert str(refusal.value) == message
