"""What /version says, and the build's own version. Nothing else here."""

import platform
import sys
from typing import Final

from machinery.api.codec import Json

SKIFF_VERSION: Final = "0.1.0"
MAJOR, MINOR = "1", "37"
GIT_VERSION: Final = f"v{MAJOR}.{MINOR}.0+skiff.{SKIFF_VERSION}"


def version_info() -> Json:
    """The body of /version (upstream: apimachinery/pkg/version.Info)."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return {
        "major": MAJOR,
        "minor": MINOR,
        "gitVersion": GIT_VERSION,
        "gitCommit": "0" * 40,
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": f"python{platform.python_version()}",
        "compiler": sys.implementation.name,
        "platform": f"{platform.system().lower()}/{machine}",
    }
