"""TLS files, health pages and the process frame, each used for real."""

import asyncio
import signal
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from machinery.component import health, tls
from tests.ports import free_port


def test_a_ca_signs_certificates_that_verify(tmp_path: Path) -> None:
    ca = tls.create_ca("test-ca")
    pair = tls.issue(ca, tls.CertRequest("web", ("group",), hosts=("localhost", "127.0.0.1"), server=True, client=True))
    files = pair.write(tmp_path, "web")
    ca.write(tmp_path, "ca")
    pair.certificate.verify_directly_issued_by(ca.certificate)
    assert files.key.stat().st_mode & 0o777 == 0o600
    again = tls.load_pair(tmp_path, "web")
    assert again.cert_pem() == pair.cert_pem()
    assert again.key_pem() == pair.key_pem()


def test_a_self_signed_pair_is_made_once(tmp_path: Path) -> None:
    first = tls.self_signed(tmp_path, "server", ["localhost"]).cert.read_bytes()
    assert tls.self_signed(tmp_path, "server", ["localhost"]).cert.read_bytes() == first


async def test_health_answers_over_tls_what_the_checks_say(tmp_path: Path) -> None:
    port = free_port()
    files = tls.self_signed(tmp_path, "server", ["localhost"])
    problems: dict[str, str | None] = {"etcd": None}
    server = asyncio.ensure_future(
        health.serve_health("127.0.0.1", port, {"etcd": lambda: problems["etcd"]}, tls=files)
    )
    context = ssl.create_default_context(cafile=str(files.cert))
    async with httpx.AsyncClient(verify=context, base_url=f"https://localhost:{port}") as client:
        assert (await _when_up(client, "/healthz")).text == "ok"
        problems["etcd"] = "no leader"
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.text) == (500, "[-]etcd failed: no leader\nreadyz check failed\n")
        problems["etcd"] = None
        assert (await client.get("/livez?verbose")).text == "[+]etcd ok\nlivez check passed\n"
        assert "python_info" in (await client.get("/metrics")).text
    server.cancel()
    with pytest.raises(asyncio.CancelledError):
        await server


async def _when_up(client: httpx.AsyncClient, path: str) -> httpx.Response:
    for _ in range(100):
        try:
            return await client.get(path)
        except httpx.ConnectError:
            await asyncio.sleep(0.02)
    raise AssertionError("the health server did not come up")


_PROGRAM = """
import asyncio
from machinery.component.run import Stop, run
async def main():
    {body}
run(main)
"""


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("pass", 0),
        ("raise Stop('not possible', 3)", 3),
        ("raise RuntimeError('unexpected')", 1),
        ("raise ExceptionGroup('many', [Stop('inner', 4)])", 4),
    ],
)
def test_the_exit_code_says_how_a_process_ended(body: str, code: int) -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM.format(body=body)], capture_output=True, timeout=20)
    assert done.returncode == code


def test_sigterm_ends_a_process_in_good_order() -> None:
    body = "print('up', flush=True); await asyncio.Event().wait()"
    with subprocess.Popen([sys.executable, "-c", _PROGRAM.format(body=body)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
