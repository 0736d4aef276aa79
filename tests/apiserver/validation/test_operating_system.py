"""What a pod may ask of its operating system, in upstream's words."""

from typing import Any

import pytest

from apiserver.resources.core.pods.defaults import pod_spec_defaults
from apiserver.validation import pod_spec
from machinery.api.codec import Json

C = "spec.containers[0]"
NOT_LINUX = "Forbidden: windows options cannot be set for a linux pod"
NOT_WINDOWS = "Forbidden: cannot be set for a windows pod"


def _problems(spec: Json) -> list[str]:
    pod_spec_defaults(spec)
    return [error.message() for error in pod_spec.check(spec, "spec")]


def _on(system: str | None, container: Json, **spec: Any) -> Json:
    os = {"os": {"name": system}} if system else {}
    return {"containers": [{"name": "c", "image": "nginx", **container}], **os, **spec}


def _signal(name: str) -> Json:
    return {"lifecycle": {"stopSignal": name}}


WINDOWS_OPTIONS: Json = {"securityContext": {"windowsOptions": {"runAsUserName": "me"}}}


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        pytest.param(_on("linux", {}), [], id="linux"),
        pytest.param(_on("windows", {}), [], id="windows"),
        pytest.param(_on(None, WINDOWS_OPTIONS), [], id="options-of-no-system"),
        pytest.param(_on("windows", WINDOWS_OPTIONS, **WINDOWS_OPTIONS), [], id="options-of-windows"),
        pytest.param(
            _on("linux", WINDOWS_OPTIONS, **WINDOWS_OPTIONS),
            [
                f"spec.securityContext.windowsOptions: {NOT_LINUX}",
                f"{C}.securityContext.windowsOptions: {NOT_LINUX}",
            ],
            id="options-of-linux",
        ),
        pytest.param(
            _on("linux", {}, initContainers=[{"name": "i", "image": "x", **WINDOWS_OPTIONS}]),
            [f"spec.initContainers[0].securityContext.windowsOptions: {NOT_LINUX}"],
            id="options-of-a-linux-init-container",
        ),
        pytest.param(
            _on(
                "windows",
                {"securityContext": {"privileged": False, "runAsUser": 1, "readOnlyRootFilesystem": True}},
                hostUsers=True,
                hostPID=True,
                hostIPC=False,
                securityContext={"fsGroup": 0, "sysctls": [], "runAsNonRoot": True},
            ),
            [
                f"spec.hostUsers: {NOT_WINDOWS}",
                f"spec.hostPID: {NOT_WINDOWS}",
                f"spec.securityContext.fsGroup: {NOT_WINDOWS}",
                f"{C}.securityContext.readOnlyRootFilesystem: {NOT_WINDOWS}",
                f"{C}.securityContext.privileged: {NOT_WINDOWS}",
                f"{C}.securityContext.runAsUser: {NOT_WINDOWS}",
            ],
            id="what-only-linux-has",
        ),
        pytest.param(
            _on(None, _signal("SIGTERM")),
            [f"{C}.lifecycle.stopSignal: Forbidden: may not be set for containers with empty `spec.os.name`"],
            id="signal-of-no-system",
        ),
        pytest.param(_on("linux", _signal("SIGRTMAX-14")), [], id="signal-of-linux"),
        pytest.param(_on("windows", _signal("SIGTERM")), [], id="signal-of-windows"),
        pytest.param(
            _on("windows", _signal("SIGUSR1")),
            [f'{C}.lifecycle.stopSignal: Unsupported value: "SIGUSR1": supported values: "SIGKILL", "SIGTERM"'],
            id="signal-that-windows-has-not",
        ),
        pytest.param(
            _on("linux", {}, initContainers=[{"name": "i", "image": "x", **_signal("SIGTERM")}]),
            [
                "spec.initContainers[0].lifecycle: Forbidden: "
                "may not be set for init containers without restartPolicy=Always"
            ],
            id="signal-of-an-init-container",
        ),
    ],
)
def test_what_is_wrong_for_an_operating_system(spec: Json, texts: list[str]) -> None:
    assert _problems(spec) == texts


def test_all_signals_of_linux_are_named_when_one_is_not_known() -> None:
    (text,) = _problems(_on("linux", _signal("SIGNOPE")))
    assert text.startswith(f'{C}.lifecycle.stopSignal: Unsupported value: "SIGNOPE": supported values: "SIGABRT", ')
    assert text.count('"SIG') == 1 + 65
