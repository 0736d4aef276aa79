"""Deletes CertificateSigningRequests that nobody needs any more (upstream: certificates/cleaner/cleaner.go)."""

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509

from controller_manager import csr_rules
from machinery.aio.clock import REAL, Clock
from machinery.aio.workqueue import WorkQueue
from machinery.api import kinds, meta, times
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from machinery.client.controller import enqueue_itself, ignore_not_found
from machinery.client.informer import Informers
from machinery.client.rest import Client

_LOOK_SECONDS: Final = 3600.0
_DECIDED: Final = timedelta(hours=1)
_PENDING: Final = timedelta(hours=24)


def is_over(csr: Json, now: datetime) -> bool:
    """Decided an hour ago, pending for a day, or its certificate has expired."""
    conditions = (csr.get("status") or {}).get("conditions") or []
    decided = [times.parse(one["lastUpdateTime"]) for one in conditions if one.get("lastUpdateTime")]
    if any(now - at > _DECIDED for at in decided):
        return True
    if certificate := csr_rules.certificate_of(csr):
        return any(one.not_valid_after_utc < now for one in x509.load_pem_x509_certificates(certificate))
    created = times.parse(meta.metadata_of(csr)["creationTimestamp"])
    return not conditions and now - created > _PENDING


class CSRCleaner:
    """Keys are requests, looked at every hour."""

    name = "certificatesigningrequest-cleaner-controller"

    def __init__(self, client: Client, informers: Informers, clock: Clock = REAL) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue()
        self._client = client
        self._clock = clock
        self._requests = informers.watch(kinds.CERTIFICATE_SIGNING_REQUESTS, on_change=enqueue_itself(self.queue))

    async def reconcile(self, key: ObjectKey) -> float | None:
        """One look at one request."""
        csr = self._requests.get(key)
        if csr is None:
            return None
        if is_over(csr, self._clock.now()):
            await ignore_not_found(self._client.delete(kinds.CERTIFICATE_SIGNING_REQUESTS, key.name))
            return None
        return _LOOK_SECONDS
