"""Pods: the row. Its parts are one module each: strategy, defaults, columns, binding."""

from typing import Final

from apiserver.registry.resource import Resource
from apiserver.resources.columns import spec_of, status_of
from apiserver.resources.core.pods.columns import COLUMNS
from apiserver.resources.core.pods.strategy import PodStrategy
from machinery.api import kinds
from machinery.api.codec import Json


def _first_ip(pod: Json) -> str:
    status = status_of(pod)
    ips = status.get("podIPs") or [{"ip": status.get("podIP")}]
    return ips[0].get("ip") or ""


PODS: Final = Resource(
    kind=kinds.PODS,
    key="pods",
    strategy=PodStrategy(),
    short_names=("po",),
    categories=("all",),
    columns=COLUMNS,
    fields={
        "spec.nodeName": lambda pod: spec_of(pod).get("nodeName") or "",
        "spec.restartPolicy": lambda pod: spec_of(pod).get("restartPolicy") or "",
        "spec.schedulerName": lambda pod: spec_of(pod).get("schedulerName") or "",
        "spec.serviceAccountName": lambda pod: spec_of(pod).get("serviceAccountName") or "",
        "spec.hostNetwork": lambda pod: "true" if spec_of(pod).get("hostNetwork") else "false",
        "status.phase": lambda pod: status_of(pod).get("phase") or "",
        "status.podIP": _first_ip,
        "status.podIPs": _first_ip,
        "status.nominatedNodeName": lambda pod: status_of(pod).get("nominatedNodeName") or "",
    },
    subresources=(
        *("status", "ephemeralcontainers", "resize", "binding", "eviction", "log", "exec", "attach", "portforward"),
    ),
)
