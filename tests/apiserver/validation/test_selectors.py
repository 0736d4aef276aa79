"""Label selectors as objects hold them."""

import pytest

from apiserver.validation import selectors
from machinery.api.codec import Json


@pytest.mark.parametrize(
    ("selector", "texts"),
    [
        ({"matchLabels": {"a": "b"}}, []),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, []),
        (
            {"matchExpressions": [{"key": "a", "operator": "In"}]},
            ["s.matchExpressions[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'"],
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
            [
                "s.matchExpressions[0].values: Forbidden: "
                "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            ],
        ),
        (
            {"matchExpressions": [{"key": "a", "operator": "Gt", "values": ["1"]}]},
            ['s.matchExpressions[0].operator: Invalid value: "Gt": not a valid selector operator'],
        ),
        (None, []),
    ],
)
def test_what_is_wrong_with_a_selector(selector: Json | None, texts: list[str]) -> None:
    assert [error.message() for error in selectors.label_selector(selector, "s")] == texts
