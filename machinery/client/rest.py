"""One client per process, typed by kind. Connections are in `http1`, watches in `watch`, caches in `informer`."""

import logging
import os
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Final
from urllib.parse import urlencode

from machinery.api import codec, errors, meta
from machinery.api.codec import Json
from machinery.api.kinds import Kind
from machinery.client.config import ClientConfig, ConfigError
from machinery.client.http1 import Broken, Connections, Response

logger = logging.getLogger(__name__)

MERGE_PATCH: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
STRATEGIC_PATCH: Final = "application/strategic-merge-patch+json"
APPLY_PATCH: Final = "application/apply-patch+yaml"

_LOOK_SECONDS: Final = 10.0  # between two looks at the certificate's file
_SECONDS: Final = 65.0  # for an answer; a little over the server's own 60


class ConnectionProblem(OSError):
    """The server was not reached, or the connection broke in the middle. The request may or may not have happened."""


class Client:
    """Requests to one API server as one identity; an async context manager."""

    def __init__(
        self, config: ClientConfig, user_agent: str = "skiff", headers: Iterable[tuple[str, str]] = ()
    ) -> None:
        self.config = config
        self._always = (("user-agent", user_agent), *headers)
        self._connections: Connections | None = None
        self._tls: ssl.SSLContext | None = None
        self._looked = (0.0, 0.0)  # when, and what the certificate's time was

    async def __aenter__(self) -> "Client":
        self._tls = self.config.ssl_context()
        self._looked = time.monotonic(), _modified(self.config.certificate_file)
        try:
            self._connections = Connections(self.config.server, self._tls, self.config.tls_server_name, self._always)
        except ValueError as problem:
            raise ConfigError(f"invalid server address {self.config.server}: {problem}") from problem
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connections is not None:
            await self._connections.close()

    def _server(self) -> Connections:
        if self._connections is None:
            raise RuntimeError("the client is used outside its context")
        return self._connections

    # --- one object ---------------------------------------------------------------------------------------------

    async def get(self, kind: Kind, name: str, namespace: str = "", *, subresource: str = "") -> Json:
        """One object; raises NotFound."""
        return await self._json("GET", kind.path(namespace, name, subresource))

    async def create(self, kind: Kind, obj: Json, *, subresource: str = "", name: str = "") -> Json:
        """POST an object to its collection, or to a subresource of `name`; raises AlreadyExists, Invalid …"""
        return await self._json("POST", kind.path(meta.namespace_of(obj), name, subresource), obj)

    async def update(self, kind: Kind, obj: Json, *, subresource: str = "") -> Json:
        """PUT the whole object; raises Conflict when its resourceVersion is not the latest."""
        return await self._json("PUT", kind.path(meta.namespace_of(obj), meta.name_of(obj), subresource), obj)

    async def update_status(self, kind: Kind, obj: Json) -> Json:
        """PUT the object to its status subresource."""
        return await self.update(kind, obj, subresource="status")

    async def patch(
        self,
        kind: Kind,
        name: str,
        namespace: str,
        patch: Json | list[Json],
        *,
        content_type: str = MERGE_PATCH,
        subresource: str = "",
    ) -> Json:
        """PATCH one object."""
        return await self._json("PATCH", kind.path(namespace, name, subresource), patch, content_type)

    async def delete(
        self,
        kind: Kind,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        grace_period_seconds: int | None = None,
        propagation_policy: str = "",
    ) -> Json:
        """DELETE one object, only if it still has the uid when one is given; raises NotFound, Conflict."""
        options: Json = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace_period_seconds is not None:
            options["gracePeriodSeconds"] = grace_period_seconds
        if propagation_policy:
            options["propagationPolicy"] = propagation_policy
        return await self._json("DELETE", kind.path(namespace, name), options)

    # --- collections --------------------------------------------------------------------------------------------

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        resource_version: str = "",
    ) -> Json:
        """The whole list object."""
        params = {
            "labelSelector": label_selector,
            "fieldSelector": field_selector,
            "resourceVersion": resource_version,
        }
        return await self._json("GET", _with_query(kind.path(namespace), params))

    async def delete_collection(self, kind: Kind, namespace: str, *, propagation_policy: str = "") -> Json:
        """DELETE everything of a kind in a namespace."""
        return await self._json("DELETE", _with_query(kind.path(namespace), {"propagationPolicy": propagation_policy}))

    # --- anything -----------------------------------------------------------------------------------------------

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Any request; raises StatusError for an answer of 400 and above, ConnectionProblem when there is none."""
        target = _with_query(path, params)
        try:
            response = await self._server().request(method, target, self._headers(headers).items(), body, _SECONDS)
        except Broken as problem:
            raise ConnectionProblem(f"{method} {self.config.server}{path}: {problem}") from problem
        if response.status_code >= 400:
            raise status_error(response.status_code, response.content)
        return response

    @asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        read_timeout: float | None = None,
    ) -> AsyncIterator[Response]:
        """GET with the body left to read; `read_timeout` seconds of silence end it with ConnectionProblem."""
        target = _with_query(path, params)
        try:
            async with self._server().stream(target, self._headers(headers).items(), read_timeout) as response:
                if response.status_code >= 400:
                    raise status_error(response.status_code, await response.aread())
                yield response
        except Broken as problem:
            raise ConnectionProblem(f"GET {self.config.server}{path}: {problem}") from problem

    async def _json(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Json:
        content = codec.dumps(body) if body is not None else None
        headers = {"content-type": content_type} if content is not None else None
        response = await self.request(method, path, body=content, headers=headers)
        answer: Json = codec.loads(response.content)
        return answer

    def _follow_certificate(self) -> None:
        """New connections show the certificate that is in its file now: whoever renews it need not tell."""
        looked, known = self._looked
        if self._tls is None or not self.config.certificate_file or time.monotonic() - looked < _LOOK_SECONDS:
            return
        modified = _modified(self.config.certificate_file)
        if modified and modified != known:
            try:
                self._load_certificate(self._tls)
            except (OSError, ssl.SSLError) as problem:
                logger.warning("%s cannot be used: %s", self.config.certificate_file, problem)
                modified = known  # its key may come a moment later: look again
        self._looked = time.monotonic(), modified

    def _load_certificate(self, tls: ssl.SSLContext) -> None:
        pair = self.config.certificate_file, self.config.key_file or None
        # A certificate without its key would take away the pair that is there: it is tried elsewhere first.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(*pair)
        tls.load_cert_chain(*pair)

    def _headers(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        self._follow_certificate()
        headers = {"accept": "application/json", **(extra or {})}
        token = self.config.bearer_token()
        if token:
            headers["authorization"] = f"Bearer {token}"
        if self.config.impersonate:
            headers["impersonate-user"] = self.config.impersonate
        return headers


def _modified(file: str) -> float:
    try:
        return os.stat(file).st_mtime if file else 0.0
    except OSError:
        return 0.0


def status_error(code: int, body: bytes) -> errors.StatusError:
    """The error an answer stands for, whether or not it is a Status."""
    try:
        status = codec.loads(body)
    except ValueError:
        status = {}
    if isinstance(status, dict) and status.get("kind") == "Status":
        return errors.from_status(status, code)
    return errors.from_status({"message": body[:1024].decode(errors="replace"), "code": code}, code)


def _with_query(path: str, params: Mapping[str, str] | None) -> str:
    given = {key: value for key, value in (params or {}).items() if value}
    return f"{path}?{urlencode(given)}" if given else path
