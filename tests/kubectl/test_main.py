"""The command itself: help, unknown words, what needs no server, what it says when there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

from kubectl import __main__ as main
from kubectl.flags import Flag
from kubectl.kubeconfig import choose, load
from kubectl.problems import CliError
from kubectl.session import Session
from tests.ports import free_port

CONFIG = """
apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: c, cluster: {server: "https://10.0.0.1:6443", certificate-authority: ca.crt}}
users:
- {name: u, user: {token: hushhush}}
contexts:
- {name: one, context: {cluster: c, user: u, namespace: team}}
- {name: two, context: {cluster: c, user: u}}
"""


@pytest.fixture
def kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A kubeconfig that the environment names."""
    path = tmp_path / "config"
    path.write_text(CONFIG)
    (tmp_path / "ca.crt").touch()
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def test_every_verb_has_a_command_and_a_line_of_help() -> None:
    for name, entry in main.COMMANDS.items():
        command = main.load(name)
        assert command.run or command.subcommands, name
        assert entry.help and command.usage.startswith(name)


def test_no_verb_gives_one_letter_two_meanings() -> None:
    def check(flags: tuple[Flag, ...]) -> None:
        letters = [flag.short for flag in flags if flag.short]
        assert len(letters) == len(set(letters)), letters

    for name in main.COMMANDS:
        command = main.load(name)
        for one in (command, *command.subcommands.values()):
            check(one.flags)


def test_without_words_the_verbs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in [*main.COMMANDS, *main.CLUSTER_COMMANDS])


def test_help_of_a_verb_shows_its_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["help", "rollout", "undo"]) == 0
    assert "--to-revision" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "lines"),
    [
        pytest.param(
            ["gte"], ['error: unknown command "gte" for "skiff"', "", "Did you mean this?", "\tget"], id="verb"
        ),
        pytest.param(
            ["get", "--outptu=x"],
            ["error: unknown flag: --outptu (did you mean --output?)", "See 'skiff get --help' for usage."],
            id="flag",
        ),
        pytest.param(["--bogus"], ["error: unknown flag: --bogus", "See 'skiff --help' for usage."], id="no-verb"),
        pytest.param(["rollout", "foo"], ['error: unknown command "foo" for "skiff rollout"'], id="subcommand"),
    ],
)
def test_an_unknown_word_is_an_error_that_names_the_nearest(
    argv: list[str], lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(argv) == 1
    assert capsys.readouterr().err.splitlines() == lines


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_every_command_has_help_by_both_flags(flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    for argv in ([flag], ["get", flag], ["status", flag], ["image", "build", flag]):
        assert main.run(argv) == 0, argv
        assert "Usage: skiff" in capsys.readouterr().out


def test_nobody_listening_is_said_in_kubectls_words(capsys: pytest.CaptureFixture[str], kubeconfig: Path) -> None:
    server = f"127.0.0.1:{free_port()}"
    assert main.run(["get", "pods", "-s", f"http://{server}"]) == 1
    said = capsys.readouterr().err
    assert said == f"The connection to the server {server} was refused - did you specify the right host or port?\n"


def test_the_clients_version_loads_none_of_the_slow_libraries() -> None:
    slow = {"httpx", "aiohttp", "typer", "rich", "click", "pydantic", "cryptography", "numpy", "jsonschema_rs"}
    code = (
        f"import sys; from kubectl.__main__ import run; run(['version', '--client']); print({slow} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "set()"


# --- kubeconfig ------------------------------------------------------------------------------------------------------


def session(*argv: str) -> Session:
    """A session for these flags."""
    return Session(main.arguments(main.load("get"), ["get"], list(argv)))


def test_the_current_context_says_server_user_and_namespace(kubeconfig: Path) -> None:
    chosen = session().chosen
    assert chosen.cluster["server"] == "https://10.0.0.1:6443"
    assert chosen.cluster["certificate-authority"] == str(kubeconfig.parent / "ca.crt")
    assert (chosen.user["token"], chosen.namespace) == ("hushhush", "team")


@pytest.mark.parametrize(
    ("argv", "namespace"),
    [
        pytest.param([], "team", id="of-the-context"),
        pytest.param(["-n", "x"], "x", id="flag"),
        pytest.param(["--context", "two"], "default", id="another-context"),
    ],
)
@pytest.mark.usefixtures("kubeconfig")
def test_the_namespace_is_the_flags_then_the_contexts_then_default(argv: list[str], namespace: str) -> None:
    assert session(*argv).namespace == namespace


@pytest.mark.usefixtures("kubeconfig")
def test_a_context_that_is_not_there_is_an_error() -> None:
    with pytest.raises(CliError, match='context "three" does not exist'):
        assert session("--context=three").chosen


def test_the_first_of_several_files_to_name_a_thing_wins(
    tmp_path: Path, kubeconfig: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.write_text("clusters: [{name: c, cluster: {server: 'https://other'}}]\ncurrent-context: two\n")
    monkeypatch.setenv("KUBECONFIG", f"{other}:{kubeconfig}")
    args = session().args
    chosen = choose(load(args), args)
    assert (chosen.cluster["server"], chosen.namespace) == ("https://other", "default")


def test_view_hides_secrets_and_use_context_is_remembered(kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["config", "use-context", "two"]) == 0
    assert main.run(["config", "current-context"]) == 0
    assert main.run(["config", "view", "--minify"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith('Switched to context "two".\ntwo\n')
    assert "token: REDACTED" in shown
    assert "hushhush" not in shown
