"""A Docker engine for the compose test: the one that runs here, or a private one, with compose and stand-in images.

No image is pulled. `python:3.12-slim-bookworm` is stood in for by a Debian made with debootstrap, with this machine's
own certificates and pip settings; what takes long is kept under /var/tmp/skiff-tests and used again.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Final

from cluster import machine
from tests.integration.kubelet.machine import remove_cgroups

CACHE: Final = Path("/var/tmp/skiff-tests")
BASE_IMAGE: Final = "python:3.12-slim-bookworm"
RUN: Final = Path("/run/skiff-docker")
FETCH: Final = Path(__file__).parents[3] / "scripts" / "fetch_newer_package.sh"  # bookworm's compose is version 1
SOURCES: Final = Path("/etc/apt/sources.list.d/debian.sources")
WRAPPER: Final = Path(__file__).with_name("runc_without_sys_resource.py")


class Engine:
    """A Docker engine; `start` finds or makes it, `stop` ends only one that was made."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._rules = ""
        self.environment = dict(os.environ)

    def start(self) -> None:
        """Find an engine that answers, or start one of our own."""
        if self._answers():
            return
        assert shutil.which("dockerd"), (
            "no Docker engine answers and dockerd is not installed: apt-get install docker.io"
        )
        self._rules = machine.run("iptables-save")
        self.environment["DOCKER_HOST"] = f"unix://{RUN}/docker.sock"
        RUN.mkdir(parents=True, exist_ok=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        with open(CACHE / "dockerd.log", "ab") as log:
            self._process = subprocess.Popen(self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < deadline, (CACHE / "dockerd.log").read_text()[
                -3000:
            ]
            time.sleep(0.2)

    def _command(self) -> list[str]:
        argv = ["dockerd", "--host", self.environment["DOCKER_HOST"], "--data-root", str(CACHE / "docker")]
        argv += ["--exec-root", str(RUN), "--pidfile", str(RUN / "docker.pid")]
        if not machine.may_lower_oom_score():
            argv += ["--add-runtime", f"limited={WRAPPER}", "--default-runtime", "limited"]
        return argv

    def _answers(self) -> bool:
        return self.docker("info", check=False).returncode == 0

    def docker(self, *arguments: str, check: bool = True, timeout: float = 900) -> "subprocess.CompletedProcess[str]":
        """Run the docker command line."""
        argv = ["docker", *arguments]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=timeout)
        assert done.returncode == 0 or not check, f"{argv}: {done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done

    def stop(self) -> None:
        """End our engine, put the firewall back as it was and remove the cgroups that it leaves empty."""
        if self._process is None:
            return
        self._process.terminate()
        self._process.wait(60)
        machine.run("ip", "link", "del", "docker0", check=False)
        # Replayed whole: dockerd leaves its chains and a FORWARD policy of DROP behind.
        machine.run("iptables-restore", stdin=self._rules)
        for table in ("filter", "nat"):
            if f"*{table}" not in self._rules:
                machine.run("iptables-restore", stdin=f"*{table}\nCOMMIT\n")
        remove_cgroups("docker")
        shutil.rmtree(RUN, ignore_errors=True)


def ensure_compose(engine: Engine) -> None:
    """Have `docker compose`, version 2: the machine's, or Debian's newer package unpacked beside it."""
    if engine.docker("compose", "version", check=False).returncode == 0:
        return
    plugins = CACHE / "docker-config" / "cli-plugins"
    if not (plugins / "docker-compose").exists():
        plugins.mkdir(parents=True, exist_ok=True)
        unpacked = CACHE / "compose"
        machine.run(str(FETCH), str(unpacked), "docker-compose", "docker-buildx")
        for plugin in unpacked.rglob("docker-*"):
            if plugin.is_file() and plugin.parent.name == "cli-plugins":
                shutil.copy(plugin, plugins)
    engine.environment["DOCKER_CONFIG"] = str(plugins.parent)
    engine.docker("compose", "version")


def mirror() -> str:
    """The Debian mirror that this machine uses."""
    for file in (SOURCES, Path("/etc/apt/sources.list")):
        for line in file.read_text().splitlines() if file.exists() else ():
            words = line.split()
            if words[:1] == ["URIs:"]:
                return words[1]
            if words[:1] == ["deb"]:
                return next(word for word in words[1:] if word.startswith("http"))
    raise AssertionError("no Debian mirror is configured in /etc/apt")


def ensure_base_image(engine: Engine) -> None:
    """Import the stand-in for the public base image, unless the engine has an image of that name."""
    if engine.docker("image", "inspect", BASE_IMAGE, check=False).returncode == 0:
        return
    root = CACHE / "base"
    if not (root / "usr" / "bin" / "python3").exists():
        shutil.rmtree(root, ignore_errors=True)
        CACHE.mkdir(parents=True, exist_ok=True)
        packages = "python3,python3-pip,python3-venv,ca-certificates"
        machine.run("debootstrap", "--variant=minbase", f"--include={packages}", "bookworm", str(root), mirror())
    make_like_the_public_one(root)
    imported = f'tar -C "{root}" -c . | docker import --change \'CMD ["python3"]\' - {BASE_IMAGE}'
    subprocess.run(["sh", "-c", imported], env=engine.environment, check=True, capture_output=True)


def make_like_the_public_one(root: Path) -> None:
    """`python` in the path, no marker against installing, and what lets pip and apt reach what this machine reaches."""
    for name in ("python", "python3"):
        link = root / "usr" / "local" / "bin" / name
        link.unlink(missing_ok=True)
        link.symlink_to("/usr/bin/python3")
    for marker in root.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        marker.unlink()
    for file in ("etc/pip.conf", "etc/ssl/certs/ca-certificates.crt", "etc/apt/sources.list.d/debian.sources"):
        if Path("/", file).exists():
            shutil.copy(Path("/", file), root / file)
    if (root / "etc/apt/sources.list.d/debian.sources").exists():
        (root / "etc/apt/sources.list").unlink(missing_ok=True)
