"""Forgets etcd's old revisions every five minutes, as one of several servers that must not do it twice."""

import logging
from typing import Final

from apiserver.storage.errors import StorageError
from apiserver.storage.etcd import Etcd
from machinery.aio.clock import REAL, Clock

logger = logging.getLogger(__name__)

INTERVAL_SECONDS: Final = 300.0


async def compact_regularly(etcd: Etcd, interval: float = INTERVAL_SECONDS, clock: Clock = REAL) -> None:
    """Each `interval` seconds compact to where the store was one interval ago; for ever.

    `compact_rev_key` is shared with upstream's servers (upstream: apiserver/pkg/storage/etcd3/compact.go): its
    version is the logical time all of them agree on, and who moves it from t to t+1 is the one to compact. So nobody
    compacts what is younger than an interval, however many servers there are.
    """
    version, revision = 0, 0
    while True:
        await clock.sleep(interval)
        try:
            version, revision = await compact_once(etcd, version, revision)
        except StorageError as problem:
            logger.warning("etcd could not be compacted: %s", problem)


async def compact_once(etcd: Etcd, version: int, revision: int) -> tuple[int, int]:
    """One round: given key version and store revision of the last round, answer those for the next one."""
    succeeded, current, version, _ = await etcd.exchange_compaction(version, revision)
    if succeeded and revision:
        await etcd.compact(revision)
        logger.debug("compacted etcd to revision %d", revision)
    return version, current
