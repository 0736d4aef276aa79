"""Small ResourceSlices, DeviceClasses and ResourceClaims for the scheduler's tests."""

from typing import Any

from machinery.api.codec import Json

DRIVER = "gpu.example.com"


def device(name: str, *, taints: list[Json] | None = None, memory: str = "40Gi", **attributes: Any) -> Json:
    """A device with attributes of its driver's: text, numbers or truth."""
    kinds = {bool: "bool", int: "int", str: "string"}
    shown = {key: {kinds[type(value)]: value} for key, value in attributes.items()}
    made: Json = {"name": name, "attributes": shown, "capacity": {"memory": {"value": memory}}}
    return made | ({"taints": taints} if taints else {})


def slice_of(pool: str, *devices: Json, generation: int = 1, count: int = 1, name: str = "", **where: Any) -> Json:
    """A slice of a pool; on the node of the pool's name unless another place is said."""
    spec: Json = {
        "driver": DRIVER,
        "pool": {"name": pool, "generation": generation, "resourceSliceCount": count},
        "devices": list(devices),
        **(where or {"nodeName": pool}),
    }
    return {"metadata": {"name": name or f"slice-{pool}-{generation}"}, "spec": spec}


def device_class(name: str = "gpu", *expressions: str, config: list[Json] | None = None) -> Json:
    """A class of what the expressions select."""
    spec: Json = {"selectors": [{"cel": {"expression": one}} for one in expressions]}
    return {"metadata": {"name": name}, "spec": spec | ({"config": config} if config else {})}


def exactly(name: str = "r", *expressions: str, count: int = 1, **facts: Any) -> Json:
    """A request; count 0 asks for all."""
    return {"name": name, "exactly": wanted(*expressions, count=count, **facts)}


def wanted(*expressions: str, count: int = 1, **facts: Any) -> Json:
    """What a request or an alternative asks for."""
    mode: Json = {"allocationMode": "ExactCount", "count": count} if count else {"allocationMode": "All"}
    selectors = {"selectors": [{"cel": {"expression": one}} for one in expressions]} if expressions else {}
    return {"deviceClassName": "gpu", **mode, **selectors, **facts}


def claim(name: str, *requests: Json, constraints: list[Json] | None = None, config: list[Json] | None = None) -> Json:
    """A claim of the default namespace without devices."""
    devices: Json = {"requests": list(requests)}
    devices |= {"constraints": constraints} if constraints else {}
    devices |= {"config": config} if config else {}
    metadata = {"name": name, "namespace": "default", "uid": f"uid-{name}", "resourceVersion": "1"}
    return {"metadata": metadata, "spec": {"devices": devices}, "status": {}}
