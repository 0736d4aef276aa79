"""One run of one command: its flags, its streams, its connection. What the flags mean for a server is `kubeconfig`'s.

The client is loaded only when a command speaks to a server: `skiff version --client` or `skiff config` do not need it.
"""

import asyncio
import errno
import importlib
import re
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TextIO

from kubectl import kubeconfig
from kubectl.discovery import Discovery, discover
from kubectl.flags import Args
from kubectl.problems import CliError, Unreachable, refused
from machinery.api import codec
from machinery.api.codec import Json

if TYPE_CHECKING:
    from machinery.client.http1 import Response
    from machinery.client.rest import Client

_WARNING: Final = re.compile(r'299 [^ ]+ "((?:\\.|[^"\\])*)"')

_REFUSED: Final = f"[Errno {errno.ECONNREFUSED}] Connect call failed"  # asyncio's words for it


class Session:
    """What a command's code gets: `args`, `out`, `err`, `namespace`, and requests to the server."""

    def __init__(self, args: Args, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.args = args
        self.out = out or sys.stdout
        self.err = err or sys.stderr
        self._stack = AsyncExitStack()
        self._chosen: kubeconfig.Chosen | None = None
        self._client: Client | None = None
        self._discovery: Discovery | None = None

    async def __aenter__(self) -> "Session":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    # --- output -------------------------------------------------------------------------------------------------------

    def print(self, line: str = "") -> None:
        """A line on standard output."""
        self.out.write(line + "\n")

    def write(self, text: str) -> None:
        """Text on standard output as it is, flushed: somebody may be watching."""
        self.out.write(text)
        self.out.flush()

    def write_bytes(self, data: bytes) -> None:
        """Bytes on standard output as they are: logs need not be text."""
        buffer = getattr(self.out, "buffer", None)
        if buffer is None:
            self.write(data.decode(errors="replace"))
        else:
            buffer.write(data)
            buffer.flush()

    def warn(self, line: str) -> None:
        """A line on standard error."""
        self.out.flush()
        self.err.write(line + "\n")
        self.err.flush()

    def log(self, level: int, line: str) -> None:
        """A line on standard error when -v is at least `level`."""
        if self.args.number("v") >= level:
            self.warn(line)

    # --- who, where ---------------------------------------------------------------------------------------------------

    @property
    def chosen(self) -> kubeconfig.Chosen:
        """Cluster, user and namespace; read once."""
        if self._chosen is None:
            self._chosen = kubeconfig.choose(kubeconfig.load(self.args), self.args)
        return self._chosen

    @property
    def namespace(self) -> str:
        """-n, else the context's, else `default`."""
        return self.chosen.namespace

    @property
    def namespace_is_explicit(self) -> bool:
        """Whether -n was given: then objects from files must agree with it."""
        return self.args.given("namespace")

    async def client(self) -> "Client":
        """The client, connected to nothing yet; raises CliError when the kubeconfig cannot be used."""
        if self._client is None:
            config_module = importlib.import_module("machinery.client.config")
            config = kubeconfig.client_config(self.chosen, config_module.ClientConfig)
            if config.server == kubeconfig.NO_CONFIG_SERVER and not self.chosen.cluster:
                config = _in_cluster(config_module) or config
            rest = importlib.import_module("machinery.client.rest")
            try:
                made = rest.Client(config, user_agent="skiff", headers=self._impersonation())
                client: Client = await self._stack.enter_async_context(made)
            except config_module.ConfigError as problem:
                raise CliError(str(problem)) from problem
            self._client = client
        return self._client

    def _impersonation(self) -> Iterator[tuple[str, str]]:
        # One header per group, as upstream's server wants them: a mapping could not hold them.
        yield from (("impersonate-group", group) for group in self.args.list("as-group"))
        if uid := self.args.text("as-uid"):
            yield "impersonate-uid", uid

    async def discovery(self) -> Discovery:
        """What the server serves; asked once."""
        if self._discovery is None:
            self._discovery = await discover(lambda path, accept: self.call("GET", path, headers={"accept": accept}))
        return self._discovery

    # --- requests -----------------------------------------------------------------------------------------------------

    async def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        """A request whose answer is JSON; raises StatusError, CliError when the server cannot be reached."""
        content = body if isinstance(body, bytes) or body is None else codec.dumps(body)
        sent = {"content-type": "application/json"} if content is not None else {}
        response = await self.response(method, path, content, params=params, headers=sent | dict(headers or {}))
        answer: Json = codec.loads(response.content)
        return answer

    async def response(
        self,
        method: str,
        path: str,
        content: bytes | None = None,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> "Response":
        """A request; its warnings go to standard error."""
        client = await self.client()
        started = time.monotonic()
        try:
            async with asyncio.timeout(self.args.seconds("request-timeout") or None):
                answer = await client.request(method, path, params=params, body=content, headers=headers)
        except TimeoutError as problem:
            raise Unreachable("Unable to connect to the server: context deadline exceeded", bare=True) from problem
        except OSError as problem:
            raise unreachable(problem, client.config.server) from problem
        spent = round(1000 * (time.monotonic() - started))
        self.log(6, f"{method} {client.config.server}{path} {answer.status_code} in {spent} milliseconds")
        for header in answer.header("warning"):
            for warning in _WARNING.findall(header):
                self.warn("Warning: " + re.sub(r"\\(.)", r"\1", warning))
        return answer

    @asynccontextmanager
    async def stream(
        self, path: str, *, params: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator["Response"]:
        """A GET whose body is read as it comes, without a limit of time."""
        client = await self.client()
        try:
            async with client.stream(path, params=params, headers=headers) as answer:
                yield answer
        except OSError as problem:
            raise unreachable(problem, client.config.server) from problem

    async def events(
        self, path: str, *, params: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> AsyncGenerator[Json, None]:
        """A watch's events as they come, ERROR among them; ends when the server ends it."""
        rest = b""
        async with self.stream(path, params={"watch": "true"} | dict(params), headers=headers) as answer:
            async for chunk in answer.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    if line:
                        yield codec.loads(line)


def unreachable(problem: OSError, server: str) -> Unreachable:
    """The connection problem in kubectl's words."""
    text = str(problem)
    if "refused" in text.lower() or _REFUSED in text:
        return Unreachable(refused(server), bare=True)
    return Unreachable(f"Unable to connect to the server: {text.partition(': ')[2] or text}", bare=True)


def _in_cluster(config_module: Any) -> Any:
    try:
        return config_module.in_cluster()
    except config_module.ConfigError:
        return None
