"""Connections to etcd's members: endpoints, TLS, whose turn it is, gRPC's errors in storage's words. No requests."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio
from aetcd import rpc

from apiserver.storage.errors import Compacted, FutureRevision, Refused, StorageError, Unavailable

logger = logging.getLogger(__name__)

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    # A dead member is noticed after 40 s at most even where nothing is said (etcd's client: the same figures).
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # gRPC's own back-off grows to two minutes; an etcd that restarts is back in a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # how long a connection attempt may take, whatever the name says
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where etcd is: `--etcd-servers`, and the files of `--etcd-cafile`, `--etcd-certfile`, `--etcd-keyfile`."""

    servers: tuple[str, ...]
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


class Member:
    """One connected member: its channel and the stubs on it."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.kv = rpc.KVStub(channel)
        self.watch = rpc.WatchStub(channel)
        self.lease = rpc.LeaseStub(channel)


class Channels:
    """The members, one of which is used until it fails; then it is the next one's turn."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._members = [Member(_channel(server, endpoints)) for server in endpoints.servers]
        self._turn = 0

    def member(self) -> Member:
        """The member to talk to now."""
        return self._members[self._turn]

    def failed(self, member: Member) -> None:
        """Go on to the next member, unless somebody else did already."""
        if member is self.member():
            self._turn = (self._turn + 1) % len(self._members)

    async def close(self) -> None:
        """Close all connections."""
        for member in self._members:
            await member.channel.close()


def _channel(server: str, endpoints: Endpoints) -> Any:
    scheme, separator, address = server.partition("://")
    target = address.rstrip("/") if separator else server
    if scheme not in ("https", "unixs"):
        return grpc.aio.insecure_channel(target, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        _content(endpoints.ca_file), _content(endpoints.key_file), _content(endpoints.cert_file)
    )
    return grpc.aio.secure_channel(target, credentials, options=_OPTIONS)


def _content(path: str) -> bytes | None:
    return Path(path).read_bytes() if path else None


_REFUSALS: Final = frozenset(
    {
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
#: gRPC says so when no connection came about: the request never left this process
_NEVER_SENT: Final = ("failed to connect to all addresses", "DNS resolution failed", "Name resolution failure")


def translated(problem: grpc.aio.AioRpcError) -> StorageError:
    """A gRPC failure in storage's words. What is not clearly a refusal counts as unavailable: it may have happened."""
    code, details = problem.code(), problem.details() or ""
    if code is grpc.StatusCode.OUT_OF_RANGE:
        return FutureRevision(0, 0) if "future revision" in details else Compacted()
    if code in _REFUSALS:
        return Refused(details)
    return Unavailable(f"{code.name}: {details}", sent=not any(text in details for text in _NEVER_SENT))
