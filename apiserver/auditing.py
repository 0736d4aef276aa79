"""The audit log from flags and files. Its parts are `audit`, what it watches is filters/audit."""

import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from apiserver.audit import policy, webhook
from apiserver.audit.auditor import Auditor, Backend
from apiserver.audit.log_file import Limits, LogFile
from apiserver.audit.webhook import Batching, Webhook
from apiserver.config import Config

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Auditing:
    """The auditor, if requests are recorded, and what runs beside the server for it."""

    auditor: Auditor | None = None
    works: list[Callable[[], Coroutine[Any, Any, None]]] = field(default_factory=list)


def create(config: Config) -> Auditing:
    """Read the files the flags name; raises OSError and ValueError."""
    made = Auditing()
    backends: list[Backend] = []
    if config.audit_log_path:
        limits = Limits(config.audit_log_maxsize, config.audit_log_maxbackup, config.audit_log_maxage)
        backends.append(LogFile(config.audit_log_path, limits))
    if config.audit_webhook_config_file:
        backend = _webhook(config)
        backends.append(backend)
        made.works.append(backend.run)
    if not config.audit_policy_file:
        if backends:
            logger.warning("No audit policy file provided, no events will be recorded")
        return made
    rules = policy.load(Path(config.audit_policy_file).read_text())
    if not backends:
        logger.warning("No audit backend is configured, no events will be recorded")
        return made
    made.auditor = Auditor(rules, backends)
    return made


def _webhook(config: Config) -> Webhook:
    batching = Batching(
        config.audit_webhook_batch_buffer_size,
        config.audit_webhook_batch_max_size,
        config.audit_webhook_batch_max_wait,
        config.audit_webhook_initial_backoff,
    )
    return Webhook(webhook.server_of(config.audit_webhook_config_file), batching)
