"""The node's Lease in kube-node-lease: its heartbeat, cheaper than the status.

Upstream: component-helpers/apimachinery/lease (KEP-589).
"""

from typing import Final

from machinery.aio.clock import REAL, Clock
from machinery.api import errors, meta, times
from machinery.api.codec import Json
from machinery.api.kinds import LEASES, NODES
from machinery.client.rest import Client

NAMESPACE: Final = "kube-node-lease"


class NodeLease:
    """Renews one lease."""

    def __init__(self, client: Client, node_name: str, seconds: int = 40, clock: Clock = REAL) -> None:
        """`seconds` is how long the lease is good for; it is to be renewed four times as often."""
        self._client = client
        self._name = node_name
        self._seconds = seconds
        self._clock = clock
        self._latest: Json | None = None

    @property
    def period(self) -> float:
        """Seconds between renewals."""
        return self._seconds / 4

    async def renew(self) -> None:
        """Create or renew it; raises StatusError, ConnectionProblem."""
        try:
            if self._latest is None:
                self._latest = await self._client.get(LEASES, self._name, NAMESPACE)
            self._latest = await self._client.update(LEASES, self._renewed(self._latest))
        except errors.NotFound:
            self._latest = await self._client.create(LEASES, await self._new())
        except errors.Conflict:
            self._latest = None
            raise

    def _renewed(self, lease: Json) -> Json:
        spec = {
            **(lease.get("spec") or {}),
            "holderIdentity": self._name,
            "leaseDurationSeconds": self._seconds,
            "renewTime": times.micro(self._clock.now()),
        }
        return {**lease, "spec": spec}

    async def _new(self) -> Json:
        metadata: Json = {"name": self._name, "namespace": NAMESPACE}
        try:
            node = await self._client.get(NODES, self._name)
        except errors.NotFound:
            node = None
        if node is not None:
            owner = {"apiVersion": "v1", "kind": "Node", "name": self._name, "uid": meta.uid_of(node)}
            metadata["ownerReferences"] = [owner]
        return self._renewed({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata})
