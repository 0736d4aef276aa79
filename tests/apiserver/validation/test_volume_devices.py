"""Volumes as devices of containers, in upstream's words."""

import pytest

from apiserver.resources.core.pods.defaults import pod_spec_defaults
from apiserver.validation import pod_spec
from machinery.api.codec import Json

C = "spec.containers[0]"
CLAIMS = ("one", "two")
NOT_A_CLAIM = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode"


def _problems(*devices: Json, mounts: tuple[Json, ...] = ()) -> list[str]:
    volumes = [{"name": name, "persistentVolumeClaim": {"claimName": name}} for name in CLAIMS]
    volumes.append({"name": "files", "emptyDir": {}})
    container = {"name": "c", "image": "x", "volumeDevices": list(devices), "volumeMounts": list(mounts)}
    spec: Json = {"containers": [container], "volumes": volumes}
    pod_spec_defaults(spec)
    return [error.message() for error in pod_spec.check(spec, "spec")]


def _device(name: str, path: str = "/dev/a") -> Json:
    return {"name": name, "devicePath": path}


@pytest.mark.parametrize(
    ("devices", "texts"),
    [
        pytest.param([], [], id="none"),
        pytest.param([_device("one"), _device("two", "/dev/b")], [], id="fine"),
        pytest.param([_device("")], [f"{C}.volumeDevices[0].name: Required value"], id="no-name"),
        pytest.param([_device("other")], [f'{C}.volumeDevices[0].name: Not found: "other"'], id="no-such-volume"),
        pytest.param(
            [_device("files")], [f'{C}.volumeDevices[0].name: Invalid value: "files": {NOT_A_CLAIM}'], id="no-claim"
        ),
        pytest.param(
            [_device("one"), _device("one", "/dev/b")],
            [f'{C}.volumeDevices[1].name: Invalid value: "one": must be unique'],
            id="name-twice",
        ),
        pytest.param([_device("one", "")], [f"{C}.volumeDevices[0].devicePath: Required value"], id="no-path"),
        pytest.param(
            [_device("one"), _device("two")],
            [f'{C}.volumeDevices[1].devicePath: Invalid value: "/dev/a": must be unique'],
            id="path-twice",
        ),
        pytest.param(
            [_device("one", "/dev/../a")],
            [f"{C}.volumeDevices[0].devicePath: Invalid value: \"/dev/../a\": can not contain backsteps ('..')"],
            id="backsteps",
        ),
    ],
)
def test_what_is_wrong_with_devices(devices: list[Json], texts: list[str]) -> None:
    assert _problems(*devices) == texts


@pytest.mark.parametrize(
    ("mount", "texts"),
    [
        pytest.param({"name": "files", "mountPath": "/a"}, [], id="another"),
        pytest.param(
            {"name": "one", "mountPath": "/a"},
            [
                f'{C}.volumeMounts[0].name: Invalid value: "one": must not already exist in volumeDevices',
                f'{C}.volumeDevices[0].name: Invalid value: "one": must not already exist in volumeMounts',
            ],
            id="same-volume",
        ),
        pytest.param(
            {"name": "files", "mountPath": "/dev/a"},
            [
                f'{C}.volumeMounts[0].mountPath: Invalid value: "/dev/a": must not already exist as a path in '
                "volumeDevices",
                f'{C}.volumeDevices[0].devicePath: Invalid value: "/dev/a": must not already exist as a path in '
                "volumeMounts",
            ],
            id="same-path",
        ),
    ],
)
def test_no_volume_is_both_a_device_and_mounted(mount: Json, texts: list[str]) -> None:
    assert _problems(_device("one"), mounts=(mount,)) == texts
