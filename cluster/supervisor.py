"""The process that keeps the others running: `python -m cluster.supervisor RUN_DIR`. It knows nothing of Kubernetes.

Theory of operation
-------------------
The list of processes is data (`processes.json` in the run directory, written by `skiff up`); each entry gets one task
that starts it once what it depends on has been ready, waits for its end, and starts it again after a back-off that
doubles while it keeps dying early. A person's word (`stop`, `start`, `restart`) comes over a Unix socket as one JSON
line and is answered by one.

What is guaranteed:
- Only processes that this supervisor started, or that its state file names *with their start time*, are ever signalled.
- The state file is replaced (never half-written) before anyone is told of a change. A supervisor that was killed
  leaves its processes running; the next one finds them in the state file and takes them over: nothing restarts.
- Children write to their log files themselves (opened for appending), not through a pipe of ours: they survive us.
  So the logs are rotated by copying and truncating; what is written between the two is lost, which was preferred to a
  pipe whose reader may die.
- Shutting down goes level by level against the dependencies: etcd is the last one out.

An end is noticed through a pidfd, which works for processes that are not our children too. Waiting on dependencies
happens only before the first start: a crash of etcd must not keep the API server from being restarted.
"""

import asyncio
import logging
import os
import shutil
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import TypeAdapter

from cluster.processes import Pid, ProcessSpec, ProcessState, Ready, identify, is_alive, open_pidfd, send, stop_order

log = logging.getLogger("cluster.supervisor")

SPECS: Final = TypeAdapter(list[ProcessSpec])
STATES: Final = TypeAdapter(list[ProcessState])
BACKOFF_FIRST, BACKOFF_MOST, STABLE_AFTER = 0.25, 10.0, 30.0  # seconds
READY_EVERY = 0.1  # seconds between looks at a process that is starting
LOG_BYTES: Final = 16 << 20
LOG_LOOK_EVERY = 10.0  # seconds


class Supervised:
    """One process: its task, its state, and what a person asked of it."""

    def __init__(self, spec: ProcessSpec, supervisor: "Supervisor") -> None:
        self.spec = spec
        self.state = ProcessState(name=spec.name, argv=spec.argv)
        self.was_ready = asyncio.Event()
        self._supervisor = supervisor
        self._child: subprocess.Popen[bytes] | None = None
        self._changed = asyncio.Event()  # somebody asked for something
        self._idle = asyncio.Event()  # no process of this name runs
        self._idle.set()
        self._early_deaths = 0

    @property
    def process(self) -> Pid:
        return Pid(self.state.pid, self.state.start_time)

    def adopt(self, old: ProcessState) -> None:
        """Take over what an earlier supervisor started, if it still runs as the list wants it."""
        self.state.wanted, self.state.restarts, self.state.last_exit = old.wanted, old.restarts, old.last_exit
        if old.argv == self.spec.argv and is_alive(Pid(old.pid, old.start_time)):
            self.state.pid, self.state.start_time, self.state.since = old.pid, old.start_time, old.since

    def want(self, wanted: bool) -> None:
        """Say whether it should run; the task sees to it."""
        self.state.wanted = wanted
        self._early_deaths = 0
        self._changed.set()

    async def keep_running(self) -> None:
        """Start, watch, start again; for ever."""
        while True:
            self._changed.clear()
            if not self.state.wanted:
                self._note("stopped")
                await self._changed.wait()
                continue
            if not self.state.pid:
                await self._supervisor.wait_for_dependencies(self.spec)
                if not self.state.wanted:
                    continue
                self._start()
            await self._see_it_through()
            if self.state.wanted:
                await self._back_off()

    def _start(self) -> None:
        argv = list(self.spec.argv)
        Path(self.spec.log).parent.mkdir(parents=True, exist_ok=True)
        with open(self.spec.log, "ab") as output:
            try:
                self._child = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={**os.environ, **self.spec.env},
                    start_new_session=True,
                )
            except OSError as problem:
                output.write(f"cannot start {argv[0]}: {problem}\n".encode())
                self.state.last_exit = str(problem)
                self._early_deaths += 1
                return
        self.state.pid, self.state.start_time = identify(self._child.pid)
        self.state.since = time.time()
        self._note("starting")

    async def _see_it_through(self) -> None:
        """Wait until the process is ready, then until it has ended."""
        if not self.state.pid:
            return
        self._idle.clear()
        async with asyncio.TaskGroup() as group:
            becoming_ready = group.create_task(self._wait_until_ready())
            await wait_for_end(self.process)
            becoming_ready.cancel()
        self._gone()

    async def _wait_until_ready(self) -> None:
        while not await is_ready(self.spec.ready):  # noqa: ASYNC110 - another process cannot set an event of ours
            await asyncio.sleep(READY_EVERY)
        self.was_ready.set()
        self._note("ready")

    def _gone(self) -> None:
        code = self._child.wait() if self._child else None  # ours: it has ended, so this only collects it
        self.state.last_exit = describe_exit(code)
        lived = time.time() - self.state.since
        self._early_deaths = 0 if lived > STABLE_AFTER else self._early_deaths + 1
        self._child = None
        self.state.pid = self.state.start_time = 0
        self._idle.set()
        if self.state.wanted:
            log.warning("%s ended after %.1f s: %s", self.spec.name, lived, self.state.last_exit)

    async def _back_off(self) -> None:
        self.state.restarts += 1
        self._note("backoff")
        seconds = min(BACKOFF_FIRST * 2 ** max(0, self._early_deaths - 1), BACKOFF_MOST)
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def end(self) -> None:
        """SIGTERM, and SIGKILL after the grace; returns when the process is gone and its task has noticed."""
        process = self.process
        if not send(process, signal.SIGTERM):
            return
        try:
            async with asyncio.timeout(self.spec.grace_seconds):
                await wait_for_end(process)
        except TimeoutError:
            log.warning("%s did not end within %s s", self.spec.name, self.spec.grace_seconds)
            send(process, signal.SIGKILL)
            await wait_for_end(process)
        await self._idle.wait()

    def _note(self, state: str) -> None:
        self.state.state = state
        self._supervisor.write_state()


class Supervisor:
    """All processes of one cluster and the socket over which they are asked about."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._all: dict[str, Supervised] = {}
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._over = asyncio.Event()

    async def main(self) -> None:
        """Run until told to shut down."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._over.set)
        socket = self.run / "supervisor.sock"
        socket.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(self._serve, path=socket)
        async with asyncio.TaskGroup() as group:
            self._group = group
            self.load()
            rotating = group.create_task(self._rotate_logs())
            await self._over.wait()
            await self._shut_down()
            rotating.cancel()
            for task in self._tasks.values():
                task.cancel()
        server.close()

    def load(self) -> None:
        """Read the list of processes; start tasks for new ones. Those that are known keep running as they are."""
        specs = SPECS.validate_json((self.run / "processes.json").read_bytes())
        before = {state.name: state for state in read_states(self.run / "state.json")}
        for spec in specs:
            if spec.name in self._all:
                self._all[spec.name].spec = spec
                continue
            entry = self._all[spec.name] = Supervised(spec, self)
            if spec.name in before:
                entry.adopt(before[spec.name])
        assert self._group is not None
        for name, entry in self._all.items():
            if name not in self._tasks:
                self._tasks[name] = self._group.create_task(entry.keep_running())
        self.write_state()

    def write_state(self) -> None:
        """Replace the state file."""
        states = [entry.state for entry in self._all.values()]
        fresh = self.run / "state.json.new"
        fresh.write_bytes(STATES.dump_json(states, indent=1))
        fresh.replace(self.run / "state.json")

    async def wait_for_dependencies(self, spec: ProcessSpec) -> None:
        """Until everything `spec` depends on has been ready once."""
        for name in spec.depends_on:
            if name in self._all:
                await self._all[name].was_ready.wait()

    async def _shut_down(self) -> None:
        for level in stop_order([entry.spec for entry in self._all.values()]):
            for name in level:
                self._all[name].want(False)
            await asyncio.gather(*(self._all[name].end() for name in level))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(orjson.dumps(await self._answer(orjson.loads(line))) + b"\n")
                await writer.drain()
        except (OSError, ValueError) as problem:
            log.info("a conversation ended: %s", problem)
        finally:
            writer.close()

    async def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        asked = question.get("op", "")
        if asked == "status":
            return {"processes": [entry.state.model_dump() for entry in self._all.values()], "pid": os.getpid()}
        if asked == "reload":
            self.load()
            return {}
        if asked == "shutdown":
            self._over.set()
            return {}
        entry = self._all.get(question.get("name", ""))
        if entry is None or asked not in ("stop", "start", "restart"):
            return {"error": f"no process of that name, or nothing called {asked!r} can be done"}
        await self._carry_out(asked, entry)
        return {}

    @staticmethod
    async def _carry_out(asked: str, entry: Supervised) -> None:
        if asked in ("stop", "restart"):
            entry.want(False)
            await entry.end()
        if asked in ("start", "restart"):
            entry.want(True)

    async def _rotate_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_LOOK_EVERY)
            rotate([Path(entry.spec.log) for entry in self._all.values()], LOG_BYTES)


async def wait_for_end(process: Pid) -> None:
    """Return when that process has ended; it need not be a child of ours."""
    descriptor = open_pidfd(process)
    if descriptor is None:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def is_ready(check: Ready | None) -> bool:
    """Look once whether a process answers; a check that takes over two seconds has failed."""
    if check is None:
        return True
    try:
        async with asyncio.timeout(2):
            return await _answers(check)
    except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
        return False


async def _answers(check: Ready) -> bool:
    if check.unix:
        _, writer = await asyncio.open_unix_connection(check.unix)
    elif check.tcp:
        host, _, port = check.tcp.rpartition(":")
        _, writer = await asyncio.open_connection(host, int(port))
    else:
        return await _http_status(check) == 200
    writer.close()
    return True


async def _http_status(check: Ready) -> int:
    scheme, _, rest = check.url.partition("://")
    authority, _, path = rest.partition("/")
    host, _, port = authority.rpartition(":")
    context = _tls(check) if scheme == "https" else None
    reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
    try:
        writer.write(f"GET /{path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n\r\n".encode())
        return int((await reader.readline()).split()[1])
    except IndexError:
        return 0
    finally:
        writer.close()


def _tls(check: Ready) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=check.ca)
    if check.client_certificate:
        context.load_cert_chain(check.client_certificate, check.client_key)
    return context


def describe_exit(code: int | None) -> str:
    """How a process ended, in words; None where it was not a child of ours and nobody can know."""
    if code is None:
        return "ended"
    if code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"


def read_states(path: Path) -> list[ProcessState]:
    """The processes a state file names; empty when there is none."""
    try:
        return STATES.validate_json(path.read_bytes())
    except (FileNotFoundError, ValueError):  # none, or one of another version: then nothing in it can be trusted
        return []


def rotate(logs: Iterable[Path], most_bytes: int) -> None:
    """Empty logs of over `most_bytes` into `NAME.1`, by copying: their writers keep their descriptors."""
    for path in logs:
        if path.exists() and path.stat().st_size > most_bytes:
            shutil.copyfile(path, path.with_name(path.name + ".1"))
            os.truncate(path, 0)


def main() -> None:
    """Entry point of the daemon; its own messages go to stderr, which `skiff up` points at a file."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(Supervisor(Path(sys.argv[1])).main())


if __name__ == "__main__":
    main()
