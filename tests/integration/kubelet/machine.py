"""A containerd of the tests' own: folders, network namespace, images and cgroups, and their complete removal."""

import ctypes
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_CLONE_NEWNET = 0x40000000
PAUSE_IMAGE = "localhost/skiff-test/pause:1"
BUSYBOX_IMAGE = "busybox:1.35"
_PAUSE_C = """
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void down(int s) { (void)s; exit(0); }
static void reap(int s) { (void)s; while (waitpid(-1, NULL, WNOHANG) > 0); }
int main(void) { signal(SIGTERM, down); signal(SIGINT, down); signal(SIGCHLD, reap); for (;;) pause(); }
"""
_CONFIG = """
version = 2
root = "{d}/root"
state = "{d}/state"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.tracing.processor.v1.otlp", "io.containerd.internal.v1.tracing"]
[grpc]
  address = "{d}/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
  path = "{d}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  disable_hugetlb_controller = true
  tolerate_missing_hugetlb_controller = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{d}/cni"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
        Root = "{d}/runc"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "{d}/certs.d"
"""


class Machine:
    """One node's worth of machine."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="skk-", dir="/tmp"))
        self.name = self.folder.name
        self.socket = self.folder / "containerd.sock"
        self.cgroup_root = f"/{self.name}"
        self._process: subprocess.Popen[bytes] | None = None
        self._config = ""

    @property
    def endpoint(self) -> str:
        """What --container-runtime-endpoint takes."""
        return f"unix://{self.socket}"

    def up(self) -> None:
        """Namespace, containerd, images."""
        run("ip", "netns", "add", self.name)
        run("ip", "-n", self.name, "link", "set", "lo", "up")
        self._write_config()
        self.start()
        pause = build_pause(self.folder)
        self.load(write_image(self.folder / "pause.tar", PAUSE_IMAGE, {"pause": pause}, entry=["/pause"]))
        self.load(busybox_image(self.folder / "busybox.tar", BUSYBOX_IMAGE))

    def start(self) -> None:
        """Start containerd in the node's network namespace, and wait for its socket."""
        log = (self.folder / "containerd.log").open("ab")
        command = ["nsenter", f"--net=/run/netns/{self.name}", "containerd", "--config", self._config]
        self._process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        log.close()
        for _ in range(100):
            probe = subprocess.run(["ctr", "-a", str(self.socket), "version"], capture_output=True)
            if probe.returncode == 0:
                return
            time.sleep(0.1)
        raise AssertionError((self.folder / "containerd.log").read_text()[-2000:])

    def kill(self) -> None:
        """End containerd; containers go on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def load(self, archive: Path) -> None:
        """Import an image archive."""
        run(*self.ctr("images", "import", str(archive)))

    def down(self) -> None:
        """Leave nothing: no process, mount, namespace, cgroup or folder."""
        self.kill()
        self._kill_shims()
        self._kill_cgroups()
        time.sleep(0.3)
        self._unmount()
        remove_cgroups(self.name)
        subprocess.run(["ip", "netns", "del", self.name], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def in_namespace(self, *command: str) -> list[str]:
        """A command line that runs in the node's network namespace."""
        return ["nsenter", f"--net=/run/netns/{self.name}", *command]

    def cgroups(self) -> list[Path]:
        """The node's cgroup folders that exist."""
        return sorted(Path("/sys/fs/cgroup").glob(f"*/{self.name}/**/pod*/"))

    def ctr(self, *arguments: str) -> list[str]:
        """A command line for containerd's own tool."""
        return ["ctr", "-a", str(self.socket), "-n", "k8s.io", *arguments]

    def _write_config(self) -> None:
        for name in ("root", "state", "cni", "cnilib", "opt", "runc", "certs.d"):
            (self.folder / name).mkdir()
        file = self.folder / "config.toml"
        file.write_text(_CONFIG.format(d=self.folder, pause=PAUSE_IMAGE))
        self._config = str(file)
        ipam = {
            "type": "host-local",
            "dataDir": f"{self.folder}/cnilib",
            "ranges": [[{"subnet": "10.240.7.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "hairpinMode": True, "ipam": ipam}
        ports = {"type": "portmap", "capabilities": {"portMappings": True}, "snat": True}
        network = {"cniVersion": "0.4.0", "name": self.name, "plugins": [bridge, ports]}
        (self.folder / "cni" / "10-net.conflist").write_text(json.dumps(network))

    def _kill_shims(self) -> None:
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            with suppress(OSError):
                words = entry.read_bytes().split(b"\0")
                if words[0].endswith(b"containerd-shim-runc-v2") and str(self.socket).encode() in words:
                    os.kill(int(entry.parent.name), signal.SIGKILL)

    def _kill_cgroups(self) -> None:
        for file in Path("/sys/fs/cgroup").glob(f"*/{self.name}/**/cgroup.procs"):
            with suppress(OSError):
                for pid in file.read_text().split():
                    os.kill(int(pid), signal.SIGKILL)

    def _unmount(self) -> None:
        points = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
        for point in sorted(points, reverse=True):
            if point.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "-l", point], capture_output=True)


def remove_cgroups(name: str) -> None:
    """The empty cgroups under a name, in every hierarchy; one with a process in it stays."""
    for top in (*Path("/sys/fs/cgroup").glob(f"*/{name}"), Path("/sys/fs/cgroup") / name):
        for below, _, _ in os.walk(top, topdown=False):
            with suppress(OSError):
                os.rmdir(below)


def run(*command: str) -> str:
    """Run a command that has to succeed; returns what it printed."""
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr or done.stdout}"
    return done.stdout


@contextmanager
def network_namespace(name: str) -> Iterator[None]:
    """This thread (and what it starts) in another network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{name}") as away:
        assert libc.setns(away.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(home.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())


def build_pause(folder: Path) -> bytes:
    """A static program that waits for TERM."""
    source, binary = folder / "pause.c", folder / "pause"
    source.write_text(_PAUSE_C)
    run("gcc", "-Os", "-static", "-s", "-o", str(binary), str(source))
    return binary.read_bytes()


def busybox_image(archive: Path, tag: str, label: str = "") -> Path:
    """Debian's static busybox with all its applets; another label makes another image."""
    applets = run("/bin/busybox", "--list").split()
    files: dict[str, bytes | str] = {"bin/busybox": Path("/bin/busybox").read_bytes()}
    files |= {f"bin/{applet}": "busybox" for applet in applets if applet != "busybox"}
    files |= {
        "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\n",
        "etc/group": b"root:x:0:\n",
        "tmp/.keep": label.encode(),
    }
    return write_image(archive, tag, files, command=["sh"])


def write_image(
    archive: Path,
    tag: str,
    files: dict[str, bytes] | dict[str, bytes | str],
    *,
    entry: list[str] | None = None,
    command: list[str] | None = None,
) -> Path:
    """A docker-archive of one layer; a str is a symlink's target."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.mode = 0o755
            if isinstance(content, str):
                info.type, info.linkname = tarfile.SYMTYPE, content
                tar.addfile(info)
            else:
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": {"Env": environment, "Cmd": command, "Entrypoint": entry},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    encoded = json.dumps(config).encode()
    name = hashlib.sha256(encoded).hexdigest() + ".json"
    manifest = json.dumps([{"Config": name, "RepoTags": [tag], "Layers": [f"{digest}/layer.tar"]}]).encode()
    with tarfile.open(archive, "w") as tar:
        for path, data in ((name, encoded), (f"{digest}/layer.tar", layer.getvalue()), ("manifest.json", manifest)):
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return archive
