"""A cluster in a home of its own, for tests: its commands, and what it leaves behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

from cluster import config as config_module
from cluster.config import ClusterConfig, Layout
from tests.integration.cluster.machine_state import MachineState, difference, look

ROOT = Path(__file__).parents[3]


class Cluster:
    """A cluster in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.layout = Layout.of(home)
        self.before: MachineState = look(self.layout)

    def skiff(self, *arguments: str, stdin: str = "") -> str:
        """Run a command for this cluster."""
        argv = [sys.executable, "-m", "kubectl", *arguments]
        env = os.environ | {"SKIFF_HOME": str(self.layout.home), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(argv, env=env, input=stdin, capture_output=True, text=True, timeout=170)
        assert done.returncode == 0, f"{arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout

    @property
    def config(self) -> ClusterConfig:
        """The configuration that `up` decided on."""
        config = config_module.load(self.layout)
        assert config is not None
        return config

    def left_behind(self) -> dict[str, list[str]]:
        """What is on the machine now that was not before; other clusters' dead sockets are theirs to take, soon."""
        deadline = time.monotonic() + 10
        while (left := difference(self.before, look(self.layout))) and time.monotonic() < deadline:
            time.sleep(0.5)
        return left
