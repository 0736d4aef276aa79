"""An admission webhook: a real HTTPS server whose answers a test chooses by path, and which keeps what it was asked."""

import base64
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from machinery.api.codec import Json
from machinery.component import tls
from machinery.component.tls import CertRequest

#: (AdmissionRequest) → the response's fields, or the whole body as bytes
Answer = Callable[[Json], Json | bytes]


def allow(request: Json) -> Json:
    """Yes."""
    return {"allowed": True}


def patch(*operations: Json) -> Answer:
    """Yes, with a JSON patch."""
    raw = base64.b64encode(json.dumps(operations).encode()).decode()
    return lambda request: {"allowed": True, "patchType": "JSONPatch", "patch": raw}


def deny(message: str, code: int = 403) -> Answer:
    """No."""
    return lambda request: {"allowed": False, "status": {"message": message, "code": code, "reason": "Forbidden"}}


@dataclass(slots=True)
class WebhookServer:
    """The server; every path without an answer of its own says yes."""

    port: int
    ca_bundle: str
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, Json]] = field(default_factory=list)

    def url(self, path: str) -> str:
        """Where a path is, for a clientConfig."""
        return f"https://127.0.0.1:{self.port}{path}"

    def asked_at(self, path: str) -> list[Json]:
        """The AdmissionRequests that came for a path."""
        return [request for where, request in self.asked if where == path]

    def respond(self, path: str, review: Json) -> bytes:
        """The body for an AdmissionReview."""
        request = review["request"]
        self.asked.append((path, request))
        given = self.answers.get(path, allow)(request)
        if isinstance(given, bytes):
            return given
        response = {"uid": request["uid"], **given}
        return json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": response}).encode()


@contextmanager
def serving_webhook(directory: Path) -> Iterator[WebhookServer]:
    """A server with a CA of its own, on loopback, until the end of the context."""
    ca = tls.create_ca("webhook-ca")
    request = CertRequest("webhook", hosts=("127.0.0.1", "localhost", "hooks.default.svc"), server=True)
    files = tls.issue(ca, request).write(directory, "webhook")
    http = _Server(files.server_context())
    server = http.webhook = WebhookServer(http.server_address[1], base64.b64encode(ca.cert_pem()).decode())
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join()
        http.server_close()


class _Server(ThreadingHTTPServer):
    webhook: WebhookServer

    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Shake hands in the connection's own thread; a client that does not like the certificate just goes."""
        with suppress(OSError), self._context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a review."""
        raw = self.rfile.read(int(self.headers["content-length"]))
        server: Any = self.server
        body = server.webhook.respond(self.path.partition("?")[0], json.loads(raw))
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("connection", "close")  # no thread waits for another request
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""
