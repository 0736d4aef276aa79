"""Image archives: what is in them and that they come out the same every time."""

import json
import tarfile
from pathlib import Path

import pytest

from cluster import images
from cluster.config import Layout
from cluster.errors import ClusterError
from cluster.images import Image


@pytest.fixture
def content(tmp_path: Path) -> Path:
    made = tmp_path / "content"
    (made / "bin").mkdir(parents=True)
    (made / "bin" / "hello").write_text("#!/bin/sh\necho hello\n")
    (made / "bin" / "hello").chmod(0o755)
    (made / "link").symlink_to("bin/hello")
    return made


def test_the_same_content_makes_the_same_image(tmp_path: Path, content: Path) -> None:
    image = Image("example.test/hello:1", directories=(content,), entrypoint=("/bin/hello",))
    first = images.build(image, tmp_path / "1.tar")
    (content / "bin" / "hello").touch()
    assert images.build(image, tmp_path / "2.tar") == first
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


def test_an_archive_names_its_image_and_holds_its_files(tmp_path: Path, content: Path) -> None:
    image = Image("example.test/hello:1", directories=(content,), command=("hello", "world"))
    image_id = images.build(image, tmp_path / "a.tar")
    assert images.read_id(tmp_path / "a.tar") == (image_id.removeprefix("sha256:"), ["example.test/hello:1"])
    with tarfile.open(tmp_path / "a.tar") as archive:
        manifest = json.load(archive.extractfile("manifest.json"))[0]  # type: ignore[arg-type]
        config = json.load(archive.extractfile(manifest["Config"]))  # type: ignore[arg-type]
        with tarfile.open(fileobj=archive.extractfile(manifest["Layers"][0])) as layer:
            names = set(layer.getnames())
            mode = layer.getmember("bin/hello").mode
    assert config["config"]["Cmd"] == ["hello", "world"] and config["config"]["Entrypoint"] is None
    assert {"bin/hello", "link", "etc/passwd", "tmp"} <= names and mode == 0o755


def test_a_name_becomes_a_file_name() -> None:
    assert Image("host:5000/a/b:1.0").file_name == "host_5000_a_b_1.0.tar"


def test_a_directory_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="not a directory"):
        images.build(Image("x:1", directories=(tmp_path / "none",)), tmp_path / "x.tar")


def test_a_file_that_is_no_archive_is_said_so(tmp_path: Path) -> None:
    (tmp_path / "x.tar").write_text("no archive")
    with pytest.raises(ClusterError, match="not an image archive"):
        images.read_id(tmp_path / "x.tar")


def test_an_image_is_found_by_file_by_short_name_and_by_reference(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path / "run")
    layout.images.mkdir()
    archive = layout.images / images.BUILT_IN["guestbook"].file_name
    archive.touch()
    assert images.find_archive(layout, "guestbook") == archive
    assert images.find_archive(layout, "skiff.local/guestbook:1") == archive
    assert images.find_archive(layout, str(archive)) == archive
    with pytest.raises(ClusterError, match="skiff image build"):
        images.find_archive(layout, "unheard/of:1")
