"""Flags by pflag's rules."""

import pytest

from kubectl import flags
from kubectl.flags import Args
from kubectl.problems import CliError

FLAGS = (
    flags.text("output", short="o"),
    flags.text("namespace", short="n"),
    flags.switch("all-namespaces", short="A"),
    flags.switch("wait", default=True),
    flags.switch("stdin", short="i"),
    flags.switch("tty", short="t"),
    flags.text("dry-run", default="none", bare="unchanged"),
    flags.number("tail", default=-1),
    flags.listing("label-columns", short="L"),
    flags.listing("filename", short="f", commas=False),
    flags.seconds("timeout"),
)


@pytest.mark.parametrize(
    ("argv", "values"),
    [
        pytest.param("-o json", {"output": "json"}, id="apart"),
        pytest.param("-ojson", {"output": "json"}, id="together"),
        pytest.param("-o=json", {"output": "json"}, id="short-with-equals"),
        pytest.param("--output=json", {"output": "json"}, id="long-with-equals"),
        pytest.param("--output json", {"output": "json"}, id="long-apart"),
        pytest.param("--wait=false", {"wait": False}, id="a-switch-off"),
        pytest.param("-it", {"stdin": True, "tty": True}, id="letters-together"),
        pytest.param("-Ao yaml", {"all-namespaces": True, "output": "yaml"}, id="a-switch-then-a-value"),
        pytest.param("--dry-run", {"dry-run": "unchanged"}, id="bare"),
        pytest.param("--dry-run=client", {"dry-run": "client"}, id="bare-with-value"),
        pytest.param("-L a,b -L c", {"label-columns": ["a", "b", "c"]}, id="a-list"),
        pytest.param("-f a,b -f c", {"filename": ["a,b", "c"]}, id="an-array"),
        pytest.param("--tail -5", {"tail": -5}, id="a-negative-number"),
        pytest.param("--timeout=1m30s", {"timeout": 90.0}, id="a-duration"),
    ],
)
def test_a_flag_is_read_in_every_form(argv: str, values: dict[str, flags.Value]) -> None:
    given = flags.parse(FLAGS, argv.split()).values
    assert {name: given[name] for name in values} == values


@pytest.mark.parametrize(
    ("argv", "words", "dash"),
    [
        pytest.param("pods -n x web", ["pods", "web"], -1, id="flags-among-words"),
        pytest.param("-i web -- sh -c x", ["web", "sh", "-c", "x"], 1, id="after-two-dashes-all-are-words"),
        pytest.param("-f -", [], -1, id="a-dash-is-a-value"),
        pytest.param("-", ["-"], -1, id="a-dash-is-a-word"),
    ],
)
def test_words_keep_their_order(argv: str, words: list[str], dash: int) -> None:
    args = flags.parse(FLAGS, argv.split())
    assert (args.words, args.dash) == (words, dash)


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        pytest.param("--foo", "unknown flag: --foo", id="unknown"),
        pytest.param("--ouput x", "unknown flag: --ouput (did you mean --output?)", id="nearest"),
        pytest.param("-z", "unknown shorthand flag: 'z' in -z", id="unknown-letter"),
        pytest.param("--output", "flag needs an argument: --output", id="no-value"),
        pytest.param("-n", "flag needs an argument: 'n' in -n", id="no-value-for-a-letter"),
        pytest.param(
            "--tail=x",
            'invalid argument "x" for "--tail" flag: strconv.ParseInt: parsing "x": invalid syntax',
            id="no-number",
        ),
        pytest.param(
            "-A=maybe",
            'invalid argument "maybe" for "-A, --all-namespaces" flag: '
            'strconv.ParseBool: parsing "maybe": invalid syntax',
            id="no-boolean",
        ),
        pytest.param(
            "--timeout=5",
            'invalid argument "5" for "--timeout" flag: time: missing unit in duration "5"',
            id="no-unit",
        ),
    ],
)
def test_a_wrong_flag_is_refused_in_pflags_words(argv: str, text: str) -> None:
    with pytest.raises(CliError) as refused:
        flags.parse(FLAGS, argv.split())
    assert str(refused.value) == text


@pytest.mark.parametrize(
    ("argv", "index"),
    [
        pytest.param("get pods", 0, id="first"),
        pytest.param("-n x get", 2, id="behind-a-value"),
        pytest.param("-nx get", 1, id="value-in-the-flag"),
        pytest.param("-A get", 1, id="behind-a-switch"),
        pytest.param("--output=x get", 1, id="with-equals"),
        pytest.param("-- get", -1, id="never-behind-two-dashes"),
        pytest.param("-A", -1, id="none"),
    ],
)
def test_the_verb_is_the_first_word_that_is_no_flags_value(argv: str, index: int) -> None:
    assert flags.first_word(FLAGS, argv.split()) == index


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("0", 0.0, id="zero"),
        pytest.param("300ms", 0.3, id="milliseconds"),
        pytest.param("1h2m3s", 3723.0, id="all"),
        pytest.param("1.5h", 5400.0, id="fraction"),
        pytest.param("-1s", -1.0, id="negative"),
    ],
)
def test_a_duration_is_gos(text: str, expected: float) -> None:
    assert flags.duration(text) == expected


def test_args_know_which_flags_were_named() -> None:
    args = flags.parse(FLAGS, ["-n", "default"])
    assert args.given("namespace")
    assert not args.given("output")
    assert isinstance(args, Args)
