"""componentstatuses: one that answers, one that complains, one that is not there."""

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from apiserver.handlers.component_status import ComponentStatuses
from apiserver.request import Response
from machinery.api import errors
from machinery.api.codec import Json
from machinery.component import tls
from tests.apiserver.handlers.calls import request
from tests.fakes.storage import MemoryStorage
from tests.ports import free_port

URL = "/api/v1/componentstatuses"


class _Health(BaseHTTPRequestHandler):
    healthy = True

    def do_GET(self) -> None:
        """As a component's /healthz."""
        self.send_response(200 if type(self).healthy else 500)
        self.end_headers()
        self.wfile.write(b"ok" if type(self).healthy else b"leader election failed")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Of a component with a certificate of its own."""
    server = HTTPServer(("127.0.0.1", 0), _Health)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = tls.self_signed(tmp_path, "component", ["127.0.0.1"])
    context.load_cert_chain(files.cert, files.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


async def _get(statuses: ComponentStatuses, url: str = URL, accept: str = "application/json") -> Json:
    asked = request("GET", url, None, {"accept": accept})
    answer = await statuses.handle(asked)
    assert isinstance(answer, Response)
    assert asked.warnings == ["v1 ComponentStatus is deprecated in v1.19+"]
    found: Json = json.loads(answer.body)
    return found


async def test_who_answers_is_healthy_and_the_others_say_why_not(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    statuses = ComponentStatuses(MemoryStorage(), {"controller-manager": free_port(), "scheduler": port})
    table = await _get(statuses, accept="application/json;as=Table;v=v1;g=meta.k8s.io")
    cells = {row["cells"][0]: row["cells"][1:] for row in table["rows"]}
    assert cells["etcd-0"] == ["Healthy", "ok", ""]
    assert cells["scheduler"] == ["Healthy", "ok", ""]
    state, message, error = cells["controller-manager"]
    assert (state, message) == ("Unhealthy", error)
    assert error.startswith('Get "https://127.0.0.1:')
    monkeypatch.setattr(_Health, "healthy", False)
    one = await _get(statuses, f"{URL}/scheduler")
    assert one["conditions"] == [
        {
            "type": "Healthy",
            "status": "False",
            "message": "leader election failed",
            "error": "leader election failed",
        }
    ]


async def test_a_component_nobody_knows_is_not_found() -> None:
    with pytest.raises(errors.NotFound):
        await _get(ComponentStatuses(MemoryStorage(), {}), f"{URL}/nope")


async def test_nobody_writes_them() -> None:
    with pytest.raises(errors.MethodNotSupported):
        await ComponentStatuses(MemoryStorage(), {}).handle(request("POST", URL, {}))
