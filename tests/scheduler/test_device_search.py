"""Which devices claims get on one node, and what is written down of it."""

import itertools
import random
from typing import Any

import pytest

from machinery.api.codec import Json
from scheduler.device_search import MOST_RESULTS, Impossible, Offer, Search, Selections, allocation_of, wish_of
from scheduler.devices import INCOMPLETE, INVALID, Inventory
from tests.scheduler.device_objects import DRIVER, claim, device, device_class, exactly, slice_of, wanted

GPUS = slice_of(
    "n1", device("a", model="big", numa=0), device("b", model="small", numa=0), device("c", model="small", numa=1)
)
BIG, SMALL = (f'device.attributes["{DRIVER}"].model == "{model}"' for model in ("big", "small"))
CLASSES = {"gpu": device_class("gpu")}


def inventory(*slices: Json) -> Inventory:
    """What these slices offer."""
    made = Inventory()
    for one in slices:
        made.on_slice(None, one)
    return made


def offers(*slices: Json, taken: frozenset[str] = frozenset()) -> list[Offer]:
    """All pools, for node n1."""
    found = inventory(*slices)
    return [Offer(pool, pool.devices, taken) for pool in (*found.local("n1"), *found.shared())]


def chosen(claims: list[Json], *slices: Json, taken: frozenset[str] = frozenset()) -> list[dict[str, list[str]]] | None:
    """For each claim the names of the devices that each request got."""
    wishes = [wish_of(one, CLASSES) for one in claims]
    found = Search(wishes, offers(*slices, taken=taken), Selections()).run()
    if found is None:
        return None
    answer: list[dict[str, list[str]]] = []
    for devices in found:
        answer.append({})
        for one in devices:
            answer[-1].setdefault(one.ask.name, []).append(one.device.id.device)
    return answer


def same(attribute: str, *requests: str) -> Json:
    """A constraint."""
    return {"matchAttribute": f"{DRIVER}/{attribute}", **({"requests": list(requests)} if requests else {})}


def taint(effect: str) -> Json:
    """A taint of a device."""
    return {"key": "sick", "value": "yes", "effect": effect}


ALTERNATIVES = {
    "name": "r",
    "firstAvailable": [{"name": "big", **wanted(BIG)}, {"name": "small", **wanted(SMALL, count=2)}],
}

TWO_OR_ONE = {
    "name": "r",
    "firstAvailable": [{"name": "two", **wanted(SMALL, count=2)}, {"name": "one", **wanted()}],
}


@pytest.mark.parametrize(
    ("requests", "taken", "expected"),
    [
        pytest.param([exactly()], "", {"r": ["a"]}, id="any"),
        pytest.param([exactly()], "a", {"r": ["b"]}, id="what-is-taken-is-not-given-again"),
        pytest.param([exactly("r", SMALL)], "", {"r": ["b"]}, id="selected"),
        pytest.param([exactly("r", SMALL, count=2)], "", {"r": ["b", "c"]}, id="two"),
        pytest.param([exactly("r", SMALL, count=3)], "", None, id="too-many"),
        pytest.param([exactly("r", BIG, SMALL)], "", None, id="all-selectors-must-accept"),
        pytest.param([exactly("r", count=0)], "", {"r": ["a", "b", "c"]}, id="all"),
        pytest.param([exactly("r", SMALL, count=0)], "", {"r": ["b", "c"]}, id="all-that-are-selected"),
        pytest.param([exactly("r", count=0)], "c", None, id="all-must-be-free"),
        pytest.param([exactly("r", "false", count=0)], "", None, id="all-of-none-is-not-enough"),
        pytest.param(
            [exactly("x"), exactly("y", BIG)],
            "",
            {"x": ["b"], "y": ["a"]},
            id="what-another-request-needs-is-left-to-it",
        ),
        pytest.param([exactly("r", adminAccess=True)], "a", {"r": ["a"]}, id="administrators-share"),
        pytest.param(
            [exactly("x", adminAccess=True, count=2), exactly("y", count=3)],
            "",
            None,
            id="administrators-of-the-same-claim-do-not",
        ),
        pytest.param([ALTERNATIVES], "", {"r/big": ["a"]}, id="the-first-alternative"),
        pytest.param([ALTERNATIVES], "a", {"r/small": ["b", "c"]}, id="the-next-alternative"),
        pytest.param([ALTERNATIVES], "ab", None, id="no-alternative"),
        pytest.param(
            [exactly("x", BIG), ALTERNATIVES],
            "",
            {"x": ["a"], "r/small": ["b", "c"]},
            id="an-alternative-because-of-another-request",
        ),
    ],
)
def test_devices_of_one_claim(requests: list[Json], taken: str, expected: Any) -> None:
    found = chosen([claim("c", *requests)], GPUS, taken=frozenset(taken))
    assert found == (None if expected is None else [expected])


@pytest.mark.parametrize(
    ("requests", "constraint", "expected"),
    [
        pytest.param([exactly("r", count=2)], same("numa"), {"r": ["a", "b"]}, id="two-alike"),
        pytest.param([exactly("r", SMALL, count=2)], same("numa"), None, id="none-alike"),
        pytest.param([exactly("r", count=2)], same("nobody-has-it"), None, id="an-attribute-that-is-not-there"),
        pytest.param(
            [exactly("x", SMALL), exactly("y", BIG)], same("numa"), {"x": ["b"], "y": ["a"]}, id="over-requests"
        ),
        pytest.param(
            [exactly("x", SMALL, count=2), exactly("y", BIG)],
            same("model", "x"),
            {"x": ["b", "c"], "y": ["a"]},
            id="of-one-request",
        ),
        pytest.param(
            [TWO_OR_ONE],
            same("numa", "r"),
            {"r/one": ["a"]},
            id="of-all-alternatives-of-a-request",
        ),
        pytest.param(
            [TWO_OR_ONE],
            same("numa", "r/one"),
            {"r/two": ["b", "c"]},
            id="of-another-alternative",
        ),
    ],
)
def test_devices_that_must_be_alike(requests: list[Json], constraint: Json, expected: Any) -> None:
    found = chosen([claim("c", *requests, constraints=[constraint])], GPUS)
    assert found == (None if expected is None else [expected])


def test_two_claims_share_no_device_and_a_later_one_may_make_an_earlier_one_choose_otherwise() -> None:
    assert chosen([claim("one", exactly()), claim("two", exactly("r", BIG))], GPUS) == [{"r": ["b"]}, {"r": ["a"]}]
    assert chosen([claim("one", exactly("r", BIG)), claim("two", exactly("r", BIG))], GPUS) is None


@pytest.mark.parametrize(
    ("effect", "tolerations", "expected"),
    [
        pytest.param("NoSchedule", [], None, id="not-tolerated"),
        pytest.param("NoExecute", [], None, id="no-execute"),
        pytest.param("None", [], ["a"], id="for-information"),
        pytest.param("NoSchedule", [{"key": "sick", "operator": "Exists"}], ["a"], id="tolerated"),
        pytest.param("NoSchedule", [{"key": "sick", "value": "no"}], None, id="another-value"),
    ],
)
def test_taints_of_devices(effect: str, tolerations: list[Json], expected: list[str] | None) -> None:
    found = chosen(
        [claim("c", exactly("r", tolerations=tolerations))], slice_of("n1", device("a", taints=[taint(effect)]))
    )
    assert found == (None if expected is None else [{"r": expected}])


def _part(name: str, amount: str) -> Json:
    return {**device(name), "consumesCounters": [{"counterSet": "card", "counters": {"memory": {"value": amount}}}]}


def test_parts_of_a_device_share_its_counters() -> None:
    counters = {"name": "card", "counters": {"memory": {"value": "40Gi"}}}
    pool = [
        slice_of("n1", count=2, name="s1", nodeName="n1", sharedCounters=[counters]),
        slice_of("n1", _part("whole", "40Gi"), _part("half-1", "20Gi"), _part("half-2", "20Gi"), count=2, name="s2"),
    ]
    assert chosen([claim("c", exactly("r", count=2))], *pool) == [{"r": ["half-1", "half-2"]}]
    assert chosen([claim("c", exactly("r", count=3))], *pool) is None
    assert chosen([claim("c", exactly())], *pool, taken=frozenset({"half-1"})) == [{"r": ["half-2"]}]
    assert chosen([claim("c", exactly())], *pool, taken=frozenset({"whole"})) is None


def test_a_pool_is_what_its_newest_generation_says_when_all_of_it_is_there() -> None:
    old, new = slice_of("n1", device("a")), slice_of("n1", device("b"), generation=2)
    assert chosen([claim("c", exactly("r", count=0))], old, new) == [{"r": ["b"]}]
    [half] = inventory(slice_of("n1", device("a"), count=2)).local("n1")
    assert half.problem == INCOMPLETE
    [twice] = inventory(slice_of("n1", device("a"), device("a"))).local("n1")
    assert twice.problem == INVALID
    assert chosen([claim("c", exactly())], slice_of("n1", device("a"), count=2)) is None


def test_a_slice_that_goes_takes_its_devices_along() -> None:
    found = inventory(GPUS)
    found.on_slice(GPUS, None)
    assert not list(found.local("n1"))
    moved = {**GPUS, "spec": {**GPUS["spec"], "nodeName": "n2"}}
    found.on_slice(None, GPUS)
    found.on_slice(GPUS, moved)
    assert not list(found.local("n1"))
    assert [len(pool.devices) for pool in found.local("n2")] == [3]


@pytest.mark.parametrize(
    ("request_", "slices", "message"),
    [
        pytest.param(
            exactly("r", "device.attributes["),
            [GPUS],
            "claim default/c: selector #0: CEL compile error: compilation failed: ",
            id="no-expression",
        ),
        pytest.param(
            exactly("r", f'device.attributes["{DRIVER}"].nope == 1'),
            [GPUS],
            f"claim default/c: selector #0 on device {DRIVER}/n1/a: CEL runtime error: no such key: nope",
            id="an-attribute-that-is-not-there",
        ),
        pytest.param(
            exactly("r", count=0),
            [slice_of("n1", device("a"), count=2)],
            f"claim default/c, request r: asks for all devices, but resource pool {DRIVER}/n1 is currently being upd",
            id="all-of-half-a-pool",
        ),
    ],
)
def test_what_nothing_can_be_done_with(request_: Json, slices: list[Json], message: str) -> None:
    with pytest.raises(Impossible) as problem:
        chosen([claim("c", request_)], *slices)
    assert str(problem.value).startswith(message)


def test_all_devices_that_may_not_be_together_are_an_error() -> None:
    with pytest.raises(Impossible, match="cannot add device .*/n1/c because a claim constraint would not be satisfied"):
        chosen([claim("c", exactly("r", count=0), constraints=[same("numa")])], GPUS)


def test_no_claim_gets_more_than_it_may_have_and_no_search_lasts_for_ever() -> None:
    many = slice_of("n1", *(device(f"d{number}", numa=number) for number in range(40)))
    assert chosen([claim("c", exactly("r", count=MOST_RESULTS))], many) is not None
    with pytest.raises(Impossible, match="number of requested devices 33 exceeds the claim limit of 32"):
        chosen([claim("c", exactly("r", count=MOST_RESULTS), exactly("s"))], many)
    with pytest.raises(Impossible, match="too many combinations"):
        chosen([claim("c", *(exactly(f"r{number}") for number in range(20)), exactly("s", "false"))], many)


def test_a_domain_that_a_device_knows_nothing_of_is_empty() -> None:
    assert chosen([claim("c", exactly("r", '!("x" in device.attributes["other.example.com"])'))], GPUS) == [
        {"r": ["a"]}
    ]
    enough = f'device.capacity["{DRIVER}"].memory.compareTo(quantity("30Gi")) > 0'
    assert chosen([claim("c", exactly("r", enough))], GPUS) == [{"r": ["a"]}]


def _written(made: Json, *slices: Json, classes: dict[str, Json] = CLASSES) -> Json:
    wish = wish_of(made, classes)
    found = Search([wish], offers(*slices), Selections()).run()
    assert found is not None
    return allocation_of(wish, found[0])


def test_what_is_written_of_an_allocation() -> None:
    ours, theirs = (
        {"opaque": {"driver": DRIVER, "parameters": {"a": 1}}},
        {"opaque": {"driver": DRIVER, "parameters": {}}},
    )
    made = claim(
        "c", exactly("x", BIG), exactly("y"), config=[{"requests": ["y"], **ours}, ours, {"requests": ["z"], **ours}]
    )
    classes = {"gpu": device_class("gpu", config=[theirs])}
    assert _written(made, GPUS, classes=classes) == {
        "devices": {
            "results": [
                {"request": "x", "driver": DRIVER, "pool": "n1", "device": "a"},
                {"request": "y", "driver": DRIVER, "pool": "n1", "device": "b"},
            ],
            "config": [
                {**theirs, "source": "FromClass"},
                {**ours, "requests": ["y"], "source": "FromClaim"},
                {**ours, "source": "FromClaim"},
            ],
        },
        "nodeSelector": {
            "nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}]
        },
    }


def test_devices_of_several_nodes_say_where_they_can_be_used() -> None:
    in_zone = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["a"]}]}]}
    made = claim("c", exactly("r", count=2))
    assert "nodeSelector" not in _written(made, slice_of("net", device("a"), device("b"), allNodes=True))
    assert _written(made, slice_of("net", device("a"), device("b"), nodeSelector=in_zone))["nodeSelector"] == in_zone


def _random_case(chance: random.Random) -> tuple[list[Json], list[Json], Json]:
    devices = [
        device(f"d{n}", model=chance.choice(["big", "small"]), numa=chance.randrange(2))
        for n in range(chance.randrange(1, 6))
    ]
    claims = []
    for number in range(chance.randrange(1, 3)):
        requests = [
            exactly(f"r{n}", *chance.choice([(), (BIG,), (SMALL,)]), count=chance.randrange(1, 3))
            for n in range(chance.randrange(1, 3))
        ]
        constraints = [same("numa")] if chance.random() < 0.4 else []
        claims.append(claim(f"c{number}", *requests, constraints=constraints))
    return claims, devices, slice_of("n1", *devices)


def _brute_force(claims: list[Json], devices: list[Json]) -> bool:
    """Whether any assignment of different devices to all places satisfies everything."""
    places = [
        (one, request["exactly"])
        for one in claims
        for request in one["spec"]["devices"]["requests"]
        for _ in range(request["exactly"]["count"])
    ]
    return any(
        all(_fits(wanted_, given) for (_, wanted_), given in zip(places, order, strict=True))
        and all(_alike(one, places, order) for one in claims if one["spec"]["devices"].get("constraints"))
        for order in itertools.permutations(devices, len(places))
    )


def _fits(request: Json, given: Json) -> bool:
    return all(
        given["attributes"]["model"]["string"] in one["cel"]["expression"] for one in request.get("selectors") or ()
    )


def _alike(one: Json, places: Any, order: Any) -> bool:
    mine = {given["attributes"]["numa"]["int"] for (owner, _), given in zip(places, order, strict=True) if owner is one}
    return len(mine) <= 1


@pytest.mark.parametrize("seed", range(150))
def test_devices_are_found_whenever_there_is_a_way(seed: int) -> None:
    claims, devices, pool = _random_case(random.Random(seed))
    found = chosen(claims, pool)
    assert (found is not None) == _brute_force(claims, devices)
    if found is not None:
        given = [name for one in found for names in one.values() for name in names]
        assert len(given) == len(set(given))
