"""Calls to webhooks: where a clientConfig leads, TLS with its CA bundle, the deadline. What is said is `review`'s.

Upstream: k8s.io/apiserver/pkg/util/webhook/client.go. A Service is reached at one of its ready endpoints, as with
upstream's --enable-aggregator-routing, for the server need not run where cluster addresses lead anywhere.
"""

import asyncio
import base64
import binascii
import random
import ssl
from dataclasses import dataclass
from functools import partial
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import httpx

from apiserver.admission.reader import Reader
from machinery.api import kinds, meta
from machinery.api.codec import Json

_MOST_BYTES: Final = 3 << 20  # of an answer
_SERVICE_LABEL: Final = "kubernetes.io/service-name"


class CallFailed(Exception):
    """No answer that can be read."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a webhook listens: the URL as messages show it, and what is dialled instead of its host, if anything."""

    url: str
    ca: bytes = b""
    namespace: str = ""
    service: str = ""
    port: int = 443

    @classmethod
    def of(cls, config: Json) -> "Target":
        """From a WebhookClientConfig."""
        try:
            ca = base64.b64decode(config.get("caBundle") or "", validate=True)
        except (ValueError, binascii.Error):
            ca = b"unreadable"
        service = config.get("service")
        if not service:
            return cls(config.get("url") or "", ca)
        name, namespace = service.get("name") or "", service.get("namespace") or ""
        port, path = service.get("port") or 443, (service.get("path") or "").lstrip("/")
        return cls(f"https://{name}.{namespace}.svc:{port}/{path}", ca, namespace, name, port)


class WebhookCaller:
    """Keeps a connection pool per CA bundle."""

    def __init__(self) -> None:
        self._clients: dict[bytes, httpx.AsyncClient] = {}

    async def close(self) -> None:
        """Give the kept connections back."""
        clients, self._clients = list(self._clients.values()), {}
        for client in clients:
            await client.aclose()

    async def post(self, target: Target, body: bytes, seconds: float, reader: Reader) -> bytes:
        """The answer's body; raises CallFailed."""
        parts = urlsplit(target.url)
        query = f"{parts.query}&timeout={seconds:g}s" if parts.query else f"timeout={seconds:g}s"
        shown = urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
        fail = partial(_failed, shown)
        try:
            async with asyncio.timeout(seconds):
                return await self._post(target, shown, body, reader)
        except TimeoutError as problem:
            raise fail("context deadline exceeded") from problem
        except httpx.HTTPStatusError as problem:
            raise CallFailed(f"failed to call webhook: {_answered(problem.response)}") from problem
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as problem:
            raise fail(_reason(problem)) from problem

    async def _post(self, target: Target, url: str, body: bytes, reader: Reader) -> bytes:
        parts = urlsplit(url)
        headers = {"content-type": "application/json", "accept": "application/json", "host": parts.netloc}
        dialled = url
        if target.service:
            dialled = urlunsplit(parts._replace(netloc=endpoint_of(target, reader)))
        client = await self._client(target.ca)
        request = client.build_request(
            "POST", dialled, content=body, headers=headers, extensions={"sni_hostname": parts.hostname}
        )
        response = await client.send(request, stream=True)
        try:
            response_body = b""
            async for chunk in response.aiter_bytes():
                response_body += chunk
                if len(response_body) > _MOST_BYTES:
                    raise ValueError("the answer is too large")
        finally:
            await response.aclose()
        if not response.is_success:
            raise httpx.HTTPStatusError(response_body.decode(errors="replace"), request=request, response=response)
        return response_body

    async def _client(self, ca: bytes) -> httpx.AsyncClient:
        client = self._clients.get(ca)
        if client is None:
            # reading a machine's authorities takes long enough that others would wait
            context = await asyncio.to_thread(_context, ca)
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=20)
            client = httpx.AsyncClient(verify=context, timeout=None, limits=limits, trust_env=False)
            client = self._clients.setdefault(ca, client)
        return client


def _context(ca: bytes) -> ssl.SSLContext:
    """Trusts the bundle, or the machine's own authorities where there is none; raises ValueError."""
    try:
        return ssl.create_default_context(cadata=ca.decode()) if ca else ssl.create_default_context()
    except (ssl.SSLError, UnicodeDecodeError) as problem:
        raise ValueError(f"unable to load root certificates: {problem}") from problem


def endpoint_of(target: Target, reader: Reader) -> str:
    """`address:port` of a ready endpoint of a Service; raises ValueError."""
    services = reader.in_namespace(kinds.SERVICES, target.namespace)
    service = next((found for found in services if meta.name_of(found) == target.service), None)
    if service is None:
        raise ValueError(f'service "{target.service}" not found')
    spec = service.get("spec") or {}
    if spec.get("type") == "ExternalName":
        return f"{spec.get('externalName')}:{target.port}"
    port = next((port for port in spec.get("ports") or () if port.get("port") == target.port), None)
    if port is None:
        raise ValueError(f'no service port {target.port} found for service "{target.service}"')
    found = _ready(target, reader, port.get("name") or "")
    if not found:
        raise ValueError(f'no endpoints available for service "{target.service}"')
    return random.choice(found)


def _ready(target: Target, reader: Reader, port_name: str) -> list[str]:
    found = []
    for piece in reader.in_namespace(kinds.ENDPOINT_SLICES, target.namespace):
        if meta.labels_of(piece).get(_SERVICE_LABEL) != target.service:
            continue
        numbers = [port["port"] for port in piece.get("ports") or () if (port.get("name") or "") == port_name]
        for endpoint in piece.get("endpoints") or ():
            if (endpoint.get("conditions") or {}).get("ready") is False:
                continue
            addresses = endpoint.get("addresses") or ()
            found += [f"[{ip}]:{number}" if ":" in ip else f"{ip}:{number}" for ip in addresses for number in numbers]
    return found


def _failed(url: str, why: str) -> CallFailed:
    return CallFailed(f'failed to call webhook: Post "{url}": {why}')


def _answered(response: httpx.Response) -> str:
    """Upstream's words for an HTTP error (client-go/rest/request.go)."""
    if response.status_code == 404:
        return "the server could not find the requested resource"
    if response.status_code >= 500:
        return "an error on the server has prevented the request from succeeding"
    return "the server rejected our request for an unknown reason"


def _reason(problem: BaseException) -> str:
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"tls: failed to verify certificate: {cause.verify_message}"
        if isinstance(cause, ConnectionRefusedError):
            return "dial tcp: connect: connection refused"
        cause = cause.__cause__ or cause.__context__
    return str(problem) or type(problem).__name__
