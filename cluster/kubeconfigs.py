"""Kubeconfigs: one for the administrator, one for each component, with certificates inside. No key is made here."""

import base64
from pathlib import Path
from typing import Any

import yaml

from cluster.config import ClusterConfig, Layout
from cluster.errors import ClusterError
from machinery.component.tls import write_private


def users(config: ClusterConfig, layout: Layout) -> dict[Path, str]:
    """Which kubeconfig file speaks with which certificate."""
    kubelets = ["kubelet-sim"] if config.simulated else [f"kubelet-{node.short}" for node in config.nodes]
    components = ["controller-manager", "scheduler", "proxy", "cni", *kubelets]
    return {layout.admin_kubeconfig: "admin", **{layout.kubeconfig(name): name for name in components}}


def ensure(config: ClusterConfig, layout: Layout) -> bool:
    """Write the kubeconfigs that are missing or that point elsewhere; True when one was written."""
    written = False
    for path, certificate in users(config, layout).items():
        wanted = text(config, layout.pki, certificate)
        if path.exists() and path.read_bytes() == wanted:
            continue
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_private(path, wanted)
        written = True
    return written


def text(config: ClusterConfig, pki: Path, certificate: str) -> bytes:
    """The kubeconfig for one certificate, as YAML."""
    return yaml.safe_dump(kubeconfig(config, pki, certificate), sort_keys=False).encode()


def kubeconfig(config: ClusterConfig, pki: Path, certificate: str) -> dict[str, Any]:
    """The kubeconfig for one certificate; complete in itself, so that it may be copied away."""
    user = f"{config.name}-{certificate}"
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": config.name,
                "cluster": {"server": config.api_url, "certificate-authority-data": _inline(pki / "ca.crt")},
            }
        ],
        "users": [
            {
                "name": user,
                "user": {
                    "client-certificate-data": _inline(pki / f"{certificate}.crt"),
                    "client-key-data": _inline(pki / f"{certificate}.key"),
                },
            }
        ],
        "contexts": [{"name": config.name, "context": {"cluster": config.name, "user": user}}],
        "current-context": config.name,
    }


def _inline(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def merge(into: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`into` with the entries of `new` added or replaced by name, and `new`'s context made the current one."""
    merged = dict(into) or {"apiVersion": "v1", "kind": "Config"}
    for section in ("clusters", "users", "contexts"):
        fresh = {entry["name"]: entry for entry in new[section]}
        kept = [entry for entry in merged.get(section) or [] if entry["name"] not in fresh]
        merged[section] = [*kept, *fresh.values()]
    merged["current-context"] = new["current-context"]
    return merged


def merge_file(source: Path, target: Path) -> None:
    """Add the contexts of one kubeconfig file to another; raises ClusterError where the other is no kubeconfig."""
    into = yaml.safe_load(target.read_text()) if target.exists() else {}
    if not isinstance(into, dict | None):
        raise ClusterError(f"{target} is not a kubeconfig")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    merged = merge(into or {}, yaml.safe_load(source.read_text()))
    write_private(target, yaml.safe_dump(merged, sort_keys=False).encode())
