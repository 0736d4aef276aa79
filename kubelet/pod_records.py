"""Asks the runtime what there is of a pod and keeps it as a `PodRecord`. Nothing is changed in the runtime here.

What cannot change any more (an exited container, the address of a standing sandbox) is asked once.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kubelet import container_config as labels
from kubelet.cri import api_pb2 as api
from kubelet.cri.client import Runtime, RuntimeNotFound
from kubelet.pod_files import last_words
from kubelet.runtime_status import ContainerRecord, ContainerState, PodRecord, SandboxRecord, newest_first
from kubelet.sandbox_config import POD_NAME, POD_NAMESPACE, POD_UID

_STATES: Final = {
    api.CONTAINER_CREATED: ContainerState.CREATED,
    api.CONTAINER_RUNNING: ContainerState.RUNNING,
    api.CONTAINER_EXITED: ContainerState.EXITED,
    api.CONTAINER_UNKNOWN: ContainerState.UNKNOWN,
}
_TAIL_LINES: Final = 80
_TAIL_BYTES: Final = 2048


class PodRecords:
    """Reads pods from the runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._containers: dict[str, ContainerRecord] = {}
        self._sandboxes: dict[str, SandboxRecord] = {}

    async def read(self, uid: str) -> PodRecord:
        """All there is of one pod; raises RuntimeProblem."""
        sandboxes = await self._runtime.list_sandboxes(uid)
        containers = await self._runtime.list_containers(uid)
        records = [await self._sandbox(sandbox) for sandbox in sandboxes]
        named = sandboxes[0].metadata if sandboxes else api.PodSandboxMetadata()
        return PodRecord(
            uid=uid,
            namespace=named.namespace,
            name=named.name,
            sandboxes=tuple(sorted(records, key=lambda one: (one.attempt, one.created_at), reverse=True)),
            containers=newest_first([await self._container(container) for container in containers]),
        )

    async def uids(self) -> dict[str, tuple[str, str]]:
        """Every pod the runtime has something of: uid → namespace and name."""
        found: dict[str, tuple[str, str]] = {}
        for sandbox in await self._runtime.list_sandboxes():
            found[sandbox.metadata.uid] = (sandbox.metadata.namespace, sandbox.metadata.name)
        for container in await self._runtime.list_containers():
            uid = container.labels.get(POD_UID, "")
            if uid:
                named = (container.labels.get(POD_NAMESPACE, ""), container.labels.get(POD_NAME, ""))
                found.setdefault(uid, named)
        return found

    def forget(self, record: PodRecord) -> None:
        """The pod is removed from the runtime."""
        for container in record.containers:
            self._containers.pop(container.id, None)
        for sandbox in record.sandboxes:
            self._sandboxes.pop(sandbox.id, None)

    async def _sandbox(self, sandbox: api.PodSandbox) -> SandboxRecord:
        ready = sandbox.state == api.SANDBOX_READY
        known = self._sandboxes.get(sandbox.id)
        if known is not None and known.ready == ready and (known.ips or known.host_network or not ready):
            return known
        record = SandboxRecord(sandbox.id, sandbox.metadata.attempt, ready, sandbox.created_at)
        if ready:
            try:
                status = await self._runtime.sandbox_status(sandbox.id)
            except RuntimeNotFound:
                return SandboxRecord(sandbox.id, sandbox.metadata.attempt, False, sandbox.created_at)
            record = SandboxRecord(
                sandbox.id,
                sandbox.metadata.attempt,
                status.state == api.SANDBOX_READY,
                sandbox.created_at,
                _ips(status.network),
                status.linux.namespaces.options.network == api.NODE,
            )
        self._sandboxes[sandbox.id] = record
        return record

    async def _container(self, listed: api.Container) -> ContainerRecord:
        state = _STATES[listed.state]
        known = self._containers.get(listed.id)
        if known is not None and known.state is state:
            return known
        try:
            status = await self._runtime.container_status(listed.id)
        except RuntimeNotFound:
            return _gone(listed)
        record = record_of(status, listed.pod_sandbox_id)
        self._containers[listed.id] = record
        return record


def _ips(network: api.PodSandboxNetworkStatus) -> tuple[str, ...]:
    every = (network.ip, *(other.ip for other in network.additional_ips))
    return tuple(dict.fromkeys(ip for ip in every if ip))


def _gone(listed: api.Container) -> ContainerRecord:
    count = listed.annotations.get(labels.RESTART_COUNT, "")
    return ContainerRecord(
        id=listed.id,
        name=listed.metadata.name,
        state=ContainerState.UNKNOWN,
        sandbox_id=listed.pod_sandbox_id,
        restart_count=int(count) if count.isdigit() else listed.metadata.attempt,
        created_at=listed.created_at,
    )


def record_of(status: api.ContainerStatus, sandbox_id: str) -> ContainerRecord:
    """A record from the runtime's answer; reads the termination message of one that has ended."""
    annotations = dict(status.annotations)
    count = annotations.get(labels.RESTART_COUNT, "")
    return ContainerRecord(
        id=status.id,
        name=status.metadata.name,
        state=_STATES[status.state],
        sandbox_id=sandbox_id,
        restart_count=int(count) if count.isdigit() else status.metadata.attempt,
        created_at=status.created_at,
        started_at=status.started_at,
        finished_at=status.finished_at,
        exit_code=status.exit_code,
        reason=status.reason,
        message=_message(status, annotations) if status.state == api.CONTAINER_EXITED else status.message,
        image=status.image.image,
        image_id=status.image_ref,
        spec_hash=annotations.get(labels.HASH, ""),
        log_path=status.log_path,
        annotations=annotations,
    )


def _message(status: api.ContainerStatus, annotations: dict[str, str]) -> str:
    path = annotations.get(labels.TERMINATION_PATH, "")
    host_path = next((mount.host_path for mount in status.mounts if path and mount.container_path == path), "")
    text = last_words(host_path) if host_path else ""
    fallback = annotations.get(labels.TERMINATION_POLICY) == "FallbackToLogsOnError"
    if not text and fallback and status.exit_code != 0:
        text = tail_of_log(status.log_path)
    # The runtime's own words are about a start that failed.
    return ": ".join(part for part in (status.message, text) if part)


def tail_of_log(path: str, lines: int = _TAIL_LINES, limit: int = _TAIL_BYTES) -> str:
    """The last lines of a container's log without times and tags, at most so many bytes."""
    try:
        raw = Path(path).read_bytes()[-4 * limit :]
    except OSError:
        return ""
    kept: Sequence[bytes] = raw.splitlines()[-lines:]
    texts = [line.split(b" ", 3)[3] if line.count(b" ") >= 3 else b"" for line in kept]
    joined = b"".join(text + b"\n" for text in texts)
    return joined[-limit:].decode(errors="replace")
