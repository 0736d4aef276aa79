"""The README's commands, run one after the other as they stand there."""

import os
import re
import shlex
import subprocess
from typing import Final

import pytest

from tests.e2e.clients import skiff_argv
from tests.e2e.conftest import ROOT, Cluster
from tests.kubectls import newest_kubectl

README: Final = (ROOT / "README.md").read_text()


def commands() -> list[str]:
    """The lines of the shell blocks that talk to a cluster; the two `make` commands are what CI itself runs."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.partition(" #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line.startswith(("skiff ", "kubectl "))]


def test_the_readme_shows_commands() -> None:
    assert len(commands()) > 10


@pytest.mark.timeout(300)
def test_every_command_of_the_readme_works(cluster: Cluster) -> None:
    programs = {"skiff": list(skiff_argv()), "kubectl": [newest_kubectl()]}
    env = os.environ | {"SKIFF_HOME": str(cluster.home), "KUBECONFIG": str(cluster.kubeconfig)}
    for command in commands():
        program, *rest = shlex.split(command)
        done = subprocess.run(
            [*programs[program], *rest], cwd=ROOT, env=env, capture_output=True, text=True, timeout=150
        )
        assert done.returncode == 0, f"{command}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert done.stdout.strip(), f"{command} printed nothing\n{done.stderr}"
