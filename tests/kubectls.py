"""The kubectls of this machine: all versions that lie beside the one in PATH."""

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

NO_KUBECTL = (
    "no kubectl was found: install one (Debian trixie has package kubectl; upstream: kubernetes.io/docs/tasks/tools)"
)


@cache
def kubectls() -> dict[str, str]:
    """Version (`1.33`) → path of each kubectl that is installed, in PATH or beside the one in PATH."""
    found = shutil.which("kubectl")
    if found is None:
        return {}
    beside = Path(found).resolve().parent
    candidates = [path for path in beside.glob("kubectl.1.*") if os.access(path, os.X_OK)] or [Path(found)]
    return dict(sorted((_version(path), str(path)) for path in candidates))


def _version(path: Path) -> str:
    out = subprocess.run([path, "version", "--client", "-o", "json"], capture_output=True, text=True, check=True).stdout
    match = re.search(r'"gitVersion": "v(\d+\.\d+)', out)
    return match[1] if match else path.name


def newest_kubectl() -> str:
    """The path of the newest kubectl; fails the test where there is none."""
    assert kubectls(), NO_KUBECTL
    return kubectls()[max(kubectls(), key=lambda version: [int(part) for part in version.split(".")])]


def kubectl_of(version: str) -> str:
    """The path of a version's kubectl; of the newest where that one is not installed."""
    return kubectls().get(version) or newest_kubectl()
