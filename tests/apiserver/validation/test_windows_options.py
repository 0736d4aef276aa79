"""What Windows containers run as, in upstream's words."""

from typing import Any

import pytest

from apiserver.resources.core.pods.defaults import pod_spec_defaults
from apiserver.validation import pod_spec, windows_options
from machinery.api import names
from machinery.api.codec import Json

MIXED = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
NO_NETWORK = "hostNetwork must be true if pod contains any hostProcess containers"
NEITHER_FORMAT = "runAsUserName's Domain doesn't match the NetBios nor the DNS format"


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("ContainerUser", []),
        ("NT AUTHORITY\\Local Service", []),
        ("example.org\\a.user", []),
        ("", ["runAsUserName cannot be an empty string"]),
        ("a\tb", ["runAsUserName cannot contain control characters"]),
        ("a\\b\\c", ["runAsUserName cannot contain more than one backslash"]),
        ("\\user", [NEITHER_FORMAT]),
        ("a" * 256 + "\\b", ["runAsUserName's Domain length must be under 256 characters", NEITHER_FORMAT]),
        ("domain\\", ["runAsUserName's User cannot be empty"]),
        ("a" * 105, ["runAsUserName's User length must not be longer than 104 characters"]),
        (". .", ["runAsUserName's User cannot contain only periods or spaces"]),
        ("a:b", [r"""runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]"""]),
    ],
)
def test_names_of_users(name: str, texts: list[str]) -> None:
    found = windows_options.check({"runAsUserName": name}, "o")
    assert [(error.field, error.detail) for error in found] == [("o.runAsUserName", text) for text in texts]


@pytest.mark.parametrize(
    ("options", "texts"),
    [
        pytest.param({"gmsaCredentialSpecName": "a.b", "gmsaCredentialSpec": "x" * 64 * 1024}, [], id="fine"),
        pytest.param(
            {"gmsaCredentialSpecName": "A"},
            [f'o.gmsaCredentialSpecName: Invalid value: "A": {text}' for text in names.is_dns_subdomain("A")],
            id="name",
        ),
        pytest.param(
            {"gmsaCredentialSpec": ""},
            ['o.gmsaCredentialSpec: Invalid value: "": gmsaCredentialSpec cannot be an empty string'],
            id="empty",
        ),
        pytest.param(
            {"gmsaCredentialSpec": "x" * (64 * 1024 + 1)},
            ['o.gmsaCredentialSpec: Invalid value: "…": gmsaCredentialSpec size must be under 64 KiB'],
            id="long",
        ),
    ],
)
def test_credentials(options: Json, texts: list[str]) -> None:
    found = [error.message() for error in windows_options.check(options, "o")]
    assert [text.replace("x" * (64 * 1024 + 1), "…") for text in found] == texts


def _context(process: bool | None) -> Json:
    return {} if process is None else {"securityContext": {"windowsOptions": {"hostProcess": process}}}


def _pod(process: bool | None, *containers: bool | None, **fields: Any) -> Json:
    made = [{"name": f"c{number}", "image": "x", **_context(own)} for number, own in enumerate(containers)]
    return {"initContainers": made[:1], "containers": made[1:], **_context(process), **fields}


@pytest.mark.parametrize(
    ("spec", "texts"),
    [
        pytest.param(_pod(None, None, None), [], id="none"),
        pytest.param(_pod(False, False, None), [], id="said-not-to-be"),
        pytest.param(_pod(True, None, True, hostNetwork=True), [], id="all"),
        pytest.param(_pod(None, True, True), [f"spec.hostNetwork: Invalid value: false: {NO_NETWORK}"], id="network"),
        pytest.param(_pod(None, True, None, hostNetwork=True), [f'spec: Invalid value: "": {MIXED}'], id="one"),
        pytest.param(
            _pod(True, None, False, hostNetwork=True),
            [
                "spec.containers[0].securityContext.windowsOptions.hostProcess: Invalid value: false: "
                "pod hostProcess value must be identical if both are specified, was true",
                f'spec: Invalid value: "": {MIXED}',
            ],
            id="not-as-the-pod",
        ),
    ],
)
def test_processes_of_the_host(spec: Json, texts: list[str]) -> None:
    pod_spec_defaults(spec)
    assert [error.message() for error in pod_spec.check(spec, "spec")] == texts
