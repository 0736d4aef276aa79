"""A pod as the scheduler sees it: decoded once, read by every plugin. No cluster state is here."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from machinery.api import meta, pods
from machinery.api.codec import Json
from machinery.api.names import ObjectKey
from scheduler.terms import Term, terms_of
from scheduler.volumes import claims_of

#: what a container without requests counts as when nodes are scored (upstream: util/pod_resources.go)
DEFAULT_MILLI_CPU: Final = 100
DEFAULT_MEMORY: Final = 200 * 1024 * 1024
ANY_ADDRESS: Final = "0.0.0.0"
NOT_STARTED: Final = "9999"


class HostPort(NamedTuple):
    """A port a pod claims on its node."""

    protocol: str
    port: int
    address: str


@dataclass(frozen=True, slots=True)
class Pod:
    """What plugins ask of a pod. `obj` is the object itself and must not be changed."""

    obj: Json
    key: ObjectKey
    uid: str
    labels: Mapping[str, str]
    requests: Mapping[str, int]
    scored: tuple[int, int]
    priority: int
    node_name: str
    host_ports: tuple[HostPort, ...]
    is_terminating: bool
    terms: tuple[Term, ...] = ()
    #: names of the PersistentVolumeClaims that it mounts
    claims: tuple[str, ...] = ()
    #: when it began, as text; one that did not, began last
    started: str = NOT_STARTED

    @property
    def spec(self) -> Json:
        """The pod's spec."""
        spec: Json = self.obj.get("spec") or {}
        return spec

    @property
    def tolerations(self) -> list[Json]:
        """`spec.tolerations`."""
        return self.spec.get("tolerations") or []

    @property
    def scheduler_name(self) -> str:
        """The profile that is asked to place this pod."""
        return self.spec.get("schedulerName") or "default-scheduler"

    @property
    def gates(self) -> list[str]:
        """Names of the scheduling gates that are still there (KEP-3521)."""
        return [gate["name"] for gate in self.spec.get("schedulingGates") or []]


def pod_of(obj: Json) -> Pod:
    """Decode a pod; raises ValueError for quantities that are none."""
    requests = {name: value for name, value in pods.requests_of(obj).items() if value}
    return Pod(
        obj=obj,
        key=meta.key_of(obj),
        uid=meta.uid_of(obj),
        labels=meta.labels_of(obj),
        requests=requests,
        scored=_scored(obj, requests),
        priority=(obj.get("spec") or {}).get("priority") or 0,
        node_name=pods.node_of(obj),
        host_ports=_host_ports(obj),
        is_terminating=meta.is_being_deleted(obj),
        terms=terms_of(obj),
        claims=tuple(claim.name for claim in claims_of(obj)),
        started=(obj.get("status") or {}).get("startTime") or NOT_STARTED,
    )


def _scored(obj: Json, requests: Mapping[str, int]) -> tuple[int, int]:
    """Milli cpu and bytes of memory for scoring: a container that asks for nothing still weighs something."""
    asked = [(container.get("resources") or {}).get("requests") or {} for container in pods.containers_of(obj)]
    cpu = sum("cpu" not in one for one in asked) * DEFAULT_MILLI_CPU
    memory = sum("memory" not in one for one in asked) * DEFAULT_MEMORY
    return requests.get("cpu", 0) + cpu, requests.get("memory", 0) + memory


def _host_ports(obj: Json) -> tuple[HostPort, ...]:
    sidecars = [container for container in pods.init_containers_of(obj) if pods.is_sidecar(container)]
    return tuple(
        HostPort(port.get("protocol") or "TCP", port["hostPort"], port.get("hostIP") or ANY_ADDRESS)
        for container in [*pods.containers_of(obj), *sidecars]
        for port in container.get("ports") or ()
        if port.get("hostPort")
    )
