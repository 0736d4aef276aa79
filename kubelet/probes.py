"""Startup, liveness and readiness of running containers: one task per probe and container. One check is `probing`'s.

A container id never comes back, so a result belongs to an id and needs no resetting. Upstream: pkg/kubelet/prober.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from kubelet.cri.client import RuntimeProblem
from kubelet.pod_actions import Health
from kubelet.pod_events import WARNING, PodEvents
from kubelet.probing import Outcome, Prober, Target
from kubelet.runtime_status import ContainerRecord, PodRecord
from machinery.aio.clock import REAL, Clock
from machinery.api import meta, pods
from machinery.api.codec import Json

logger = logging.getLogger(__name__)

_PERIOD: Final = 10.0
_KINDS: Final = {"startupProbe": "Startup", "livenessProbe": "Liveness", "readinessProbe": "Readiness"}


@dataclass(slots=True)
class _Watched:
    """One running container with probes."""

    pod: Json
    target: Target
    started_at: float
    is_started: asyncio.Event
    ready: bool
    failed_liveness: bool = False
    failed_startup: bool = False
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


@dataclass(slots=True)
class _Count:
    """Successes or failures in a row against a probe's thresholds."""

    failure_threshold: int
    success_threshold: int
    last: bool | None = None
    run: int = 0

    def add(self, ok: bool) -> bool | None:
        """The result once a threshold is reached."""
        self.run = self.run + 1 if ok is self.last else 1
        self.last = ok
        needed = self.success_threshold if ok else self.failure_threshold
        return ok if self.run >= needed else None


class ProbeManager:
    """All probes of a node; `on_change` is called with a pod's uid when a result changes."""

    def __init__(
        self, prober: Prober, events: PodEvents, on_change: Callable[[str], None], clock: Clock = REAL
    ) -> None:
        self._prober = prober
        self._events = events
        self._on_change = on_change
        self._clock = clock
        self._watched: dict[str, dict[str, _Watched]] = {}  # pod uid → container id
        self._group: asyncio.TaskGroup | None = None

    def attach(self, group: asyncio.TaskGroup) -> None:
        """Where the tasks live."""
        self._group = group

    def sync(self, pod: Json, record: PodRecord, *, stopping: bool = False) -> None:
        """Begin with containers that have come up, end with those that are gone. While stopping only readiness."""
        uid = meta.uid_of(pod)
        watched = self._watched.setdefault(uid, {})
        for container in (*pods.containers_of(pod), *filter(pods.is_sidecar, pods.init_containers_of(pod))):
            latest = record.latest(container["name"])
            if latest and latest.is_running and latest.id not in watched and not stopping:
                watched[latest.id] = self._begin(pod, container, latest, record)
        running = {container.id for container in record.running}
        for container_id in [gone for gone in watched if gone not in running]:
            _end(watched.pop(container_id))
        if stopping:
            for one in watched.values():
                _end(one, but="Readiness")

    def _begin(self, pod: Json, container: Json, latest: ContainerRecord, record: PodRecord) -> _Watched:
        spec = pod.get("spec") or {}
        ip = record.ips[0] if record.ips else ""
        if spec.get("hostNetwork") and not ip:
            ip = (pod.get("status") or {}).get("hostIP") or "127.0.0.1"
        one = _Watched(
            pod,
            Target(container, latest.id, ip),
            latest.started_at / 1e9,
            asyncio.Event(),
            # After a restart of the kubelet, what was ready stays so until a probe says otherwise.
            ready="readinessProbe" not in container or _was(pod, latest, "ready"),
        )
        if "startupProbe" not in container or _was(pod, latest, "started"):
            one.is_started.set()
        for field_name, word in _KINDS.items():
            if container.get(field_name) and self._group is not None:
                task = self._group.create_task(self._run(one, word, container[field_name]), name=f"{word} {latest.id}")
                one.tasks.append(task)
        return one

    def forget(self, uid: str) -> None:
        """The pod is over."""
        for one in self._watched.pop(uid, {}).values():
            _end(one)

    def health(self, uid: str) -> Health:
        """What the next step needs to know."""
        watched = self._watched.get(uid, {})
        return Health(
            failed_liveness={key for key, one in watched.items() if one.failed_liveness},
            failed_startup={key for key, one in watched.items() if one.failed_startup},
            not_started={key for key, one in watched.items() if not one.is_started.is_set()},
        )

    def started(self, uid: str) -> set[str]:
        """Containers (by id) whose startup probe, if any, has succeeded."""
        return {key for key, one in self._watched.get(uid, {}).items() if one.is_started.is_set()}

    def ready(self, uid: str) -> set[str]:
        """Containers (by id) whose readiness probe, if any, succeeds."""
        return {key for key, one in self._watched.get(uid, {}).items() if one.ready}

    async def _run(self, one: _Watched, word: str, probe: Json) -> None:
        count = _Count(int(probe.get("failureThreshold") or 3), int(probe.get("successThreshold") or 1))
        await self._wait_for_start(one, word, probe)
        while True:
            outcome = await self._check(one, word, probe)
            if not outcome.unknown:
                result = count.add(outcome.ok)
                if result is not None and self._apply(one, word, result):
                    return
            await self._clock.sleep(float(probe.get("periodSeconds") or _PERIOD))

    async def _wait_for_start(self, one: _Watched, word: str, probe: Json) -> None:
        if word != "Startup":
            await one.is_started.wait()
        delay = float(probe.get("initialDelaySeconds") or 0)
        age = (self._clock.now() - datetime.fromtimestamp(one.started_at, UTC)).total_seconds()
        await self._clock.sleep(max(0.0, delay - age))

    async def _check(self, one: _Watched, word: str, probe: Json) -> Outcome:
        try:
            outcome = await self._prober.check(probe, one.target)
        except RuntimeProblem as problem:
            outcome = Outcome(False, str(problem), unknown=True)
        except Exception as problem:  # one odd probe (a bad header, a strange answer) must not end all the others
            logger.exception("%s probe of %s", word, one.target.container["name"])
            outcome = Outcome(False, str(problem), unknown=True)
        if outcome.unknown:
            self._say(one, f"{word} probe errored and resulted in unknown state: {outcome.text}")
        elif not outcome.ok:
            self._say(one, f"{word} probe failed: {outcome.text}")
        return outcome

    def _say(self, one: _Watched, text: str) -> None:
        self._events.container(one.pod, one.target.container["name"], WARNING, "Unhealthy", text)

    def _apply(self, one: _Watched, word: str, ok: bool) -> bool:
        """Take a result; True when the probe has done its work."""
        before = (one.ready, one.is_started.is_set(), one.failed_liveness, one.failed_startup)
        if word == "Readiness":
            one.ready = ok
        elif word == "Startup":
            one.failed_startup = not ok
            if ok:
                one.is_started.set()
        else:
            one.failed_liveness = not ok
        if before != (one.ready, one.is_started.is_set(), one.failed_liveness, one.failed_startup):
            self._on_change(meta.uid_of(one.pod))
        return word == "Startup" or (word == "Liveness" and not ok)


def _was(pod: Json, latest: ContainerRecord, what: str) -> bool:
    """Whether the pod's status has the very container as `ready` or `started`."""
    status = pod.get("status") or {}
    everyone = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    return any(
        old.get("containerID") == f"containerd://{latest.id}" and old.get(what) and "running" in old["state"]
        for old in everyone
    )


def _end(one: _Watched, but: str = "") -> None:
    for task in one.tasks:
        if not but or not task.get_name().startswith(but):
            task.cancel()
