"""The process's Prometheus registry and its text. Which metrics there are is each component's."""

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

CONTENT_TYPE = CONTENT_TYPE_LATEST


def exposition() -> bytes:
    """All metrics of the process in Prometheus' text format."""
    return generate_latest(REGISTRY)
