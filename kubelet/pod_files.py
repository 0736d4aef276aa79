"""Folders and small files of a pod on the node: volumes, logs, /etc/hosts, termination messages. Not what volumes hold.

The layout below --root-dir is upstream's (kubelet_getters.go), so that one kubelet can take over from another.
"""

import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from kubelet.sandbox_config import domain_of, hostname_of
from kubelet.volumes import mounts
from machinery.api import meta, pods
from machinery.api.codec import Json

_HEADER = "# Kubernetes-managed hosts file"
_LOCAL = (
    "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::0\tip6-localnet\nfe00::0\tip6-mcastprefix\nfe00::1\tip6-allnodes\nfe00::2\tip6-allrouters\n"
)
_LONGEST_MESSAGE = 4096  # bytes of a termination message that are kept


@dataclass(frozen=True, slots=True)
class NodeFolders:
    """Where the kubelet keeps its things, and where the pods' logs go."""

    root: Path
    logs: Path

    def pods(self) -> Path:
        """One folder per pod uid."""
        return self.root / "pods"

    def pod(self, uid: str) -> Path:
        """Everything of one pod but its logs."""
        return self.pods() / uid

    def volumes(self, uid: str) -> Path:
        """`volumes/kubernetes.io~<plugin>/<name>` live here."""
        return self.pod(uid) / "volumes"

    def container(self, uid: str, name: str) -> Path:
        """Termination logs of one container."""
        return self.pod(uid) / "containers" / name

    def pod_logs(self, pod: Json) -> Path:
        """`<namespace>_<name>_<uid>`."""
        namespace, name = meta.key_of(pod)
        return self.logs / f"{namespace}_{name}_{meta.uid_of(pod)}"


def make_pod_folders(folders: NodeFolders, pod: Json) -> None:
    """The folders that are there as long as the pod is; raises OSError."""
    uid = meta.uid_of(pod)
    for folder in (folders.pod(uid), folders.volumes(uid), folders.pod(uid) / "plugins"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    folders.pod_logs(pod).mkdir(parents=True, exist_ok=True)


def termination_log(folders: NodeFolders, uid: str, container: str) -> Path:
    """A new, empty, world-writable file for the container's last words."""
    folder = folders.container(uid, container)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / uuid.uuid4().hex[:8]
    file.touch()
    file.chmod(0o666)
    return file


def last_words(path: str) -> str:
    """The first 4 KiB of a termination log, empty when it cannot be read."""
    try:
        with open(path, "rb") as file:
            return file.read(_LONGEST_MESSAGE).decode(errors="replace")
    except OSError:
        return ""


def write_hosts_file(folders: NodeFolders, pod: Json, ips: tuple[str, ...], cluster_domain: str) -> Path:
    """The managed /etc/hosts; raises OSError."""
    file = folders.pod(meta.uid_of(pod)) / "etc-hosts"
    text = hosts_text(pod, ips, cluster_domain, _host_file() if pods.is_host_network(pod) else "")
    if not file.exists() or file.read_text() != text:
        file.write_text(text)
        file.chmod(0o644)
    return file


def _host_file() -> str:
    try:
        return Path("/etc/hosts").read_text()
    except OSError:
        return ""


def hosts_text(pod: Json, ips: tuple[str, ...], cluster_domain: str, host_file: str = "") -> str:
    """What the pod finds in /etc/hosts (upstream: managedHostsFileContent)."""
    if pods.is_host_network(pod):
        text = f"{_HEADER} (host network).\n{host_file}"
    else:
        name, domain = hostname_of(pod), domain_of(pod, cluster_domain)
        names = f"{name}.{domain}\t{name}" if domain else name
        text = f"{_HEADER}.\n{_LOCAL}" + "".join(f"{ip}\t{names}\n" for ip in ips)
    aliases = (pod.get("spec") or {}).get("hostAliases") or ()
    if aliases:
        text += "\n# Entries added by HostAliases.\n"
        text += "".join(f"{alias['ip']}\t{chr(9).join(alias.get('hostnames') or ())}\n" for alias in aliases)
    return text


def remove_pod_folder(folders: NodeFolders, uid: str) -> None:
    """Unmount and delete all of a pod but its logs; raises OSError while something is still mounted there."""
    folder = folders.pod(uid)
    mounts.unmount_below(folder)
    if mounts.below(folder):
        # What is deleted through a mount is gone for its owner too.
        raise OSError(f"something is still mounted below {folder}")
    shutil.rmtree(folder, ignore_errors=False) if folder.exists() else None


def remove_logs(folders: NodeFolders, uid: str) -> None:
    """Delete the pod's log folder, whatever its name was."""
    for folder in folders.logs.glob(f"*_{uid}"):
        shutil.rmtree(folder, ignore_errors=True)


def pod_folders(folders: NodeFolders) -> list[str]:
    """The uids that have a folder."""
    try:
        return os.listdir(folders.pods())
    except FileNotFoundError:
        return []
