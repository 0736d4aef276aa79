"""HTTP to extenders, by httpx. What is asked is `extender`'s."""

import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from machinery.api import times
from machinery.client.config import ClientConfig
from scheduler.config import ExtenderConfig
from scheduler.extender import Poster


class _Blocking(httpx.AsyncBaseTransport):
    """Sends requests without giving way."""

    def __init__(self, context: ssl.SSLContext | None) -> None:
        self._transport = httpx.HTTPTransport(verify=context if context is not None else False, trust_env=False)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """The answer, read to its end."""
        answer = self._transport.handle_request(request)
        assert isinstance(answer.stream, httpx.SyncByteStream)
        try:
            body = httpx.ByteStream(b"".join(answer.stream))
        finally:
            answer.close()
        return httpx.Response(answer.status_code, headers=answer.headers, stream=body)

    async def aclose(self) -> None:
        """Close the connections."""
        self._transport.close()


class _Http:
    """httpx, as an extender's `Poster`."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def post(self, url: str, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to JSON; raises OSError."""
        try:
            response = await self._http.post(url, content=body, headers={"content-type": "application/json"})
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as problem:  # the last two: of addresses
            raise OSError(str(problem) or type(problem).__name__) from problem
        return response.status_code, response.content


@asynccontextmanager
async def connected(config: ExtenderConfig, *, blocking: bool) -> AsyncIterator[Poster]:
    """What an extender is asked through; raises ConfigError for certificates that do not load."""
    async with _client(config, blocking=blocking) as http:
        yield _Http(http)


def _client(config: ExtenderConfig, *, blocking: bool) -> httpx.AsyncClient:
    tls, url = config.tls_config, config.url_prefix
    ca = _material(tls.ca_data, tls.ca_file)
    settings = ClientConfig(
        server="https://" if config.enable_https or url.startswith("https") else url,
        ca=ca,
        certificate=_material(tls.cert_data, tls.cert_file),
        key=_material(tls.key_data, tls.key_file),
        insecure=tls.insecure or not ca,  # upstream's rule: without a CA nothing is verified
    )
    context = settings.ssl_context()
    timeout = times.duration(config.http_timeout) or 5.0
    if blocking:
        return httpx.AsyncClient(transport=_Blocking(context), timeout=timeout, trust_env=False)
    return httpx.AsyncClient(verify=context if context is not None else False, timeout=timeout, trust_env=False)


def _material(data: str, path: str) -> bytes:
    if data:
        return base64.b64decode(data)
    return Path(path).read_bytes() if path else b""
