"""Where pods come from: the API server, and a folder of manifests (static pods). What becomes of them is not here.

Upstream: pkg/kubelet/config (apiserver.go, file.go, common.go), pkg/kubelet/pod/mirror_client.go.
"""

import hashlib
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Protocol

import yaml

from machinery.api import codec, errors, meta, pods
from machinery.api.codec import Json
from machinery.api.kinds import PODS
from machinery.api.names import ObjectKey
from machinery.client.rest import Client, ConnectionProblem
from machinery.client.store import Lister

logger = logging.getLogger(__name__)

_SOURCE: Final = "kubernetes.io/config.source"
_HASH: Final = "kubernetes.io/config.hash"
_TOLERATE_ALL: Final = {"effect": "NoExecute", "operator": "Exists"}


class PodSink(Protocol):
    """Who wants to know."""

    def update(self, pod: Json) -> None: ...
    def remove(self, uid: str) -> None: ...


class StatusSink(Protocol):
    """Who compares what the API server shows."""

    def seen(self, pod: Json) -> None: ...
    def recheck(self, uid: str) -> None: ...


class ApiSource:
    """Hands the pods of one node on, as an informer shows them."""

    def __init__(self, workers: PodSink, statuses: StatusSink, node_name: str) -> None:
        self._workers = workers
        self._statuses = statuses
        self._node_name = node_name

    def on_change(self, old: Json | None, new: Json | None) -> None:
        """An informer's handler."""
        if new is not None and pods.is_static(new):
            self._statuses.recheck(meta.annotations_of(new)[pods.MIRROR_ANNOTATION])
        if old is not None and not self._is_ours(old):
            old = None
        if new is not None and not self._is_ours(new):
            new = None
        if old is not None and (new is None or meta.uid_of(new) != meta.uid_of(old)):
            self._workers.remove(meta.uid_of(old))
        if new is not None:
            self._statuses.seen(new)
            self._workers.update(new)

    def _is_ours(self, pod: Json) -> bool:
        # Mirrors only show static pods; those come from their manifests.
        return pods.node_of(pod) == self._node_name and not pods.is_static(pod)


class FileSource:
    """Static pods from a folder or a file, and their mirrors in the API."""

    def __init__(self, path: Path, node_name: str, workers: PodSink) -> None:
        self._path = path
        self._node_name = node_name
        self._workers = workers
        self._current: dict[str, Json] = {}

    def read(self) -> None:
        """Look at the manifests again; a file that makes no sense is logged and left out."""
        found = {meta.uid_of(pod): pod for pod in self._pods()}
        for uid in [uid for uid in self._current if uid not in found]:
            self._workers.remove(uid)
        for uid, pod in found.items():
            if uid not in self._current:
                self._workers.update(pod)
        self._current = found

    def current(self) -> list[Json]:
        """The static pods as last read."""
        return list(self._current.values())

    def _pods(self) -> Iterable[Json]:
        files = sorted(self._path.glob("*")) if self._path.is_dir() else [self._path]
        for file in files:
            if file.name.startswith(".") or not file.is_file():
                continue
            try:
                document = yaml.safe_load(file.read_text())
                if isinstance(document, dict) and document.get("kind") == "Pod":
                    yield static_pod(document, self._node_name)
            except (OSError, ValueError, KeyError, yaml.YAMLError) as problem:
                logger.warning("static pod %s: %s", file, problem)


def static_pod(document: Json, node_name: str) -> Json:
    """A manifest as a pod of this node; its uid is a hash of it, so that a change makes another pod."""
    # YAML knows dates and the like; an object is JSON.
    pod: Json = codec.loads(codec.dumps(document))
    metadata = pod.setdefault("metadata", {})
    digest = hashlib.md5(codec.dumps([node_name, document]), usedforsecurity=False).hexdigest()
    metadata["name"] = f"{metadata['name']}-{node_name}"
    metadata["namespace"] = metadata.get("namespace") or "default"
    metadata["uid"] = digest  # a uid in the manifest is not kept: mirrors are matched by the hash
    metadata["annotations"] = {**(metadata.get("annotations") or {}), _SOURCE: "file", _HASH: digest}
    spec = pod["spec"]
    spec["nodeName"] = node_name
    spec.setdefault("restartPolicy", "Always")
    spec["tolerations"] = [*(spec.get("tolerations") or ()), _TOLERATE_ALL]
    return pod


class Mirrors:
    """Keeps a mirror in the API for each static pod, and takes stale ones away."""

    def __init__(self, client: Client, source: FileSource, shown: Lister) -> None:
        self._client = client
        self._source = source
        self._shown = shown

    async def sync(self) -> None:
        """Once over all; what fails is tried at the next call."""
        wanted = {meta.key_of(pod): pod for pod in self._source.current()}
        for mirror in self._shown.list():
            if pods.is_static(mirror) and not _mirrors(mirror, wanted.get(meta.key_of(mirror))):
                await self._delete(mirror)
        for key, pod in wanted.items():
            if self._shown.get(ObjectKey(*key)) is None:
                await self._create(pod)

    def status_target(self, pod: Json) -> Json | None:
        """The mirror that carries a static pod's status."""
        mirror = self._shown.get(meta.key_of(pod))
        return mirror if mirror is not None and _mirrors(mirror, pod) else None

    async def _delete(self, mirror: Json) -> None:
        namespace, name = meta.key_of(mirror)
        try:
            await self._client.delete(PODS, name, namespace, uid=meta.uid_of(mirror), grace_period_seconds=0)
        except (errors.StatusError, ConnectionProblem) as problem:
            logger.debug("mirror %s/%s: %s", namespace, name, problem)

    async def _create(self, pod: Json) -> None:
        metadata = {key: value for key, value in pod["metadata"].items() if key != "uid"}
        digest = meta.annotations_of(pod)[_HASH]
        metadata["annotations"] = {**metadata["annotations"], pods.MIRROR_ANNOTATION: digest}
        try:
            await self._client.create(PODS, {**pod, "apiVersion": "v1", "kind": "Pod", "metadata": metadata})
        except (errors.StatusError, ConnectionProblem) as problem:
            logger.debug("mirror of %s: %s", meta.key_of(pod), problem)


def _mirrors(mirror: Json, pod: Json | None) -> bool:
    if meta.is_being_deleted(mirror):
        return False  # somebody deleted it: only a new one will do
    return pod is not None and meta.annotations_of(mirror).get(pods.MIRROR_ANNOTATION) == (
        meta.annotations_of(pod).get(_HASH)
    )
