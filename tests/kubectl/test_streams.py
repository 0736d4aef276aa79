"""exec over a real WebSocket, as a process with real pipes, and with a real terminal."""

import asyncio
import os
import pty
import sys
import termios

import pytest

from tests.kubectl.exec_server import ExecServer, run


def command(server: ExecServer, *argv: str) -> list[str]:
    """The command line of an exec."""
    return [sys.executable, "-m", "kubectl", "-s", server.url, "exec", *argv]


async def test_output_goes_where_it_belongs() -> None:
    async with ExecServer().serving() as server:
        done = await run(command(server, "web", "--", "ls", "-l", "/"))
    assert (done.code, done.out, done.err) == (0, b"out\n", b"done\n")
    words = [("command", "ls"), ("command", "-l"), ("command", "/"), ("container", "main")]
    assert server.queries == [[*words, ("stdout", "true"), ("stderr", "true")]]


async def test_the_exit_code_is_the_commands() -> None:
    async with ExecServer(code=3).serving() as server:
        done = await run(command(server, "web", "--", "false"))
    assert done.code == 3
    assert done.err == b"done\ncommand terminated with exit code 3\n"


async def test_input_is_sent_to_its_end() -> None:
    block = b"abc\n" * 50_000
    async with ExecServer().serving() as server:
        done = await run(command(server, "-i", "web", "--", "cat"), block)
    assert done.out == block.upper() + b"out\n"


async def test_an_older_protocol_is_spoken_too() -> None:
    async with ExecServer(protocols=("v4.channel.k8s.io",)).serving() as server:
        done = await run(command(server, "-i", "web", "--", "cat"), b"end\n")
    assert (done.code, done.out) == (0, b"END\nout\n")


async def test_a_terminal_is_not_asked_for_where_there_is_none() -> None:
    async with ExecServer().serving() as server:
        done = await run(command(server, "-it", "web", "--", "cat"), b"")
    assert done.err.startswith(b"Unable to use a TTY - input is not a terminal or the right kind of file\n")
    assert ("tty", "true") not in server.queries[0]


async def test_with_a_terminal_there_is_one_stream_and_the_mode_comes_back() -> None:
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    async with ExecServer().serving() as server:
        argv = command(server, "-it", "web", "--", "sh")
        process = await asyncio.create_subprocess_exec(*argv, stdin=theirs, stdout=theirs, stderr=theirs)
        os.write(ours, b"abc\nend\n")
        shown = b""
        while b"out" not in shown:
            shown += await asyncio.to_thread(os.read, ours, 1024)
        assert await process.wait() == 0
    assert b"ABC" in shown
    query = server.queries[0]
    assert ("tty", "true") in query
    assert ("stderr", "true") not in query
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        pytest.param(["web", "ls"], b"error: exec [POD] [COMMAND] is not supported anymore.", id="without-dashes"),
        pytest.param(["web", "--"], b"error: you must specify at least one command", id="without-command"),
        pytest.param(["web", "-c", "x", "--", "ls"], b"error: container x is not valid for pod web", id="container"),
    ],
)
async def test_what_cannot_be_run_is_refused(argv: list[str], problem: bytes) -> None:
    async with ExecServer().serving() as server:
        done = await run(command(server, *argv))
    assert done.code == 1
    assert done.err.startswith(problem)
