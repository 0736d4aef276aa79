"""Finds devices of one node for claims: all that the claims ask for, or none. Pure; what a node has is given.

Theory of operation (upstream: dynamic-resource-allocation/structured/internal/stable/allocator_stable.go; KEP-4381).
An exhaustive search with backtracking: claim by claim, request by request, device by device, in the order of the pools;
the first full solution is taken. Alternatives of a request (`firstAvailable`, KEP-4816) are tried in their order.
Devices of one request are interchangeable, so they are only tried in increasing order, not in every order as upstream
does: the solution is the same, the search is shorter. It is given up after a bounded number of steps, for what claims
ask can be made as hard as one likes.

A constraint holds the value that the devices chosen so far share; a counter holds what is left of it. Both are stacks
in effect: what `_add` does `_remove` undoes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, NamedTuple

from machinery.api import lazy, meta, nodes
from machinery.api.codec import Json
from scheduler.devices import Device, DeviceId, Pool

#: devices of one claim
MOST_RESULTS: Final = 32
_MOST_STEPS: Final = 100_000
_KEEPS_AWAY: Final = ("NoSchedule", "NoExecute")


class Impossible(Exception):
    """A claim, class or expression that no search can do anything with; the text is upstream's."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One way to satisfy a request: so many devices (0: all there are) of a class that selectors accept."""

    name: str  # "gpu", or "gpu/big" for an alternative
    count: int
    device_class: Json
    #: whose selector it is, and its expression
    selectors: tuple[tuple[str, str], ...] = ()
    is_admin: bool = False
    tolerations: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """A claim without devices: for each request the ways to satisfy it, best first."""

    claim: Json
    requests: tuple[tuple[Ask, ...], ...]

    @property
    def name(self) -> str:
        """Namespace and name."""
        return str(meta.key_of(self.claim))

    @property
    def constraints(self) -> list[Json]:
        """What its devices must have in common."""
        return _devices_of(self.claim).get("constraints") or []


class Offer(NamedTuple):
    """A pool's devices that can be used on a node, and the names of those of the pool that are taken."""

    pool: Pool
    devices: Sequence[Device]
    taken: frozenset[str]


class Chosen(NamedTuple):
    """A device for a request."""

    ask: Ask
    device: Device


def wish_of(claim: Json, classes: Mapping[str, Json]) -> Wish:
    """What a claim asks for; raises Impossible for what is not known here, KeyError for a class that is not there."""
    requests = []
    for request in _devices_of(claim).get("requests") or ():
        exact, name = request.get("exactly"), request["name"]
        ways = [(name, exact)] if exact else [(f"{name}/{one['name']}", one) for one in request["firstAvailable"]]
        requests.append(tuple(_ask(claim, way, wanted, classes) for way, wanted in ways))
    return Wish(claim, tuple(requests))


def _ask(claim: Json, name: str, wanted: Json, classes: Mapping[str, Json]) -> Ask:
    device_class = classes[wanted["deviceClassName"]]
    mode = wanted.get("allocationMode") or "ExactCount"
    if mode not in ("ExactCount", "All"):
        raise Impossible(f"claim {meta.key_of(claim)}, request {name}: unsupported count mode {mode}")
    selectors = [
        *_selectors(f"class {meta.name_of(device_class)}", device_class["spec"].get("selectors")),
        *_selectors(f"claim {meta.key_of(claim)}", wanted.get("selectors")),
    ]
    return Ask(
        name,
        (wanted.get("count") or 1) if mode == "ExactCount" else 0,
        device_class,
        tuple(selectors),
        bool(wanted.get("adminAccess")),
        tuple(wanted.get("tolerations") or ()),
    )


def _selectors(owner: str, items: Sequence[Json] | None) -> Iterator[tuple[str, str]]:
    for number, item in enumerate(items or ()):
        yield f"{owner}: selector #{number}", (item.get("cel") or {}).get("expression") or ""


@dataclass(slots=True)
class Selections:
    """Which devices an expression selects; asked once per expression and kind of device."""

    _known: dict[tuple[str, int], bool] = field(default_factory=dict)

    def accepts(self, ask: Ask, device: Device) -> bool:
        """Whether all of an ask's selectors accept the device; raises Impossible for an expression that fails."""
        return all(self._accepts(owner, expression, device) for owner, expression in ask.selectors)

    def _accepts(self, owner: str, expression: str, device: Device) -> bool:
        known = self._known.get((expression, device.kind))
        if known is None:
            known = self._known[expression, device.kind] = _evaluated(owner, expression, device)
        return known


def _evaluated(owner: str, expression: str, device: Device) -> bool:
    cel = lazy.load("machinery.cel.devices")
    try:
        selector = cel.selector(expression)
    except ValueError as problem:
        raise Impossible(f"{owner}: CEL compile error: {problem}") from problem
    try:
        return bool(selector.matches(device.id.driver, device.obj))
    except (cel.EvaluationError, ValueError) as problem:
        raise Impossible(f"{owner} on device {device.id}: CEL runtime error: {problem}") from problem


@dataclass(frozen=True, slots=True)
class _Hunt:
    """One ask of one claim, while devices are being found for it."""

    step: int
    wish: int
    ask: Ask
    candidates: Sequence[tuple[Offer, Device]]


class Search:
    """One node's. `run` once."""

    def __init__(self, wishes: Sequence[Wish], offers: Sequence[Offer], selections: Selections) -> None:
        self._wishes = wishes
        self._offers = offers
        self._selections = selections
        self._requests = [(number, asks) for number, wish in enumerate(wishes) for asks in wish.requests]
        self._chosen: list[list[Chosen]] = [[] for _ in wishes]
        self._holders: dict[DeviceId, list[int]] = {}
        self._shared: list[list[list[Any]]] = [[[] for _ in wish.constraints] for wish in wishes]
        self._left: dict[tuple[Any, ...], Fraction] = {}
        self._steps = 0

    def run(self) -> list[list[Chosen]] | None:
        """The devices of each claim, None where there are not enough; raises Impossible."""
        for wish in self._wishes:
            _must_not_ask_too_much(wish)
        for offer in self._offers:
            self._left.update(_counters_left(offer))
        return self._chosen if self._request(0) else None

    def _request(self, step: int) -> bool:
        if step == len(self._requests):
            return True
        wish, asks = self._requests[step]
        return any(self._ask(step, wish, ask) for ask in asks)

    def _ask(self, step: int, wish: int, ask: Ask) -> bool:
        if not ask.count:
            self._must_be_whole(wish, ask)
        candidates = [
            (offer, device)
            for offer in self._offers
            if not offer.pool.problem
            for device in offer.devices
            if self._selections.accepts(ask, device)
        ]
        missing = ask.count or len(candidates)
        return missing > 0 and self._take(_Hunt(step, wish, ask, candidates), 0, missing)

    def _must_be_whole(self, wish: int, ask: Ask) -> None:
        for offer in self._offers:
            if problem := offer.pool.problem:
                pool = "/".join(offer.pool.key)
                text = f"asks for all devices, but resource pool {pool} {problem}"
                raise Impossible(f"claim {self._wishes[wish].name}, request {ask.name}: {text}")

    def _take(self, hunt: _Hunt, start: int, missing: int) -> bool:
        if not missing:
            return self._request(hunt.step + 1)
        if len(self._chosen[hunt.wish]) + missing > MOST_RESULTS:
            return False
        for place in range(start, len(hunt.candidates) - missing + 1):
            self._count_step()
            offer, device = hunt.candidates[place]
            if not self._add(hunt, offer, device):
                continue
            if self._take(hunt, place + 1, missing - 1):
                return True
            self._remove(hunt, offer, device)
        return False

    def _count_step(self) -> None:
        self._steps += 1
        if self._steps > _MOST_STEPS:
            names = ", ".join(wish.name for wish in self._wishes)
            raise Impossible(f"filter operation aborted: too many combinations of devices for {names}")

    def _add(self, hunt: _Hunt, offer: Offer, device: Device) -> bool:
        """Choose a device if nothing speaks against it; whether it was chosen."""
        if not self._is_free(hunt, offer, device) or _keeps_away(device, hunt.ask):
            return False
        uses = list(_uses(offer, device))
        if any(self._left.get(counter, 0) < amount for counter, amount in uses):
            return False
        pushes = list(self._common(hunt, device))
        if any(value is None or (stack and stack[-1] != value) for stack, value in pushes):
            self._refuse_all_of_unlike(hunt, device)
            return False
        for stack, value in pushes:
            stack.append(value)
        for counter, amount in uses:
            self._left[counter] -= amount
        self._holders.setdefault(device.id, []).append(hunt.wish)
        self._chosen[hunt.wish].append(Chosen(hunt.ask, device))
        return True

    def _remove(self, hunt: _Hunt, offer: Offer, device: Device) -> None:
        for stack, _ in self._common(hunt, device):
            stack.pop()
        for counter, amount in _uses(offer, device):
            self._left[counter] += amount
        self._holders[device.id].remove(hunt.wish)
        self._chosen[hunt.wish].pop()

    def _is_free(self, hunt: _Hunt, offer: Offer, device: Device) -> bool:
        holders = self._holders.get(device.id) or ()
        if hunt.ask.is_admin:
            return hunt.wish not in holders
        return not holders and device.id.device not in offer.taken

    def _common(self, hunt: _Hunt, device: Device) -> Iterator[tuple[list[Any], Any]]:
        """For each constraint on the request: the values so far, and the device's own (None: it has none)."""
        for stack, constraint in zip(self._shared[hunt.wish], self._wishes[hunt.wish].constraints, strict=True):
            names = constraint.get("requests") or ()
            if not names or hunt.ask.name in names or hunt.ask.name.partition("/")[0] in names:
                yield stack, _attribute(device, constraint.get("matchAttribute") or "")

    def _refuse_all_of_unlike(self, hunt: _Hunt, device: Device) -> None:
        if not hunt.ask.count:
            where = f"claim {self._wishes[hunt.wish].name}, request {hunt.ask.name}"
            text = f"cannot add device {device.id} because a claim constraint would not be satisfied"
            raise Impossible(f"{where}: {text}")


def _must_not_ask_too_much(wish: Wish) -> None:
    least = sum(min(ask.count or 1 for ask in asks) for asks in wish.requests)
    if least > MOST_RESULTS:
        text = f"number of requested devices {least} exceeds the claim limit of {MOST_RESULTS}"
        raise Impossible(f"claim {wish.name}: {text}")


def _keeps_away(device: Device, ask: Ask) -> bool:
    """Whether a taint of the device (KEP-5055) is not tolerated."""
    taints = [taint for taint in device.obj.get("taints") or () if taint.get("effect") in _KEEPS_AWAY]
    return any(not any(nodes.tolerates(one, taint) for one in ask.tolerations) for taint in taints)


def _attribute(device: Device, name: str) -> tuple[str, Any] | None:
    attributes = device.obj.get("attributes") or {}
    domain, _, key = name.partition("/")
    found = attributes.get(name) or (attributes.get(key) if domain == device.id.driver else None)
    return next(iter(found.items())) if found else None


def _uses(offer: Offer, device: Device) -> Iterator[tuple[tuple[Any, ...], Fraction]]:
    for name, counters in device.consumes().items():
        for counter, amount in counters.items():
            yield (*offer.pool.key, name, counter), amount


def _counters_left(offer: Offer) -> dict[tuple[Any, ...], Fraction]:
    pool = offer.pool
    left = {(*pool.key, name, one): amount for name, all_ in pool.counters.items() for one, amount in all_.items()}
    for device in pool.devices:
        if device.id.device in offer.taken:
            for counter, amount in _uses(offer, device):
                left[counter] = left.get(counter, Fraction(0)) - amount
    return left


def _devices_of(claim: Json) -> Json:
    devices: Json = (claim.get("spec") or {}).get("devices") or {}
    return devices


# what is written down


def allocation_of(wish: Wish, chosen: Sequence[Chosen]) -> Json:
    """`status.allocation` of a claim that gets these devices."""
    devices: Json = {"results": [_result(one) for one in chosen]}
    if config := _configs(wish, list(dict.fromkeys(one.ask.name for one in chosen)), chosen):
        devices["config"] = config
    allocation: Json = {"devices": devices}
    if selector := _node_selector(one.device for one in chosen):
        allocation["nodeSelector"] = selector
    return allocation


def _result(one: Chosen) -> Json:
    driver, pool, device = one.device.id
    result: Json = {"request": one.ask.name, "driver": driver, "pool": pool, "device": device}
    if one.ask.is_admin:
        result["adminAccess"] = True
    if one.ask.tolerations:
        result["tolerations"] = list(one.ask.tolerations)
    return result


def _configs(wish: Wish, asked: Sequence[str], chosen: Sequence[Chosen]) -> list[Json]:
    """The classes' configuration, each with the requests that it is for, then the claim's own."""
    found: list[Json] = []
    by_class: dict[str, list[str]] = {}
    classes: dict[str, Json] = {}
    for name, device_class in dict((one.ask.name, one.ask.device_class) for one in chosen).items():
        by_class.setdefault(meta.name_of(device_class), []).append(name)
        classes[meta.name_of(device_class)] = device_class
    for class_name, requests in by_class.items():
        for config in classes[class_name]["spec"].get("config") or ():
            found.append({**config, "source": "FromClass", "requests": requests})
    known = {*asked, *(name.partition("/")[0] for name in asked)}
    for config in _devices_of(wish.claim).get("config") or ():
        requests = config.get("requests") or []
        if not requests or known.intersection(requests):
            found.append({**config, "source": "FromClaim", "requests": requests})
    return [_for_all(config, len(wish.requests)) for config in found]


def _for_all(config: Json, count: int) -> Json:
    """Without its requests when it is for all of them: none means all."""
    if config["requests"] and len(config["requests"]) != count:
        return config
    return {key: value for key, value in config.items() if key != "requests"}


def _node_selector(devices: Iterable[Device]) -> Json | None:
    """Where the devices can be used together; None stands for everywhere."""
    term: dict[str, list[Json]] = {}
    for device in devices:
        if device.place.node:
            field_ = {"key": "metadata.name", "operator": "In", "values": [device.place.node]}
            return {"nodeSelectorTerms": [{"matchFields": [field_]}]}
        for kind, requirement in _requirements(device):
            if requirement not in term.setdefault(kind, []):
                term[kind].append(requirement)
    return {"nodeSelectorTerms": [term]} if term else None


def _requirements(device: Device) -> Iterator[tuple[str, Json]]:
    for term in device.place.node_selector().get("nodeSelectorTerms") or ():
        for kind in ("matchFields", "matchExpressions"):
            for requirement in term.get(kind) or ():
                yield kind, requirement
