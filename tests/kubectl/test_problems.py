"""What problems look like on standard error, and their exit codes."""

import pytest

from kubectl.problems import CliError, Several, Sourced, code_of, explain, refused
from kubectl.session import unreachable
from machinery.api import errors, kinds

NOT_FOUND = errors.not_found(kinds.PODS, "x")
TWO_CAUSES = errors.invalid(
    kinds.PODS, "x", [errors.required("spec.a"), errors.required("spec.a"), errors.required("spec.b", "say it")]
)


@pytest.mark.parametrize(
    ("problem", "lines"),
    [
        pytest.param(CliError("no"), ["error: no"], id="ours"),
        pytest.param(CliError("No.", bare=True), ["No."], id="bare"),
        pytest.param(NOT_FOUND, ['Error from server (NotFound): pods "x" not found'], id="not-found"),
        pytest.param(
            Sourced(NOT_FOUND, "creating", "f.yaml"),
            ['Error from server (NotFound): error when creating "f.yaml": pods "x" not found'],
            id="with-source",
        ),
        pytest.param(
            errors.Unauthorized("Unauthorized"),
            ["error: You must be logged in to the server (Unauthorized)"],
            id="unauthorized",
        ),
        pytest.param(
            errors.invalid(kinds.DEPLOYMENTS, "web", [errors.required("spec.selector")]),
            ['The Deployment "web" is invalid: spec.selector: Required value'],
            id="one-cause",
        ),
        pytest.param(
            TWO_CAUSES,
            ['The Pod "x" is invalid: ', "* spec.a: Required value", "* spec.b: Required value: say it"],
            id="several-causes",
        ),
        pytest.param(errors.StatusError("odd"), ["Error from server: odd"], id="without-reason"),
        pytest.param(Several([CliError("a"), CliError("b")]), ["error: a", "error: b"], id="several"),
    ],
)
def test_a_problem_is_told_in_kubectls_words(problem: Exception, lines: list[str]) -> None:
    assert list(explain(problem)) == lines


def test_the_exit_code_is_one_unless_the_problem_has_its_own() -> None:
    assert code_of(NOT_FOUND) == 1
    assert code_of(CliError("command terminated with exit code 3", code=3)) == 3


def test_a_refused_connection_names_host_and_port() -> None:
    assert refused("https://127.0.0.1:6443").startswith("The connection to the server 127.0.0.1:6443 was refused")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "[Errno 111] Connect call failed ('10.0.0.1', 6443)",
            "The connection to the server 10.0.0.1:6443",
        ),
        ("[Errno 111] Connection refused", "The connection to the server 10.0.0.1:6443"),
        ("[Errno 113] Connect call failed ('10.0.0.1', 6443)", "Unable to connect to the server: [Errno 113]"),
        (
            "[Errno -2] Name or service not known",
            "Unable to connect to the server: [Errno -2] Name",
        ),
    ],
)
def test_only_what_was_refused_is_said_to_be(said: str, expected: str) -> None:
    problem = unreachable(OSError(f"GET https://10.0.0.1:6443/api: {said}"), "https://10.0.0.1:6443")
    assert str(problem).startswith(expected)
