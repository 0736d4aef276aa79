"""What the kubelet serves: who may, which handler, the handlers. The protocol is `http`'s, tunnels are `streaming`'s.

Upstream: pkg/kubelet/server/server.go.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from kubelet.cri import api_pb2 as api
from kubelet.cri.client import Runtime, RuntimeDown, RuntimeProblem
from kubelet.runtime_status import PodRecord
from kubelet.server import log_choice, logs, stats, streaming
from kubelet.server.auth import Auth
from kubelet.server.http import Answer, Request, Response, Stream, TakeOver
from machinery.aio.clock import REAL, Clock
from machinery.api import codec, errors
from machinery.api.codec import Json
from machinery.client.rest import ConnectionProblem
from machinery.component import metrics

_JSON: Final = "application/json"
_BAD, _FORBIDDEN, _MISSING, _BROKEN = 400, 403, 404, 500


class Refused(Exception):
    """An answer other than 200, with its text."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class ServedPod:
    """A pod as the kubelet knows it: with its latest status, and what runs of it."""

    pod: Json
    record: PodRecord


class PodDirectory(Protocol):
    """Where the handlers find pods."""

    def find(self, namespace: str, name: str, uid: str = "") -> ServedPod | None: ...
    def all(self) -> Sequence[ServedPod]: ...


@dataclass(frozen=True, slots=True)
class ServerParts:
    """What the server serves from."""

    runtime: Runtime
    pods: PodDirectory
    auth: Auth | None  # None: everyone may (the health port on loopback)
    node_name: str
    configz: Json
    health: Callable[[], str]  # what is wrong, empty when nothing is
    clock: Clock = REAL


Route = Callable[[Request, list[str]], Awaitable[Answer]]


class KubeletServer:
    """The handlers by their first path segment."""

    def __init__(self, parts: ServerParts) -> None:
        self._parts = parts
        self._routes: Mapping[str, Route] = {
            "healthz": self._healthz,
            "pods": self._pods,
            "runningpods": self._pods,
            "configz": self._configz,
            "metrics": self._metrics,
            "stats": self._stats,
            "containerLogs": self._container_logs,
            "exec": self._exec,
            "attach": self._attach,
            "portForward": self._port_forward,
        }

    async def handle(self, request: Request) -> Answer:
        """One request to its answer; never raises what a handler may expect."""
        try:
            refusal = await self._authorize(request)
            if refusal is not None:
                return refusal
            first, *rest = request.path.strip("/").split("/")
            route = self._routes.get(first)
            if route is None:
                return Response(_MISSING, b"404 page not found\n")
            return await route(request, rest)
        except Refused as problem:
            return Response(problem.status, str(problem).encode())
        except RuntimeDown as problem:
            return Response(503, str(problem).encode())
        except (RuntimeProblem, errors.StatusError, ConnectionProblem, OSError) as problem:
            return Response(_BROKEN, str(problem).encode())

    async def _authorize(self, request: Request) -> Response | None:
        auth = self._parts.auth
        if auth is None:
            return None
        user = await auth.user_of(request)
        if user is None:
            return Response(401, b"Unauthorized")
        if await auth.may(user, request):
            return None
        text = f"Forbidden (user={user.name}, verb={request.method.lower()}, resource=nodes, subresource=proxy)"
        return Response(_FORBIDDEN, text.encode())

    # ---- what the node says

    async def _healthz(self, request: Request, rest: list[str]) -> Answer:
        problem = self._parts.health()
        return Response(_BROKEN, problem.encode()) if problem else Response(200, b"ok")

    async def _configz(self, request: Request, rest: list[str]) -> Answer:
        return Response(200, codec.dumps({"kubeletconfig": self._parts.configz}), _JSON)

    async def _pods(self, request: Request, rest: list[str]) -> Answer:
        items = [served.pod for served in self._parts.pods.all()]
        listed = {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}
        return Response(200, codec.dumps(listed), _JSON)

    async def _metrics(self, request: Request, rest: list[str]) -> Answer:
        if rest == ["resource"]:
            samples = stats.join(await self._parts.runtime.container_stats(), self._parts.pods.all())
            return Response(200, stats.resource_metrics(samples).encode(), metrics.CONTENT_TYPE)
        return Response(200, metrics.exposition(), metrics.CONTENT_TYPE)

    async def _stats(self, request: Request, rest: list[str]) -> Answer:
        if rest != ["summary"]:
            return Response(_MISSING, b"404 page not found\n")
        samples = stats.join(await self._parts.runtime.container_stats(), self._parts.pods.all())
        return Response(200, codec.dumps(stats.summary(self._parts.node_name, samples)), _JSON)

    # ---- pods

    def _find(self, rest: list[str]) -> tuple[ServedPod, str]:
        """The pod of `NAMESPACE/POD[/UID]/CONTAINER`, and the container's name."""
        if len(rest) not in (3, 4):
            raise Refused(_MISSING, "404 page not found\n")
        uid = rest[2] if len(rest) == 4 else ""
        served = self._parts.pods.find(rest[0], rest[1], uid)
        if served is None:
            raise Refused(_MISSING, "pod does not exist")
        return served, rest[-1]

    def _running(self, served: ServedPod, name: str) -> str:
        latest = served.record.latest(name)
        if latest is None or not latest.is_running:
            raise Refused(_MISSING, f'container not found ("{name}")')
        return latest.id

    async def _container_logs(self, request: Request, rest: list[str]) -> Answer:
        served, name = self._find(rest)
        try:
            options = log_choice.options_of(request, self._parts.clock)
            container_id = log_choice.container_of(served.pod, name, previous=request.flag("previous"))
        except log_choice.NoLog as problem:
            raise Refused(_BAD, str(problem)) from problem
        record = next((one for one in served.record.containers if one.id == container_id), None)
        if record is None or not record.log_path or not Path(record.log_path).exists():
            raise Refused(_BAD, f"unable to retrieve container logs for containerd://{container_id}")
        namespace, pod_name = rest[0], rest[1]

        async def is_running() -> bool:
            now = self._parts.pods.find(namespace, pod_name, served.record.uid)
            return now is not None and any(one.id == container_id for one in now.record.running)

        return Stream(logs.read_log(Path(record.log_path), options, is_running, self._parts.clock))

    async def _exec(self, request: Request, rest: list[str]) -> Answer:
        served, name = self._find(rest)
        wanted = api.ExecRequest(
            container_id=self._running(served, name),
            cmd=request.query.get("command") or [],
            tty=request.flag("tty"),
            stdin=request.flag("input") or request.flag("stdin"),
            stdout=request.flag("output") or request.flag("stdout"),
            # One terminal has one output.
            stderr=(request.flag("error") or request.flag("stderr")) and not request.flag("tty"),
        )
        if not wanted.cmd:
            raise Refused(_BAD, "you must specify at least 1 command")
        streams = streams_asked(wanted)
        url = await self._parts.runtime.exec_url(wanted)
        return self._joined(request, url, streams)

    async def _attach(self, request: Request, rest: list[str]) -> Answer:
        served, name = self._find(rest)
        wanted = api.AttachRequest(
            container_id=self._running(served, name),
            tty=request.flag("tty"),
            stdin=request.flag("input") or request.flag("stdin"),
            stdout=request.flag("output") or request.flag("stdout"),
            stderr=(request.flag("error") or request.flag("stderr")) and not request.flag("tty"),
        )
        streams = streams_asked(wanted)
        url = await self._parts.runtime.attach_url(wanted)
        return self._joined(request, url, streams)

    async def _port_forward(self, request: Request, rest: list[str]) -> Answer:
        served, _ = self._find([*rest, ""])
        sandbox = served.record.sandbox
        if sandbox is None or not sandbox.ready:
            raise Refused(_BROKEN, "the pod has no running sandbox")
        values = [*request.query.get("port", ()), *request.query.get("ports", ())]
        ports = [int(part) for value in values for part in value.split(",") if part.isdigit()]
        url = await self._parts.runtime.port_forward_url(sandbox.id, ports)
        return self._joined(request, url, ())

    def _joined(self, request: Request, url: str, streams: Sequence[str]) -> Answer:
        if "upgrade" not in request.headers:
            raise Refused(_BAD, "you must specify an upgrade request")
        return TakeOver(lambda wire: streaming.join(request, url, wire, streams=streams))


def streams_asked(wanted: api.ExecRequest | api.AttachRequest) -> list[str]:
    """The names of the streams to be joined; raises Refused for none (upstream: remotecommand.NewOptions)."""
    if not (wanted.stdin or wanted.stdout or wanted.stderr):
        raise Refused(_BAD, "you must specify at least 1 of stdin, stdout, stderr")
    asked = {"stdin": wanted.stdin, "stdout": wanted.stdout, "stderr": wanted.stderr, "resize": wanted.tty}
    return [name for name, is_asked in asked.items() if is_asked]
