"""What the container runtime knows about a pod, as plain records. Pure data: who asks the runtime is `pod_runtime`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final


class ContainerState(Enum):
    """A container's life, in CRI's words."""

    CREATED = "created"
    RUNNING = "running"
    EXITED = "exited"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class ContainerRecord:
    """One attempt at running one container. Times are nanoseconds since the epoch, 0 when it has not happened."""

    id: str
    name: str
    state: ContainerState
    sandbox_id: str = ""
    restart_count: int = 0
    created_at: int = 0
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    image: str = ""
    image_id: str = ""
    spec_hash: str = ""
    log_path: str = ""
    annotations: dict[str, str] = field(default_factory=dict)

    @property
    def is_running(self) -> bool:
        """Whether its process lives."""
        return self.state is ContainerState.RUNNING

    @property
    def is_over(self) -> bool:
        """Whether its process has ended."""
        return self.state is ContainerState.EXITED


@dataclass(frozen=True, slots=True)
class SandboxRecord:
    """One attempt at the pod's sandbox: its namespaces and addresses."""

    id: str
    attempt: int = 0
    ready: bool = True
    created_at: int = 0
    ips: tuple[str, ...] = ()
    host_network: bool = False


@dataclass(frozen=True, slots=True)
class PodRecord:
    """All sandboxes and containers of one pod, newest first."""

    uid: str
    namespace: str = ""
    name: str = ""
    sandboxes: tuple[SandboxRecord, ...] = ()
    containers: tuple[ContainerRecord, ...] = ()

    @property
    def sandbox(self) -> SandboxRecord | None:
        """The newest sandbox, alive or not."""
        return self.sandboxes[0] if self.sandboxes else None

    @property
    def ips(self) -> tuple[str, ...]:
        """The addresses of the living sandbox."""
        return next((sandbox.ips for sandbox in self.sandboxes if sandbox.ready), ())

    @property
    def running(self) -> tuple[ContainerRecord, ...]:
        """Containers whose process lives."""
        return tuple(container for container in self.containers if container.is_running)

    @property
    def is_alive(self) -> bool:
        """Whether anything of it still runs."""
        return any(sandbox.ready for sandbox in self.sandboxes) or bool(self.running)

    def latest(self, name: str) -> ContainerRecord | None:
        """The newest attempt of a container."""
        return next((container for container in self.containers if container.name == name), None)

    def last_ended(self, name: str) -> ContainerRecord | None:
        """The newest attempt of a container that is over."""
        return next((container for container in self.containers if container.name == name and container.is_over), None)

    def previous(self, name: str) -> ContainerRecord | None:
        """The attempt before the newest."""
        attempts = [container for container in self.containers if container.name == name]
        return attempts[1] if len(attempts) > 1 else None


NOTHING: Final = PodRecord(uid="")


def newest_first(containers: Iterable[ContainerRecord]) -> tuple[ContainerRecord, ...]:
    """Containers in the order `PodRecord` wants."""
    return tuple(sorted(containers, key=lambda one: (one.created_at, one.restart_count), reverse=True))
