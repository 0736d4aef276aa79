"""What `kubectl get pods` shows (upstream: printPod in pkg/printers/internalversion/printers.go)."""

from dataclasses import dataclass, field
from typing import Any, Final

from apiserver.registry.resource import Column
from apiserver.resources.columns import AGE, or_none, since, spec_of, status_of
from machinery.api import meta, pods
from machinery.api.codec import Json


@dataclass(slots=True)
class _Counts:
    """Restarts of some containers and when the last of them ended."""

    restarts: int = 0
    last: str = ""

    def add(self, status: Json) -> None:
        self.restarts += status.get("restartCount") or 0
        ended = (status.get("lastState") or {}).get("terminated") or {}
        self.last = max(self.last, ended.get("finishedAt") or "")

    def text(self) -> str:
        return f"{self.restarts} ({since(self.last)} ago)" if self.restarts and self.last else str(self.restarts)


@dataclass(slots=True)
class Summary:
    """The three cells that are read off the container statuses together."""

    reason: str
    ready: int = 0
    total: int = 0
    counts: _Counts = field(default_factory=_Counts)


def _ended(state: Json, prefix: str = "") -> str:
    if state.get("reason"):
        return f"{prefix}{state['reason']}"
    if state.get("signal"):
        return f"{prefix}Signal:{state['signal']}"
    return f"{prefix}ExitCode:{state.get('exitCode', 0)}"


def summary(pod: Json) -> Summary:
    """READY, STATUS and RESTARTS of a pod."""
    result = Summary(_phase_reason(pod), total=len(pods.containers_of(pod)))
    sidecars = {item["name"] for item in pods.init_containers_of(pod) if pods.is_sidecar(item)}
    result.total += len(sidecars)
    sidecar_counts = _Counts()
    stuck = _init_reason(pod, sidecars, result, sidecar_counts)
    if stuck:
        result.reason = stuck
    if not stuck or meta.condition_is_true(pod, "Initialized"):
        result.counts = sidecar_counts
        _main_containers(pod, result)
    result.reason = _deletion_reason(pod) or result.reason
    return result


def _phase_reason(pod: Json) -> str:
    status = status_of(pod)
    scheduled = meta.find_condition(status.get("conditions"), "PodScheduled") or {}
    if scheduled.get("reason") == "SchedulingGated":
        return "SchedulingGated"
    return status.get("reason") or status.get("phase") or ""


def _init_reason(pod: Json, sidecars: set[str], result: Summary, sidecar_counts: _Counts) -> str:
    """The reason of the first init container that is not done, empty when all are."""
    total = len(pods.init_containers_of(pod))
    for index, status in enumerate(status_of(pod).get("initContainerStatuses") or ()):
        sidecar = status.get("name") in sidecars
        result.counts.add(status)
        if sidecar:
            sidecar_counts.add(status)
        state = status.get("state") or {}
        ended, waiting = state.get("terminated"), (state.get("waiting") or {}).get("reason") or ""
        if ended is not None and not ended.get("exitCode"):
            continue
        if sidecar and status.get("started"):
            result.ready += 1 if status.get("ready") else 0
            continue
        if ended is not None:
            return _ended(ended, "Init:")
        return f"Init:{waiting}" if waiting not in ("", "PodInitializing") else f"Init:{index}/{total}"
    return ""


def _main_containers(pod: Json, result: Summary) -> None:
    running = False
    for status in reversed(status_of(pod).get("containerStatuses") or ()):
        result.counts.add(status)
        state = status.get("state") or {}
        waiting = (state.get("waiting") or {}).get("reason")
        if waiting:
            result.reason = waiting
        elif state.get("terminated") is not None:
            result.reason = _ended(state["terminated"])
        elif status.get("ready") and state.get("running") is not None:
            running = True
            result.ready += 1
    if result.reason == "Completed" and running:
        result.reason = "Running" if pods.is_ready(pod) else "NotReady"


def _deletion_reason(pod: Json) -> str:
    if not meta.is_being_deleted(pod):
        return ""
    if status_of(pod).get("reason") == "NodeLost":
        return "Unknown"
    return "" if pods.is_terminal(pod) else "Terminating"


class _LastSummary:
    """The summary of the pod whose row is being made, for the three cells that need it."""

    def __init__(self) -> None:
        self._pod: Json | None = None
        self._summary = Summary("")

    def of(self, pod: Json) -> Summary:
        """Made once for cells that come one after another."""
        if pod is not self._pod:
            self._summary = summary(pod)
            self._pod = pod
        return self._summary


_last: Final = _LastSummary()


def _ready(pod: Json) -> str:
    result = _last.of(pod)
    return f"{result.ready}/{result.total}"


def _ip(pod: Json) -> Any:
    ips = status_of(pod).get("podIPs") or [{"ip": status_of(pod).get("podIP")}]
    return or_none(ips[0].get("ip"))


def _readiness_gates(pod: Json) -> str:
    gates = spec_of(pod).get("readinessGates") or ()
    passed = sum(meta.condition_is_true(pod, gate.get("conditionType", "")) for gate in gates)
    return f"{passed}/{len(gates)}" if gates else "<none>"


COLUMNS: Final = (
    Column("Ready", _ready),
    Column("Status", lambda pod: _last.of(pod).reason),
    Column("Restarts", lambda pod: _last.of(pod).counts.text()),
    AGE,
    Column("IP", _ip, priority=1),
    Column("Node", lambda pod: or_none(spec_of(pod).get("nodeName")), priority=1),
    Column("Nominated Node", lambda pod: or_none(status_of(pod).get("nominatedNodeName")), priority=1),
    Column("Readiness Gates", _readiness_gates, priority=1),
)
