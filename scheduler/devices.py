"""Devices that drivers offer in ResourceSlices, by pool and by node, and which of them are taken. Choosing is not here.

Upstream: k8s.io/dynamic-resource-allocation/structured (pools.go, allocatedstate.go). A pool is what the slices of its
highest generation say, all of them: with some missing it is being updated, with a device twice it is invalid, and in
both cases nothing is taken from it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, NamedTuple

import orjson

from machinery.api import meta, quantity
from machinery.api.codec import Json

PoolKey = tuple[str, str]
Amounts = Mapping[str, Mapping[str, Fraction]]

INCOMPLETE: Final = "is currently being updated"
INVALID: Final = "is currently invalid"
_NOTHING: Final[frozenset[str]] = frozenset()


class DeviceId(NamedTuple):
    """What an allocation names a device by."""

    driver: str
    pool: str
    device: str

    def __str__(self) -> str:
        return "/".join(self)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device can be used: on one node, on those that a selector accepts, or (neither is set) everywhere."""

    node: str = ""
    #: a NodeSelector as JSON text, so that equal ones are one
    selector: str = ""

    def node_selector(self) -> Json:
        """The NodeSelector; an empty object where there is none."""
        found: Json = orjson.loads(self.selector or "{}")
        return found


@dataclass(frozen=True, slots=True)
class Device:
    """One device. Those of a kind differ in nothing a selector sees."""

    id: DeviceId
    obj: Json
    place: Place
    kind: int

    def consumes(self) -> Amounts:
        """What it takes of its pool's shared counters (KEP-4815)."""
        listed = self.obj.get("consumesCounters") or ()
        return {one["counterSet"]: _counters(one.get("counters")) for one in listed}


@dataclass(frozen=True, slots=True)
class Pool:
    """A driver's pool of one generation. Those of a kind differ in nothing but their names."""

    key: PoolKey
    devices: tuple[Device, ...]
    counters: Amounts
    kind: int
    #: INCOMPLETE or INVALID; empty for one that can be used
    problem: str = ""

    @property
    def node(self) -> str:
        """The one node that all its devices are on; empty when there are several or none."""
        nodes = {device.place.node for device in self.devices}
        return nodes.pop() if len(nodes) == 1 else ""


class Inventory:
    """All pools, kept up slice by slice."""

    def __init__(self) -> None:
        self._slices: dict[PoolKey, dict[str, Json]] = {}
        self._pools: dict[PoolKey, Pool] = {}
        self._local: dict[str, dict[PoolKey, Pool]] = {}
        self._shared: dict[PoolKey, Pool] = {}
        self._kinds: dict[bytes, int] = {}
        self._rules: dict[str, Json] = {}

    def on_rule(self, old: Json | None, new: Json | None) -> None:
        """A DeviceTaintRule came, changed or went: those of its devices that are there get its taint, or lose it."""
        if old is not None:
            self._rules.pop(meta.name_of(old), None)
        if new is not None:
            self._rules[meta.name_of(new)] = new["spec"]
        for key in tuple(self._slices):
            self._rebuild(key)

    def on_slice(self, old: Json | None, new: Json | None) -> None:
        """A slice came, changed or went."""
        if old is not None:
            self._slices.get(_pool_of(old), {}).pop(meta.name_of(old), None)
        if new is not None:
            self._slices.setdefault(_pool_of(new), {})[meta.name_of(new)] = new
        for key in {_pool_of(obj) for obj in (old, new) if obj is not None}:
            self._rebuild(key)

    def local(self, node: str) -> Iterable[Pool]:
        """Pools that are one node's alone."""
        return self._local.get(node, {}).values()

    def shared(self) -> Iterable[Pool]:
        """Pools that are not one node's alone."""
        return self._shared.values()

    def _rebuild(self, key: PoolKey) -> None:
        before = self._pools.pop(key, None)
        if before is not None:
            self._shelf(before).pop(key, None)
        slices = self._slices.get(key)
        if not slices:
            self._slices.pop(key, None)
            return
        pool = self._pools[key] = self._made(key, list(slices.values()))
        self._shelf(pool)[key] = pool

    def _shelf(self, pool: Pool) -> dict[PoolKey, Pool]:
        return self._local.setdefault(pool.node, {}) if pool.node else self._shared

    def _made(self, key: PoolKey, slices: list[Json]) -> Pool:
        newest = max(_generation(one) for one in slices)
        current = [one["spec"] for one in slices if _generation(one) == newest]
        devices = tuple(device for spec in current for device in self._devices(key, spec))
        problem = INCOMPLETE if len(current) != (current[0]["pool"].get("resourceSliceCount") or 0) else ""
        if len({device.id for device in devices}) != len(devices):
            problem = INVALID
        sets = [one for spec in current for one in spec.get("sharedCounters") or ()]
        counters = {one["name"]: _counters(one.get("counters")) for one in sets}
        contents = [[device.obj for device in devices], sets, key[0], problem]
        return Pool(key, devices, counters, self._kind(contents), problem)

    def _devices(self, key: PoolKey, spec: Json) -> Iterable[Device]:
        for obj in spec.get("devices") or ():
            obj = self._tainted(DeviceId(*key, obj["name"]), obj)
            place = _place(obj if spec.get("perDeviceNodeSelection") else spec)
            kind = self._kind([key[0], obj.get("attributes"), obj.get("capacity")])
            yield Device(DeviceId(*key, obj["name"]), obj, place, kind)

    def _tainted(self, device: DeviceId, obj: Json) -> Json:
        more = [rule["taint"] for rule in self._rules.values() if _selects(rule, device)]
        return {**obj, "taints": [*(obj.get("taints") or ()), *more]} if more else obj

    def _kind(self, content: object) -> int:
        return self._kinds.setdefault(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), len(self._kinds))


class Allocations:
    """Which devices claims have, those included whose allocation the API server has not confirmed yet."""

    def __init__(self) -> None:
        self._by_claim: dict[str, tuple[DeviceId, ...]] = {}
        self._assumed: set[str] = set()
        self._counts: dict[PoolKey, Counter[str]] = {}
        self._taken: dict[PoolKey, frozenset[str]] = {}

    def assume(self, uid: str, devices: Iterable[DeviceId]) -> None:
        """A claim is about to get devices; until it has them, nobody else does."""
        self._assumed.add(uid)
        self._set(uid, tuple(devices))

    def forget(self, uid: str) -> None:
        """It does not get them after all."""
        if uid in self._assumed:
            self._assumed.discard(uid)
            self._set(uid, ())

    def is_assumed(self, uid: str) -> bool:
        """Whether a claim's allocation is under way."""
        return uid in self._assumed

    def on_claim(self, old: Json | None, new: Json | None) -> None:
        """What the API server says of a claim; nothing about one whose allocation is under way is no news."""
        uid = meta.uid_of(new or old or {})
        devices = tuple(devices_of(new or {}))
        if new is not None and not devices and uid in self._assumed:
            return
        self._assumed.discard(uid)
        self._set(uid, devices)

    def taken(self, pool: PoolKey) -> frozenset[str]:
        """Names of a pool's devices that claims have."""
        return self._taken.get(pool, _NOTHING)

    def _set(self, uid: str, devices: tuple[DeviceId, ...]) -> None:
        before = self._by_claim.pop(uid, ())
        if devices:
            self._by_claim[uid] = devices
        for device in devices:
            self._counts.setdefault(device[:2], Counter())[device.device] += 1
        for device in before:
            self._counts[device[:2]][device.device] -= 1
        for pool in {device[:2] for device in (*before, *devices)}:
            self._taken[pool] = frozenset(+self._counts[pool])


def devices_of(claim: Json) -> Iterable[DeviceId]:
    """The devices a claim has for itself; administrators' access takes nothing from anybody."""
    allocation = (claim.get("status") or {}).get("allocation") or {}
    for result in (allocation.get("devices") or {}).get("results") or ():
        if not result.get("adminAccess"):
            yield DeviceId(result["driver"], result["pool"], result["device"])


def _pool_of(obj: Json) -> PoolKey:
    spec = obj.get("spec") or {}
    return spec.get("driver") or "", (spec.get("pool") or {}).get("name") or ""


def _selects(rule: Json, device: DeviceId) -> bool:
    """Whether a rule is about a device: one without a selector is about none, an empty selector about all."""
    selector = rule.get("deviceSelector")
    if selector is None:
        return False
    return all(selector.get(name) in (None, value) for name, value in device._asdict().items())


def _generation(obj: Json) -> int:
    return obj["spec"]["pool"].get("generation") or 0


def _place(obj: Json) -> Place:
    selector = obj.get("nodeSelector")
    return Place(obj.get("nodeName") or "", orjson.dumps(selector).decode() if selector else "")


def _counters(values: Mapping[str, Json] | None) -> dict[str, Fraction]:
    return {name: quantity.parse(str(value.get("value") or "0")) for name, value in (values or {}).items()}
