"""What environment variables refer to, in upstream's words."""

from typing import Any

import pytest

from apiserver.resources.core.pods.defaults import pod_spec_defaults
from apiserver.validation import pod_spec
from machinery.api import names
from machinery.api.codec import Json

E = "spec.containers[0].env[0].valueFrom"
BYTES = "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"


def _problems(source: Json) -> list[str]:
    container = {"name": "c", "image": "x", "env": [{"name": "A", "valueFrom": source}]}
    volumes = [{"name": "files", "emptyDir": {}}, {"name": "other", "hostPath": {"path": "/"}}]
    spec: Json = {"containers": [container], "volumes": volumes}
    pod_spec_defaults(spec)
    return [error.message() for error in pod_spec.check(spec, "spec")]


def _row(resource: str, divisor: Any, text: str = "") -> Any:
    texts = [f'{E}.resourceFieldRef.divisor: Invalid value: "{resource}": {text}'] if text else []
    return pytest.param(resource, divisor, texts, id=f"{resource}-{divisor}")


@pytest.mark.parametrize(
    ("resource", "divisor", "texts"),
    [
        _row("limits.cpu", "1m"),
        _row("limits.cpu", "1000m"),
        _row("limits.cpu", "0"),
        _row("limits.cpu", 0),
        _row("requests.cpu", "10m", "only divisor's values 1m and 1 are supported with the cpu resource"),
        _row("limits.memory", "1024Ki"),
        _row("limits.memory", "1Ei"),
        _row("limits.memory", "2Mi", f"only divisor's values {BYTES} are supported with the memory resource"),
        _row(
            "requests.ephemeral-storage",
            "1m",
            f"only divisor's values {BYTES} are supported with the local ephemeral storage resource",
        ),
        _row("limits.hugepages-2Mi", "3", f"only divisor's values {BYTES} are supported with the hugepages resource"),
    ],
)
def test_units_of_resources(resource: str, divisor: Any, texts: list[str]) -> None:
    assert _problems({"resourceFieldRef": {"resource": resource, "divisor": divisor}}) == texts


def test_a_divisor_of_nothing_known() -> None:
    source = {"resourceFieldRef": {"resource": "limits.disk", "divisor": "2"}}
    (text,) = _problems(source)
    assert text.startswith(f'{E}.resourceFieldRef.resource: Unsupported value: "limits.disk"')


FILE: Json = {"volumeName": "files", "path": "a/b.env", "key": "A"}


@pytest.mark.parametrize(
    ("change", "texts"),
    [
        pytest.param({}, [], id="fine"),
        pytest.param(
            {"volumeName": "", "path": "", "key": ""},
            [
                f"{E}.fileKeyRef.key: Required value",
                f"{E}.fileKeyRef.volumeName: Required value",
                f"{E}.fileKeyRef.path: Required value",
                f'{E}.fileKeyRef.volumeName: Not found: ""',
            ],
            id="empty",
        ),
        pytest.param(
            {"path": "../a", "key": "a=b"},
            [
                f'{E}.fileKeyRef.key: Invalid value: "a=b": {names.is_relaxed_env_var_name("a=b")[0]}',
                f"{E}.fileKeyRef.path: Invalid value: \"../a\": must not contain '..'",
            ],
            id="outside",
        ),
        pytest.param({"volumeName": "none"}, [f'{E}.fileKeyRef.volumeName: Not found: "none"'], id="no-such-volume"),
        pytest.param(
            {"volumeName": "other"},
            [f'{E}.fileKeyRef.volumeName: Invalid value: "other": referenced volume must be of type emptyDir'],
            id="of-the-host",
        ),
    ],
)
def test_variables_of_a_file(change: Json, texts: list[str]) -> None:
    assert _problems({"fileKeyRef": {**FILE, **change}}) == texts
