"""Resource quantities: `100m`, `1Gi`, `2e3` as exact numbers and back (upstream: api/resource/quantity.go)."""

import re
from fractions import Fraction
from functools import lru_cache
from math import ceil
from typing import Final

_PATTERN: Final = re.compile(r"([+-]?(?:\d+(?:\.\d*)?|\.\d+))(?:([eE][+-]?\d+)|([KMGTPE]i|[numkMGTPE]|))")
_BINARY: Final = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
MESSAGE: Final = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


@lru_cache(maxsize=8192)
def parse(text: str | int | float) -> Fraction:
    """The exact value; raises ValueError with upstream's message."""
    match = _PATTERN.fullmatch(str(text))
    if not match:
        raise ValueError(MESSAGE)
    number, exponent, suffix = match.groups()
    value = Fraction(number if not number.endswith(".") else number[:-1])
    if exponent:
        return value * Fraction(10) ** int(exponent[1:])
    if suffix in _BINARY:
        return value * (1 << _BINARY[suffix])
    return value * Fraction(10) ** _DECIMAL[suffix or ""]


@lru_cache(maxsize=8192)
def to_milli(text: str | int | float) -> int:
    """Thousandths, rounded up: `0.1` → 100, `1u` → 1."""
    return ceil(parse(text) * 1000)


@lru_cache(maxsize=8192)
def to_int(text: str | int | float) -> int:
    """Whole units, rounded up."""
    return ceil(parse(text))


def canonical(text: str | int | float) -> str:
    """The text upstream's server stores: largest suffix that leaves no fraction, in the family the input used."""
    original = str(text)
    return in_family_of(original, parse(original))


def in_family_of(original: str, value: Fraction) -> str:
    """A value in the suffixes that another text uses: 2 Gi like `1Gi` is `2Gi`, and like `5` 2147483648."""
    if original.endswith("i") and (value.denominator == 1 or value * 1024 >= 1) and abs(value) >= 1024:
        return _with_binary_suffix(value)
    if re.search(r"[eE][+-]?\d+$", original):
        return _with_exponent(value)
    return _with_decimal_suffix(value)


def _with_binary_suffix(value: Fraction) -> str:
    for suffix, bits in reversed(_BINARY.items()):
        scaled = value / 2**bits
        if scaled.denominator == 1 and scaled != 0:
            return f"{scaled.numerator}{suffix}"
    return str(ceil(value))


def _with_decimal_suffix(value: Fraction) -> str:
    if value == 0:
        return "0"
    for suffix, power in sorted(_DECIMAL.items(), key=lambda item: -item[1]):
        scaled = value / Fraction(10) ** power
        if scaled.denominator == 1:
            return f"{scaled.numerator}{suffix}"
    return f"{ceil(value / Fraction(10) ** -9)}n"


def _with_exponent(value: Fraction) -> str:
    for power in range(18, -10, -3):
        scaled = value / Fraction(10) ** power
        if scaled.denominator == 1 and scaled != 0:
            return f"{scaled.numerator}e{power}" if power else str(scaled.numerator)
    return "0"
