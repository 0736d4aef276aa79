"""What skiff does to a real API server, and that kubectl can go on where it stopped."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from machinery.api.codec import Json
from tests.integration.apiserver_process import ApiserverProcess
from tests.integration.kubectl.conftest import Skiff

CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {data}\n"


@pytest.fixture
def namespace(skiff: Skiff, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of its own."""
    name = f"t-{abs(hash(request.node.name)):x}"[:12]
    skiff("create", "namespace", name).ok()
    yield name
    skiff("delete", "namespace", name, "--wait=false").ok()


def write(path: Path, text: str) -> str:
    """A file of the test."""
    path.write_text(text)
    return str(path)


def read(skiff: Skiff, *argv: str) -> Json:
    """An object as the server has it."""
    found: Json = json.loads(skiff("get", *argv, "-o", "json").ok())
    return found


def test_apply_creates_changes_removes_and_leaves_alone(skiff: Skiff, namespace: str, tmp_path: Path) -> None:
    def apply(data: str) -> str:
        file = write(tmp_path / "c.yaml", CONFIG_MAP.format(name="c", data=data))
        return skiff("apply", "-n", namespace, "-f", file).ok()

    assert apply("{a: x, b: v}") == "configmap/c created\n"
    assert apply("{a: x, b: v}") == "configmap/c unchanged\n"
    skiff("patch", "cm", "c", "-n", namespace, "--type=merge", "-p", '{"data": {"theirs": "z"}}').ok()
    assert apply("{a: w}") == "configmap/c configured\n"
    assert read(skiff, "cm", "c", "-n", namespace)["data"] == {"a": "w", "theirs": "z"}


def test_kubectl_goes_on_where_skiff_stopped(
    server: ApiserverProcess, skiff: Skiff, namespace: str, tmp_path: Path
) -> None:
    file = write(tmp_path / "c.yaml", CONFIG_MAP.format(name="c", data="{a: x, b: v}"))
    skiff("apply", "-n", namespace, "-f", file).ok()
    assert server.kubectl("apply", "-n", namespace, "-f", file).ok() == "configmap/c unchanged\n"
    write(tmp_path / "c.yaml", CONFIG_MAP.format(name="c", data="{a: x}"))
    assert server.kubectl("apply", "-n", namespace, "-f", file).ok() == "configmap/c configured\n"
    assert skiff("apply", "-n", namespace, "-f", file).ok() == "configmap/c unchanged\n"
    assert read(skiff, "cm", "c", "-n", namespace)["data"] == {"a": "x"}


def test_a_folder_is_applied_with_what_is_inside(skiff: Skiff, namespace: str, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    write(tmp_path / "a.yaml", CONFIG_MAP.format(name="a", data="{}"))
    write(tmp_path / "b.json", json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "b"}}))
    write(tmp_path / "inner" / "c.yml", CONFIG_MAP.format(name="c", data="{}"))
    write(tmp_path / "readme.txt", "not an object")
    assert skiff("apply", "-n", namespace, "-f", str(tmp_path)).ok() == "configmap/a created\nconfigmap/b created\n"
    said = skiff("apply", "-n", namespace, "-R", "-f", str(tmp_path)).ok()
    assert said == "configmap/a unchanged\nconfigmap/b unchanged\nconfigmap/c created\n"


def test_an_object_of_another_namespace_is_refused(skiff: Skiff, namespace: str, tmp_path: Path) -> None:
    text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, namespace: other}\n"
    run = skiff("apply", "-n", namespace, "-f", write(tmp_path / "c.yaml", text))
    assert run.code == 1
    assert run.err.startswith('error: the namespace from the provided object "other" does not match')


def test_unknown_fields_are_refused_by_the_server(skiff: Skiff, namespace: str, tmp_path: Path) -> None:
    file = write(tmp_path / "c.yaml", CONFIG_MAP.format(name="c", data="{}") + "dta: {}\n")
    run = skiff("apply", "-n", namespace, "-f", file)
    assert run.code == 1
    assert 'strict decoding error: unknown field "dta"' in run.err
    assert skiff("apply", "-n", namespace, "--validate=ignore", "-f", file).ok() == "configmap/c created\n"


def test_scale_and_undo_of_a_scale_need_no_file(skiff: Skiff, namespace: str) -> None:
    skiff("create", "deployment", "web", "-n", namespace, "--image=web:1").ok()
    assert skiff("scale", "deploy/web", "-n", namespace, "--replicas=5").ok() == "deployment.apps/web scaled\n"
    assert read(skiff, "deploy", "web", "-n", namespace)["spec"]["replicas"] == 5
    run = skiff("scale", "deploy/web", "-n", namespace, "--replicas=1", "--current-replicas=2")
    assert run.err == "error: Expected replicas to be 2, was 5\n"


def test_labels_and_annotations_come_and_go(skiff: Skiff, namespace: str) -> None:
    skiff("create", "configmap", "c", "-n", namespace).ok()
    assert skiff("label", "cm", "c", "-n", namespace, "a=b", "c=d").ok() == "configmap/c labeled\n"
    assert skiff("label", "cm", "c", "-n", namespace, "a-").ok() == "configmap/c unlabeled\n"
    assert skiff("annotate", "cm", "c", "-n", namespace, "x=y").ok() == "configmap/c annotated\n"
    metadata = read(skiff, "cm", "c", "-n", namespace)["metadata"]
    assert (metadata["labels"], metadata["annotations"]) == ({"c": "d"}, {"x": "y"})


def test_restart_pause_and_resume_change_the_deployment(skiff: Skiff, namespace: str) -> None:
    skiff("create", "deployment", "web", "-n", namespace, "--image=web:1").ok()
    assert skiff("rollout", "restart", "deploy/web", "-n", namespace).ok() == "deployment.apps/web restarted\n"
    template = read(skiff, "deploy", "web", "-n", namespace)["spec"]["template"]
    assert "kubectl.kubernetes.io/restartedAt" in template["metadata"]["annotations"]
    assert skiff("rollout", "pause", "deploy/web", "-n", namespace).ok() == "deployment.apps/web paused\n"
    run = skiff("rollout", "pause", "deploy/web", "-n", namespace)
    assert run.err == 'error: deployments.apps "web" is already paused\n'
    assert skiff("rollout", "resume", "deploy/web", "-n", namespace).ok() == "deployment.apps/web resumed\n"


def test_delete_waits_until_a_finalizer_lets_go(server: ApiserverProcess, skiff: Skiff, namespace: str) -> None:
    skiff("create", "configmap", "c", "-n", namespace).ok()
    skiff("patch", "cm", "c", "-n", namespace, "--type=merge", "-p", '{"metadata":{"finalizers":["a.b/c"]}}').ok()
    with started(server, "delete", "cm", "c", "-n", namespace) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == 'configmap "c" deleted\n'
        assert process.poll() is None
        free = ("--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        server.kubectl("patch", "cm", "c", "-n", namespace, *free).ok()
        assert process.wait(20) == 0


def test_a_watch_shows_what_changes(server: ApiserverProcess, namespace: str) -> None:
    with started(server, "get", "cm", "-n", namespace, "-w", "--output-watch-events") as process:
        server.kubectl("create", "cm", "first", "-n", namespace).ok()
        assert event_of("first", process) == "ADDED"
        server.kubectl("delete", "cm", "first", "-n", namespace).ok()
        assert event_of("first", process) == "DELETED"


def test_a_wait_outlives_the_server(server: ApiserverProcess, skiff: Skiff, namespace: str) -> None:
    skiff("create", "configmap", "c", "-n", namespace, "--from-literal=a=1").ok()
    wanted = ("--for=jsonpath={.data.a}=2", "--timeout=60s")
    with started(server, "wait", "cm/c", "-n", namespace, *wanted, "-v=6") as process:
        wait_for_request(process, "/configmaps")
        server.stop(signal.SIGKILL)
        server.start()
        skiff("patch", "cm", "c", "-n", namespace, "--type=merge", "-p", '{"data":{"a":"2"}}').ok()
        assert process.wait(40) == 0


def wait_for_request(process: subprocess.Popen[str], path: str) -> None:
    """Wait until the process has listed what it will watch."""
    assert process.stderr is not None
    lines = (line for line in process.stderr if line.startswith("GET ") and f"{path} " in line)
    assert next(lines, None)


def event_of(name: str, process: subprocess.Popen[str]) -> str:
    """What the next line about an object says has happened."""
    assert process.stdout is not None
    for line in process.stdout:
        event, *cells = line.split()
        if cells[0] == name:
            return event
    raise AssertionError("the watch ended")


@contextmanager
def started(server: ApiserverProcess, *argv: str) -> Iterator[subprocess.Popen[str]]:
    """A skiff that goes on while the test does something; ended afterwards."""
    command = [sys.executable, "-m", "kubectl", "--kubeconfig", str(server.kubeconfig), *argv]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def test_who_may_not_is_told_so(server: ApiserverProcess, capsys: pytest.CaptureFixture[str]) -> None:
    jane = Skiff(server.kubeconfig_for("jane"), capsys)
    run = jane("get", "secrets")
    assert run.code == 1
    assert run.err.startswith('Error from server (Forbidden): secrets is forbidden: User "jane" cannot list resource')
    assert jane("auth", "can-i", "get", "secrets").out == "no\n"
    assert jane("auth", "can-i", "get", "secrets").code == 1
    assert ["Username", "jane"] in [line.split() for line in jane("auth", "whoami").ok().splitlines()]


def test_an_administrator_acts_as_somebody_else(skiff: Skiff) -> None:
    assert skiff("auth", "can-i", "delete", "nodes").out.endswith("yes\n")
    assert skiff("auth", "can-i", "delete", "nodes", "--as=jane").out.endswith("no\n")
    assert skiff("auth", "can-i", "delete", "nodes", "--as=jane", "--as-group=system:masters").out.endswith("yes\n")
