"""The file of --admission-control-config-file: a configuration for each plugin that has one, or the file it lies in.

Upstream: k8s.io/apiserver/pkg/admission/config.go. What a configuration means is its plugin's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from machinery.api.codec import Json

_VERSIONS: Final = ("apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1", "apiserver.config.k8s.io/v1alpha1")


def load(path: str) -> Mapping[str, Json]:
    """Plugin → its configuration; raises OSError and ValueError, which say what is wrong."""
    document = _read(Path(path))
    if document.get("apiVersion") not in _VERSIONS or document.get("kind") != "AdmissionConfiguration":
        given = f"{document.get('apiVersion')}, Kind={document.get('kind')}"
        raise ValueError(f"{path}: got unexpected config type: {given}")
    found: dict[str, Json] = {}
    for place, entry in enumerate(document.get("plugins") or ()):
        name = entry.get("name")
        if not name or name in found:
            raise ValueError(f"{path}: plugins[{place}].name: {'Duplicate value' if name else 'Required value'}")
        found[name] = _configuration(entry, Path(path).parent)
    return found


def _configuration(entry: Json, folder: Path) -> Json:
    if entry.get("configuration"):
        configuration: Json = entry["configuration"]
        return configuration
    return _read(folder / entry["path"]) if entry.get("path") else {}


def _read(path: Path) -> Json:
    try:
        document: Any = yaml.safe_load(path.read_text())
    except yaml.YAMLError as problem:
        raise ValueError(f"{path}: {problem}") from problem
    if not isinstance(document, dict):
        raise ValueError(f"{path} is no configuration")
    return document
