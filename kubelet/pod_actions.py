"""What to do next for a pod: a pure decision from its spec and what runs. Carrying it out is `pod_runtime`'s.

Upstream: kuberuntime computePodActions and computeInitContainerActions (pkg/kubelet/kuberuntime), KEP-753 for sidecars,
KEP-5532 for the restart of all containers.
"""

from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Final

from kubelet.runtime_status import ContainerRecord, ContainerState, PodRecord, SandboxRecord
from machinery.api import meta, pods, restarts
from machinery.api.codec import Json

_NOBODY: Final[frozenset[str]] = frozenset()


@dataclass(frozen=True, slots=True)
class Health:
    """What probes found, by container id."""

    failed_liveness: Set[str] = _NOBODY
    failed_startup: Set[str] = _NOBODY
    not_started: Set[str] = _NOBODY  # running, but its startup probe has not succeeded yet


@dataclass(frozen=True, slots=True)
class Kill:
    """A container to stop, and the text of its Killing event."""

    container: ContainerRecord
    message: str


@dataclass(frozen=True, slots=True)
class Actions:
    """One step for one pod. Containers are named in the order they are to be started."""

    kill_pod: bool = False  # everything, with the sandbox
    create_sandbox: bool = False
    attempt: int = 0
    sandbox_id: str = ""
    kill: tuple[Kill, ...] = ()
    start: tuple[str, ...] = ()
    reset: tuple[ContainerRecord, ...] = ()  # to take away so that all begin anew; the last one's end asked for it
    finished: bool = False  # nothing runs, nothing is to be started: the pod has ended by itself


def should_start(container: Json, pod: Json, latest: ContainerRecord | None) -> bool:
    """Whether a container that may have run before is to be (re)started (upstream: ShouldContainerBeRestarted)."""
    if latest is None:
        return True
    if latest.is_running:
        return False
    if latest.state in (ContainerState.CREATED, ContainerState.UNKNOWN):
        return True
    return restarts.will_restart(container, pod, latest.exit_code)


def restarts_all(pod: Json, record: PodRecord) -> bool:
    """Whether some end asks that all containers begin anew (upstream: ShouldAllContainersRestart).

    Who asked is taken away last, so that what was cut short goes on; what killed the others must not end the pod then.
    """
    if not _who_ask(pod, record):
        return False
    begun = meta.condition_is_true(pod, restarts.CONDITION)
    return begun or not (_mains_are_over(pod, record) or _init_failed(pod, record))


def _who_ask(pod: Json, record: PodRecord) -> set[str]:
    everyone = (*pods.init_containers_of(pod), *pods.containers_of(pod))
    ended = ((one, latest) for one in everyone if (latest := record.latest(one["name"])) and latest.is_over)
    return {latest.id for one, latest in ended if restarts.restarts_all(one, latest.exit_code)}


def _everything(pod: Json, record: PodRecord) -> tuple[ContainerRecord, ...]:
    who = _who_ask(pod, record)
    return tuple(sorted(record.containers, key=lambda container: container.id in who))


def decide(pod: Json, record: PodRecord, health: Health, spec_hash: Callable[[Json], str]) -> Actions:
    """The next step. `spec_hash` says what of a container's spec may not change while it runs."""
    sandbox = record.sandbox
    if restarts_all(pod, record):
        return Actions(sandbox_id=sandbox.id if sandbox else "", reset=_everything(pod, record))
    if sandbox is None or not _usable(sandbox, pod, record):
        return _with_new_sandbox(pod, record)
    alive = _Alive(pod, record, health, spec_hash, sandbox)
    return alive.decide()


def _usable(sandbox: SandboxRecord, pod: Json, record: PodRecord) -> bool:
    if not sandbox.ready or sum(other.ready for other in record.sandboxes) > 1:
        return False
    return sandbox.host_network or pods.is_host_network(pod) or bool(sandbox.ips)


def _with_new_sandbox(pod: Json, record: PodRecord) -> Actions:
    sandbox = record.sandbox
    attempt = sandbox.attempt + 1 if sandbox else 0
    mains = pods.containers_of(pod)
    to_start = [c["name"] for c in mains if _is_needed(c, pod, record.latest(c["name"]))]
    if sandbox is not None and (not to_start or _init_failed(pod, record)):
        return Actions(kill_pod=record.is_alive, finished=True)
    inits = pods.init_containers_of(pod)
    first = [inits[0]["name"]] if inits else to_start
    return Actions(
        # A dead sandbox is stopped too: until then it keeps its address and its network namespace.
        kill_pod=sandbox is not None,
        create_sandbox=True,
        attempt=attempt,
        start=tuple(first),
    )


def _is_needed(container: Json, pod: Json, latest: ContainerRecord | None) -> bool:
    """As should_start, and what still runs in the old sandbox is stopped with it and started in the new one."""
    if latest is not None and latest.is_running:
        return restarts.policy_of(container, pod) != "Never"
    return should_start(container, pod, latest)


def _failed_for_good(container: Json, pod: Json, record: PodRecord) -> bool:
    latest = record.latest(container["name"])
    return (
        latest is not None
        and latest.is_over
        and latest.exit_code != 0
        and not restarts.will_restart(container, pod, latest.exit_code)
        and not pods.is_sidecar(container)
    )


def _init_failed(pod: Json, record: PodRecord) -> bool:
    return any(_failed_for_good(container, pod, record) for container in pods.init_containers_of(pod))


def _mains_are_over(pod: Json, record: PodRecord) -> bool:
    """Whether no main container runs or will run again."""
    for container in pods.containers_of(pod):
        latest = record.latest(container["name"])
        if should_start(container, pod, latest) or (latest is not None and latest.is_running):
            return False
    return True


class _Alive:
    """The decision for a pod whose sandbox stands."""

    def __init__(
        self, pod: Json, record: PodRecord, health: Health, spec_hash: Callable[[Json], str], sandbox: SandboxRecord
    ) -> None:
        self._pod = pod
        self._record = record
        self._health = health
        self._spec_hash = spec_hash
        self._sandbox = sandbox
        self._kill: list[Kill] = []
        self._start: list[str] = []

    def decide(self) -> Actions:
        if self._initialized():
            if _mains_are_over(self._pod, self._record):
                return Actions(kill_pod=True, sandbox_id=self._sandbox.id, finished=True)
            self._walk_mains()
        elif _init_failed(self._pod, self._record):
            return Actions(kill_pod=True, sandbox_id=self._sandbox.id, finished=True)
        return Actions(
            sandbox_id=self._sandbox.id,
            attempt=self._sandbox.attempt,
            kill=tuple(self._kill),
            start=tuple(self._start),
        )

    def _here(self, name: str) -> ContainerRecord | None:
        """The latest attempt if it ran in this sandbox: init containers run again in each new one."""
        latest = self._record.latest(name)
        return latest if latest and latest.sandbox_id in ("", self._sandbox.id) else None

    def _initialized(self) -> bool:
        """Walk the init containers; True when all are through (or a main container was already made)."""
        mains_begun = any(self._here(c["name"]) for c in pods.containers_of(self._pod))
        for container in pods.init_containers_of(self._pod):
            if pods.is_sidecar(container):
                through = self._sidecar_is_up(container)
            else:
                through = mains_begun or self._init_is_done(container)
            if not through and not mains_begun:
                return False
        return True

    def _init_is_done(self, container: Json) -> bool:
        latest = self._here(container["name"])
        if latest is not None and (latest.is_running or latest.is_over):
            if latest.is_running:
                return False
            if latest.exit_code == 0:
                return True
            if not restarts.will_restart(container, self._pod, latest.exit_code):
                return False
        self._start.append(container["name"])
        return False

    def _sidecar_is_up(self, container: Json) -> bool:
        latest = self._here(container["name"])
        if latest is None or not latest.is_running:
            self._start.append(container["name"])
            return False
        why = self._why_restart(container, latest)
        if why:
            self._kill.append(Kill(latest, why))
            self._start.append(container["name"])
            return False
        return latest.id not in self._health.not_started

    def _walk_mains(self) -> None:
        for container in pods.containers_of(self._pod):
            latest = self._record.latest(container["name"])
            if latest is None or not latest.is_running:
                self._walk_stopped(container, latest)
                continue
            why = self._why_restart(container, latest)
            if why:
                self._kill.append(Kill(latest, why))
                # It runs still: without an exit code its rules say nothing, only its policy does.
                if why.endswith("definition changed, will be restarted") or (
                    restarts.policy_of(container, self._pod) != "Never"
                ):
                    self._start.append(container["name"])

    def _walk_stopped(self, container: Json, latest: ContainerRecord | None) -> None:
        if not should_start(container, self._pod, latest):
            return
        if latest is not None and latest.state is ContainerState.UNKNOWN:
            # Nobody knows whether it lives: two of them at once would be worse than a stop too many.
            self._kill.append(Kill(latest, "Container is in unknown state, try killing it before restart"))
        self._start.append(container["name"])

    def _why_restart(self, container: Json, latest: ContainerRecord) -> str:
        name = container["name"]
        if latest.spec_hash and latest.spec_hash != self._spec_hash(container):
            return f"Container {name} definition changed, will be restarted"
        if latest.id in self._health.failed_liveness:
            return f"Container {name} failed liveness probe, will be restarted"
        if latest.id in self._health.failed_startup:
            return f"Container {name} failed startup probe, will be restarted"
        return ""
