"""Quantities: values and canonical spellings, as upstream's tables have them."""

from fractions import Fraction

import pytest

from machinery.api import quantity


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("100m", Fraction(1, 10)),
        ("1Ki", 1024),
        ("1.5Gi", 1610612736),
        ("2e3", 2000),
        ("1E", 10**18),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("-1", -1),
        ("+3k", 3000),
        ("1n", Fraction(1, 10**9)),
        (2, 2),
    ],
)
def test_quantities_are_exact(text: str | int, value: Fraction | int) -> None:
    assert quantity.parse(text) == value


@pytest.mark.parametrize("text", ["", "x", "1X", "1 Gi", "1ki", "--1", "1e", "0x10"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        quantity.parse(text)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0.1", "100m"),
        ("1000", "1k"),
        ("1024Mi", "1Gi"),
        ("1.5Gi", "1536Mi"),
        ("1500m", "1500m"),
        ("2000m", "2"),
        ("128974848", "128974848"),
        ("0", "0"),
        ("123e3", "123e3"),
        ("64Mi", "64Mi"),
    ],
)
def test_the_canonical_form_is_upstreams(text: str, canonical: str) -> None:
    assert quantity.canonical(text) == canonical


@pytest.mark.parametrize(("text", "milli", "whole"), [("100m", 100, 1), ("1u", 1, 1), ("2", 2000, 2), ("1.1", 1100, 2)])
def test_integers_are_rounded_up(text: str, milli: int, whole: int) -> None:
    assert (quantity.to_milli(text), quantity.to_int(text)) == (milli, whole)
