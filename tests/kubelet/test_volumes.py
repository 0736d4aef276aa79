"""Files of volumes: atomic updates, chosen keys, and host paths. What needs mount(2) is in the integration tests."""

import base64
from pathlib import Path
from typing import Any

import pytest

from kubelet.environment import Sources
from kubelet.volumes import atomic_writer, host_path, payloads
from kubelet.volumes.atomic_writer import File
from kubelet.volumes.manager import MountFailed, VolumeManager, changes_by_itself
from kubelet.volumes.plugin import VolumeProblem, VolumeRequest
from machinery.api.codec import Json
from tests.kubelet.pods import pod


class Objects:
    config_maps: dict[str, Json] = {"settings": {"data": {"a": "1", "b": "2"}, "binaryData": {"c": "Aw=="}}}
    secrets: dict[str, Json] = {"login": {"data": {"user": base64.b64encode(b"admin").decode()}}}

    async def config_map(self, namespace: str, name: str) -> Json | None:
        return self.config_maps.get(name)

    async def secret(self, namespace: str, name: str) -> Json | None:
        return self.secrets.get(name)

    async def token(self, pod: Json, audience: str, seconds: int) -> str:
        return f"token {audience} {seconds}"


def request(folder: Path, **volume: Any) -> VolumeRequest:
    return VolumeRequest(pod(), {"name": "v", **volume}, folder, Objects(), Sources())


def shown(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("..")}


def test_an_update_is_seen_whole_and_leaves_nothing_old(tmp_path: Path) -> None:
    assert atomic_writer.write(tmp_path, {"a": File(b"1"), "b": File(b"2")})
    first = (tmp_path / "..data").resolve()
    assert not atomic_writer.write(tmp_path, {"a": File(b"1"), "b": File(b"2")})
    assert (tmp_path / "..data").resolve() == first
    assert atomic_writer.write(tmp_path, {"a": File(b"3"), "d/e": File(b"4", 0o600)})
    assert shown(tmp_path / "d") == {"e": b"4"}
    assert (tmp_path / "a").read_bytes() == b"3"
    assert not (tmp_path / "b").is_symlink()
    assert not first.exists()
    assert (tmp_path / "d" / "e").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["/a", "../a", "a/../../b", "..data", ""])
def test_paths_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="invalid path"):
        atomic_writer.write(tmp_path, {name: File(b"")})


async def test_a_config_map_is_its_keys(tmp_path: Path) -> None:
    mounted = await payloads.mount_config_map(request(tmp_path, configMap={"name": "settings", "defaultMode": 0o400}))
    assert shown(tmp_path) == {"a": b"1", "b": b"2", "c": b"\x03"}
    assert mounted.read_only
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o400


async def test_items_choose_keys_and_paths(tmp_path: Path) -> None:
    items = [{"key": "a", "path": "x/y", "mode": 0o444}]
    await payloads.mount_config_map(request(tmp_path, configMap={"name": "settings", "items": items}))
    assert (tmp_path / "x" / "y").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param({"name": "no"}, 'configmap "no" not found', id="no-object"),
        pytest.param(
            {"name": "settings", "items": [{"key": "z", "path": "z"}]},
            "configmap references non-existent config key: z",
            id="no-key",
        ),
    ],
)
async def test_what_is_missing_fails_the_mount_unless_it_is_optional(
    tmp_path: Path, source: Json, message: str
) -> None:
    with pytest.raises(VolumeProblem) as raised:
        await payloads.mount_config_map(request(tmp_path, configMap=source))
    assert str(raised.value) == message
    await payloads.mount_config_map(request(tmp_path, configMap={**source, "optional": True}))
    assert shown(tmp_path) == {}


async def test_a_failed_mount_is_told_in_upstreams_words(tmp_path: Path) -> None:
    manager = VolumeManager(lambda uid: tmp_path / uid, Objects())
    spec = pod(volumes=[{"name": "v", "configMap": {"name": "no"}}])
    with pytest.raises(MountFailed) as raised:
        await manager.mount(spec, Sources())
    assert str(raised.value) == 'MountVolume.SetUp failed for volume "v" : configmap "no" not found'


async def test_volumes_lie_where_upstream_puts_them(tmp_path: Path) -> None:
    manager = VolumeManager(lambda uid: tmp_path / uid / "volumes", Objects())
    volumes = [{"name": "c", "configMap": {"name": "settings"}}, {"name": "e", "emptyDir": {}}]
    mounted = await manager.mount(pod(volumes=volumes), Sources())
    assert mounted["c"].path == tmp_path / "uid-1/volumes/kubernetes.io~configmap/c"
    assert mounted["e"].path.stat().st_mode & 0o777 == 0o777


@pytest.mark.parametrize(
    ("kind", "is_there"),
    [("", False), ("DirectoryOrCreate", False), ("FileOrCreate", False), ("Directory", True)],
)
async def test_host_paths_that_are_fine(tmp_path: Path, kind: str, is_there: bool) -> None:
    path = tmp_path if is_there else tmp_path / "new"
    mounted = await host_path.mount(request(tmp_path, hostPath={"path": str(path), "type": kind}))
    assert mounted.path == path
    assert path.exists() == (kind != "")


async def test_a_host_path_of_the_wrong_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VolumeProblem) as raised:
        await host_path.mount(request(tmp_path, hostPath={"path": str(tmp_path), "type": "File"}))
    assert str(raised.value) == f"hostPath type check failed: {tmp_path} is not a file"


def test_volumes_that_change_by_themselves() -> None:
    assert changes_by_itself(pod(volumes=[{"name": "a", "secret": {}}]))
    assert not changes_by_itself(pod(volumes=[{"name": "a", "emptyDir": {}}]))
