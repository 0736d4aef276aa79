"""The commands of docs/security.md, run by a real shell with a real kubectl."""

import os
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.integration.apiserver_process import ROOT, ApiserverProcess
from tests.kubectls import newest_kubectl

PAGE: Final = (ROOT / "docs" / "security.md").read_text()


@pytest.mark.usefixtures("manager")
def test_every_command_of_the_page_works(server: ApiserverProcess, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kubectl").symlink_to(newest_kubectl())
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    env = os.environ | {"PATH": path, "KUBECONFIG": str(server.kubeconfig), "HOME": str(tmp_path)}
    said = []
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout + done.stderr)
    user, team, policy = said
    assert "certificatesigningrequest.certificates.k8s.io/jane approved" in user
    assert "\nyes\nNo resources found in default namespace.\n" in user
    assert re.search(r"^requests\.memory\s+0\s+16Gi$", team, re.MULTILINE), team
    text = (
        "ValidatingAdmissionPolicy 'few-replicas' with binding 'few-replicas' denied request: at most 3 replicas here"
    )
    assert text in policy and "refused, as it should be" in policy
    subprocess.run(
        [str(tmp_path / "bin" / "kubectl"), "delete", "validatingadmissionpolicybinding/few-replicas"],
        env=env,
        check=True,
        capture_output=True,
        timeout=60,
    )
