"""Which container's log a request means, and what of it. Reading it is `logs`'.

Upstream: pkg/kubelet/kubelet_pods.go (validateContainerLogStatus), pkg/apis/core/validation (ValidatePodLogOptions).
"""

from typing import Final

from kubelet.server.http import Request
from kubelet.server.logs import LogOptions, nanoseconds_of
from machinery.aio.clock import Clock
from machinery.api import meta, pods
from machinery.api.codec import Json

_PULLING: Final = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}
_STREAMS: Final = {"Stdout": "stdout", "Stderr": "stderr"}


class NoLog(Exception):
    """There is no such log (yet), or the request makes no sense; the text is what kubectl shows."""


def options_of(request: Request, clock: Clock) -> LogOptions:
    """The options of a request; raises NoLog."""
    since = 0
    if request.param("sinceTime"):
        try:
            since = nanoseconds_of(request.param("sinceTime"))
        except ValueError as problem:
            raise NoLog(f"Unable to decode query: {problem}") from problem
    seconds = _number(request, "sinceSeconds")
    if seconds >= 0:
        since = int((clock.now().timestamp() - seconds) * 1e9)
    return LogOptions(
        follow=request.flag("follow"),
        timestamps=request.flag("timestamps"),
        tail=_number(request, "tailLines"),
        limit=_number(request, "limitBytes"),
        since=since,
        stream=_STREAMS.get(request.param("stream"), ""),
    )


def _number(request: Request, name: str) -> int:
    text = request.param(name)
    if not text:
        return -1
    if not text.isdigit():
        raise NoLog(f'Unable to decode query: {name}: "{text}" is not a number')
    return int(text)


def container_of(pod: Json, name: str, *, previous: bool) -> str:
    """The id of the container whose log is meant; raises NoLog."""
    everyone = [*pods.containers_of(pod), *pods.init_containers_of(pod)]
    status = pod.get("status") or {}
    statuses = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    known = next((one for one in statuses if one["name"] == name), None)
    if known is None:
        if any(container["name"] == name for container in everyone):
            raise NoLog(f'container "{name}" in pod "{meta.name_of(pod)}" is not available')
        raise NoLog(f"container {name} is not valid for pod {meta.name_of(pod)}")
    container_id = _previous(pod, known) if previous else _current(pod, known)
    return container_id.removeprefix("containerd://")


def _previous(pod: Json, status: Json) -> str:
    ended = (status.get("lastState") or {}).get("terminated") or {}
    if not ended.get("containerID"):
        raise NoLog(f'previous terminated container "{status["name"]}" in pod "{meta.name_of(pod)}" not found')
    return str(ended["containerID"])


def _current(pod: Json, status: Json) -> str:
    state = status.get("state") or {}
    if "running" in state:
        return str(status.get("containerID") or "")
    ended = state.get("terminated") or (status.get("lastState") or {}).get("terminated") or {}
    if ended.get("containerID"):
        return str(ended["containerID"])
    reason = (state.get("waiting") or {}).get("reason") or ""
    why = _PULLING.get(reason, reason)
    raise NoLog(f'container "{status["name"]}" in pod "{meta.name_of(pod)}" is waiting to start: {why}')
