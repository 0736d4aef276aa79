"""Flags by kubectl's (pflag's) rules: anywhere among the words, `-ojson`, `-o=json`, `-it`, `--wait=false`, `--`.

A command's flags are a table of `Flag`; `parse` knows nothing of commands. argparse, click and typer read `-o=json` as
the value "=json" and have no `--flag=false`, so that none of them could stand in for kubectl in a script.
"""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from kubectl.problems import CliError

Value = str | bool | int | float | list[str] | None
FlagKind = Literal["text", "bool", "int", "list", "array", "seconds"]

_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d*)?|\.\d+)(?:h|ms|m|s|us|µs|ns)")


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. A `list` splits at commas, an `array` does not; `seconds` takes Go durations; `bare` needs no value."""

    name: str
    help: str = ""
    short: str = ""
    kind: FlagKind = "text"
    default: Value = ""
    bare: str | None = None

    @property
    def label(self) -> str:
        """How error messages name it: `-o, --output`."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


def text(name: str, help: str = "", short: str = "", default: str = "", bare: str | None = None) -> Flag:
    """A flag with a text."""
    return Flag(name, help, short, "text", default, bare)


def switch(name: str, help: str = "", short: str = "", default: bool = False) -> Flag:
    """A flag that is on when it is named."""
    return Flag(name, help, short, "bool", default, "true")


def number(name: str, help: str = "", default: int = 0, short: str = "") -> Flag:
    """A flag with an integer."""
    return Flag(name, help, short, "int", default)


def listing(name: str, help: str = "", short: str = "", commas: bool = True) -> Flag:
    """A flag that can be given several times."""
    return Flag(name, help, short, "list" if commas else "array", None)


def seconds(name: str, help: str = "", default: float = 0.0) -> Flag:
    """A flag with a duration: `90s`, `1m30s`, `0`."""
    return Flag(name, help, "", "seconds", default)


@dataclass
class Args:
    """What was given: words in order, flags' values, which flags were named, where `--` stood (-1: nowhere)."""

    words: list[str] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    dash: int = -1

    def text(self, name: str) -> str:
        """A text flag's value."""
        return str(self.values[name])

    def on(self, name: str) -> bool:
        """A switch's value."""
        return bool(self.values[name])

    def number(self, name: str) -> int:
        """An integer flag's value."""
        value = self.values[name]
        assert isinstance(value, int)
        return value

    def seconds(self, name: str) -> float:
        """A duration in seconds."""
        value = self.values[name]
        assert isinstance(value, float | int)
        return float(value)

    def list(self, name: str) -> "list[str]":
        """All values of a flag that can be given several times."""
        value = self.values[name]
        return list(value) if isinstance(value, list) else []

    def given(self, name: str) -> bool:
        """Whether the flag was on the command line."""
        return name in self.named


def parse(flags: Iterable[Flag], argv: Sequence[str]) -> Args:
    """Read a command line; raises CliError in pflag's words."""
    return _Parser(flags).read(argv)


def first_word(flags: Iterable[Flag], argv: Sequence[str]) -> int:
    """The index of the first word that is neither a flag nor a flag's value; -1 when there is none."""
    parser = _Parser(flags)
    index = 0
    while index < len(argv):
        token = argv[index]
        if token == "--":
            return -1
        if not token.startswith("-") or token == "-":
            return index
        index += 2 if parser.takes_next(token) else 1
    return -1


class _Parser:
    def __init__(self, flags: Iterable[Flag]) -> None:
        self._long: Mapping[str, Flag] = {flag.name: flag for flag in flags}
        self._short: Mapping[str, Flag] = {flag.short: flag for flag in self._long.values() if flag.short}

    def takes_next(self, token: str) -> bool:
        """Whether the token is a flag whose value is the next one; an unknown flag takes none."""
        if "=" in token:
            return False
        flag = self._long.get(token[2:]) if token.startswith("--") else self._short.get(token[-1])
        if not token.startswith("--") and any(self._wants_value(letter) for letter in token[1:-1]):
            return False
        return flag is not None and flag.bare is None

    def _wants_value(self, letter: str) -> bool:
        flag = self._short.get(letter)
        return flag is not None and flag.bare is None

    def read(self, argv: Sequence[str]) -> Args:
        args = Args(values={flag.name: flag.default for flag in self._long.values()})
        rest = list(argv)
        while rest:
            token = rest.pop(0)
            if token == "--":
                args.dash = len(args.words)
                args.words += rest
                break
            if token.startswith("--"):
                self._long_flag(args, token[2:], rest)
            elif token.startswith("-") and token != "-":
                self._short_flags(args, token[1:], rest)
            else:
                args.words.append(token)
        return args

    def _long_flag(self, args: Args, token: str, rest: list[str]) -> None:
        name, equals, value = token.partition("=")
        flag = self._long.get(name)
        if flag is None:
            raise CliError(f"unknown flag: --{name}{self._nearest(name)}")
        if not equals:
            if flag.bare is not None:
                value = flag.bare
            elif rest:
                value = rest.pop(0)
            else:
                raise CliError(f"flag needs an argument: --{name}")
        _store(args, flag, value)

    def _short_flags(self, args: Args, letters: str, rest: list[str]) -> None:
        token = letters
        while letters:
            flag = self._short.get(letters[0])
            if flag is None:
                raise CliError(f"unknown shorthand flag: '{letters[0]}' in -{token}")
            letters = letters[1:]
            if letters.startswith("="):
                return _store(args, flag, letters[1:])
            if flag.bare is not None:
                _store(args, flag, flag.bare)
                continue
            if not letters and not rest:
                raise CliError(f"flag needs an argument: '{flag.short}' in -{token}")
            return _store(args, flag, letters or rest.pop(0))
        return None

    def _nearest(self, name: str) -> str:
        close = difflib.get_close_matches(name, self._long, n=1)
        return f" (did you mean --{close[0]}?)" if close else ""


def _store(args: Args, flag: Flag, given: str) -> None:
    value = _converted(flag, given)
    if isinstance(value, list):
        value = args.list(flag.name) + value
    args.values[flag.name] = value
    args.named.add(flag.name)


def _converted(flag: Flag, given: str) -> Value:
    match flag.kind:
        case "bool":
            return _boolean(flag, given)
        case "int":
            return _integer(flag, given)
        case "seconds":
            return _seconds(flag, given)
        case "list":
            return given.split(",") if given else []
        case "array":
            return [given]
    return given


def _boolean(flag: Flag, given: str) -> bool:
    if given not in _TRUE | _FALSE:
        raise _invalid(flag, given, f'strconv.ParseBool: parsing "{given}": invalid syntax')
    return given in _TRUE


def _integer(flag: Flag, given: str) -> int:
    if not re.fullmatch(r"[-+]?\d+", given):
        raise _invalid(flag, given, f'strconv.ParseInt: parsing "{given}": invalid syntax')
    return int(given)


def _seconds(flag: Flag, given: str) -> float:
    try:
        return duration(given)
    except ValueError as problem:
        raise _invalid(flag, given, str(problem)) from problem


def duration(given: str) -> float:
    """Seconds of a Go duration (`1m30s`, `300ms`, `0`); raises ValueError in Go's words."""
    sign = -1.0 if given.startswith("-") else 1.0
    bare = given.lstrip("+-")
    if bare == "0":
        return 0.0
    parts = _DURATION.findall(bare)
    if not parts or "".join(parts) != bare:
        if re.fullmatch(r"\d+(\.\d*)?", bare):
            raise ValueError(f'time: missing unit in duration "{given}"')
        raise ValueError(f'time: invalid duration "{given}"')
    total = 0.0
    for part in parts:
        unit = part.lstrip("0123456789.")
        total += float(part.removesuffix(unit)) * _UNITS[unit]
    return sign * total


def _invalid(flag: Flag, given: str, why: str) -> CliError:
    return CliError(f'invalid argument "{given}" for "{flag.label}" flag: {why}')
