"""Pods and records for tests, as short as they can be written."""

from typing import Any

from kubelet.runtime_status import ContainerRecord, ContainerState, PodRecord, SandboxRecord, newest_first
from machinery.api.codec import Json

SECOND = 1_000_000_000


def container(name: str = "main", **fields: Any) -> Json:
    return {"name": name, "image": "img:1", **fields}


def rule(*codes: int, action: str = "Restart", operator: str = "In") -> Json:
    return {"action": action, "exitCodes": {"operator": operator, "values": list(codes)}}


def pod(*containers: Json, inits: tuple[Json, ...] = (), policy: str = "Always", **spec: Any) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "web", "namespace": "default", "uid": "uid-1", "resourceVersion": "1"},
        "spec": {
            "restartPolicy": policy,
            "nodeName": "n1",
            "containers": list(containers or (container(),)),
            **({"initContainers": list(inits)} if inits else {}),
            **spec,
        },
    }


def running(name: str = "main", **fields: Any) -> ContainerRecord:
    return _record(name, ContainerState.RUNNING, **{"started_at": 10 * SECOND, **fields})


def exited(name: str = "main", code: int = 0, **fields: Any) -> ContainerRecord:
    return _record(
        name, ContainerState.EXITED, exit_code=code, started_at=10 * SECOND, finished_at=20 * SECOND, **fields
    )


def created(name: str = "main", **fields: Any) -> ContainerRecord:
    return _record(name, ContainerState.CREATED, **fields)


def lost(name: str = "main", **fields: Any) -> ContainerRecord:
    return _record(name, ContainerState.UNKNOWN, **fields)


def _record(name: str, state: ContainerState, **fields: Any) -> ContainerRecord:
    return ContainerRecord(**{"id": f"{name}-id", "name": name, "state": state, "sandbox_id": "box", **fields})


BOX = SandboxRecord("box", 0, True, 1, ("10.0.0.5",))
DEAD_BOX = SandboxRecord("box", 0, False, 1)


def record(*containers: ContainerRecord, boxes: tuple[SandboxRecord, ...] = (BOX,)) -> PodRecord:
    return PodRecord("uid-1", "default", "web", boxes, newest_first(containers))
