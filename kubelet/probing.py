"""One HTTP, TCP, exec or gRPC check of a container. When to check, and what follows, is `probes`' and `lifecycle`'s.

Upstream: pkg/probe, pkg/kubelet/prober/prober.go.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

import grpc.aio
import httpx

from kubelet.cri.client import Runtime, RuntimeTimeout
from machinery.api.codec import Json

_AGENT: Final = "kube-probe/1.37"
_LONGEST_OUTPUT: Final = 10 * 1024
_SERVING: Final = 1


@dataclass(frozen=True, slots=True)
class Target:
    """The container a check goes to."""

    container: Json
    container_id: str
    pod_ip: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a check. `unknown`: the check itself could not be made, which counts neither way."""

    ok: bool
    text: str = ""
    unknown: bool = False


class Prober:
    """Makes checks; holds the HTTP client they share."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._http: httpx.AsyncClient | None = None

    async def close(self) -> None:
        """Drop the HTTP client."""
        if self._http is not None:
            await self._http.aclose()

    def _client(self) -> httpx.AsyncClient:
        """Made when first needed: its TLS context costs 20 ms, and simulated nodes come in thousands."""
        if self._http is None:
            # A kept connection would prove that the old one still works, not that a new one does.
            limits = httpx.Limits(max_keepalive_connections=0)
            self._http = httpx.AsyncClient(verify=False, limits=limits, trust_env=False)
        return self._http

    async def check(self, probe: Json, target: Target) -> Outcome:
        """Carry out a probe (or a lifecycle handler of the same shape) once; raises RuntimeProblem for exec."""
        timeout = float(probe.get("timeoutSeconds") or 1)
        if "exec" in probe:
            return await self._exec(probe["exec"].get("command") or [], target, timeout)
        if "httpGet" in probe:
            return await self.http_get(probe["httpGet"], target, timeout)
        if "tcpSocket" in probe:
            return await self._tcp(probe["tcpSocket"], target, timeout)
        if "grpc" in probe:
            return await self._grpc(probe["grpc"], target, timeout)
        return Outcome(False, "missing probe handler", unknown=True)

    async def _exec(self, command: list[str], target: Target, timeout: float) -> Outcome:
        try:
            answer = await self._runtime.exec_sync(target.container_id, command, int(timeout))
        except RuntimeTimeout:
            return Outcome(False, f'command timed out: "{" ".join(command)}" timed out after {int(timeout)}s')
        text = (answer.stdout + answer.stderr)[:_LONGEST_OUTPUT].decode(errors="replace")
        return Outcome(answer.exit_code == 0, text)

    async def http_get(self, action: Json, target: Target, timeout: float) -> Outcome:
        """2xx and 3xx are well; redirects within the host are followed."""
        port = port_of(action.get("port"), target.container)
        if port is None:
            return Outcome(False, f"couldn't find port: {action.get('port')}", unknown=True)
        host = action.get("host") or target.pod_ip
        authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        path = action.get("path") or "/"
        url = f"{(action.get('scheme') or 'HTTP').lower()}://{authority}{'' if path.startswith('/') else '/'}{path}"
        headers = [("User-Agent", _AGENT), ("Accept", "*/*")]
        given = [(header["name"], header.get("value") or "") for header in action.get("httpHeaders") or ()]
        names = {name.lower() for name, _ in given}
        headers = [pair for pair in headers if pair[0].lower() not in names] + given
        try:
            async with asyncio.timeout(timeout):
                status = await self._status(url, headers)
        except TimeoutError:
            why = "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            return Outcome(False, f'Get "{url}": {why}')
        except (httpx.HTTPError, OSError) as problem:
            return Outcome(False, f'Get "{url}": {_dial(authority, problem)}')
        if 200 <= status < 400:
            return Outcome(True)
        return Outcome(False, f"HTTP probe failed with statuscode: {status}")

    async def _status(self, url: str, headers: list[tuple[str, str]]) -> int:
        host = httpx.URL(url).host
        for _ in range(10):
            async with self._client().stream("GET", url, headers=headers, timeout=None) as response:
                location = response.next_request.url if response.next_request else None
                if location is None or location.host != host:
                    return response.status_code
                url = str(location)
        return response.status_code

    async def _tcp(self, action: Json, target: Target, timeout: float) -> Outcome:
        port = port_of(action.get("port"), target.container)
        if port is None:
            return Outcome(False, f"couldn't find port: {action.get('port')}", unknown=True)
        host = action.get("host") or target.pod_ip
        try:
            async with asyncio.timeout(timeout):
                _, writer = await asyncio.open_connection(host, port)
        except TimeoutError:
            return Outcome(False, f"dial tcp {host}:{port}: i/o timeout")
        except OSError as problem:
            return Outcome(False, _dial(f"{host}:{port}", problem))
        writer.close()
        return Outcome(True)

    async def _grpc(self, action: Json, target: Target, timeout: float) -> Outcome:
        service = (action.get("service") or "").encode()
        request = b"\x0a" + bytes([len(service)]) + service if service else b""
        address = f"{target.pod_ip}:{action['port']}"
        async with grpc.aio.insecure_channel(address) as channel:
            check = channel.unary_unary("/grpc.health.v1.Health/Check", None, None)
            try:
                answer = await check(request, timeout=timeout)
            except grpc.aio.AioRpcError as problem:
                return Outcome(False, _grpc_text(address, service.decode(), timeout, problem))
        status = answer[1] if len(answer) > 1 and answer[0] == 8 else 0
        if status == _SERVING:
            return Outcome(True)
        return Outcome(False, f'service unhealthy (responded with "{_health_name(status)}")')


def _health_name(status: int) -> str:
    names = ("UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN")
    return names[status] if status < len(names) else str(status)


def _grpc_text(address: str, service: str, timeout: float, problem: grpc.aio.AioRpcError) -> str:
    code = problem.code()
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return (
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): "
            f"{problem.details()}"
        )
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"timeout: health rpc did not complete within {int(timeout)}s"
    if code is grpc.StatusCode.UNAVAILABLE:
        return f'timeout: failed to connect service "{address}" within {int(timeout)}s: {problem.details()}'
    return f"error: health rpc probe failed: {problem.details()}"


def _dial(address: str, problem: Exception) -> str:
    text = str(problem)
    if isinstance(problem, ConnectionRefusedError) or "refused" in text or "All connection attempts failed" in text:
        return f"dial tcp {address}: connect: connection refused"
    if "No route to host" in text:
        return f"dial tcp {address}: connect: no route to host"
    if isinstance(problem, httpx.RemoteProtocolError) and "without sending" in text:
        return "EOF"
    return text or type(problem).__name__


def port_of(port: int | str | None, container: Json) -> int | None:
    """A number, or the number of the container's port of that name."""
    if isinstance(port, int):
        return port
    for candidate in container.get("ports") or ():
        if candidate.get("name") == port:
            return int(candidate["containerPort"])
    return int(port) if port and str(port).isdigit() else None
