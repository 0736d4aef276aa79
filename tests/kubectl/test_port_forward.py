"""Local ports that lead into a pod, over real sockets."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kubectl.commands.port_forward import Forward, forward_of
from kubectl.problems import CliError
from machinery.api.codec import Json
from tests.kubectl.exec_server import POD, ExecServer

SERVICE: Json = {"spec": {"ports": [{"port": 8000, "targetPort": "http"}, {"port": 9000}]}}


@pytest.mark.parametrize(
    ("text", "service", "expected"),
    [
        pytest.param("80", None, Forward(80, 80), id="one"),
        pytest.param("8080:80", None, Forward(8080, 80), id="two"),
        pytest.param(":80", None, Forward(0, 80), id="any-local-port"),
        pytest.param("8080:http", None, Forward(8080, 80), id="by-name"),
        pytest.param("8080:8000", SERVICE, Forward(8080, 80), id="a-services-port"),
        pytest.param("9000", SERVICE, Forward(9000, 9000), id="a-services-port-without-target"),
    ],
)
def test_ports_are_read(text: str, service: Json | None, expected: Forward) -> None:
    assert forward_of(text, POD, service) == expected


def test_a_port_without_that_name_is_refused() -> None:
    with pytest.raises(CliError, match="Pod 'web' does not have a named port 'grpc'"):
        forward_of("80:grpc", POD, None)


@asynccontextmanager
async def forwarding(server: ExecServer) -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """A running port-forward and its local port."""
    argv = ["-s", server.url, "port-forward", "web", ":http", "--address=127.0.0.1"]
    pipe = asyncio.subprocess.PIPE
    command = (sys.executable, "-m", "kubectl", *argv)
    process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.startswith("Forwarding from 127.0.0.1:")
    assert line.endswith(" -> 80\n")
    try:
        yield int(line.split()[2].rpartition(":")[2]), process
    finally:
        process.terminate()
        await process.communicate()


async def test_bytes_go_there_and_back_on_each_connection() -> None:
    async with ExecServer().serving() as server, forwarding(server) as (port, _):
        for text in (b"one", b"two"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(text)
            assert await reader.readexactly(3) == text.upper()
            writer.close()
    assert server.queries == [[("ports", "80")]] * 2


async def test_an_error_ends_that_connection_only() -> None:
    async with ExecServer().serving() as server, forwarding(server) as (port, process):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"break")
        assert await reader.read() == b""
        writer.close()
        assert process.stderr is not None
        assert b"an error occurred forwarding" in await process.stderr.readline()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"on")
        assert await reader.readexactly(2) == b"ON"
        writer.close()
