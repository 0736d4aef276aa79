"""As much of an API server as `exec` and `port-forward` need: one pod that answers over a real WebSocket."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from machinery.api import codec
from machinery.api.codec import Json

POD: Json = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"containers": [{"name": "main", "ports": [{"name": "http", "containerPort": 80}]}]},
    "status": {"phase": "Running"},
}
PODS: Json = {"name": "pods", "singularName": "pod", "namespaced": True, "kind": "Pod", "verbs": ["get"]}


@dataclass
class ExecServer:
    """Echoes its input in capitals to stdout, says `done` on stderr, and ends with `code`."""

    code: int = 0
    protocols: tuple[str, ...] = ("v5.channel.k8s.io", "v4.channel.k8s.io")
    url: str = ""
    queries: list[list[tuple[str, str]]] = field(default_factory=list)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["ExecServer"]:
        """Run on a free port of loopback."""
        app = web.Application()
        answers: dict[str, Json] = {
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "groups": []},
            "/api/v1": {"kind": "APIResourceList", "resources": [PODS]},
            "/api/v1/namespaces/default/pods/web": POD,
        }
        for path, answer in answers.items():
            app.router.add_get(path, _answering(answer))
        app.router.add_get("/api/v1/namespaces/default/pods/web/exec", self._exec)
        app.router.add_get("/api/v1/namespaces/default/pods/web/portforward", self._forward)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield self
        finally:
            await runner.cleanup()

    async def _exec(self, request: web.Request) -> web.WebSocketResponse:
        self.queries.append(list(request.query.items()))
        socket = web.WebSocketResponse(protocols=self.protocols)
        await socket.prepare(request)
        if request.query.get("stdin"):
            await self._echo(socket)
        await socket.send_bytes(b"\x01" + b"out\n")
        await socket.send_bytes(b"\x02" + b"done\n")
        await socket.send_bytes(b"\x03" + codec.dumps(self._outcome()))
        await socket.close()
        return socket

    async def _forward(self, request: web.Request) -> web.WebSocketResponse:
        self.queries.append(list(request.query.items()))
        socket = web.WebSocketResponse(protocols=self.protocols)
        await socket.prepare(request)
        for channel in (b"\x00", b"\x01"):
            await socket.send_bytes(channel + int(request.query["ports"]).to_bytes(2, "little"))
        async for message in socket:
            if message.data[1:] == b"break":
                await socket.send_bytes(b"\x01it broke")
            else:
                await socket.send_bytes(b"\x00" + message.data[1:].upper())
        return socket

    async def _echo(self, socket: web.WebSocketResponse) -> None:
        async for message in socket:
            if message.type is not WSMsgType.BINARY or message.data[:2] == b"\xff\x00":
                return
            if message.data[0] == 0:
                await socket.send_bytes(b"\x01" + message.data[1:].upper())
            if message.data.endswith(b"end\n"):  # v4 has no word for the end of the input
                return

    def _outcome(self) -> Json:
        if not self.code:
            return {"status": "Success"}
        causes = [{"reason": "ExitCode", "message": str(self.code)}]
        return {"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": causes}}


def _answering(answer: Json) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response(answer)

    return handler


@dataclass(frozen=True)
class Done:
    """How a command ended and what it wrote."""

    code: int | None
    out: bytes
    err: bytes


async def run(argv: list[str], stdin: bytes = b"") -> Done:
    """A command with this input, on the same loop as the server."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdin=pipe, stdout=pipe, stderr=pipe)
    out, err = await process.communicate(stdin)
    return Done(process.returncode, out, err)
