"""Small pure parts of verbs: labels apart, conditions to wait for, exit codes, generated objects, log queries."""

import pytest

from kubectl import __main__ as main
from kubectl import generators, streams
from kubectl.commands.label import pairs_of
from kubectl.commands.logs import params_of
from kubectl.commands.wait import check_of
from kubectl.flags import Args
from kubectl.pods_behind import choose_container
from kubectl.problems import CliError
from kubectl.session import Session
from machinery.api import errors
from machinery.api.codec import Json


def arguments(verb: str, *argv: str) -> Args:
    """The flags of a verb as its code gets them."""
    return main.arguments(main.load(verb), [verb], list(argv))


def test_words_are_told_from_changes() -> None:
    assert pairs_of(["pod", "web", "a=b", "c-"], "label") == (["pod", "web"], {"a": "b"}, ["c"])


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        pytest.param(["pod", "a=b", "web"], "all resources must be specified before label changes: web", id="order"),
        pytest.param(["pod", "a=b", "a-"], "can not both modify and remove the label for the same key", id="both"),
    ],
)
def test_changes_that_contradict_are_refused(words: list[str], problem: str) -> None:
    with pytest.raises(CliError, match=problem):
        pairs_of(words, "label")


READY: Json = {
    "metadata": {"generation": 2},
    "status": {"phase": "Running", "replicas": 3, "conditions": [{"type": "Ready", "status": "True"}]},
}
STALE: Json = READY | {"status": READY["status"] | {"observedGeneration": 1}}


@pytest.mark.parametrize(
    ("wanted", "obj", "holds"),
    [
        pytest.param("condition=Ready", READY, True, id="condition"),
        pytest.param("condition=ready=TRUE", READY, True, id="in-any-case"),
        pytest.param("condition=Ready=false", READY, False, id="another-status"),
        pytest.param("condition=Available", READY, False, id="not-there"),
        pytest.param("condition=Ready", STALE, False, id="of-an-older-spec"),
        pytest.param("jsonpath={.status.phase}=Running", READY, True, id="path"),
        pytest.param("jsonpath='{.status.replicas}'=3".replace("'", ""), READY, True, id="number"),
        pytest.param("jsonpath={.status.phase}", READY, True, id="any-value"),
        pytest.param("jsonpath={.status.nope}", READY, False, id="no-value"),
    ],
)
def test_a_condition_holds_or_not(wanted: str, obj: Json, holds: bool) -> None:
    assert check_of(wanted)(obj) is holds


def test_an_unknown_condition_is_refused() -> None:
    with pytest.raises(CliError, match='unrecognized condition: "ready"'):
        check_of("ready")


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        pytest.param({"status": "Success"}, 0, id="success"),
        pytest.param({}, 0, id="nothing-said"),
        pytest.param(
            {
                "status": "Failure",
                "reason": "NonZeroExitCode",
                "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
            },
            3,
            id="exit-code",
        ),
    ],
)
def test_the_outcome_of_a_stream_is_an_exit_code(outcome: Json, code: int) -> None:
    assert streams.exit_code(outcome) == code


def test_an_outcome_without_exit_code_is_an_error() -> None:
    with pytest.raises(errors.StatusError, match="no such container"):
        streams.exit_code({"status": "Failure", "reason": "InternalError", "message": "no such container"})


@pytest.mark.parametrize(
    ("argv", "params"),
    [
        pytest.param(["web"], {"container": "c"}, id="plain"),
        pytest.param(["web", "-f", "-p"], {"container": "c", "follow": "true", "previous": "true"}, id="switches"),
        pytest.param(["web", "--tail=0"], {"container": "c", "tailLines": "0"}, id="no-lines"),
        pytest.param(["-l", "a=b"], {"container": "c", "tailLines": "10"}, id="by-selector-ten-lines"),
        pytest.param(["web", "--since=1500ms"], {"container": "c", "sinceSeconds": "2"}, id="seconds-rounded-up"),
    ],
)
def test_flags_of_logs_become_a_query(argv: list[str], params: dict[str, str]) -> None:
    assert params_of(arguments("logs", *argv), "c") == params


POD: Json = {
    "metadata": {"name": "web"},
    "spec": {"initContainers": [{"name": "i"}], "containers": [{"name": "a"}, {"name": "b"}]},
}


def test_the_first_container_is_the_default_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert choose_container(Session(arguments("logs", "web")), POD, "") == "a"
    assert capsys.readouterr().err == 'Defaulted container "a" out of: a, b, i (init)\n'


def test_an_annotation_names_the_default_container() -> None:
    annotated = POD | {"metadata": {"annotations": {"kubectl.kubernetes.io/default-container": "b"}}}
    assert choose_container(Session(arguments("logs", "web")), annotated, "") == "b"


def test_a_container_the_pod_has_not_is_refused() -> None:
    with pytest.raises(CliError, match="container x is not valid for pod web"):
        choose_container(Session(arguments("logs", "web")), POD, "x")


def test_a_config_map_keeps_bytes_that_are_no_text_apart() -> None:
    made = generators.config_map("c", {"a": b"text", "b": b"\xff"})
    assert (made["data"], made["binaryData"]) == ({"a": "text"}, {"b": "/w=="})


@pytest.mark.parametrize(
    ("text", "port"),
    [
        pytest.param("80", {"name": "80", "port": 80, "protocol": "TCP", "targetPort": 80}, id="one"),
        pytest.param("80:8080", {"name": "80-8080", "port": 80, "protocol": "TCP", "targetPort": 8080}, id="two"),
        pytest.param("80:http", {"name": "80-http", "port": 80, "protocol": "TCP", "targetPort": "http"}, id="named"),
    ],
)
def test_a_services_port_is_port_and_target(text: str, port: Json) -> None:
    assert generators.service("s", "ClusterIP", [text])["spec"]["ports"] == [port]


def test_a_literal_without_value_is_refused() -> None:
    with pytest.raises(CliError, match="invalid literal source a, expected key=value"):
        generators.sources_of(["a"], [], [])
