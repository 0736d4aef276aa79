"""A pod's API status from its spec and what runs: phase, conditions, container statuses. Pure; nothing is written here.

Upstream: pkg/kubelet/kubelet_pods.go (getPhase, convertToAPIContainerStatuses), pkg/kubelet/status/generate.go.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from kubelet import pod_actions
from kubelet.runtime_status import NOTHING, ContainerRecord, ContainerState, PodRecord
from machinery.api import meta, pods, restarts, times
from machinery.api.codec import Json

_NOBODY: Final[frozenset[str]] = frozenset()
_LOST: Final = {
    "exitCode": 137,
    "reason": "ContainerStatusUnknown",
    "message": "The container could not be located when the pod was terminated",
    "startedAt": None,
    "finishedAt": None,
}
_WHY_OVER: Final = {"Succeeded": "PodCompleted", "Failed": "PodFailed"}
_RESTARTING: Final = {
    "reason": "RestartingAllContainers",
    "message": "The container is removed because RestartAllContainers in place",
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why a container that should run does not."""

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a status is made of, beside the pod itself."""

    record: PodRecord = NOTHING
    waiting: Mapping[str, Waiting] = field(default_factory=dict)  # by container name
    started: Set[str] = _NOBODY  # container ids
    ready: Set[str] = _NOBODY  # container ids
    host_ips: tuple[str, ...] = ()
    over: bool = False  # nothing of it will run again
    reason: str = ""  # of the whole pod: Evicted, OutOfcpu, DeadlineExceeded …
    message: str = ""


def status_of(pod: Json, facts: Facts, now: str) -> Json:
    """The whole `status`; `now` (RFC 3339) is used where something changes."""
    old = pod.get("status") or {}
    names = [c["name"] for c in pods.init_containers_of(pod)]
    inits = [_container_status(c, pod, facts, init=True) for c in pods.init_containers_of(pod)]
    mains = [_container_status(c, pod, facts, init=False) for c in pods.containers_of(pod)]
    phase = _phase_to_report(pod, facts, inits, mains)
    _settle_readiness(pod, inits, mains)
    status: Json = {
        "phase": phase,
        "conditions": conditions_of(pod, phase, inits, mains, facts, now),
        "startTime": old.get("startTime") or now,
        "qosClass": old.get("qosClass") or pods.qos_class(pod),
        "containerStatuses": mains,
    }
    if names:
        status["initContainerStatuses"] = inits
    # A reason belongs to a failure, and that is reported only when nothing of the pod runs any more.
    reason = facts.reason if facts.over else ""
    if reason or old.get("reason"):
        status["reason"] = reason or old["reason"]
        status["message"] = facts.message if reason else old.get("message", "")
    generation = meta.generation_of(pod)
    if generation:
        status["observedGeneration"] = generation
    return status | _addresses(pod, facts, old)


def _addresses(pod: Json, facts: Facts, old: Json) -> Json:
    result: Json = {}
    if facts.host_ips:
        result |= {"hostIP": facts.host_ips[0], "hostIPs": [{"ip": ip} for ip in facts.host_ips]}
    ips = facts.host_ips[:1] if pods.is_host_network(pod) else facts.record.ips
    if ips:
        result |= {"podIP": ips[0], "podIPs": [{"ip": ip} for ip in ips]}
    elif old.get("podIP") and facts.over:
        # A pod that has ended keeps the address it had: logs and events are read with it.
        result |= {"podIP": old["podIP"], "podIPs": old.get("podIPs") or [{"ip": old["podIP"]}]}
    return result


# ---- containers


def _container_status(container: Json, pod: Json, facts: Facts, *, init: bool) -> Json:
    name = container["name"]
    latest = facts.record.latest(name)
    if latest is None:
        return _never_ran(container, pod, facts)
    status: Json = {
        "name": name,
        "state": state_of(latest),
        "lastState": _last_state(facts.record.previous(name), _old_container_status(pod, name)),
        "ready": False,
        "restartCount": latest.restart_count,
        "image": latest.image or container.get("image", ""),
        "imageID": latest.image_id,
        "containerID": f"containerd://{latest.id}",
        "started": latest.is_running and latest.id in facts.started,
    }
    if latest.is_running:
        status["ready"] = latest.id in facts.ready and latest.id in facts.started
    done = init and not pods.is_sidecar(container) and latest.is_over and latest.exit_code == 0
    if done:
        status["ready"] = True
    why = facts.waiting.get(name)
    if latest.is_over and why and not done and not facts.over and pod_actions.should_start(container, pod, latest):
        status["state"] = _waiting(why)
        status["lastState"] = state_of(latest)
    return status


def _never_ran(container: Json, pod: Json, facts: Facts) -> Json:
    name = container["name"]
    old_status = _old_container_status(pod, name)
    if old_status.get("containerID") and _is_restarting(pod, facts):
        return _taken_away(container, old_status)
    why = facts.waiting.get(name) or Waiting("PodInitializing" if pods.init_containers_of(pod) else "ContainerCreating")
    state = _waiting(why)
    if facts.over and _must_have_run(container, pod, facts.record):
        # What had ended before and is gone from the runtime (a restart, garbage collection) keeps its last word.
        old_state = old_status.get("state") or {}
        state = old_state if "terminated" in old_state else {"terminated": dict(_LOST)}
    return {
        "name": name,
        "state": state,
        "lastState": old_status.get("lastState") or {},
        "ready": False,
        "restartCount": old_status.get("restartCount", 0),
        "image": container.get("image", ""),
        "imageID": old_status.get("imageID", "") if facts.over else "",
        **({"containerID": old_status["containerID"]} if old_status.get("containerID") else {}),
        "started": False,
    }


def _is_restarting(pod: Json, facts: Facts) -> bool:
    """Whether all containers are being taken away to begin anew, or just have been."""
    if facts.record.containers:
        return not facts.over and pod_actions.restarts_all(pod, facts.record)
    return not facts.over and meta.condition_is_true(pod, restarts.CONDITION)


def _taken_away(container: Json, old_status: Json) -> Json:
    ended = {"exitCode": _LOST["exitCode"], **_RESTARTING, "startedAt": None, "finishedAt": None}
    return {
        "name": container["name"],
        "state": {"waiting": dict(_RESTARTING)},
        "lastState": {"terminated": ended},
        "ready": False,
        "restartCount": old_status.get("restartCount", 0) + 1,
        "image": container.get("image", ""),
        "imageID": "",
        "started": False,
    }


def _was_taken_away(ended: Json) -> bool:
    return ended.get("reason") == _RESTARTING["reason"]


def _must_have_run(container: Json, pod: Json, record: PodRecord) -> bool:
    """Whether a missing record means a loss, and not that its turn never came (upstream: hasPodInitialized)."""
    inits = pods.init_containers_of(pod)
    if not inits:
        return True
    if any(container["name"] == init["name"] for init in inits):
        return _has_started(_old_container_status(pod, container["name"]))
    final = record.latest(inits[-1]["name"])
    if final is not None and final.is_over and final.exit_code == 0:
        return True
    return any(_has_started(old) for old in (pod.get("status") or {}).get("containerStatuses") or ())


def _has_started(status: Json) -> bool:
    return bool(status.get("lastState")) or bool((status.get("state") or {}).keys() - {"waiting"})


def _old_container_status(pod: Json, name: str) -> Json:
    status = pod.get("status") or {}
    everyone = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return next((old for old in everyone if old.get("name") == name), {})


def _waiting(why: Waiting) -> Json:
    return {"waiting": {"reason": why.reason, **({"message": why.message} if why.message else {})}}


def _last_state(previous: ContainerRecord | None, old_status: Json) -> Json:
    if previous is not None:
        return state_of(previous) if previous.is_over else {}
    last: Json = old_status.get("lastState") or {}
    # The runtime has forgotten what was taken away to begin anew: only the status tells of it.
    return last if _was_taken_away(last.get("terminated") or {}) else {}


def state_of(record: ContainerRecord) -> Json:
    """A ContainerState (upstream: toKubeContainerStatus and its conversion)."""
    if record.is_running:
        return {"running": {"startedAt": nanoseconds(record.started_at)}}
    if record.state is ContainerState.CREATED:
        return {"waiting": {"reason": "ContainerCreating"}}
    terminated = {
        "exitCode": record.exit_code if record.is_over else _LOST["exitCode"],
        "reason": (record.reason or _default_reason(record)) if record.is_over else "ContainerStatusUnknown",
        "startedAt": nanoseconds(record.started_at),
        "finishedAt": nanoseconds(record.finished_at),
        "containerID": f"containerd://{record.id}",
    }
    if record.message:
        terminated["message"] = record.message
    return {"terminated": terminated}


def _default_reason(record: ContainerRecord) -> str:
    return "Completed" if record.exit_code == 0 else "Error"


def nanoseconds(since_epoch: int) -> str | None:
    """RFC 3339 from nanoseconds since the epoch, None for 0."""
    return times.rfc3339(datetime.fromtimestamp(since_epoch // 1_000_000_000, UTC)) if since_epoch > 0 else None


def _settle_readiness(pod: Json, inits: list[Json], mains: list[Json]) -> None:
    """What has ended is not ready; ordinary init containers have no `started` once they are through."""
    for container, status in zip(pods.init_containers_of(pod), inits, strict=True):
        if not pods.is_sidecar(container) and "terminated" in status["state"]:
            status["started"] = False
    for status in mains:
        if "running" not in status["state"]:
            status["ready"] = status["started"] = False


# ---- phase


def phase_of(pod: Json, inits: list[Json], mains: list[Json], *, over: bool, restarting: bool = False) -> str:
    """The phase the container statuses add up to (upstream: getPhase)."""
    if not restarting and _init_failed(pod, inits):
        return "Failed"
    if any(_is_waiting_first_time(status) for status in mains) or not _initialized(pod, inits, mains):
        return "Pending"
    if any("running" in status["state"] for status in mains):
        return "Running"
    if not over and _sidecar_runs(inits):
        return "Running"
    each = zip(pods.containers_of(pod), mains, strict=True)
    if restarting or (not over and any(_will_restart(container, pod, status) for container, status in each)):
        return "Running"
    return "Succeeded" if all(_exit_code(status) == 0 for status in mains) else "Failed"


def _phase_to_report(pod: Json, facts: Facts, inits: list[Json], mains: list[Json]) -> str:
    old = pods.phase_of(pod)
    if old in ("Succeeded", "Failed"):
        return old  # never back
    if facts.reason and facts.over:
        return "Failed"
    phase = phase_of(pod, inits, mains, over=facts.over, restarting=_is_restarting(pod, facts))
    if facts.over and phase not in ("Succeeded", "Failed"):
        # All pods reach a terminal phase before they are reported gone, so that Jobs can count them (KEP-3329).
        return "Failed"
    if phase in ("Succeeded", "Failed") and not facts.over and facts.record.running:
        return old  # a replacement must not start while something of this one still runs
    return phase


def _is_waiting_first_time(status: Json) -> bool:
    return "waiting" in status["state"] and "terminated" not in status["lastState"]


def _end_of(status: Json) -> Json | None:
    ended: Json | None = status["state"].get("terminated") or status["lastState"].get("terminated")
    return ended


def _exit_code(status: Json) -> int | None:
    ended = _end_of(status)
    return ended.get("exitCode") if ended else None


def _will_restart(container: Json, pod: Json, status: Json) -> bool:
    ended = _end_of(status)
    return ended is None or _was_taken_away(ended) or restarts.will_restart(container, pod, ended["exitCode"])


def _init_failed(pod: Json, inits: list[Json]) -> bool:
    """Whether an init container has failed for good."""
    return any(
        status["state"].get("terminated", {}).get("exitCode", 0) != 0
        and not pods.is_sidecar(container)
        and not _will_restart(container, pod, status)
        for container, status in zip(pods.init_containers_of(pod), inits, strict=True)
    )


def _init_is_through(container: Json, status: Json) -> bool:
    if pods.is_sidecar(container):
        return bool(status["started"]) or "terminated" in status["state"] or "terminated" in status["lastState"]
    return _exit_code(status) == 0 and "terminated" in status["state"]


def _sidecar_runs(inits: list[Json]) -> bool:
    return any("running" in status["state"] for status in inits)


def _begun(mains: list[Json]) -> bool:
    """Whether a main container ever ran: then the init containers were through, whatever sidecars do by now."""
    return any(
        "running" in status["state"] or "terminated" in status["state"] or status["lastState"] for status in mains
    )


def _initialized(pod: Json, inits: list[Json], mains: list[Json]) -> bool:
    return _begun(mains) or all(
        _init_is_through(container, status)
        for container, status in zip(pods.init_containers_of(pod), inits, strict=True)
    )


# ---- conditions


def conditions_of(pod: Json, phase: str, inits: list[Json], mains: list[Json], facts: Facts, now: str) -> list[Json]:
    """The kubelet's own conditions on top of those that others wrote."""
    sidecars = [
        status
        for container, status in zip(pods.init_containers_of(pod), inits, strict=True)
        if pods.is_sidecar(container)
    ]
    containers_ready = _containers_ready(phase, [*sidecars, *mains])
    sandbox = facts.record.sandbox
    ready_to_start = sandbox is not None and sandbox.ready and (bool(sandbox.ips) or sandbox.host_network)
    wanted = [
        {"type": "PodReadyToStartContainers", "status": _truth(ready_to_start)},
        {"type": "Initialized", **_initialized_condition(pod, phase, inits, mains)},
        {"type": "Ready", **_ready(pod, containers_ready)},
        {"type": "ContainersReady", **containers_ready},
        {"type": "PodScheduled", "status": "True"},
    ]
    if restarts.may_restart_all(pod):
        wanted.append({"type": restarts.CONDITION, **_restarting(pod, phase, facts)})
    conditions: list[Json] = list((pod.get("status") or {}).get("conditions") or ())
    for condition in wanted:
        old = meta.find_condition(conditions, condition["type"]) or {}
        merged = {"lastProbeTime": old.get("lastProbeTime"), **condition}
        conditions = meta.set_condition(conditions, merged, now)
    return conditions


def _restarting(pod: Json, phase: str, facts: Facts) -> Json:
    """Until nothing is left of the containers (upstream: GenerateAllContainersRestartingCondition)."""
    if phase in _WHY_OVER:
        return {"status": "False", "reason": _WHY_OVER[phase]}
    if not facts.record.containers or not _is_restarting(pod, facts):
        return {"status": "False"}
    text = "container exited with restart policy rule"
    return {"status": "True", "reason": "RestartAllContainersStarted", "message": text}


def _truth(value: bool) -> str:
    return "True" if value else "False"


def _initialized_condition(pod: Json, phase: str, inits: list[Json], mains: list[Json]) -> Json:
    if phase == "Succeeded":
        return {"status": "True", "reason": "PodCompleted"}
    missing = [
        container["name"]
        for container, status in zip(pods.init_containers_of(pod), inits, strict=True)
        if not _init_is_through(container, status)
    ]
    # What has been initialized stays so, although its init containers may run once more.
    if not missing or _begun(mains) or meta.condition_is_true(pod, "Initialized"):
        return {"status": "True"}
    return {
        "status": "False",
        "reason": "ContainersNotInitialized",
        "message": f"containers with incomplete status: [{' '.join(missing)}]",
    }


def _containers_ready(phase: str, statuses: list[Json]) -> Json:
    if phase in _WHY_OVER:
        return {"status": "False", "reason": _WHY_OVER[phase]}
    unready = [status["name"] for status in statuses if not status["ready"]]
    if not unready:
        return {"status": "True"}
    return {
        "status": "False",
        "reason": "ContainersNotReady",
        "message": f"containers with unready status: [{' '.join(unready)}]",
    }


def _ready(pod: Json, containers_ready: Json) -> Json:
    if containers_ready["status"] != "True":
        return containers_ready
    problems = []
    conditions = (pod.get("status") or {}).get("conditions")
    for gate in (pod.get("spec") or {}).get("readinessGates") or ():
        type_ = gate.get("conditionType", "")
        condition = meta.find_condition(conditions, type_)
        if condition is None:
            problems.append(f'corresponding condition of pod readiness gate "{type_}" does not exist.')
        elif condition.get("status") != "True":
            value = condition.get("status")
            problems.append(f'the status of pod readiness gate "{type_}" is not "True", but {value}')
    if not problems:
        return {"status": "True"}
    return {"status": "False", "reason": "ReadinessGatesNotReady", "message": ", ".join(problems)}
