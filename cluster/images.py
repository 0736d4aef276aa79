"""Container images without a registry or Docker, from directories and the distribution's packages; loading into nodes.

An image here is one layer in a docker-archive, which `ctr images import` and `docker load` both take. Same input, same
bytes: times and owners are left out. Pulling from registries is containerd's own affair.
"""

import hashlib
import io
import json
import platform
import re
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from cluster.config import Layout, Node
from cluster.containerd import PAUSE_IMAGE
from cluster.errors import ClusterError
from cluster.machine import program, run

REPOSITORY: Final = Path(__file__).parent.parent
DEFAULT_PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
SLEEP_FOR_EVER: Final = "trap 'exit 0' TERM INT; while :; do sleep 2147483647 & wait $!; done"
PASSWD: Final = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
GROUP: Final = "root:x:0:\nnogroup:x:65534:\n"


@dataclass(frozen=True, slots=True)
class Image:
    """What goes into an image and how its containers start."""

    reference: str
    directories: tuple[Path, ...] = ()
    packages: tuple[str, ...] = ()  # of the distribution, with what they depend on
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: tuple[str, ...] = (DEFAULT_PATH,)
    working_directory: str = ""
    user: str = ""
    aliases: tuple[str, ...] = field(default=())

    @property
    def file_name(self) -> str:
        """The archive's name: the reference without what a path cannot have."""
        return re.sub(r"[^A-Za-z0-9_.-]+", "_", self.reference) + ".tar"


BUSYBOX: Final = ("busybox-static",)
BUILT_IN: Final = {
    "pause": Image(PAUSE_IMAGE, packages=BUSYBOX, entrypoint=("/bin/busybox", "sh", "-c", SLEEP_FOR_EVER)),
    "busybox": Image("skiff.local/busybox:1", packages=BUSYBOX, command=("sh",)),
    "guestbook": Image(
        "skiff.local/guestbook:1",
        directories=(REPOSITORY / "examples" / "guestbook" / "image",),
        packages=BUSYBOX,
        entrypoint=("/bin/guestbook",),
    ),
}


def build(image: Image, target: Path) -> str:
    """Write the image as an archive; returns its id. Raises ClusterError for a package that cannot be had."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch, "root")
        root.mkdir()
        fill(root, image)
        layer = Path(scratch, "layer.tar")
        with tarfile.open(layer, "w", format=tarfile.GNU_FORMAT) as tar:
            for entry in sorted(root.iterdir()):
                tar.add(entry, arcname=entry.name, filter=_anonymous)
        return _write_archive(image, layer, target)


def fill(root: Path, image: Image) -> None:
    """Put the packages' files, then the directories' over them, then what every image needs, under `root`."""
    if image.packages:
        unpack_packages(root, image.packages)
    for directory in image.directories:
        if not directory.is_dir():
            raise ClusterError(f"{directory} is not a directory")
        shutil.copytree(directory, root, symlinks=True, dirs_exist_ok=True)
    for name, text in (("etc/passwd", PASSWD), ("etc/group", GROUP)):
        path = root / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for name, mode in (("tmp", 0o1777), ("root", 0o700)):
        (root / name).mkdir(exist_ok=True)
        (root / name).chmod(mode)


def unpack_packages(root: Path, packages: Sequence[str]) -> None:
    """The files of the packages and of all they depend on. Their installation scripts are not run."""
    if packages == BUSYBOX and copy_installed_busybox(root):
        return
    with tempfile.TemporaryDirectory() as downloads:
        names = dependency_closure(packages)
        run("sh", "-c", 'cd "$0" && exec apt-get download "$@"', downloads, *names)
        _merge_usr(root)
        for archive in sorted(Path(downloads).glob("*.deb")):
            run(
                "sh",
                "-c",
                'dpkg-deb --fsys-tarfile "$0" | tar -x --keep-directory-symlink -C "$1"',
                str(archive),
                str(root),
            )
    for useless in ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian"):
        shutil.rmtree(root / useless, ignore_errors=True)
    if "busybox-static" in packages:
        link_busybox(root / "bin", root / "bin" / "busybox")


def copy_installed_busybox(root: Path) -> bool:
    """Take busybox from this machine if the static one is installed here; False where it is not."""
    binary = Path("/bin/busybox")
    if not binary.exists() or b"\0/lib/ld" in binary.read_bytes() or b"/lib64/ld-linux" in binary.read_bytes():
        return False
    (root / "bin").mkdir(parents=True)
    shutil.copy(binary, root / "bin" / "busybox")
    link_busybox(root / "bin", binary)
    return True


def link_busybox(directory: Path, binary: Path) -> None:
    """A symbolic link for each of busybox's commands that is not there otherwise; `binary` is asked for their names."""
    for name in run(str(binary), "--list").split():
        link = directory / name
        if not link.exists() and not link.is_symlink():
            link.symlink_to("busybox")


def dependency_closure(packages: Sequence[str]) -> list[str]:
    """The packages and everything they need, by apt's own word; the alternative that apt would take, no recommends."""
    plan = run(
        "apt-get", "install", "--simulate", "--no-install-recommends", "-o", "Dir::State::status=/dev/null", *packages
    )
    return [line.split()[1] for line in plan.splitlines() if line.startswith("Inst ")]


def _merge_usr(root: Path) -> None:
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / name).mkdir(parents=True, exist_ok=True)
        (root / name).symlink_to(f"usr/{name}")


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.mtime = entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry


def _write_archive(image: Image, layer: Path, target: Path) -> str:
    with layer.open("rb") as file:
        layer_digest = hashlib.file_digest(file, "sha256").hexdigest()
    config = json.dumps(image_config(image, layer_digest), sort_keys=True).encode()
    digest = hashlib.sha256(config).hexdigest()
    layer_name = f"{layer_digest}/layer.tar"
    manifest = [{"Config": f"{digest}.json", "RepoTags": [image.reference, *image.aliases], "Layers": [layer_name]}]
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".part")
    with tarfile.open(unfinished, "w") as tar:
        _add_bytes(tar, f"{digest}.json", config)
        tar.add(layer, arcname=layer_name, filter=_anonymous)
        _add_bytes(tar, "manifest.json", json.dumps(manifest).encode())
    unfinished.replace(target)
    return f"sha256:{digest}"


def image_config(image: Image, layer_digest: str) -> dict[str, object]:
    """The image's configuration, in Docker's words."""
    return {
        "architecture": ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {
            "Env": list(image.environment),
            "Entrypoint": list(image.entrypoint) or None,
            "Cmd": list(image.command) or None,
            "WorkingDir": image.working_directory,
            "User": image.user,
        },
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer_digest}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "skiff image build"}],
    }


def _add_bytes(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))


def read_id(archive: Path) -> tuple[str, list[str]]:
    """The id and the references of the image in an archive; raises ClusterError where there is none."""
    try:
        with tarfile.open(archive) as tar:
            member = tar.extractfile("manifest.json")
            entries = json.load(member) if member else []
    except (tarfile.TarError, KeyError, ValueError) as problem:
        raise ClusterError(f"{archive} is not an image archive: {problem}") from problem
    ids = ",".join(entry["Config"].removesuffix(".json") for entry in entries)
    return ids, [tag for entry in entries for tag in entry["RepoTags"] or []]


def load(layout: Layout, node: Node, archive: Path, *, again: bool = True) -> bool:
    """Import an archive into a node; with `again` false, only if that very image was not imported before."""
    image_id, references = read_id(archive)
    marker = layout.node_home(node) / "loaded.json"
    loaded: dict[str, str] = json.loads(marker.read_text()) if marker.exists() else {}
    wanted = {reference: image_id for reference in references}
    if not again and wanted.items() <= loaded.items():
        return False
    socket = str(layout.containerd_socket(node))
    run(program("ctr"), "-a", socket, "-n", "k8s.io", "images", "import", str(archive))
    marker.write_text(json.dumps(loaded | wanted, indent=1))
    return True


def find_archive(layout: Layout, name: str) -> Path:
    """The archive a person means: a file, a built-in image's name, or the reference of one that was built."""
    image = BUILT_IN.get(name) or Image(name)
    for candidate in (Path(name), layout.images / image.file_name):
        if candidate.is_file():
            return candidate
    raise ClusterError(f"no file and no built image called {name}: make it with `skiff image build {name}`")
